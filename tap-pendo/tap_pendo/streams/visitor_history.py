"""The history of each visitor: a call for each visitor and day, `concurrency` at a time.

Pendo keeps it for 180 days.
"""

from __future__ import annotations

import dataclasses
import typing as t
from collections import deque
from datetime import timedelta
from zoneinfo import ZoneInfo

import requests

from tap_pendo.api import queries
from tap_pendo.api.concurrency import in_order
from tap_pendo.api.queries import ANONYMOUS
from tap_pendo.calendar import DAY, Grid, Window, from_text, to_ms, to_text
from tap_pendo.errors import RefusedError, StreamError
from tap_pendo.reading.paging import PATIENCE, in_halves
from tap_pendo.reading.window_reader import WindowRead
from tap_pendo.records import identity as row_identity
from tap_pendo.records.nested_rows import rows_of_list
from tap_pendo.streams.base_stream import ROW_ID
from tap_pendo.streams.windowed import WINDOW_READ_AT, WindowedStream

if t.TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from datetime import datetime

    from singer_sdk.tap_base import Tap

    from tap_pendo import AnyRecord, Record, Row
    from tap_pendo.api.queries import Body
    from tap_pendo.catalog.stream_specs import VisitorHistorySpec
    from tap_pendo.config.run_context import Run
    from tap_pendo.reading.plan import Counting, Planned
    from tap_pendo.streams.windowed import SyncWindowsStream

_KEPT = timedelta(days=180)
_HOURS = Grid("hour", ZoneInfo("UTC"))
# What fails so often is asked for in smaller parts
_BEGUN = "begun"
_PATH = "/api/v1/visitor/{id}/history"
_SOURCES = ("events", "pageEvents", "featureEvents", "trackEvents", "guideEvents")
# Visitors, with rows or without, after which the state says how far the day has been read
STRETCH = 500


@dataclasses.dataclass(frozen=True)
class Place:
    """How far a day has been read: to the last visitor whose rows are out, and how many they are.

    `everybody` says whether anonymous visitors are among them.
    """

    read_at: datetime
    visitor_id: str
    rows: int
    everybody: bool

    @classmethod
    def of_state(cls, found: Record) -> Place:
        """Read it from the state; raise KeyError, TypeError or ValueError if it is not one."""
        return cls(
            from_text(str(found["read_at"])),
            str(found["visitor_id"]),
            int(found["rows"]),
            bool(found[ANONYMOUS]),
        )

    def state(self) -> Record:
        """Write it for the state."""
        return {
            "read_at": to_text(self.read_at),
            "visitor_id": self.visitor_id,
            "rows": self.rows,
            ANONYMOUS: self.everybody,
        }


class DayRead(WindowRead):
    """The history of all visitors on one day, in the order of their ids.

    A day that an earlier run began resumes at the place in its state, with the same `read_at`.
    """

    def __init__(self, stream: VisitorHistoryStream, window: Window, place: Place | None) -> None:
        super().__init__(stream.run, window, stream.traffic)
        self._stream = stream
        self._after = ""
        self._asked: deque[str] = deque()
        self._out = self._visitors_out = 0
        if place:
            self.read_at, self._after = place.read_at, place.visitor_id
            self._out = self.counts.records = self.counts.num_events = place.rows

    def batches(self) -> Iterator[list[Record]]:
        """Yield the rows of some visitors at a time."""
        visitors = (v for v in sorted(self._visitors()) if v > self._after)
        width, stop = self.run.settings.concurrency, self.run.stop
        with in_order(visitors, self._of, width=width, stop=stop) as reads:
            for visitor, blocks in reads:
                for rows in blocks:
                    self._asked.append(visitor)
                    self.counts.records += len(rows)
                    self.counts.num_events += len(rows)
                    yield rows

    def given(self, rows: int) -> Place | None:
        """Take note that the next visitor's rows are out, so many; the place, from time to time."""
        visitor = self._asked.popleft()
        self._out += rows
        self._visitors_out += 1
        if self._visitors_out % STRETCH:
            return None
        everybody = self.run.settings.include_anonymous_visitors
        return Place(self.read_at, visitor, self._out, everybody)

    def _visitors(self) -> set[str]:
        """Ids of the visitors who may have a history on that day.

        Those whose last visit is not before it, and, because Pendo says nowhere how soon that is
        noted, those who have events of the day.
        """
        found = set(self._ids(queries.visitors_since(self.window.start)))
        for source in _SOURCES:
            found.update(self._active(source))
        everybody = self.run.settings.include_anonymous_visitors
        return {v for v in found if everybody or not v.startswith(ANONYMOUS)}

    def _ids(self, body: Body, tries: int | None = None) -> Iterator[str]:
        for block in self._stream.answered(body, self.traffic, tries):
            for row in block:
                visitor = row.get("visitorId")
                if visitor and isinstance(visitor, str):
                    yield visitor

    def _active(self, source: str) -> Iterator[str]:
        """Ids of the visitors with events of the day."""

        def ask(stretch: Window, tries: int | None) -> list[str]:
            return [*self._ids(queries.visitors_with_events(source, stretch), tries)]

        for _, found in in_halves(_HOURS, self.window, ask, tries=PATIENCE):
            yield from found

    def _of(self, visitor: str) -> Iterator[list[Record]]:
        params = {"starttime": str(to_ms(self.window.start))}
        try:
            answer = self.run.client.get(_PATH, params, self.traffic, {"id": visitor})
        except RefusedError as error:
            if error.status != requests.codes.not_found:
                raise
            answer = []  # deleted in the meantime
        yield self._stream.records(visitor, rows_of_list(answer), to_text(self.read_at))


class VisitorHistoryStream(WindowedStream):
    """What each visitor did, by days of UTC.

    State within days: `begun`, a `Place` for each day that is read in part, by the day's start. A
    day of the history and one of the look-back may both be begun.
    """

    def __init__(
        self, tap: Tap, run: Run, row: VisitorHistorySpec, sync_windows: SyncWindowsStream
    ) -> None:
        self.row = row
        super().__init__(
            tap,
            run,
            row,
            {"row_id": ROW_ID, "read_at": WINDOW_READ_AT, **row.shape.properties()},
            sync_windows=sync_windows,
            grid=Grid("day", ZoneInfo("UTC")),
            longest=DAY,
        )
        self.primary_keys = ("row_id",)
        self.replication_key = row.time.name

    @property
    def width(self) -> int:
        """One day at a time: its visitors are read side by side."""
        return 1

    def earliest(self, now: datetime) -> datetime:
        """Not before the history that Pendo keeps."""
        return max(super().earliest(now), self._grid.ceil(now - _KEPT))

    def reader(self, window: Window, asked: timedelta) -> DayRead:
        """Begin to read a day, or resume it."""
        del asked
        found = self._begun().get(to_text(window.start))
        if found is None:
            return DayRead(self, window, None)
        try:
            place = Place.of_state(found)
        except (KeyError, TypeError, ValueError):
            raise StreamError(f"state: `{_BEGUN}` of {self.name} is not valid") from None
        # a place that leaves out somebody who is wanted now is of no use
        usable = place.everybody or not self._everybody
        return DayRead(self, window, place if usable else None)

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
        question = queries.visitors_since(first, identified=identified)
        visitors = counting.rows(queries.count_of(question))
        calls = None if visitors is None else len(days) * (1 + len(_SOURCES) + visitors)
        return dataclasses.replace(planned, calls=calls, about=True, at_once=settings.concurrency)

    def _begun(self) -> dict[str, Record | None]:
        """Give the state's places, of the days that this run is to read.

        None for a day that was read whole: some merge a state into the one before, in which the
        place would stay.
        """
        found = self._due.get(_BEGUN, self.stream_state.get(_BEGUN))
        if not isinstance(found, dict):
            return {}
        return {
            day: place
            for day, place in found.items()
            if (place is None or isinstance(place, dict)) and self._is_read(day)
        }

    def _is_read(self, day: str) -> bool:
        try:
            start = from_text(day)
        except ValueError:
            return False
        return start in self._plan.forward or start in self._plan.backfill

    def given(self, read: WindowRead, batch: Sequence[AnyRecord]) -> None:
        """Note from time to time behind which visitor another run would resume."""
        place = t.cast("DayRead", read).given(len(batch))
        if place:
            self.mark(**{_BEGUN: {**self._begun(), to_text(read.window.start): place.state()}})
            self.read_complete()

    def conditions(self) -> Record:
        """A day that is whole is not begun any more; whether anonymous visitors are in it."""
        begun = self._begun()
        day = to_text(self._window.start) if self._window else None
        if day in begun:
            begun[day] = None
        return {_BEGUN: begun, ANONYMOUS: self._everybody}

    def outdated(self, state: Record) -> str | None:
        """Whether the marks lack the anonymous visitors."""
        if self._everybody and not state.get(ANONYMOUS):
            return f"`{ANONYMOUS}` was not set before"
        return None

    @property
    def _everybody(self) -> bool:
        return self.run.settings.include_anonymous_visitors

    def records(self, visitor: str, rows: list[Row] | None, read_at: str) -> list[Record]:
        """Convert the rows of one visitor; equal ones are numbered."""
        if rows is None:
            raise StreamError(f"{_PATH}: the answer is not a list of objects")
        same: dict[str, list[Record]] = {}
        for row in rows:
            record = self.row.shape.record({**row, "visitorId": visitor})
            identity = row_identity.row_id(
                self.name, [record.get(f.name) for f in self.row.identity]
            )
            same.setdefault(identity, []).append(record)
        found = []
        for identity, records in same.items():
            for ordinal, record in row_identity.numbered(records):
                row_id = row_identity.numbered_id(identity, ordinal)
                found.append({**record, "row_id": row_id, "read_at": read_at})
        return found
