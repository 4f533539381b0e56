"""Reads all rows of a source that have an id, page by page, and again from a mark on."""

from __future__ import annotations

import typing as t

import msgspec

from tap_pendo.api import client
from tap_pendo.errors import BrokenBodyError, StreamError
from tap_pendo.reading.paging import Pager, Tally, next_page, whole_read

if t.TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tap_pendo import Row
    from tap_pendo.api.queries import Body, Cursor
    from tap_pendo.metrics import Traffic
    from tap_pendo.reading.paging import Page, PagingFacts
    from tap_pendo.records.identity import Key


class Mark(msgspec.Struct, frozen=True):
    """How far a read is after a page.

    after    the last id that came
    rows     rows that came up to there
    counted  rows that Pendo counted before the first page
    """

    after: str
    rows: int
    counted: int


class Restart(msgspec.Struct, frozen=True):
    """All rows come again; those that follow replace those before."""


class KeysetRead:
    """One read of all rows, in the order of their ids.

    Args:
        asking: the client.
        traffic: where requests are counted.
        facts: what is known of how Pendo sorts, and what it refuses.
        id_field: Pendo's name of the id.
        page_size: most rows of a page.
        body: makes the request for at most so many rows from a place on; None are all.
        count: the request that counts all rows.
        mark: where an earlier read of the same rows stood.
    """

    def __init__(  # noqa: PLR0913 - what is read, and by which means
        self,
        asking: client.PendoClient,
        traffic: Traffic,
        facts: PagingFacts,
        *,
        id_field: str,
        page_size: int,
        body: Callable[[Cursor | None, int | None], Body],
        count: Callable[[], Body],
        mark: Mark | None = None,
    ) -> None:
        self._client, self._traffic, self._facts = asking, traffic, facts
        self._id_field, self._page_size = id_field, page_size
        self._body, self._count_body, self._mark = body, count, mark

    def items(self) -> Iterator[list[Row] | Mark | Restart]:
        """Yield rows, some at a time; a mark behind each page that another one follows.

        Raises:
            StreamError: answers keep breaking off.
        """
        return whole_read(
            self._attempt, lambda: (Restart(),), self._facts, lambda: self._facts.stream
        )

    def _attempt(self, paged: bool, counted: bool) -> Iterator[list[Row] | Mark | Restart]:  # noqa: FBT001 - as `whole_read` calls it
        mark, self._mark = self._mark, None  # another attempt begins at the start
        if not paged:
            yield from self._in_one_answer()
            return
        pager, tally = Pager(self._page_size, timed=False), Tally()
        if mark:
            tally.seen, tally.expected = mark.rows, mark.counted
            pager.resume((mark.after,))
        elif counted:
            tally.expected = self._count()
        failures = 0
        while not pager.complete:
            reached = pager.passed
            try:
                yield from self._page(pager, tally)
            except BrokenBodyError as error:
                pager.resume_after_break()
                failures = failures + 1 if pager.passed == reached else 1
                self._rest(error, failures)
            else:
                failures = 0
                after = pager.passed[0] if pager.passed else None
                if isinstance(after, str) and tally.expected is not None and not pager.complete:
                    yield Mark(after, tally.seen, tally.expected)
        tally.close()

    def _page(self, pager: Pager, tally: Tally) -> Iterator[list[Row]]:
        pages = next_page(
            pager,
            tally,
            self._facts,
            ask=self._answer,
            count=self._count,
            place=self._place,
        )
        for groups in pages:
            yield [row for group in groups for row in group]

    def _answer(self, page: Page) -> Iterator[list[Row]]:
        blocks = self._client.rows(self._body(page.cursor, page.limit), self._traffic)
        return page.noted(blocks, self._place)

    def _place(self, row: Row) -> Key:
        value = row.get(self._id_field)
        return ("" if value is None else value,)

    def _count(self) -> int:
        return self._client.count(self._count_body(), self._traffic)

    def _in_one_answer(self) -> Iterator[list[Row] | Restart]:
        """Read all, from the start after a break."""
        for attempt in self._client.attempts(self._traffic):
            with attempt:
                yield from self._client.rows(self._body(None, None), self._traffic)
            if attempt.broken:
                yield Restart()

    def _rest(self, error: BrokenBodyError, failures: int) -> None:
        if failures >= client.MAX_TRIES:
            raise StreamError(f"{error}, {failures} times") from error
        self._client.sleep_before_retry(error, failures, self._traffic)
