"""The history of each visitor: a call for each visitor and day, `concurrency` at a time.

Source: pendo-api.md §2.9. Pendo keeps it for 180 days.
"""

from __future__ import annotations

import dataclasses
import typing as t
from datetime import timedelta
from zoneinfo import ZoneInfo

from tap_pendo import aggregation, grouping
from tap_pendo.aggregation import ANONYMOUS
from tap_pendo.deriving import rows_of_list
from tap_pendo.errors import RefusedError, StreamError, ThrottledError, UnavailableError
from tap_pendo.prefetch import in_order
from tap_pendo.streams.base import ROW_ID, AnyRecord, Record, as_dict, object_schema
from tap_pendo.streams.windowed import WINDOW_READ_AT, PlainRead, Read, WindowedStream
from tap_pendo.windows import DAY, Grid, Window, from_text, to_ms, to_text

if t.TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from datetime import datetime

    from singer_sdk.tap_base import Tap

    from tap_pendo.aggregation import Body
    from tap_pendo.deriving import Raw
    from tap_pendo.objects import VisitorHistory
    from tap_pendo.planning import Counting, Planned
    from tap_pendo.run import Run
    from tap_pendo.streams.sync_windows import SyncWindowsStream

_KEPT = timedelta(days=180)
_NOT_FOUND = 404
_HOURS = Grid("hour", ZoneInfo("UTC"))
# What fails so often is asked for in smaller parts
_PATIENCE = 3
_ANONYMOUS = "include_anonymous_visitors"
_PATH = "/api/v1/visitor/{id}/history"
_SOURCES = ("events", "pageEvents", "featureEvents", "trackEvents", "guideEvents")
# Visitors after which the state says how far the day has been read
STRETCH = 500


class DayRead(PlainRead):
    """The history of all visitors on one day, in the order of their ids.

    A day that an earlier run began goes on behind the last visitor of its state, with the same
    `read_at`.
    """

    def __init__(self, stream: VisitorHistoryStream, window: Window) -> None:
        super().__init__(stream.run, window, stream.traffic)
        self._stream = stream
        self._after = ""
        begun = stream.begun(window)
        if begun:
            self.read_at, self._after = from_text(begun["read_at"]), begun["visitor_id"]
            self.rows.rows = self.rows.num_events = begun["rows"]

    def batches(self) -> Iterator[list[Record]]:
        """Yield the rows of some visitors at a time."""
        visitors = (v for v in sorted(self._visitors()) if v > self._after)
        width, stop = self.run.settings.concurrency, self.run.stop
        for _, blocks in in_order(visitors, self._of, width=width, stop=stop):
            for rows in blocks:
                self.rows.rows += len(rows)
                self.rows.num_events += len(rows)
                yield rows

    def _visitors(self) -> set[str]:
        """Ids of the visitors who may have a history on that day.

        Those whose last visit is not before it, and, because Pendo says nowhere how soon that is
        noted, those who have events of the day.
        """
        found = set(self._ids(aggregation.visitors_since(self.window.start)))
        for source in _SOURCES:
            found.update(self._active(source, self.window))
        everybody = self.run.settings.include_anonymous_visitors
        return {v for v in found if everybody or not v.startswith(ANONYMOUS)}

    def _ids(self, body: Body, tries: int | None = None) -> Iterator[str]:
        for block in self._stream.answered(body, self.traffic, tries):
            for row in block:
                visitor = row.get("visitorId")
                if visitor and isinstance(visitor, str):
                    yield visitor

    def _active(self, source: str, window: Window) -> Iterator[str]:
        """Ids of those with events; what Pendo does not answer for at once, in halves."""
        middle = _HOURS.middle(window)
        try:
            body = aggregation.visitors_with_events(source, window)
            yield from self._ids(body, _PATIENCE if middle else None)
        except ThrottledError:
            raise
        except UnavailableError:
            if middle is None:
                raise
            yield from self._active(source, Window(window.start, middle))
            yield from self._active(source, Window(middle, window.end))

    def _of(self, visitor: str) -> Iterator[list[Record]]:
        params = {"starttime": str(to_ms(self.window.start))}
        try:
            answer = self.run.client.get(_PATH, params, self.traffic, {"id": visitor})
        except RefusedError as error:
            if error.status != _NOT_FOUND:
                raise
            answer = []  # deleted in the meantime
        yield self._stream.records(visitor, rows_of_list(answer), to_text(self.read_at))


class VisitorHistoryStream(WindowedStream):
    """What each visitor did, by days of UTC.

    State within a day: `begun`, with the day's `window_start`, the read's `read_at`, the last
    `visitor_id` whose rows are out, and how many `rows` these are.
    """

    def __init__(
        self, tap: Tap, run: Run, row: VisitorHistory, sync_windows: SyncWindowsStream
    ) -> None:
        self.row = row
        schema = {"row_id": ROW_ID, "read_at": WINDOW_READ_AT, **row.shape.properties()}
        super().__init__(
            tap,
            run,
            row,
            object_schema(schema),
            sync_windows=sync_windows,
            grid=Grid("day", ZoneInfo("UTC")),
            longest=DAY,
        )
        self.primary_keys = ("row_id",)
        self.replication_key = row.time.name
        self._given = self._visitors = 0

    @property
    def width(self) -> int:
        """One day at a time: its visitors are read side by side."""
        return 1

    def earliest(self, now: datetime) -> datetime:
        """Not before the history that Pendo keeps."""
        return max(super().earliest(now), self._grid.ceil(now - _KEPT))

    def reader(self, window: Window, asked: timedelta) -> DayRead:
        """Begin to read a day, or go on with it."""
        del asked
        return DayRead(self, window)

    def planned(self, counting: Counting) -> Planned:
        """About a call for each day and visitor who was there on the first day or later.

        On later days fewer of them are asked for, and some whose last visit is noted late.
        """
        planned = super().planned(counting)
        days = planned.time.windows if planned.time else ()
        if not days:
            return planned
        settings = self.run.settings
        identified = not settings.include_anonymous_visitors
        first = min(day.start for day in days)
        question = aggregation.visitors_since(first, identified=identified)
        visitors = counting.rows(aggregation.count_of(question))
        calls = None if visitors is None else len(days) * (1 + len(_SOURCES) + visitors)
        return dataclasses.replace(planned, calls=calls, about=True, at_once=settings.concurrency)

    def begun(self, window: Window) -> Record | None:
        """What the state says of a day that an earlier run began."""
        begun = self.stream_state.get("begun")
        if not isinstance(begun, dict) or begun.get("window_start") != to_text(window.start):
            return None
        if self.outdated(self.stream_state):
            return None
        self._given = begun["rows"]
        return begun

    def given(self, read: Read, batch: Sequence[AnyRecord]) -> None:
        """Note from time to time behind which visitor another run would go on."""
        self._given += len(batch)
        self._visitors += bool(batch)
        if batch and self._visitors % STRETCH == 0:
            begun = {
                "window_start": to_text(read.window.start),
                "read_at": to_text(read.read_at),
                "visitor_id": as_dict(batch[-1])["visitor_id"],
                "rows": self._given,
            }
            self.mark(**{"begun": begun, _ANONYMOUS: self._everybody})
            self.read_complete()

    def conditions(self) -> Record:
        """With a day that is whole, none is begun; whether anonymous visitors are in it."""
        self._given = 0
        return {"begun": None, _ANONYMOUS: self._everybody}

    def outdated(self, state: Record) -> str | None:
        """Whether the marks lack the anonymous visitors."""
        if self._everybody and not state.get(_ANONYMOUS):
            return f"`{_ANONYMOUS}` was not set before"
        return None

    @property
    def _everybody(self) -> bool:
        return self.run.settings.include_anonymous_visitors

    def records(self, visitor: str, rows: list[Raw] | None, read_at: str) -> list[Record]:
        """Convert the rows of one visitor; equal ones are numbered."""
        if rows is None:
            raise StreamError(f"{_PATH}: the answer is not a list of objects")
        same: dict[str, list[Record]] = {}
        for row in rows:
            record = self.row.shape.record({**row, "visitorId": visitor})
            identity = grouping.row_id(self.name, [record.get(f.name) for f in self.row.identity])
            same.setdefault(identity, []).append(record)
        found = []
        for identity, records in same.items():
            for ordinal, record in grouping.numbered(records):
                row_id = grouping.row_id(identity, [ordinal]) if ordinal else identity
                found.append({**record, "row_id": row_id, "read_at": read_at})
        return found
