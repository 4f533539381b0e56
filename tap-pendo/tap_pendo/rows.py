"""Turns the rows of one window into records: which belong, what identifies them, what merges."""

from __future__ import annotations

import typing as t

from tap_pendo import grouping
from tap_pendo.errors import StreamError, UnsortedError
from tap_pendo.shapes import EXTRA, TIME, MisfitError
from tap_pendo.windows import HOUR, from_ms, to_ms, to_text

if t.TYPE_CHECKING:
    from datetime import datetime

    from tap_pendo.findings import Findings
    from tap_pendo.grouping import Key, Row
    from tap_pendo.objects import Events
    from tap_pendo.settings import Settings
    from tap_pendo.windows import Window


class WindowRows:
    """The rows of one read of a window, and their counts.

    rows        records that were made
    num_events  events that they count
    merged      rows that became one with another
    outside     rows of other windows, which Pendo sends too
    timeless    rows without a time, which no window can hold
    """

    def __init__(  # noqa: PLR0913 - what a row is judged by
        self,
        events: Events,
        settings: Settings,
        window: Window,
        *,
        read_at: datetime,
        findings: Findings,
        known_types: set[tuple[type, ...]],
    ) -> None:
        self._events, self._window, self._findings = events, window, findings
        self._zone = settings.zone
        self._period = events.period(settings.period)
        self._grid = settings.grid(self._period)
        self._first, self._end = to_ms(window.start), to_ms(window.end)
        clock = events.clock(self._period)
        self.time = clock.pendo
        self._dimensions = (clock, *events.identity, *events.objects)
        self._shape = events.record_shape
        self._read_at = to_text(read_at)
        self._checked: t.Any = None
        self._known_types = known_types
        self.rows = self.num_events = self.merged = self.outside = self.timeless = 0

    @property
    def left_out(self) -> tuple[int, int]:
        """Counts of the rows that were passed over."""
        return self.outside, self.timeless

    @left_out.setter
    def left_out(self, counts: tuple[int, int]) -> None:
        self.outside, self.timeless = counts

    def belongs(self, row: Row, first: int, end: int) -> bool:
        """Whether the row's bucket starts in [first, end), epoch ms; Pendo also sends others.

        Raises:
            StreamError: Pendo's buckets are of another time zone.
        """
        moment = row.get(self.time)
        if isinstance(moment, float) and moment.is_integer():
            moment = int(moment)
        if not isinstance(moment, int) or isinstance(moment, bool):
            if not self._events.verified:
                return True  # where its time stands is not known; the request chose it
            self.timeless += 1
            return False
        if moment != self._checked and self._events.grouped:
            self._check(moment)
        if first <= moment < end:
            return True
        self.outside += not self._first <= moment < self._end
        return False

    def _check(self, bucket: int) -> None:
        """Refuse buckets that show another time zone than the setting."""
        start = from_ms(bucket)
        if self._period == "day" and self._grid.floor(start) != start:
            raise StreamError(
                "Pendo's days do not begin at midnight in `timezone`: allowed is the time zone "
                "of the Pendo subscription"
            )
        offset = start.astimezone(self._zone).utcoffset()
        if self._grid.floor(start) != start and offset is not None and not offset % HOUR:
            raise StreamError(
                "Pendo's hours do not begin on the hour: set `timezone` to the time zone of the "
                "Pendo subscription"
            )
        self._checked = bucket

    def check_types(self, key: Key) -> None:
        """Rows that differ only by the types of their values are one; they need not be adjacent.

        Raises:
            UnsortedError: the group may have rows elsewhere.
        """
        types = tuple(map(type, key))
        if types in self._known_types:
            return
        for field, value in zip(self._dimensions, key, strict=False):
            if value != "" and field.type is not TIME:
                try:
                    fits = field.type.fit(value) == value
                except MisfitError:
                    fits = False
                if not fits or isinstance(value, bool):
                    raise UnsortedError
        self._known_types.add(types)

    def records(self, rows: list[Row]) -> list[Row]:
        """Turn rows that follow each other in the order into records, one for each identity."""
        records = [self._shape.record(row) for row in rows]
        finish = self._merge if self._events.grouped else self._number
        if len(records) == 1:
            return finish([self._identity(records[0])], [records])
        same: dict[str, list[Row]] = {}
        for record in records:
            same.setdefault(self._identity(record), []).append(record)
        return finish(list(same), list(same.values()))

    def identity(self, row: Row) -> str:
        """Identity of one of Pendo's rows."""
        return self._identity(self._shape.record(row))

    def _identity(self, record: Row) -> str:
        values = [record.get(f.name) for f in self._dimensions]
        extra = record.get(EXTRA)
        if extra:
            # a value that does not fit its type tells rows apart all the same
            for at, field in enumerate(self._dimensions):
                if values[at] is None:
                    values[at] = extra.get(field.pendo)
        return grouping.row_id(self._events.name, [self._period, *values])

    def _merge(self, ids: list[str], groups: list[list[Row]]) -> list[Row]:
        result = []
        for identity, records in zip(ids, groups, strict=True):
            record = records[0] if len(records) == 1 else self._one(identity, records)
            self.merged += len(records) - 1
            self.num_events += record.get("num_events") or 0
            result.append(self._stamped(record, identity))
        return result

    def _one(self, identity: str, records: list[Row]) -> Row:
        record, told = grouping.merged(records, self._events.measures)
        if told:
            self._findings.once(
                "merged",
                "rows that are one (row_id %s) do not add up in %s; what could not be added is in "
                "`extra`, what differs there is left out",
                identity,
                ", ".join(f"`{name}`" for name in told),
            )
        return record

    def _number(self, ids: list[str], groups: list[list[Row]]) -> list[Row]:
        result = []
        for identity, records in zip(ids, groups, strict=True):
            for ordinal, record in grouping.numbered(records):
                own = grouping.row_id(identity, [ordinal]) if ordinal else identity
                result.append(self._stamped(record, own))
        self.num_events += len(result)
        return result

    def _stamped(self, record: Row, identity: str) -> Row:
        self.rows += 1
        record["row_id"] = identity
        record["read_at"] = self._read_at
        return record
