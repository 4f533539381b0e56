"""Reads one window of an event stream whole: parts, pages, breaks, and another order if need be."""

from __future__ import annotations

import contextlib
import itertools
import logging
import sqlite3
import typing as t

import msgspec
import requests

from tap_pendo import aggregation, client, decoding, grouping
from tap_pendo.errors import (
    RefusedError,
    StreamError,
    ThrottledError,
    UnavailableError,
    UnsortedError,
)
from tap_pendo.paging import Page
from tap_pendo.parts import Part
from tap_pendo.rows import WindowRows
from tap_pendo.traffic import Traffic
from tap_pendo.windows import HOUR, Window, to_ms, to_text

if t.TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from datetime import timedelta

    from tap_pendo.decoding import Decode
    from tap_pendo.findings import Findings
    from tap_pendo.grouping import Key
    from tap_pendo.objects import Events
    from tap_pendo.parts import Apps
    from tap_pendo.rows import AnyRecord, AnyRow
    from tap_pendo.run import Run
    from tap_pendo.typed import Typed

# What waits to be written is held in memory, some batches of each window that is read ahead
_BATCH = 500
# A part that fails so often is asked for in smaller ones, if it can be
_PATIENCE = 3
_encode = msgspec.json.encode
_decode = msgspec.json.decode
logger = logging.getLogger("tap-pendo.reading")


class WindowRead:
    """One read of [start, end): `batches` gives its records, then the counts are final.

    Its parts, tries and retries share one `read_at`. `asked` is the length of window that the
    stream tried.
    """

    def __init__(  # noqa: PLR0913 - what is read, for whom, and where it is counted
        self,
        run: Run,
        events: Events,
        window: Window,
        *,
        asked: timedelta,
        findings: Findings,
        traffic: Traffic,
        typed: Typed,
    ) -> None:
        self.window, self.asked = window, asked
        self.traffic = Traffic(traffic)
        self._run, self._client, self._settings = run, run.client, run.settings
        self._events, self._findings, self._typed = events, findings, typed
        self._period = events.period(run.settings.period)
        self._grid = run.settings.grid(self._period)
        self._sort = events.sort(self._period)
        self._key = grouping.sort_key(self._sort)
        self._known_types: set[tuple[type | None, ...]] = set()
        self._given_up: tuple[timedelta, float] | None = None
        self._full = False
        self._start()

    def _start(self) -> None:
        self.read_at = self._run.stamp()
        self.rows = WindowRows(
            self._events,
            self._settings,
            self.window,
            read_at=self.read_at,
            findings=self._findings,
            known_types=self._known_types,
            typed=self._typed,
        )
        self._whole = Part.whole(self.window, self._settings.page_size)

    @property
    def large(self) -> bool:
        """Whether it filled a page or had to be split: the next one had better be shorter."""
        return self._full or self._given_up is not None

    @property
    def small(self) -> bool:
        """Whether one answer held it, and one of twice the length asked would hold it easily."""
        share = (self.window.end - self.window.start) / self.asked
        few = self._whole.tally.given < self._settings.page_size / 8 * share
        return few and not self.large and self.traffic.calls == 1

    def batches(self) -> Iterator[list[AnyRecord]]:
        """Yield the window's records, merged and with `row_id`, some thousand at a time.

        Memory holds one group of rows and the batch. If Pendo does not keep the order that was
        asked for, or its pages lack rows, or it refuses to sort, the window is read anew in one
        answer, through a temporary file; the new `read_at` tells its rows from those already given.
        """
        yield from self._batches()
        if self.rows.timeless:
            logger.warning(
                "%s: %d rows without `%s` are left out",
                self._name(),
                self.rows.timeless,
                self.rows.time,
            )
        # where hours may begin at half past, Pendo sends some of its hours before and behind too
        offset = self.window.start.astimezone(self._settings.zone).utcoffset()
        if self.rows.outside and not self._events.grouped and not (offset and offset % HOUR):
            self._findings.once(
                "outside",
                "Pendo also sent rows of other times than it was asked for, which are left out; if "
                "it selects by another time than `%s`, rows that came late may be missing",
                self.rows.time,
            )

    def _batches(self) -> Iterator[list[AnyRecord]]:
        if not self._findings.paged:
            yield from _batched(self._parts(self._spooled))
            return
        try:
            yield from _batched(self._parts(self._page))
        except UnsortedError:
            logger.warning(
                "%s: Pendo's pages are not in the order asked for; the window is read again in "
                "one answer and sorted here",
                self._name(),
            )
            self._findings.paged = False
            self._start()
            yield from _batched(self._parts(self._spooled))
        except RefusedError as refusal:
            if refusal.status != requests.codes.bad_request or self.rows.rows:
                raise
            yield from self._unsorted(refusal)

    def _unsorted(self, refusal: RefusedError) -> Iterator[list[AnyRecord]]:
        """Read without asking for an order; if that is refused too, it was not the order."""
        self._start()
        groups = self._parts(self._spooled)
        try:
            first = next(groups, [])
        except RefusedError:
            raise refusal from None
        self._findings.paged = False
        self._findings.once(
            "refused", "Pendo refuses to sort its rows (%s); they are sorted here", refusal
        )
        yield from _batched(itertools.chain([first], groups))

    def _parts(
        self, answer: Callable[[Part], Iterator[list[AnyRecord]]]
    ) -> Iterator[list[AnyRecord]]:
        """Read part after part, an answer at a time; what was given is not asked for again."""
        todo = [self._whole]
        while todo:
            part = todo.pop()
            reached, left_out = part.pager.done, self.rows.left_out
            try:
                yield from answer(part)
            except UnavailableError as error:
                if part.pager.done != reached:
                    part.failures = 0
                else:
                    # the same rows will come again
                    self.rows.left_out = left_out
                todo += self._again(part, error)
            else:
                part.failures = 0
                if part.pager.complete:
                    self._close(part)
                else:
                    todo.append(part)

    def _close(self, part: Part) -> None:
        try:
            part.tally.close()
        except StreamError as error:
            raise StreamError(f"{self._name()}: {error}") from error

    def _again(self, part: Part, error: UnavailableError) -> list[Part]:
        """Decide how a part that failed is read: once more, or in parts; the first comes last.

        Raises:
            StreamError: it cannot be read.
        """
        if isinstance(error, ThrottledError):
            raise StreamError(f"{self._name()}: {error}, again and again") from error
        part.failures += 1
        part.pager.broke()
        failures, size = part.failures, part.size(self._grid)
        # what was too much for a part is hardly asked for again in this window
        patience = 1 if self._given_up and size >= self._given_up else _PATIENCE
        smaller = self._smaller(part) if part.failures >= patience else []
        if not smaller and part.failures >= client.MAX_TRIES:
            name = self._name(part.left(self._grid), part.apps)
            raise StreamError(f"{name}: {error}, {part.failures} times") from error
        if smaller:
            self._given_up = min(self._given_up or size, size)
            logger.info("%s: it is asked for in smaller parts", self._name())
        self._client.rest(error, failures, self.traffic)
        return smaller[::-1] or [part]

    def _smaller(self, part: Part) -> list[Part]:
        """Split a part: in time, then by apps; then its pages. Empty if it cannot be less."""
        halves = part.halves(self._grid)
        if halves:
            return halves
        apps = part.apps or self._settings.app_ids or self._known_apps()
        if len(apps) > 1:
            if not part.apps and part.tally.expected is None:
                part.tally.expected = self._counted(part.window, part.apps)
            return part.by_apps(apps)
        if part.pager.shrink():
            part.failures = 0
            return [part]
        return []

    def _known_apps(self) -> Apps:
        try:
            return self._run.apps(self.traffic)
        except StreamError:
            return ()  # it cannot be split by them

    def _counted(self, window: Window, apps: Apps) -> int:
        """Ask how many rows there are, to see that none is left out; in halves if need be."""
        body = aggregation.count_events(
            self._events.source,
            period=self._period,
            window=window,
            app_ids=apps or self._settings.app_ids,
            exclude_list=self._settings.exclude_list,
            time_field=self.rows.time,
        )
        middle = self._grid.middle(window)
        try:
            return self._client.count(body, self.traffic, _PATIENCE if middle else None)
        except ThrottledError as error:
            raise StreamError(f"{self._name(window)}: {error}") from error
        except UnavailableError as error:
            if middle is None:
                raise StreamError(f"{self._name(window)}: {error}") from error
        earlier, later = Window(window.start, middle), Window(middle, window.end)
        return self._counted(earlier, apps) + self._counted(later, apps)

    def _page(self, part: Part) -> Iterator[list[AnyRecord]]:
        """Read one page; a cut or broken one leaves the part behind its last whole group.

        What goes on from somewhere relies on the order in which Pendo compares: before it does for
        the first time, Pendo is asked how many rows there are.
        """
        pager, page = part.pager, part.pager.page()
        if pager.cursor and not part.tally.counted:
            part.tally.expected = self._counted(part.window, part.apps)
        answer = self._answer(part, page, self._typed.decode)
        for found, is_last in grouping.adjacent(answer, self._place):
            groups = pager.fresh(found, self._place)
            if groups and not (is_last and page.full):
                yield self.rows.records(groups)
                pager.done = grouping.plain(self._place(groups[-1][0]))
                part.tally.add(sum(map(len, groups)))
        pager.ended(page)
        self._full = self._full or page.full

    def _place(self, row: AnyRow) -> Key:
        """Give a row's place in the order, in which null and "" may be alike."""
        return self._key(row) if isinstance(row, dict) else row[: len(self._sort)]

    def _spooled(self, part: Part) -> Iterator[list[AnyRecord]]:
        """Read a part in one answer, in any order, and bring it in order on disk."""
        # "" is a temporary database on disk, gone with its connection
        with contextlib.closing(sqlite3.connect("")) as spool:
            spool.execute("create table row (identity text, body blob)")
            page = Page(limit=None, end=to_ms(part.window.end))
            answer = self._answer(part, page, decoding.plain, in_order=False)
            identity: Callable[[t.Any], str] = self.rows.identity
            spool.executemany(
                "insert into row values (?, ?)",
                ((identity(row), _encode(row)) for block in answer for row in block),
            )
            self._full = self._full or page.rows >= self._settings.page_size
            found = spool.execute("select identity, body from row order by identity, rowid")
            for _, same in itertools.groupby(found, key=lambda pair: pair[0]):
                rows = [_decode(body) for _, body in same]
                yield list(self.rows.of_dicts(rows))
                part.tally.add(len(rows))
        part.pager.complete = True

    def _answer(
        self, part: Part, page: Page, decode: Decode, *, in_order: bool = True
    ) -> Iterator[list[AnyRow]]:
        """Yield the rows of one answer that belong to the part, some at a time."""
        cursor = part.pager.cursor
        body = aggregation.events(
            self._events.source,
            period=self._period,
            window=part.asked(self._grid),
            app_ids=part.apps or self._settings.app_ids,
            exclude_list=self._settings.exclude_list,
            sort=self._sort if in_order else (),
            cursor=cursor,
            limit=page.limit,
        )
        first, end = to_ms(part.window.start), to_ms(part.window.end)
        for block in self._client.rows(body, self.traffic, tries=1, decode=decode):
            page.first = page.first or grouping.plain(self._place(block[0]))
            page.rows += len(block)
            page.last = grouping.plain(self._place(block[-1]))
            yield self.rows.inside(block, first, end)

    def _name(self, window: Window | None = None, apps: Apps = ()) -> str:
        time = window or self.window
        of_apps = f" of app {', '.join(map(str, apps))}" if apps else ""
        return f"{self._events.name} from {to_text(time.start)} to {to_text(time.end)}{of_apps}"


def _batched(groups: Iterable[list[AnyRecord]]) -> Iterator[list[AnyRecord]]:
    batch: list[AnyRecord] = []
    for group in groups:
        batch += group
        if len(batch) >= _BATCH:
            yield batch
            batch = []
    if batch:
        yield batch
