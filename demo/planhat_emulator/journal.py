"""Knows how what happens to a tenant is written down in a file, and read again."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from io import FileIO
from pathlib import Path
from typing import Any

import msgspec


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
