"""Turns the rows of one window into records: which belong, what identifies them, what merges."""

from __future__ import annotations

import typing as t

from tap_pendo import grouping
from tap_pendo.errors import StreamError, UnsortedError
from tap_pendo.shapes import EXTRA, NUMBER, TIME, MisfitError
from tap_pendo.windows import HOUR, from_ms, to_ms, to_text

if t.TYPE_CHECKING:
    from datetime import datetime

    import msgspec

    from tap_pendo.findings import Findings
    from tap_pendo.grouping import Group, Row
    from tap_pendo.objects import Events
    from tap_pendo.settings import Settings
    from tap_pendo.typed import Typed, Values
    from tap_pendo.windows import Window

    AnyRow = Row | Values
    AnyRecord = Row | msgspec.Struct


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
        known_types: set[tuple[type | None, ...]],
        typed: Typed,
    ) -> None:
        self._events, self._window, self._findings = events, window, findings
        self._zone = settings.zone
        self._period = events.period(settings.period)
        self._grid = settings.grid(self._period)
        self._first, self._end = to_ms(window.start), to_ms(window.end)
        self.time = events.clock(self._period).pendo
        self._dimensions = events.dimensions(self._period)
        self._shape = events.record_shape
        self._typed = typed
        self._num_events = typed.position("numEvents") if events.grouped else None
        self._floats = [n for n, f in enumerate(self._dimensions, 1) if f.type is NUMBER]
        self._read_at = to_text(read_at)
        self._known_types = known_types
        self._key = grouping.sort_key(events.sort(self._period))
        self.rows = self.num_events = self.merged = self.outside = self.timeless = 0

    @property
    def left_out(self) -> tuple[int, int]:
        """Counts of the rows that were passed over."""
        return self.outside, self.timeless

    @left_out.setter
    def left_out(self, counts: tuple[int, int]) -> None:
        self.outside, self.timeless = counts

    def inside(self, block: list[AnyRow], first: int, end: int) -> list[AnyRow]:
        """Give the rows whose bucket starts in [first, end), epoch ms; Pendo also sends others.

        Raises:
            StreamError: Pendo's buckets are of another time zone.
        """
        kept = []
        known: t.Any = None
        belongs: bool | None = False
        for row in block:
            moment: t.Any = row.get(self.time) if isinstance(row, dict) else row[0]
            if moment is None or moment != known:
                known, belongs = moment, self._belongs(moment, first, end)
            if belongs:
                kept.append(row)
            elif belongs is None:
                self.timeless += 1
            else:
                self.outside += not self._first <= moment < self._end
        return kept

    def _belongs(self, moment: t.Any, first: int, end: int) -> bool | None:
        """Whether a moment is in [first, end); None if it is none."""
        if isinstance(moment, float) and moment.is_integer():
            moment = int(moment)
        if not isinstance(moment, int) or isinstance(moment, bool):
            # where the time stands may be unknown; the request chose the row
            return None if self._events.verified else True
        if self._events.grouped:
            self._check(moment)
        return first <= moment < end

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

    def _check_types(self, row: Row) -> None:
        """Rows that differ only by the types of their values are one; they need not be adjacent.

        Raises:
            UnsortedError: the group may have rows elsewhere.
        """
        key = self._key(row)
        types = tuple(None if value == "" else type(value) for value in key)
        if types in self._known_types:
            return
        exact = True
        for field, value in zip(self._dimensions, key, strict=False):
            if value == "" or field.type is TIME:
                continue
            if isinstance(value, (bool, dict, list)):
                raise UnsortedError
            try:
                if field.type.fit(value) != value:
                    raise UnsortedError
            except MisfitError:
                exact = False  # no value of another type becomes the same
        if exact:
            self._known_types.add(types)

    def records(self, groups: list[Group]) -> list[AnyRecord]:
        """Turn rows that follow each other in the order into records, one for each identity.

        Raises:
            UnsortedError: a group may have rows elsewhere.
        """
        found: list[AnyRecord] = []
        for rows in groups:
            row = rows[0]
            if len(rows) == 1 and isinstance(row, tuple):
                found.append(self._alone(row))
                continue
            for row in rows:
                if isinstance(row, dict):
                    self._check_types(row)
            found += self.of_dicts([self._as_sent(row) for row in rows])
        return found

    def _as_sent(self, row: AnyRow) -> Row:
        return row if isinstance(row, dict) else self._typed.row(row)

    def _alone(self, values: Values) -> AnyRecord:
        """Make a record of a row that is like no other."""
        self.rows += 1
        self.num_events += 1 if self._num_events is None else values[self._num_events] or 0
        columns = self._typed.columns(values)
        dimensions = [self._period, *columns[: len(self._dimensions)]]
        for at in self._floats:
            if dimensions[at] is not None:
                dimensions[at] = repr(dimensions[at])
        identity = grouping.row_id_of_texts(self._events.name, dimensions)
        return self._typed.record(identity, self._read_at, *columns)

    def of_dicts(self, rows: list[Row]) -> list[Row]:
        """Turn dicts of one place in the order into records, one for each identity."""
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
        found = {name: value for name, value in record.items() if value is not None}
        return {"row_id": identity, "read_at": self._read_at, **found}
