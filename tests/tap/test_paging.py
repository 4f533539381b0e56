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


def answer(
    rows: list[Row], pager: Pager, page: Page, break_after: int | None, block: int
) -> t.Iterator[list[Row]]:
    """Give blocks of rows; a block that breaks is lost."""
    found = sorted((r for r in rows if matches(pager.cursor, r)), key=KEY)
    found = found[: page.limit]
    for start in range(0, len(found), block):
        rows_of_block = found[start : start + block]
        if break_after is not None and break_after < start + len(rows_of_block):
            raise BrokenBodyError("cut")
        page.first = page.first or KEY(rows_of_block[0])
        page.rows += len(rows_of_block)
        page.last = KEY(rows_of_block[-1])
        yield rows_of_block


def read_all(
    rows: list[Row], page_size: int, breaks: t.Iterator[int | None], block: int
) -> list[Row]:
    pager, given_out = Pager(page_size, 9), []
    while not pager.complete:
        page = pager.page()
        try:
            blocks = answer(rows, pager, page, next(breaks), block)
            for found, is_last in adjacent(blocks, KEY):
                groups = pager.fresh(found, KEY)
                if groups and not (is_last and page.full):
                    given_out += [row for same in groups for row in same]
                    pager.done = KEY(groups[-1][0])
        except BrokenBodyError:
            pager.broke()
        else:
            pager.ended(page)
    return given_out


@given(
    st.lists(row, max_size=40),
    st.integers(1, 12),
    st.lists(st.none() | st.integers(0, 15), max_size=6),
    st.integers(1, 7),
)
def test_each_row_once(
    rows: list[Row], page_size: int, breaks: list[int | None], block: int
) -> None:
    def then_never() -> t.Iterator[int | None]:
        yield from breaks
        while True:
            yield None

    result = read_all(rows, page_size, then_never(), block)
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
