"""Reads one window of an event stream whole: parts, pages, breaks, and another order if need be."""

from __future__ import annotations

import abc
import contextlib
import itertools
import logging
import sqlite3
import typing as t
from datetime import timedelta

import msgspec
import requests

from tap_pendo import json_stream
from tap_pendo.api import client, queries
from tap_pendo.calendar import HOUR, Window, to_ms, to_text
from tap_pendo.errors import (
    RefusedError,
    StreamError,
    ThrottledError,
    UnavailableError,
    UnsortedError,
)
from tap_pendo.metrics import Traffic, WindowCounts
from tap_pendo.reading.event_records import WindowRows
from tap_pendo.reading.paging import PATIENCE, Page, Part, in_halves, next_page, whole_read

if t.TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterable, Iterator, Sequence

    from tap_pendo import AnyRecord
    from tap_pendo.config.run_context import Run
    from tap_pendo.json_stream import Decode
    from tap_pendo.reading.event_records import AnyRow, EventLayout
    from tap_pendo.reading.paging import Apps, PagingFacts
    from tap_pendo.records.identity import Key

# What waits to be written is held in memory, some batches of each window that is read ahead
_BATCH = 500
_encode = msgspec.json.encode
_decode = msgspec.json.decode
logger = logging.getLogger("tap-pendo.reading")


class WindowRead(abc.ABC):
    """One read of the window [start, end): `batches` gives its records, then its counts are final.

    asked    the length of window that was tried; the window itself may be shorter
    read_at  when it began: all its records carry it
    counts   what it gave
    """

    def __init__(
        self, run: Run, window: Window, traffic: Traffic, asked: timedelta | None = None
    ) -> None:
        self.run, self.window = run, window
        self.asked = asked or window.end - window.start
        self.read_at = run.stamp()
        self.traffic = Traffic(traffic)
        self.counts = WindowCounts()

    @property
    def small(self) -> bool:
        """Whether the next window may be longer."""
        return False

    @property
    def large(self) -> bool:
        """Whether the next window should be shorter."""
        return False

    @abc.abstractmethod
    def batches(self) -> Iterator[Sequence[AnyRecord]]:
        """Yield the window's records, some at a time."""


class EventWindowRead(WindowRead):
    """One read of a window of events; its parts, tries and retries share one `read_at`."""

    def __init__(  # noqa: PLR0913 - what is read, for whom, and where it is counted
        self,
        run: Run,
        layout: EventLayout,
        window: Window,
        *,
        asked: timedelta,
        agents: Sequence[str],
        facts: PagingFacts,
        traffic: Traffic,
    ) -> None:
        super().__init__(run, window, traffic, asked)
        self._client, self._settings = run.client, run.settings
        self._layout, self._facts, self._agents = layout, facts, agents
        self._grid = layout.grid
        self._given_up: tuple[timedelta, float] | None = None
        self._full, self._paged = False, True
        self._start()

    def _start(self) -> None:
        self.counts = self.rows = WindowRows(
            self._layout, self.window, read_at=self.read_at, facts=self._facts
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
        few = self._whole.tally.seen < self._settings.page_size / 8 * share
        return few and not self.large and self.traffic.calls == 1

    def batches(self) -> Iterator[list[AnyRecord]]:
        """Yield the window's records, merged and with `row_id`, some thousand at a time.

        Memory holds one group of rows and the batch. If rows are missing, the window is read once
        more. If Pendo does not keep the order that was asked for, or rows are missing again, or it
        refuses to sort, the window is read in one answer, through a temporary file. Each time, a
        later `read_at` tells its rows from those already given.
        """
        yield from whole_read(self._attempt, self._restart, self._facts, self._name)
        length = self.window.end - self.window.start
        self._facts.filled = length if self._full else None
        self._tell()

    def _tell(self) -> None:
        if self.rows.without_time:
            logger.warning(
                "%s: %d rows without `%s` are left out",
                self._name(),
                self.rows.without_time,
                self._layout.time,
            )
        # where hours may begin at half past, Pendo sends some of its hours before and behind too
        offset = self.window.start.astimezone(self._grid.zone).utcoffset()
        if self.rows.out_of_window and not self._layout.grouped and not (offset and offset % HOUR):
            self._facts.warn_once(
                "outside",
                "Pendo also sent rows of other times than it was asked for, which are left out; if "
                "it selects by another time than `%s`, rows that came late may be missing",
                self._layout.time,
            )

    def _restart(self) -> tuple[()]:
        # rows of a read that is given up have an earlier one
        self.read_at = max(self.run.stamp(), self.read_at + timedelta(milliseconds=1))
        self._start()
        return ()

    def _attempt(self, paged: bool, counted: bool) -> Iterator[list[AnyRecord]]:  # noqa: FBT001 - as `whole_read` calls it
        self._paged = paged
        if not paged:
            yield from _batched(self._parts(self._spooled))
            return
        length, filled = self.window.end - self.window.start, self._facts.filled
        if counted:
            self._whole.tally.expected = self._counted(self.window, ())
        elif filled and length >= filled:
            # it is likely to fill a page too; if it cannot be counted now, the read says why
            with contextlib.suppress(StreamError):
                self._whole.tally.expected = self._counted(self.window, ())
        try:
            yield from _batched(self._parts(self._page))
        except RefusedError as refusal:
            if refusal.status != requests.codes.bad_request or self.rows.records:
                raise
            yield from self._unsorted(refusal)

    def _unsorted(self, refusal: RefusedError) -> Iterator[list[AnyRecord]]:
        """Read without asking for an order; if that is refused too, it was not the order."""
        self._restart()
        self._paged = False
        groups = self._parts(self._spooled)
        try:
            first = next(groups, [])
        except RefusedError:
            raise refusal from None
        self._facts.paged = False
        self._facts.warn_once(
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
            reached, left_out = part.pager.passed, self.rows.left_out
            part.left_out = part.left_out or left_out
            try:
                yield from answer(part)
            except UnavailableError as error:
                if part.pager.passed != reached:
                    part.failures = 0
                else:
                    # the same rows will come again
                    self.rows.left_out = left_out
                todo += self._again(part, error)
            else:
                part.failures = 0
                if part.pager.complete:
                    part.tally.close()
                else:
                    todo.append(part)

    def _again(self, part: Part, error: UnavailableError) -> list[Part]:
        """Decide how a part that failed is read: once more, or in parts; the first comes last.

        Raises:
            StreamError: it cannot be read.
        """
        if isinstance(error, ThrottledError):
            raise StreamError(f"{self._name()}: {error}, after {client.MAX_TRIES} tries") from error
        part.failures += 1
        part.pager.resume_after_break()
        failures, size = part.failures, part.size(self._grid)
        # what was too much for a part is hardly asked for again in this window
        patience = 1 if self._given_up and size >= self._given_up else PATIENCE
        smaller = self._smaller(part) if part.failures >= patience else []
        if not smaller and part.failures >= client.MAX_TRIES:
            name = self._name(part.left(self._grid), part.apps)
            raise StreamError(f"{name}: {error}, {part.failures} times") from error
        if smaller:
            self._given_up = min(self._given_up or size, size)
            logger.info("%s: splitting the request", self._name())
        self._client.sleep_before_retry(error, failures, self.traffic)
        return smaller[::-1] or [part]

    def _smaller(self, part: Part) -> list[Part]:
        """Split a part: in time, then by apps; then its pages. Empty if it cannot be less."""
        halves = part.halves(self._grid)
        if halves:
            return halves
        apps = part.apps or self._settings.app_ids or self._known_apps()
        if len(apps) > 1:
            if not part.tally.counted:
                part.tally.count_first(part.pager, lambda: self._rows_of(part))
            return part.by_apps(apps)
        if self._paged and part.pager.shrink():
            part.failures = 0
            return [part]
        return []

    def _known_apps(self) -> Apps:
        try:
            return self.run.apps(self.traffic)
        except StreamError:
            return ()  # it cannot be split by them

    def _counted(self, window: Window, apps: Apps) -> int:
        """Ask how many rows there are, to see that none is left out; in halves if need be."""

        def ask(stretch: Window, tries: int | None) -> int:
            body = queries.count_events(
                self._layout.source,
                period=self._grid.period,
                window=stretch,
                app_ids=self.run.asked_apps(apps, self._agents, self.traffic),
                agents=self._agents,
                exclude_list=self._settings.exclude_list,
                time_field=self._layout.time,
            )
            return self._client.count(body, self.traffic, tries)

        try:
            return sum(count for _, count in in_halves(self._grid, window, ask, tries=PATIENCE))
        except UnavailableError as error:
            raise StreamError(f"{self._name(window)}: {error}") from error

    def _rows_of(self, part: Part) -> int:
        """Count the rows of a part's buckets that are not whole yet, which come again."""
        part.window = part.left(self._grid)
        self.rows.left_out = part.left_out or self.rows.left_out
        return self._counted(part.window, part.apps)

    def _page(self, part: Part) -> Iterator[list[AnyRecord]]:
        """Read one page; a cut or broken one leaves the part behind its last whole group."""
        pages = next_page(
            part.pager,
            part.tally,
            self._facts,
            ask=lambda page: self._answer(part, page, self._layout.typed.decode),
            count=lambda: self._rows_of(part),
            place=self._place,
        )
        for groups in pages:
            yield self.rows.of_groups(groups)

    def _place(self, row: AnyRow) -> Key:
        """Give a row's place in the order, in which null and "" may be alike."""
        return self._layout.key(row) if isinstance(row, dict) else row[: len(self._layout.sort)]

    def _spooled(self, part: Part) -> Iterator[list[AnyRecord]]:
        """Read a part in one answer, in any order, and bring it in order on disk."""
        # "" is a temporary database on disk, gone with its connection
        with contextlib.closing(sqlite3.connect("")) as spool:
            spool.execute("create table row (identity text, body blob)")
            page = Page(cursor=None, limit=None, end=to_ms(part.window.end))
            answer = self._answer(part, page, json_stream.plain, in_order=False)
            identity: Callable[[t.Any], str] = self.rows.identity
            spool.executemany(
                "insert into row values (?, ?)",
                ((identity(row), _encode(row)) for block in answer for row in block),
            )
            found = spool.execute("select identity, body from row order by identity, rowid")
            for _, same in itertools.groupby(found, key=lambda pair: pair[0]):
                rows = [_decode(body) for _, body in same]
                yield list(self.rows.of_dicts(rows))
                part.tally.seen += len(rows)
        part.pager.complete = True

    def _answer(
        self, part: Part, page: Page, decode: Decode, *, in_order: bool = True
    ) -> Iterator[list[AnyRow]]:
        """Yield the rows of one answer that belong to the part, some at a time."""
        body = queries.events(
            self._layout.source,
            period=self._grid.period,
            window=part.asked(page.cursor, self._grid),
            app_ids=self.run.asked_apps(part.apps, self._agents, self.traffic),
            agents=self._agents,
            exclude_list=self._settings.exclude_list,
            sort=self._layout.sort if in_order else (),
            cursor=page.cursor,
            limit=page.limit,
        )
        first, end = to_ms(part.window.start), to_ms(part.window.end)
        answer = self._client.rows(body, self.traffic, tries=1, decode=decode)
        with contextlib.closing(t.cast("Generator[list[t.Any]]", answer)) as blocks:
            for block in page.noted(blocks, self._place):
                yield self.rows.inside(block, first, end)
        if in_order and page.full and self.rows.dated:
            raise UnsortedError  # Pendo cannot sort by a time that it did not send
        whole = page.limit is None and page.cursor is None
        self._full = self._full or (page.rows >= self._settings.page_size if whole else page.full)

    def _name(self, window: Window | None = None, apps: Apps = ()) -> str:
        time = window or self.window
        of_apps = f" of app {', '.join(map(str, apps))}" if apps else ""
        return f"{self._layout.name} from {to_text(time.start)} to {to_text(time.end)}{of_apps}"


def _batched(groups: Iterable[list[AnyRecord]]) -> Iterator[list[AnyRecord]]:
    batch: list[AnyRecord] = []
    for group in groups:
        batch += group
        if len(batch) >= _BATCH:
            yield batch
            batch = []
    if batch:
        yield batch
