"""Paging: for any rows, page sizes and breaks, each row is given out once."""

from __future__ import annotations

import typing as t
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tap_pendo.errors import BrokenBodyError, RefusedError, StreamError, UnsortedError
from tap_pendo.reading.paging import Page, Pager, PagingFacts, Tally, next_page
from tap_pendo.records.identity import adjacent, sort_key

if t.TYPE_CHECKING:
    from tap_pendo.api.queries import Cursor

NAMES = ("hour", "visitorId", "server")
KEY = sort_key(NAMES)
Row = dict[str, t.Any]

row = st.fixed_dictionaries(
    {"hour": st.integers(1, 3), "visitorId": st.sampled_from(["", "a", 'b"', "B", "é"])},
    optional={"server": st.sampled_from(["", "x", "y"]), "parameters": st.integers(0, 2)},
)


def matches(cursor: Cursor | None, row: Row) -> bool:
    """What Pendo's filter keeps, said another way than in the expression."""
    if cursor is None:
        return True
    pair, mark = (row["hour"], row["visitorId"]), (cursor.time, cursor.id)
    return {"from": pair >= mark, "behind": pair > mark, "alone": pair == mark}[cursor.reach]


class Pendo:
    """Answers requests for rows; some break off, and others arrive meanwhile."""

    def __init__(
        self, rows: list[Row], late: list[Row], breaks: list[int | None], *, escapes: bool
    ) -> None:
        self.rows, self._late, self._breaks = list(rows), list(late), list(breaks)
        self._escapes = escapes
        self.block = 1

    def answer(self, page: Page) -> t.Iterator[list[Row]]:
        """Give blocks of rows; a block that breaks is lost. Then a late row arrives."""
        if page.cursor and page.cursor.awkward and not self._escapes:
            raise RefusedError("400", 400)
        found = sorted((r for r in self.rows if matches(page.cursor, r)), key=KEY)[: page.limit]
        break_after = self._breaks.pop(0) if self._breaks else None
        for start in range(0, len(found), self.block):
            rows = found[start : start + self.block]
            if break_after is not None and break_after < start + len(rows):
                raise BrokenBodyError("cut")
            yield rows
        if self._late:
            self.rows.append(self._late.pop(0))

    def count(self) -> int:
        """Count all rows."""
        return len(self.rows)


def read_all(pendo: Pendo, page_size: int) -> list[Row]:
    pager, tally, facts = Pager(page_size, timed=True, end=9), Tally(), PagingFacts("stream")
    given_out: list[Row] = []
    while not pager.complete:
        page: list[Page] = []

        def ask(asked: Page, page: list[Page] = page) -> t.Iterator[list[Row]]:
            page.append(asked)
            return asked.noted(pendo.answer(asked), KEY)

        try:
            for groups in next_page(pager, tally, facts, ask=ask, count=pendo.count, place=KEY):
                given_out += [row for same in groups for row in same]
        except BrokenBodyError:
            pager.resume_after_break()
    tally.close()
    return given_out


def canonical(rows: list[Row]) -> list[str]:
    return sorted(repr(sorted(r.items())) for r in rows)


@given(
    st.lists(row, max_size=40),
    st.lists(row, max_size=6),
    st.integers(1, 12),
    st.lists(st.none() | st.integers(0, 15), max_size=6),
    st.integers(1, 7),
    st.booleans(),
)
def test_each_row_once(
    rows: list[Row],
    late: list[Row],
    page_size: int,
    breaks: list[int | None],
    block: int,
    escapes: bool,
) -> None:
    """Those that were there at the start all come; those that arrive meanwhile may, once."""
    pendo = Pendo(rows, late, breaks, escapes=escapes)
    pendo.block = block
    found = canonical(read_all(pendo, page_size))
    missing = Counter(canonical(pendo.rows))
    missing.subtract(found)
    assert min(missing.values(), default=0) >= 0
    assert (missing - Counter(canonical(late))).total() == 0


def test_pages_that_do_not_advance_are_an_error() -> None:
    pager = Pager(2, timed=True, end=9)
    for _ in range(2):
        page = pager.page()
        page.rows, page.first, page.last = 2, (1, "a", ""), (2, "b", "")
        if page.cursor is None:
            pager.finish_page(page)
    with pytest.raises(StreamError, match="do not advance"):
        pager.finish_page(page)


def test_rows_out_of_order_are_told() -> None:
    rows = [{"hour": 1, "visitorId": v} for v in ("a", "c", "b")]
    with pytest.raises(UnsortedError):
        list(adjacent([rows], KEY))


def test_mixed_types_are_compared_as_pendo_sorts_them() -> None:
    values = [None, False, 3, 4.5, "a"]
    rows = [{"hour": 1, "visitorId": "v", "server": v} for v in values]
    assert [KEY(row)[2] for groups, _ in adjacent([rows], KEY) for (row,) in groups] == [
        "",
        False,
        3,
        4.5,
        "a",
    ]
