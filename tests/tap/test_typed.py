"""Rows that are decoded as structs become the records that rows of dicts become."""

from __future__ import annotations

import json
import random
import typing as t
from datetime import timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tap_pendo import decoding, grouping
from tap_pendo.catalog import CATALOG
from tap_pendo.errors import StreamError, UnsortedError
from tap_pendo.findings import Findings
from tap_pendo.objects import Events
from tap_pendo.rows import WindowRows
from tap_pendo.settings import SCHEMA, parsed
from tap_pendo.streams.base import as_dict
from tap_pendo.typed import Typed
from tap_pendo.windows import UTC, Window, from_ms, from_text, ms_text, to_text

Row = dict[str, t.Any]
START = from_text("2026-03-11")
HOUR_MS = 3_600_000
FIRST = 1_773_187_200_000
DEFAULTS = {n: s["default"] for n, s in SCHEMA["properties"].items() if "default" in s}
SETTINGS = parsed({**DEFAULTS, "integration_key": "k"})
EVENTS = {row.name: row for row in CATALOG if isinstance(row, Events)}
STAMPS = ("row_id", "read_at")

text = st.sampled_from(["", "a", "b", 'quo"te', "é", "a\\", "\0"])
# what Pendo sends as a rule, and what it may send
regular = {
    "hour": st.sampled_from([FIRST, FIRST + HOUR_MS]),
    "visitorId": text,
    "accountId": text | st.none(),
    "appId": st.sampled_from([-323232, 5]),
    "featureId": st.sampled_from(["f", "g"]),
    "latitude": st.none() | st.sampled_from([52.5, 13, -0.5, 1e22]),
    "properties": st.none() | st.sampled_from([{"b": 1, "a": ""}, {"c": 0.1}, "", 7]),
    "numEvents": st.none() | st.integers(0, 5),
    "firstTime": st.none() | st.integers(1, 4_000_000_000_000),
    "week": st.none() | st.just(FIRST),
}
odd = {
    "hour": st.sampled_from([None, "1773187200000", float(FIRST), FIRST - HOUR_MS, FIRST + 1]),
    "visitorId": st.sampled_from([5, None, True]),
    "appId": st.sampled_from(["5", 5.0, 2**70]),
    "latitude": st.sampled_from(["52.5", float("nan"), {}]),
    "numEvents": st.sampled_from(["many", 2**63, 1.0, 1.5]),
    "firstTime": st.sampled_from([0, -1, "2026-03-11", 10**15, 1.0]),
    "new": st.none() | st.sampled_from([1, "x", [None]]),
    "newer": st.just({}),
    "no\0name": st.just(1),
    'no"name': st.just(1),
    "no\\name": st.just(1),
}


@st.composite
def rows(draw: st.DrawFn) -> list[Row]:
    """Draw rows, of which some are odd in one field; half of the lists lack some fields."""
    found = []
    names = draw(st.sets(st.sampled_from(sorted(regular)))) if draw(st.booleans()) else {*regular}
    for _ in range(draw(st.integers(0, 25))):
        row = {name: draw(regular[name]) for name in {*names, "hour", "visitorId"}}
        if draw(st.integers(0, 5)) == 0:
            name = draw(st.sampled_from(sorted(odd)))
            row[name] = draw(odd[name])
        found.append(row)
    return found


def made(row: Events, found: list[Row], structs: Typed | None) -> tuple[list[Row], tuple[int, ...]]:
    """Read rows from their JSON in small pieces, and make records; all counts besides."""
    key = grouping.sort_key(row.sort("hour"))
    window = Window(START, START + timedelta(days=1))
    read = WindowRows(
        row,
        SETTINGS,
        window,
        read_at=START,
        findings=Findings("test"),
        known_types=set(),
        typed=structs or of(row),
    )
    decode = structs.decode if structs else decoding.plain
    answer = decoding.blocks([json.dumps({"results": found}).encode()], decode=decode)
    end = FIRST + 24 * HOUR_MS
    blocks = (
        read.inside(block[at : at + 3], FIRST, end)
        for block in answer
        for at in range(0, len(block), 3)
    )
    width = len(row.sort("hour"))
    records = [
        as_dict(record)
        for groups, _ in grouping.adjacent(
            blocks, lambda r: key(r) if isinstance(r, dict) else r[:width]
        )
        for record in read.records(groups)
    ]
    counts = (read.rows, read.num_events, read.merged, read.outside, read.timeless)
    return records, counts


@settings(deadline=None)
@given(rows())
def test_records_and_counts_are_the_same(found: list[Row]) -> None:
    row = EVENTS["feature_events"]
    order = grouping.sort_key(row.sort("hour"))
    found.sort(key=lambda r: [grouping._ranked(v) for v in order(r)])  # noqa: SLF001 - Pendo's order
    results = []
    for structs in (None, of(row), of(row)):
        # structs learn from the first rows that they decode
        for _ in range(1 + (structs is not None)):
            try:
                result: t.Any = made(row, found, structs)
            except (UnsortedError, StreamError) as error:
                result = repr(error)
        results.append(result)
    assert results[0] == results[1] == results[2]


def of(row: Events) -> Typed:
    return Typed(row.by_place("hour"), STAMPS)


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
    assert records[0]["extra"] == {"new": None}


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
