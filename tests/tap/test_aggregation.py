"""Request bodies: ids with any characters mean themselves, and cursors leave exactly the rest."""

from __future__ import annotations

import types
import typing as t
from zoneinfo import ZoneInfo

from hypothesis import given
from hypothesis import strategies as st
from pendo_emulator.pipeline.expressions import compile_expression, scope
from pendo_emulator.product.calendar import Calendar
from tap_pendo.api import queries
from tap_pendo.api.queries import Cursor, literal

SCOPE = scope(types.SimpleNamespace(now=0, calendar=Calendar(ZoneInfo("UTC"), "utc")))
ids = st.text(max_size=8) | st.lists(
    st.sampled_from(['"', "\\", "`", "\n", "/", "😀", "é", "'", "$", "{", "\\n", "\x00"]),
    max_size=5,
).map("".join)
Row = dict[str, t.Any]


def keeps(expression: str, row: Row) -> bool:
    return bool(compile_expression(expression, SCOPE)(row))


@given(ids, ids)
def test_a_quoted_id_is_itself_and_nothing_else(one: str, other: str) -> None:
    assert keeps(f"visitorId == {literal(one)}", {"visitorId": one})
    assert keeps(f"visitorId == {literal(one)}", {"visitorId": other}) == (one == other)
    assert keeps(f"visitorId > {literal(one)}", {"visitorId": other}) == (other > one)


visitors = st.none() | ids
rows = st.fixed_dictionaries({"hour": st.integers(0, 3)}, optional={"visitorId": visitors})


@given(rows, st.integers(0, 3), ids)
def test_a_cursor_leaves_what_is_at_or_behind_its_pair(row: Row, hour: int, visitor: str) -> None:
    place = (row["hour"], row.get("visitorId") or "")
    mark = (hour, visitor)
    expected = {"from": place >= mark, "behind": place > mark, "alone": place == mark}
    for reach, kept in expected.items():
        cursor = Cursor(hour, visitor, reach)  # type: ignore[arg-type]
        assert keeps(cursor.expression("visitorId", "hour") or "", row) == kept


@given(rows, st.integers(0, 3), ids)
def test_a_cursor_without_escapes_leaves_at_least_what_is_at_or_behind_its_pair(
    row: Row, hour: int, visitor: str
) -> None:
    expression = Cursor(hour, visitor, "from").unescaped().expression("visitorId", "hour")
    assert expression is not None
    assert "\\" not in expression
    if (row["hour"], row.get("visitorId") or "") >= (hour, visitor):
        assert keeps(expression, row)


@given(
    st.none() | st.integers(0, 9),
    st.none() | ids,
    st.sampled_from(["from", "behind", "alone"]),
    st.none() | st.integers(0, 9),
    visitors,
)
def test_people_are_filtered_by_change_and_id(
    since: int | None, mark: str | None, reach: t.Any, updated: int | None, visitor: str | None
) -> None:
    cursor = None if mark is None else Cursor(None, mark, reach)
    body = queries.people(
        "visitors", params=None, id_field="visitorId", since=since, cursor=cursor, limit=5
    )
    steps = body["request"]["pipeline"]
    filters = [step["filter"] for step in steps if "filter" in step]
    row = {"visitorId": visitor, "metadata": {"auto": {"lastupdated": updated}}}
    changed = since is None or updated is None or updated >= since
    place = visitor or ""
    there = mark is None or {"from": place >= mark, "behind": place > mark}.get(
        reach, place == mark
    )
    assert all(keeps(one, row) for one in filters) == (changed and there)
    assert [next(iter(step)) for step in steps][-2:] == ["sort", "limit"]
