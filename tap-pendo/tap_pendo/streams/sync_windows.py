"""The log of complete reads, which tells current event rows from superseded ones."""

from __future__ import annotations

import typing as t

from tap_pendo.planning import Planned
from tap_pendo.shapes import INTEGER, STRING, TIME
from tap_pendo.streams.base import PendoStream, Record, object_schema
from tap_pendo.windows import to_text

if t.TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from singer_sdk.tap_base import Tap

    from tap_pendo.objects import SyncWindows
    from tap_pendo.planning import Counting
    from tap_pendo.run import Run
    from tap_pendo.streams.windowed import Read

ALL_APPS = "*"

_PROPERTIES = {
    "stream": {**STRING.schema, "description": "Name of the event stream."},
    "window_start": {**TIME.schema, "description": "Start of the window in UTC."},
    "window_end": {**TIME.schema, "description": "End of the window in UTC, exclusive."},
    "app_ids": {**STRING.schema, "description": "Apps that were read, by comma; * is every app."},
    "read_at": {**TIME.schema, "description": "Start of the read; its rows carry the same."},
    "rows": {**INTEGER.schema, "description": "Rows that the read gave."},
    "num_events": {**INTEGER.schema, "description": "Events that these rows count."},
    "calls": {**INTEGER.schema, "description": "Requests that it took."},
}


def app_ids_text(app_ids: Sequence[int]) -> str:
    """Write the setting as one text: the ids by comma, or * for every app."""
    return ",".join(str(app_id) for app_id in app_ids) or ALL_APPS


class SyncWindowsStream(PendoStream):
    """Its SCHEMA comes first; its rows come from the event streams, behind each window's rows."""

    def __init__(self, tap: Tap, run: Run, row: SyncWindows) -> None:
        super().__init__(tap, run, row, object_schema(_PROPERTIES))
        self.primary_keys = ("stream", "window_start", "window_end", "app_ids")
        self.replication_key = "read_at"

    def read(self) -> Iterator[list[Record]]:
        """Yield nothing: no window has been read yet."""
        return iter(())

    def planned(self, counting: Counting) -> Planned:
        """No calls."""
        del counting
        return Planned(calls=0)

    def report(self) -> None:
        """Say nothing until the event streams have been read."""

    def ended(self) -> None:
        """Say in one line of the log how many windows there were."""
        if self.selected:
            super().report()

    def log_read(self, stream: str, read: Read, app_ids: str) -> None:
        """Write the row of a complete read."""
        if not self.selected:
            return
        self.progress.windows += 1
        record: Record = {
            "stream": stream,
            "window_start": to_text(read.window.start),
            "window_end": to_text(read.window.end),
            "app_ids": app_ids,
            "read_at": to_text(read.read_at),
            "rows": read.rows.rows,
            "num_events": read.rows.num_events,
            "calls": read.traffic.calls,
        }
        self.write([record])
