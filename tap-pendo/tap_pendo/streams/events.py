"""Event streams: windows of an event source, of all apps and entities."""

from __future__ import annotations

import typing as t
from functools import cached_property

from tap_pendo import aggregation
from tap_pendo.findings import Findings
from tap_pendo.reading import WindowRead
from tap_pendo.streams.base import ROW_ID, Record, object_schema
from tap_pendo.streams.sync_windows import ALL_APPS, SyncWindowsStream, app_ids_text
from tap_pendo.streams.windowed import WINDOW_READ_AT, WindowedStream
from tap_pendo.typed import Typed

if t.TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import timedelta

    from singer_sdk.tap_base import Tap

    from tap_pendo.aggregation import Body
    from tap_pendo.objects import Events
    from tap_pendo.planning import Counting, Spread
    from tap_pendo.run import Run
    from tap_pendo.windows import Window


class EventStream(WindowedStream):
    """One event source. Its marks hold good for `app_ids`, whose events are read."""

    def __init__(self, tap: Tap, run: Run, row: Events, sync_windows: SyncWindowsStream) -> None:
        period = row.period(run.settings.period)
        stamps = {"row_id": ROW_ID, "read_at": WINDOW_READ_AT}
        super().__init__(
            tap,
            run,
            row,
            object_schema({**stamps, **row.record_shape.properties()}),
            sync_windows=sync_windows,
            grid=run.settings.grid(period),
            longest=row.longest,
        )
        self.primary_keys = ("row_id",)
        self.replication_key = row.clock(period).name
        self.row = row
        self.app_ids = app_ids_text(run.settings.app_ids)
        self._findings = Findings(row.name)
        self._fields, self._stamps = row.by_place(period), tuple(stamps)

    @cached_property
    def _typed(self) -> Typed:
        return Typed(self._fields, self._stamps)

    def reader(self, window: Window, asked: timedelta) -> WindowRead:
        """Begin to read a window."""
        return WindowRead(
            self.run,
            self.row,
            window,
            asked=asked,
            findings=self._findings,
            traffic=self.traffic,
            typed=self._typed,
        )

    def counted(self, window: Window, counting: Counting) -> Spread:
        """Count the rows of a range."""
        settings, period = self.run.settings, self._grid.period

        def body(stretch: Window) -> Body:
            return aggregation.count_events(
                self.row.source,
                period=period,
                window=stretch,
                app_ids=settings.app_ids,
                exclude_list=settings.exclude_list,
                time_field=self.row.clock(period).pendo,
            )

        return counting.spread(self._grid, window, body)

    @property
    def planned_apps(self) -> Sequence[int]:
        """Those of the settings."""
        return self.run.settings.app_ids

    def conditions(self) -> Record:
        """Apps whose events are read."""
        return {"app_ids": self.app_ids}

    def outdated(self, state: Record) -> str | None:
        """Whether the marks lack an app."""
        known = str(state.get("app_ids", ALL_APPS))
        wanted = {str(app_id) for app_id in self.run.settings.app_ids}
        if known == ALL_APPS or (wanted and wanted <= set(known.split(","))):
            return None
        return "`app_ids` now names apps that were not read before"
