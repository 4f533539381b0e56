"""What can go wrong, sorted by what happens next."""

from __future__ import annotations

import logging
import typing as t

import click


class TapError(click.ClickException):
    """Ends the run: one clear line on stderr, exit code 1."""

    def show(self, file: t.IO[t.Any] | None = None) -> None:
        """Log the line instead of click's own output."""
        del file
        logging.getLogger("tap-pendo").error(self.message)


class StreamError(Exception):
    """Ends one stream; the others go on and the run ends with exit code 1."""


class RefusedError(StreamError):
    """Pendo refuses the request itself (400, 404, 422): asking again is useless."""

    def __init__(self, message: str, status: int | None = None) -> None:
        super().__init__(message)
        self.status = status


class ForbiddenError(StreamError):
    """Pendo answers 403 to a valid key: the stream is skipped with a warning."""


class UnavailableError(StreamError):
    """Pendo cannot answer now (408, 413, 429, 5xx, time-out): ask again.

    `retry_after` is what Pendo asks to wait, in seconds, if it says so.
    """

    def __init__(self, message: str, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class ThrottledError(UnavailableError):
    """Pendo answers 429: wait and ask the same again; nothing is wrong with the request."""


class BrokenBodyError(UnavailableError):
    """An answer that began well ended early or is not JSON: ask again for what is missing."""


class UnsortedError(Exception):
    """Pages are out of order, or lack rows that Pendo counts: it sorts or compares another way."""
