"""Refusals of a request and of an item, and the items that were not stored."""

from typing import Any

import msgspec


class Refused(Exception):  # noqa: N818 -- Planhat refuses; the emulator has no error
    """A refusal of a request: a status, a message and headers."""

    def __init__(self, status: int, message: str, headers: dict[str, str] | None = None) -> None:
        super().__init__(status, message)
        self.status = status
        self.message = message
        self.headers = headers or {}


class Unusable(Exception):  # noqa: N818 -- as above
    """A refusal of one item; the text is the reason."""


class Failure(msgspec.Struct, frozen=True, gc=False):
    """One item that was not stored: an activity or a metric, the moment in ms, the reason."""

    kind: str
    item: Any
    reason: str
    received: int
