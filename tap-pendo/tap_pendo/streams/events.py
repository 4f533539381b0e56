"""Event streams: windows of an event source, of all apps and entities."""

from __future__ import annotations

import typing as t

from tap_pendo.api import queries
from tap_pendo.errors import RefusedError, StreamError
from tap_pendo.reading.event_records import EventLayout
from tap_pendo.reading.paging import PagingFacts
from tap_pendo.reading.window_reader import EventWindowRead
from tap_pendo.streams.base_stream import ROW_ID
from tap_pendo.streams.windowed import (
    EVERY_APP,
    WINDOW_READ_AT,
    SyncWindowsStream,
    WindowedStream,
    app_ids_text,
)

if t.TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from datetime import timedelta

    from singer_sdk.tap_base import Tap

    from tap_pendo import AnyRecord, Record
    from tap_pendo.api.queries import Body
    from tap_pendo.calendar import Window
    from tap_pendo.catalog.stream_specs import EventSpec
    from tap_pendo.config.run_context import Run
    from tap_pendo.reading.plan import Counting, Spread


class EventStream(WindowedStream):
    """One event source. Its bookmarks are only valid for the configured `app_ids`."""

    def __init__(self, tap: Tap, run: Run, row: EventSpec, sync_windows: SyncWindowsStream) -> None:
        period = row.period(run.settings.period)
        stamps = {"row_id": ROW_ID, "read_at": WINDOW_READ_AT}
        super().__init__(
            tap,
            run,
            row,
            {**stamps, **row.record_shape.properties()},
            sync_windows=sync_windows,
            grid=run.settings.grid(period),
            longest=row.longest,
        )
        self.primary_keys = ("row_id",)
        self.replication_key = row.clock(period).name
        self.row = row
        self.app_ids = app_ids_text(run.settings.app_ids)
        self._facts = PagingFacts(row.name)
        self._layout = EventLayout(row, self._grid, tuple(stamps))

    def reader(self, window: Window, asked: timedelta) -> EventWindowRead:
        """Begin to read a window."""
        return EventWindowRead(
            self.run,
            self._layout,
            window,
            asked=asked,
            agents=self._agents,
            facts=self._facts,
            traffic=self.traffic,
        )

    def counted(self, window: Window, counting: Counting) -> Spread:
        """Count the rows of a range."""
        settings = self.run.settings
        apps = self.run.asked_apps((), self._agents)

        def body(stretch: Window) -> Body:
            return queries.count_events(
                self.row.source,
                period=self._grid.period,
                window=stretch,
                app_ids=apps,
                agents=self._agents,
                exclude_list=settings.exclude_list,
                time_field=self._layout.time,
            )

        return counting.spread(self._grid, window, body)

    def read(self) -> Iterator[Sequence[AnyRecord]]:
        """Yield the rows of each window in turn; say what to name, if agents are wanted."""
        try:
            yield from super().read()
        except RefusedError as error:
            if self.row.by_agent and not self._agents:
                raise StreamError(f"{error}: name the agents in `agent_ids`") from error
            raise

    @property
    def _agents(self) -> Sequence[str]:
        return self.run.settings.agent_ids if self.row.by_agent else ()

    @property
    def planned_apps(self) -> Sequence[int]:
        """Those of the settings."""
        return self.run.settings.app_ids

    def conditions(self) -> Record:
        """Apps, and agents, whose events are read."""
        return {"app_ids": self.app_ids, **({"agent_ids": [*self._agents]} if self._agents else {})}

    def outdated(self, state: Record) -> str | None:
        """Whether the marks lack an app or an agent."""
        if not set(self._agents) <= set(state.get("agent_ids", ())):
            return "`agent_ids` now names agents that were not read before"
        known = str(state.get("app_ids", EVERY_APP))
        wanted = {str(app_id) for app_id in self.run.settings.app_ids}
        if known == EVERY_APP or (wanted and wanted <= set(known.split(","))):
            return None
        return "`app_ids` now names apps that were not read before"
