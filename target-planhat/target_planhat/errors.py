"""The ways in which a run fails, each with one clear line."""

from __future__ import annotations

import logging
import typing as t

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
    """Planhat refuses the run, or does not answer: what it said, and what to look at."""


class NoLedgerError(TargetError):
    """There is no ledger where one must be; `shown` is its place, without what is secret in it."""

    def __init__(self, shown: str) -> None:
        self.shown = shown
        super().__init__(
            f"{shown} does not exist, and `require_ledger` is set: without it all would be sent "
            "again. Bring it back, or, if this is the first run, let one run make it with "
            "`require_ledger: false` (and perhaps `since`)"
        )


class NoSchemaError(TargetError, RecordsWithoutSchemaException):
    """A record came before the SCHEMA of its stream."""
