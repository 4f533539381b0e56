"""Reads one window of an event stream whole: pages, breaks, order, identity, merging."""

from __future__ import annotations

import contextlib
import logging
import sqlite3
import typing as t
from itertools import groupby

import msgspec

from tap_pendo import aggregation, grouping
from tap_pendo.client import MAX_TRIES
from tap_pendo.errors import BrokenBodyError, StreamError, UnsortedError
from tap_pendo.paging import Page, Pager
from tap_pendo.shapes import EXTRA, TIME, MisfitError
from tap_pendo.windows import HOUR, Window, from_ms, to_ms, to_text

if t.TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from datetime import datetime

    from tap_pendo.aggregation import Cursor
    from tap_pendo.client import PendoClient
    from tap_pendo.grouping import Key, Row
    from tap_pendo.objects import Events
    from tap_pendo.settings import Settings

_BATCH = 1000
_encode = msgspec.json.encode
_decode = msgspec.json.decode
logger = logging.getLogger("tap-pendo.reading")


class WindowRead:
    """One read of [start, end): `batches` gives its records, then the counts are final."""

    def __init__(
        self,
        client: PendoClient,
        events: Events,
        settings: Settings,
        window: Window,
        now: Callable[[], datetime],
    ) -> None:
        self.window = window
        self._client, self._events, self._settings, self._now = client, events, settings, now
        self._period = "hour" if events.time else settings.period
        self._grid = settings.grid(self._period)
        self._first, self._end = to_ms(window.start), to_ms(window.end)
        clock = events.clock(self._period)
        self._time = clock.pendo
        self._dimensions = (clock, *events.identity, *events.objects)
        self._key = grouping.sort_key(events.sort(self._period))
        self._shape = events.record_shape
        self._checked: t.Any = None
        self.calls = 0
        self.unsorted = False
        self._known_types: set[tuple[type, ...]] = set()
        self._start()

    def _start(self) -> None:
        self.read_at = self._now()
        self._read_at = to_text(self.read_at)
        self.rows = self.num_events = self.merged = self.outside = self.refused = 0

    def batches(self, *, in_order: bool = True) -> Iterator[list[Row]]:
        """Yield the window's records, merged and with `row_id`, some thousand at a time.

        Memory holds one group of rows and the batch. If Pendo does not keep the order that was
        asked for, or its pages lack rows, the window is read anew in one answer, through a
        temporary file; the new `read_at` tells its rows from those already given.
        """
        try:
            yield from _batched(self._sorted() if in_order else self._spooled())
        except UnsortedError:
            logger.warning(
                "%s: Pendo's pages for %s are not in the order asked for; the window is read "
                "again in one answer and sorted here",
                self._events.name,
                to_text(self.window.start),
            )
            self.unsorted = True
            self._start()
            yield from _batched(self._spooled())

    def _sorted(self) -> Iterator[list[Row]]:
        """Read page by page; a cut or broken page goes on from the last whole group."""
        pager = Pager(self._settings.page_size, self._end)
        failures = given = 0
        expected: int | None = None
        while not pager.complete:
            page = pager.page()
            reached = pager.done
            try:
                for key, rows in self._groups(pager, page):
                    yield self._records(rows)
                    pager.done = key
                    given += len(rows)
            except BrokenBodyError as error:
                failures = failures + 1 if pager.done == reached else 1
                self._rest(error, failures)
                pager.broke()
            else:
                pager.ended(page)
                if page.full and expected is None:
                    expected = self._counted()
        if expected is not None and given < expected:
            raise UnsortedError

    def _counted(self) -> int:
        """Ask how many rows the window has, to see that no page leaves any out."""
        body = aggregation.count_events(
            self._events.source,
            period=self._period,
            window=self.window,
            app_ids=self._settings.app_ids,
            exclude_list=self._settings.exclude_list,
            time_field=self._time,
        )
        return self._client.count(body, self._count)

    def _groups(self, pager: Pager, page: Page) -> Iterator[tuple[Key, list[Row]]]:
        """Yield the whole groups of a page that are new."""
        answer = self._answer(pager.cursor, page)
        for key, rows, is_last in grouping.adjacent(answer, self._key):
            if not (is_last and page.full) and pager.fresh(key):
                self._check_types(key)
                yield key, rows

    def _check_types(self, key: Key) -> None:
        """Rows that differ only by the types of their values are one; they need not be adjacent."""
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

    def _spooled(self) -> Iterator[list[Row]]:
        """Read the window in one answer, in any order, and bring it in order on disk."""
        failures = 0
        while True:
            # "" is a temporary database on disk, gone with its connection
            with contextlib.closing(sqlite3.connect("")) as spool:
                spool.execute("create table row (identity text, body blob)")
                try:
                    rows = self._answer(None, Page(limit=None, end=self._end))
                    spool.executemany(
                        "insert into row values (?, ?)",
                        ((self._identity(self._shape.record(r)), _encode(r)) for r in rows),
                    )
                except BrokenBodyError as error:
                    failures += 1
                    self._rest(error, failures)
                    continue
                found = spool.execute("select identity, body from row order by identity, rowid")
                for _, same in groupby(found, key=lambda pair: pair[0]):
                    yield self._records([_decode(body) for _, body in same])
                return

    def _answer(self, cursor: Cursor | None, page: Page) -> Iterator[Row]:
        """Yield the rows of one answer that belong to the window."""
        body = aggregation.events(
            self._events.source,
            period=self._period,
            window=self._asked(cursor),
            app_ids=self._settings.app_ids,
            exclude_list=self._settings.exclude_list,
            sort=self._events.sort(self._period),
            cursor=cursor,
            limit=page.limit,
        )
        for block in self._client.rows(body, self._count):
            page.first = page.first or self._key(block[0])
            page.rows += len(block)
            page.last = self._key(block[-1])
            for row in block:
                if self._belongs(row):
                    yield row

    def _asked(self, cursor: Cursor | None) -> Window:
        """Cut the window to the buckets that the cursor leaves: less work for Pendo."""
        if cursor is None:
            return self.window
        start = max(self.window.start, self._grid.floor(from_ms(cursor.time)))
        end = self._grid.after(start) if cursor.reach == "alone" else self.window.end
        return Window(start, end)

    def _count(self) -> None:
        self.calls += 1

    def _belongs(self, row: Row) -> bool:
        """Whether the row's bucket starts in the window; Pendo also sends neighbouring ones."""
        moment = row.get(self._time)
        if isinstance(moment, float) and moment.is_integer():
            moment = int(moment)
        if not isinstance(moment, int) or isinstance(moment, bool):
            if not self.refused:
                logger.warning("%s: rows without `%s` are left out", self._name(), self._time)
            self.refused += 1
            return False
        if moment != self._checked and self._events.grouped:
            self._check(moment)
        if self._first <= moment < self._end:
            return True
        self.outside += 1
        return False

    def _check(self, bucket: int) -> None:
        """Refuse buckets that show another time zone than the setting."""
        start = from_ms(bucket)
        if self._period == "day" and self._grid.floor(start) != start:
            raise StreamError(
                "Pendo's days do not begin at midnight in `timezone`: allowed is the time zone "
                "of the Pendo subscription"
            )
        offset = start.astimezone(self._settings.zone).utcoffset()
        if self._grid.floor(start) != start and offset is not None and not offset % HOUR:
            raise StreamError(
                "Pendo's hours do not begin on the hour: set `timezone` to the time zone of the "
                "Pendo subscription"
            )
        self._checked = bucket

    def _records(self, rows: list[Row]) -> list[Row]:
        """Turn rows that follow each other in the order into records, one for each identity."""
        records = [self._shape.record(row) for row in rows]
        finish = self._merge if self._events.grouped else self._number
        if len(records) == 1:
            return finish([self._identity(records[0])], [records])
        same: dict[str, list[Row]] = {}
        for record in records:
            same.setdefault(self._identity(record), []).append(record)
        return finish(list(same), list(same.values()))

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
            record = (
                records[0] if len(records) == 1 else grouping.merged(records, self._events.measures)
            )
            self.merged += len(records) - 1
            self.num_events += record.get("num_events") or 0
            result.append(self._stamped(record, identity))
        return result

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

    def _rest(self, error: BrokenBodyError, failures: int) -> None:
        if failures >= MAX_TRIES:
            raise StreamError(f"{error}, {failures} times, in {self._name()}") from error
        self._client.rest(error, failures)

    def _name(self) -> str:
        return f"{self._events.name} from {to_text(self.window.start)}"


def _batched(groups: Iterable[list[Row]]) -> Iterator[list[Row]]:
    batch: list[Row] = []
    for group in groups:
        batch += group
        if len(batch) >= _BATCH:
            yield batch
            batch = []
    if batch:
        yield batch
