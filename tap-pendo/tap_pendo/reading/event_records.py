"""Turns the rows of one window into records: which belong, what identifies them, what merges."""

from __future__ import annotations

import functools
import typing as t

from tap_pendo.calendar import HOUR, from_ms, to_ms, to_text
from tap_pendo.errors import StreamError, UnsortedError
from tap_pendo.metrics import WindowCounts
from tap_pendo.records import identity as row_identity
from tap_pendo.records.fields import END, EXTRA, NUMBER, TIME, ConversionError, Typed

if t.TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from tap_pendo import AnyRecord, Row
    from tap_pendo.calendar import Grid, Window
    from tap_pendo.catalog.stream_specs import EventSpec
    from tap_pendo.reading.paging import PagingFacts
    from tap_pendo.records.fields import Values
    from tap_pendo.records.identity import Group

    AnyRow = Row | Values


class EventLayout:
    """How the rows of one event stream are sorted, identified and made into records.

    grid        its buckets
    time        Pendo's name of the field that says when
    sort        Pendo's names of the fields that rows are sorted by, the time first
    key         gives a row's place in that order, in which null and "" are alike
    dimensions  the fields that identify a row, those of `sort` first
    typed       the structs that rows are decoded into
    """

    def __init__(self, spec: EventSpec, grid: Grid, stamps: Sequence[str]) -> None:
        period = grid.period
        self.name, self.source, self.verified = spec.name, spec.source, spec.verified
        self.grouped, self.counts, self.measures = spec.grouped, spec.counts, spec.measures
        self.grid, self.period, self.shape = grid, period, spec.record_shape
        self.time, self.sort = spec.clock(period).pendo, spec.sort(period)
        self.key = row_identity.sort_key(self.sort)
        self.dimensions = spec.dimensions(period)
        self.floats = [n for n, f in enumerate(self.dimensions, 1) if f.type is NUMBER]
        self.least = 0 if spec.grouped else 1
        """Events of a row that does not say how many it counts."""
        self.known_types: set[tuple[type | None, ...]] = set()
        """Types of values that rows have had, and that cannot make two rows out of one."""
        self._fields, self._stamps = spec.by_place(period), stamps

    @functools.cached_property
    def typed(self) -> Typed:
        """The structs; they take a while to make."""
        return Typed(self._fields, self._stamps)

    @functools.cached_property
    def num_events(self) -> int | None:
        """Position of the number of events that a row counts, if it has one."""
        return self.typed.position("numEvents") if self.counts else None


class WindowRows(WindowCounts):
    """The rows of one read of a window, and their counts.

    dated  whether rows got a time here, by which Pendo could not sort them
    """

    def __init__(
        self, layout: EventLayout, window: Window, *, read_at: datetime, facts: PagingFacts
    ) -> None:
        super().__init__()
        self._layout, self._facts = layout, facts
        self._first, self._end = to_ms(window.start), to_ms(window.end)
        self._read_at = to_text(read_at)
        self.dated = False

    @property
    def left_out(self) -> tuple[int, int]:
        """Counts of the rows that were passed over."""
        return self.out_of_window, self.without_time

    @left_out.setter
    def left_out(self, counts: tuple[int, int]) -> None:
        self.out_of_window, self.without_time = counts

    def inside(self, block: list[AnyRow], first: int, end: int) -> list[AnyRow]:
        """Give the rows whose bucket starts in [first, end), epoch ms; Pendo also sends others.

        Raises:
            StreamError: Pendo's buckets are of another time zone.
        """
        kept = []
        known: t.Any = None
        belongs: bool | None = False
        for row in block:
            moment: t.Any = self._moment(row) if isinstance(row, dict) else row[0]
            if moment is None or moment != known:
                known, belongs = moment, self._belongs(moment, first, end)
            if belongs:
                kept.append(row)
            elif belongs is None:
                self.without_time += 1
            else:
                self.out_of_window += not self._first <= moment < self._end
        return kept

    def _moment(self, row: Row) -> t.Any:
        """Say when a row was; a single event without a time gets the start of its hour."""
        moment = row.get(self._layout.time)
        if moment is not None or self._layout.grouped or not self._layout.counts:
            return moment
        hour, day = row.get("hour"), row.get("day")
        # the request chose the rows of a day
        moment = max(day, self._first) if hour is None and isinstance(day, int) else hour
        if moment is not None:
            row[self._layout.time] = moment
            self.dated = True
        return moment

    def _belongs(self, moment: t.Any, first: int, end: int) -> bool | None:
        """Whether a moment is in [first, end); None if it is none."""
        if isinstance(moment, float) and moment.is_integer():
            moment = int(moment)
        if not isinstance(moment, int) or isinstance(moment, bool):
            # the field of the time may be unknown; the request chose the row
            return None if self._layout.verified else True
        if self._layout.grouped and 0 <= moment < END:
            self._check(moment)
        return first <= moment < end

    def _check(self, bucket: int) -> None:
        """Refuse buckets that show another time zone than the setting."""
        start, grid = from_ms(bucket), self._layout.grid
        if grid.period == "day" and grid.floor(start) != start:
            raise StreamError(
                "Pendo's days do not begin at midnight in `timezone`: set it to the time zone "
                "of the Pendo subscription"
            )
        offset = start.astimezone(grid.zone).utcoffset()
        if grid.floor(start) != start and offset is not None and not offset % HOUR:
            raise StreamError(
                "Pendo's hours do not begin on the hour: set `timezone` to the time zone of the "
                "Pendo subscription"
            )

    def _check_types(self, row: Row) -> None:
        """Rows that differ only by the types of their values are one; they need not be adjacent.

        Raises:
            UnsortedError: the group may have rows elsewhere.
        """
        key = self._layout.key(row)
        types = tuple(None if value == "" else type(value) for value in key)
        if types in self._layout.known_types:
            return
        exact = True
        for field, value in zip(self._layout.dimensions, key, strict=False):
            if value == "" or field.type is TIME:
                continue
            if isinstance(value, (bool, dict, list)):
                raise UnsortedError
            try:
                if field.type.fit(value) != value:
                    raise UnsortedError
            except ConversionError:
                exact = False  # no value of another type becomes the same
        if exact:
            self._layout.known_types.add(types)

    def of_groups(self, groups: list[Group]) -> list[AnyRecord]:
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
        return row if isinstance(row, dict) else self._layout.typed.row(row)

    def _alone(self, values: Values) -> AnyRecord:
        """Make a record of a row that is like no other."""
        layout, at = self._layout, self._layout.num_events
        self.records += 1
        counted = None if at is None else values[at]
        self.num_events += counted or layout.least
        columns = layout.typed.columns(values)
        dimensions = [layout.period, *columns[: len(layout.dimensions)]]
        for at in layout.floats:
            if isinstance(dimensions[at], float):
                dimensions[at] = repr(dimensions[at])
        identity = row_identity.row_id_of_texts(layout.name, dimensions)
        return layout.typed.record(identity, self._read_at, *columns)

    def of_dicts(self, rows: list[Row]) -> list[AnyRecord]:
        """Turn dicts of one place in the order into records, one for each identity."""
        records = [self._layout.shape.record(row) for row in rows]
        finish = self._merge if self._layout.grouped else self._number
        if len(records) == 1:
            return finish([self._identity(records[0])], [records])
        same: dict[str, list[Row]] = {}
        for record in records:
            same.setdefault(self._identity(record), []).append(record)
        return finish(list(same), list(same.values()))

    def identity(self, row: Row) -> str:
        """Identity of one of Pendo's rows."""
        return self._identity(self._layout.shape.record(row))

    def _identity(self, record: Row) -> str:
        values = [record.get(f.name) for f in self._layout.dimensions]
        extra = record.get(EXTRA)
        if extra:
            # a value that does not fit its type still distinguishes rows
            for at, field in enumerate(self._layout.dimensions):
                if values[at] is None:
                    values[at] = extra.get(field.pendo)
        return row_identity.row_id(self._layout.name, [self._layout.period, *values])

    def _merge(self, ids: list[str], groups: list[list[Row]]) -> list[AnyRecord]:
        result: list[AnyRecord] = []
        for identity, records in zip(ids, groups, strict=True):
            record = records[0] if len(records) == 1 else self._one(identity, records)
            self.merged += len(records) - 1
            self.num_events += record.get("num_events") or 0
            result.append(self._stamped(record, identity))
        return result

    def _one(self, identity: str, records: list[Row]) -> Row:
        record, conflicts = row_identity.merged(records, self._layout.measures)
        if conflicts:
            self._facts.warn_once(
                "merged",
                "rows that are one (row_id %s) do not add up in %s; what could not be added is in "
                "`extra`, what differs there is left out",
                identity,
                ", ".join(f"`{name}`" for name in conflicts),
            )
        return record

    def _number(self, ids: list[str], groups: list[list[Row]]) -> list[AnyRecord]:
        result: list[AnyRecord] = []
        for identity, records in zip(ids, groups, strict=True):
            for ordinal, record in row_identity.numbered(records):
                result.append(self._stamped(record, row_identity.numbered_id(identity, ordinal)))
                self.num_events += record.get("num_events") or self._layout.least
        return result

    def _stamped(self, record: Row, identity: str) -> AnyRecord:
        self.records += 1
        return self._layout.typed.record_of((identity, self._read_at), record)
