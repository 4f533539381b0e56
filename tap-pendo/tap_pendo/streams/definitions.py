"""Lists that Pendo gives whole: read anew each run; what is gone is marked as deleted."""

from __future__ import annotations

import typing as t

from singer_sdk.singerlib.catalog import REPLICATION_FULL_TABLE

from tap_pendo import aggregation
from tap_pendo.errors import StreamError
from tap_pendo.streams.base import PendoStream, Record, object_schema

if t.TYPE_CHECKING:
    from collections.abc import Iterator

    from singer_sdk.tap_base import Tap

    from tap_pendo.catalog import Definitions
    from tap_pendo.run import Run


class DefinitionsStream(PendoStream):
    """One list of definitions. Records carry a version, activated after a complete read."""

    def __init__(self, tap: Tap, run: Run, row: Definitions) -> None:
        super().__init__(tap, run, row.name, object_schema(row.shape.properties()))
        self.primary_keys = ("id",)
        self.row = row
        self._complete = False

    @property
    def replication_method(self) -> str:
        """Always whole, whatever a catalogue says: Pendo has no other way."""
        return REPLICATION_FULL_TABLE

    def read(self) -> Iterator[Record]:
        """Yield the definitions of the chosen apps."""
        self._stream_version = self._tap.initialized_at
        app_ids = set(self.run.settings.app_ids)
        nameless = 0
        empty = True
        for row in self.fetched(self._rows):
            empty = False
            record = self.row.shape.record(row)
            if record.get("id") is None:
                nameless += 1
                continue
            if app_ids and not app_ids & _apps(record, self.row.name):
                continue
            yield record
        if nameless:
            self.logger.warning("%s: %d rows without an id are left out", self.name, nameless)
        if empty:
            self.logger.warning("%s: Pendo sent an empty list; nothing is marked", self.name)
        # with app_ids the others are not gone, only not read; an empty list may be a fault
        self._complete = not (app_ids or self.dry_run or empty)
        self.read_complete()

    def settle(self) -> None:
        """Activate the version of a complete read, once."""
        if self._complete and self._stream_version is not None:
            self._write_activate_version_message(self._stream_version)
        self._complete = False
        super().settle()

    def _rows(self) -> Iterator[list[Record]]:
        if self.row.path:
            # without expand=* Pendo gives the default app's only
            rows = self.run.client.get(self.row.path, {"expand": "*"}, self.traffic)
            if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
                raise StreamError(f"{self.row.path}: the answer is not a list of objects")
            yield rows
        elif self.row.source:
            yield self.run.client.all_rows(aggregation.whole(self.row.source), self.traffic)


def _apps(record: Record, stream: str) -> set[t.Any]:
    if stream == "applications":
        return {record["id"]}
    return {record.get("app_id"), *(record.get("app_ids") or ())}
