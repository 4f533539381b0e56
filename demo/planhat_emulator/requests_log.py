"""Knows every request that came: where to, with how many items, and whether it came before."""

from collections import Counter
from hashlib import blake2b
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
