"""What can go wrong, sorted by what happens next."""

from __future__ import annotations

import logging
import traceback
import typing as t
from pathlib import Path

import click


class TapError(click.ClickException):
    """Ends the run: one clear line on stderr, exit code 1."""

    def show(self, file: t.IO[t.Any] | None = None) -> None:
        """Log the line instead of click's own output."""
        del file
        logging.getLogger("tap-pendo").error(self.message)


class StreamError(Exception):
    """Ends one stream; the others are read, and the run ends with exit code 1."""


class RefusedError(StreamError):
    """Pendo refuses the request itself (400, 404, 422): asking again is useless."""

    def __init__(self, message: str, status: int | None = None) -> None:
        super().__init__(message)
        self.status = status


class ForbiddenError(StreamError):
    """Pendo answers 403 to a valid key, for good: the stream is skipped with a warning."""


class UnavailableError(StreamError):
    """Pendo cannot answer now (408, 413, 429, 5xx, time-out): ask again.

    `retry_after` is what Pendo asks to wait, in seconds, if it says so.
    """

    def __init__(self, message: str, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class ThrottledError(UnavailableError):
    """Pendo asks for fewer calls (429, 409, 403 `rateLimitExceeded`): wait, then ask the same."""


class BrokenBodyError(UnavailableError):
    """An answer that began well ended early or is not JSON: ask again for what is missing."""


class NotJsonError(BrokenBodyError):
    """An answer 200 that is HTML or other text: a proxy's page, or not Pendo's API at all."""


class UnsortedError(Exception):
    """Rows are not in the order that was asked for: Pendo sorts in another way."""


class ShortError(Exception):
    """Fewer rows came than Pendo had counted before.

    They were changed or deleted meanwhile, or Pendo compares in another way than it sorts, or,
    read app by app, it does not list all apps.
    """

    def __init__(self, came: int, counted: int, *, by_app: bool) -> None:
        how = ", read app by app: it does not list all apps" if by_app else ""
        super().__init__(f"{came} rows came of the {counted} that Pendo counted{how}")
        self.by_app = by_app


class MapError(StreamError):
    """An expression of `stream_maps` failed on a record: its stream ends, the others are read."""


class OutputError(BaseException):
    """What the tap writes cannot be written: the run ends, and nothing more is written.

    It is not an `Exception`, so that nobody takes it for the failure of a stream.
    """

    def __init__(self, what: str, error: Exception) -> None:
        if isinstance(error, BrokenPipeError):
            reason = "The loader closed its input: its log says why"
        else:
            said = error.strerror if isinstance(error, OSError) else None
            if isinstance(error, ImportError):
                said = f"it needs a package that is not installed: {error.name or error}"
            reason = f"{what} cannot be written ({said or type(error).__name__})"
        super().__init__(f"{reason}; the next run resumes from the last STATE that was written")


def unexpected(error: Exception) -> str:
    """Say what an error is that nobody expected, and where it arose; never its values."""
    folder = Path(__file__).parent
    place = ""
    for frame, line in traceback.walk_tb(error.__traceback__):
        file = Path(frame.f_code.co_filename)
        if file.is_relative_to(folder):
            place = f" at {file.relative_to(folder).as_posix()}:{line}"
    return f"unexpected {type(error).__name__}{place}"


def log_place(error: Exception) -> None:
    """Log at debug level how the code came to an error; its message may hold values."""
    trace = "".join(traceback.format_tb(error.__traceback__))
    logging.getLogger("tap-pendo").debug("%s:\n%s", unexpected(error), trace)
