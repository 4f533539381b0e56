"""Rows that are decoded as structs become the records that rows of dicts become."""

from __future__ import annotations

import contextlib
import io
import json
import random
import typing as t
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tap_pendo import json_stream
from tap_pendo.calendar import UTC, Window, from_ms, from_text, ms_text, to_text
from tap_pendo.catalog import CATALOG
from tap_pendo.catalog.stream_specs import EventSpec
from tap_pendo.config.settings import SCHEMA, parsed
from tap_pendo.errors import BrokenBodyError, StreamError, UnsortedError
from tap_pendo.reading.event_records import EventLayout, WindowRows
from tap_pendo.reading.paging import PagingFacts
from tap_pendo.records import identity
from tap_pendo.records.fields import (
    ANY_AS_TEXT,
    BOOLEAN,
    END,
    ID,
    INTEGER,
    INTEGERS,
    LIST,
    NUMBER,
    OBJECT,
    STRING,
    TEXTS,
    TIME,
    Typed,
)
from tap_pendo.streams.base_stream import as_dict
from tap_pendo.streams.message_writer import BlockWriter

if t.TYPE_CHECKING:
    from tap_pendo.calendar import Period

Row = dict[str, t.Any]
START = from_text("2026-03-11")
FIRST = 1_773_187_200_000
DEFAULTS = {n: s["default"] for n, s in SCHEMA["properties"].items() if "default" in s}
SETTINGS = parsed({**DEFAULTS, "integration_key": "k"})
EVENTS = {row.name: row for row in CATALOG if isinstance(row, EventSpec)}
STAMPS = ("row_id", "read_at")

# By the type of a field: what Pendo sends as a rule, and what it might send
USUAL: dict[int, list[t.Any]] = {
    id(STRING): ["", "a", "b", 'quo"te', "é", "a\\", "\0"],
    id(INTEGER): [0, 1, -1, 5, -323232, 2**53 + 1, 2**63 - 1],
    # Pendo's numbers are doubles: it sends no whole number that is not one
    id(NUMBER): [52.5, 13, -0.0, 0, 1e22, 2**53, 2**64],
    id(BOOLEAN): [True, False],
    id(TIME): [FIRST, FIRST + 5, 1, END - 1],
    id(ID): ["", "a", "b", "é"],
    id(OBJECT): [{"b": 1, "a": ""}, {"a": "", "b": 1}, {"c": 0.1}, {}],
    id(LIST): [[], [None], [1, "a"]],
    id(ANY_AS_TEXT): ["", "a", "7"],
    id(INTEGERS): [[], [1, -5], [None]],
    id(TEXTS): [[], ["a"], ["a", None]],
}
ODD: dict[int, list[t.Any]] = {
    id(STRING): [5, 1.5, True, [], {}, ["a"], 2**70, float("inf"), "\ud800"],
    id(INTEGER): ["5", "", 5.0, 1.5, 2**63, -(2**63) - 1, 2**70, 1e300, True, "many", [1]],
    id(NUMBER): ["52.5", "", float("nan"), {}, True, 2**2000, "1e999"],
    id(BOOLEAN): ["true", "FALSE", "yes", 0, 1, 1.0],
    id(TIME): [0, -1, 0.0, 1.0, 1.5, "2026-03-11", "", "soon", END, 10**30, True, {}],
    id(ID): [5, 1.5, True, [], {}, "\udc00"],
    id(OBJECT): [float("nan"), 0.5, "a", [], {"x": 2**70}, {"a\0": [1.5]}, {"a": float("inf")}],
    id(LIST): [0.5, "", {}, [float("nan")], [2**70]],
    id(ANY_AS_TEXT): [7, 0.5, 1.0, True, [], [None], {"a": 1}, 2**70, float("inf")],
    id(INTEGERS): [["a"], [1.0], ["5"], [2**70], {}, "a"],
    id(TEXTS): [[5], "a", {}, [["a"]], [None, 1.5]],
}
UNKNOWN = ["new", "extra", "row_id", "visitor_id", "f1", "", "a b", "é", "tab\t", 'q"', "\ud800"]
VALUES = [None, "", "x", 1, 1.5, 1.0, True, [], [None], {}, {"a": None}, 2**70, float("nan")]


@st.composite
def rows(draw: st.DrawFn, row: EventSpec, period: Period) -> list[Row]:
    """Draw rows as Pendo sorts them, of few fields and values each list, so that many are alike."""
    clock = row.clock(period).pendo
    fields = {f.pendo: id(f.type) for f in row.by_place(period)}
    names = draw(st.sets(st.sampled_from(sorted(fields)), max_size=5)) | {clock}
    unknown = draw(st.lists(st.sampled_from(UNKNOWN), max_size=2))
    pools: dict[str, list[t.Any]] = {name: [None, *VALUES] for name in unknown}
    for name in names:
        usual = draw(st.lists(st.sampled_from(USUAL[fields[name]]), min_size=1, max_size=2))
        odd = draw(st.lists(st.sampled_from([None, *ODD[fields[name]]]), max_size=1))
        pools[name] = [*usual, *odd]
    pools[clock].append(FIRST)
    found = []
    for _ in range(draw(st.integers(1, 12))):
        missing = draw(st.sets(st.sampled_from(sorted(pools)), max_size=2)) - {clock}
        found.append(
            {n: draw(st.sampled_from(pool)) for n, pool in pools.items() if n not in missing}
        )
    order = identity.sort_key(row.sort(period))
    return sorted(found, key=lambda r: [identity._ranked(v) for v in order(r)])  # noqa: SLF001 - Pendo's order


def made(
    row: EventSpec, found: list[Row], structs: Typed | None, period: Period = "hour"
) -> tuple[list[t.Any], tuple[int, ...]]:
    """Read rows from their JSON in small pieces, and make records; all counts besides."""
    key = identity.sort_key(row.sort(period))
    window = Window(START, START + timedelta(days=1))
    layout = EventLayout(row, SETTINGS.grid(row.period(period)), STAMPS)
    if structs:
        layout.typed = structs
    read = WindowRows(layout, window, read_at=START, facts=PagingFacts("test"))
    decode = structs.decode if structs else json_stream.plain
    answer = json_stream.blocks([json.dumps({"results": found}).encode()], decode=decode)
    end = FIRST + 24 * 3_600_000
    blocks = (
        read.inside(block[at : at + 3], FIRST, end)
        for block in answer
        for at in range(0, len(block), 3)
    )
    width = len(row.sort(period))
    records = [
        record
        for groups, _ in identity.adjacent(
            blocks, lambda r: key(r) if isinstance(r, dict) else r[:width]
        )
        for record in read.of_groups(groups)
    ]
    counts = (
        read.records,
        read.num_events,
        read.merged,
        read.out_of_window,
        read.without_time,
    )
    return records, counts


@pytest.mark.parametrize(
    ("name", "period"), [*((name, "hour") for name in EVENTS), ("feature_events", "day")]
)
def test_both_ways_give_the_same_bytes(name: str, period: Period) -> None:
    row = EVENTS[name]

    @given(rows(row, period))
    def check(found: list[Row]) -> None:
        wanted = written(row, found, None, period)
        # structs learn from the first rows that they decode
        structs = of(row, period)
        assert written(row, found, structs, period) == wanted
        assert written(row, found, structs, period) == wanted

    check()


def written(
    row: EventSpec, found: list[Row], structs: Typed | None, period: Period = "hour"
) -> t.Any:
    """Give the records as they are written, and the counts; or the error."""
    try:
        records, counts = made(row, found, structs, period)
    except (UnsortedError, StreamError, BrokenBodyError) as error:
        return repr(error)
    with contextlib.redirect_stdout(io.StringIO()) as out:
        writer = BlockWriter()
        writer.write_records(row.name, records, None)
        writer.flush()
    lines = [line.partition(',"time_extracted"')[0] for line in out.getvalue().splitlines()]
    return lines, counts


FEATURE = {"hour": FIRST, "visitorId": "", "featureId": "f"}


@pytest.mark.parametrize(
    "found",
    [
        [{"hour": FIRST, "visitorId": "", "properties": 0.5}],
        [*3 * [{**FEATURE, "appId": -323232}], *2 * [{**FEATURE, "appId": 5, "new": None}]],
    ],
)
def test_rows_that_once_differed(found: list[Row]) -> None:
    row = EVENTS["feature_events"]
    structs = of(row)
    assert written(row, found, structs) == written(row, found, structs) == written(row, found, None)


def of(row: EventSpec, period: Period = "hour") -> Typed:
    return Typed(row.by_place(period), STAMPS)


def test_every_field_of_events_says_what_is_sent() -> None:
    for row in EVENTS.values():
        assert all(field.type.sent for field in row.by_place("hour"))


def test_fields_beyond_the_declared_are_learnt_and_kept() -> None:
    row = EVENTS["feature_events"]
    structs = of(row)
    data = json.dumps([{"hour": FIRST, "visitorId": "v", "new": 1}]).encode()
    assert structs.decode(data, lambda: None)[0][-1] == 1
    assert isinstance(structs.decode(b'[{"hour": 1, "visitorId": "v"}]', list)[0], tuple)
    records, _ = made(row, [{"hour": FIRST, "visitorId": "v", "new": None}], structs)
    assert as_dict(records[0])["extra"] == {"new": None}


def test_rows_with_very_many_unknown_fields_stay_dicts() -> None:
    structs = of(EVENTS["feature_events"])
    for n in range(150):
        data = json.dumps([{"hour": FIRST, "visitorId": "v", f"new{n}": n}]).encode()
        (row,) = structs.decode(data, lambda: None)
        assert isinstance(row, tuple) is (n < 100)


@pytest.mark.parametrize("year", [1600, 1969, 1970, 2000, 2026, 9999])
def test_epoch_milliseconds_are_written_as_any_moment_is(year: int) -> None:
    draw = random.Random(year)
    for _ in range(200):
        moment = from_text(f"{year}-01-01").astimezone(UTC) + timedelta(
            milliseconds=draw.randrange(365 * 86_400_000)
        )
        ms = (moment - from_ms(0)) // timedelta(milliseconds=1)
        assert ms_text(ms) == to_text(moment)
