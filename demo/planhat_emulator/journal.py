"""Calls of a tenant: a log of them in memory, and a file that outlives the process."""

import os
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import blake2b
from io import FileIO
from pathlib import Path
from typing import Any

import msgspec
from emulation.calls import Calls


class Entry(msgspec.Struct, kw_only=True):
    """One request; `path` is without ids and tokens.

    `items` counts the items of its JSON body (an object is one, no JSON none), `digest` is equal
    for equal bodies, `size` its bytes, `authorization` the scheme, `status` 0 without an answer,
    `committed` whether it had its effect, `received` epoch ms.
    """

    verb: str
    path: str
    query: dict[str, str]
    authorization: str
    content_type: str
    size: int
    digest: str
    received: int
    items: int = 0
    status: int = 0
    committed: bool = False
    body: bytes | None = None


class Requests(Calls):
    """Counts calls as [path, verb], and logs each; bodies are kept where `keep_bodies` is set."""

    def __init__(self) -> None:
        self.keep_bodies = False
        super().__init__()

    def clear(self) -> None:
        """Begin again."""
        super().clear()
        self.log: list[Entry] = []

    def note(self, entry: Entry, body: bytes) -> None:
        """Log a request."""
        if self.keep_bodies:
            entry.body = body
        self.log.append(entry)

    def bodies(self, path: str) -> Counter[str]:
        """Return how often each body, by its digest, came to a path with an effect."""
        return Counter(one.digest for one in self.log if one.path == path and one.committed)

    def items(self, path: str) -> int:
        """Return how many items came to a path with an effect."""
        return sum(one.items for one in self.log if one.path == path and one.committed)

    def report(self) -> dict[str, Any]:
        """Return everything but the bodies as JSON values."""
        totals = super().report()
        totals["calls"] = [
            {"path": path, "verb": verb, "count": count}
            for (path, verb), count in sorted(self.counts.items())
        ]
        entries = msgspec.to_builtins(self.log)
        for entry in entries:
            del entry["body"]
        return {**totals, "log": entries}


def digest(body: bytes) -> str:
    """Return what is equal for equal bodies."""
    return blake2b(body, digest_size=12).hexdigest()


class Happening(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """One thing that changed a tenant at `at`, epoch ms: its birth, seeds, knobs or a call.

    `born` is the nonce of the tenant's ids. A call is verb, path and id as in `answers.Call`;
    `body` and `spoilt` belong to it.
    """

    at: int
    born: str = ""
    seeds: dict[str, Any] | None = None
    knobs: dict[str, Any] | None = None
    call: tuple[str, str, str] | None = None
    body: Any = None
    spoilt: tuple[str, tuple[int, ...]] = ("", ())


class Journal:
    """Writes down what happens, a line of JSON each; without a file it writes nothing."""

    def __init__(self, file: FileIO | None = None) -> None:
        self._file = file

    def note(self, happening: Happening) -> None:
        """Write one down; it has reached the system when this returns."""
        if self._file:
            self._file.write(msgspec.json.encode(happening) + b"\n")


@contextmanager
def journal_of(path: Path) -> Iterator[tuple[list[Happening], Journal]]:
    """Open the journal in a file: what it holds, and the journal that goes on from there.

    A last line that is not whole is what a kill cut short: nobody was answered, so it is removed.

    Raises:
        ValueError: for a line that is none of a journal.
        OSError: when the file cannot be used.
    """
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600)
    with os.fdopen(descriptor, "a+b", buffering=0) as file:
        file.seek(0)
        whole, _, torn = file.read().rpartition(b"\n")
        if torn:
            file.truncate(len(whole) + 1 if whole else 0)
        yield list(_happenings(path, whole)), Journal(file)


def _happenings(path: Path, text: bytes) -> Iterator[Happening]:
    decode = msgspec.json.Decoder(Happening).decode
    for number, line in enumerate(text.splitlines(), 1):
        try:
            yield decode(line)
        except (msgspec.DecodeError, UnicodeDecodeError):
            raise ValueError(f"line {number} of {path} is none of a journal") from None
