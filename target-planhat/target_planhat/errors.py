"""The errors that end a run, each with one clear line."""

from __future__ import annotations

import logging
import traceback
import typing as t
from pathlib import Path

import click
from singer_sdk.exceptions import RecordsWithoutSchemaException


class TargetError(click.ClickException):
    """Ends the run: one clear line on stderr, exit code 1; never shows a token, id or value."""

    def show(self, file: t.IO[t.Any] | None = None) -> None:
        """Log the line instead of click's own output."""
        del file
        logging.getLogger("target-planhat").error(self.message)


class StoppedError(Exception):
    """The run was asked to end."""


class PlanhatError(TargetError):
    """Planhat refuses the run, or does not answer: its message, and what to check."""


class NoLedgerError(TargetError):
    """The ledger does not exist, but must; `shown` is its URL without secrets."""

    def __init__(self, shown: str) -> None:
        self.shown = shown
        super().__init__(
            f"{shown} does not exist, and `require_ledger` is set: without it all would be sent "
            "again. Restore it, or, if this is the first run, make it with `target-planhat "
            "--ledger --init`, or by one run with `require_ledger: false` (and perhaps `since`)"
        )


class NoSchemaError(TargetError, RecordsWithoutSchemaException):
    """A record came before the SCHEMA of its stream."""


class OutputError(TargetError):
    """The output cannot be written: the run ends. The ledger keeps what was settled."""

    def __init__(self, error: OSError) -> None:
        if isinstance(error, BrokenPipeError):
            reason = "Nobody reads the output any more: the pipe is closed"
        else:
            reason = f"The output cannot be written ({error.strerror or type(error).__name__})"
        super().__init__(f"{reason}. What is not sent is sent by the next run")


def unexpected(error: Exception) -> str:
    """Return the type of an unexpected error, and its line of code; never its values."""
    folder = Path(__file__).parent
    place = ""
    for frame, line in traceback.walk_tb(error.__traceback__):
        file = Path(frame.f_code.co_filename)
        if file.is_relative_to(folder):
            place = f" at {file.relative_to(folder).as_posix()}:{line}"
    return f"unexpected {type(error).__name__}{place}"


def log_place(error: Exception) -> None:
    """Log an error's traceback at debug level, without its message, which may hold values."""
    trace = "".join(traceback.format_tb(error.__traceback__))
    logging.getLogger("target-planhat").debug("%s:\n%s", unexpected(error), trace)
