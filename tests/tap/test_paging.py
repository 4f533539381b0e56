"""Paging: for any rows, page sizes and breaks, each row is given out once."""

from __future__ import annotations

import typing as t

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tap_pendo.errors import BrokenBodyError, StreamError, UnsortedError
from tap_pendo.grouping import adjacent, sort_key
from tap_pendo.paging import Page, Pager

if t.TYPE_CHECKING:
    from tap_pendo.aggregation import Cursor

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
    pair, mark = (row["hour"], row["visitorId"]), (cursor.time, cursor.visitor)
    return {"from": pair >= mark, "behind": pair > mark, "alone": pair == mark}[cursor.reach]


def answer(rows: list[Row], pager: Pager, page: Page, break_after: int | None) -> t.Iterator[Row]:
    found = sorted((r for r in rows if matches(pager.cursor, r)), key=KEY)
    for count, found_row in enumerate(found[: page.limit]):
        if count == break_after:
            raise BrokenBodyError("cut")
        page.first = page.first or KEY(found_row)
        page.rows += 1
        page.last = KEY(found_row)
        yield found_row


def read_all(rows: list[Row], page_size: int, breaks: t.Iterator[int | None]) -> list[Row]:
    pager, given_out = Pager(page_size, 9), []
    while not pager.complete:
        page = pager.page()
        try:
            for key, same, is_last in adjacent(answer(rows, pager, page, next(breaks)), KEY):
                if not (is_last and page.full) and pager.fresh(key):
                    given_out += same
                    pager.done = key
        except BrokenBodyError:
            pager.broke()
        else:
            pager.ended(page)
    return given_out


@given(
    st.lists(row, max_size=40),
    st.integers(1, 12),
    st.lists(st.none() | st.integers(0, 15), max_size=6),
)
def test_each_row_once(rows: list[Row], page_size: int, breaks: list[int | None]) -> None:
    def then_never() -> t.Iterator[int | None]:
        yield from breaks
        while True:
            yield None

    result = read_all(rows, page_size, then_never())
    canonical = sorted(rows, key=lambda r: repr(sorted(r.items())))
    assert sorted(result, key=lambda r: repr(sorted(r.items()))) == canonical


def test_pages_that_do_not_advance_are_an_error() -> None:
    pager = Pager(2, 9)
    page = Page(2, 9, 2, (1, "a", ""), (2, "b", ""))
    pager.ended(page)
    with pytest.raises(StreamError, match="do not advance"):
        pager.ended(page)


def test_rows_out_of_order_are_told() -> None:
    rows = [{"hour": 1, "visitorId": v} for v in ("a", "c", "b")]
    with pytest.raises(UnsortedError):
        list(adjacent(rows, KEY))


def test_mixed_types_are_compared_as_pendo_sorts_them() -> None:
    values = [None, False, 3, 4.5, "a"]
    rows = [{"hour": 1, "visitorId": "v", "server": v} for v in values]
    assert [key[2] for key, _, _ in adjacent(rows, KEY)] == ["", False, 3, 4.5, "a"]
