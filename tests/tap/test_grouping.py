"""Identity of event rows: stable for ever, blind to measures, one row per identity."""

from __future__ import annotations

import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tap_pendo.catalog.events import MEASURES
from tap_pendo.records.identity import merged, numbered, row_id


def test_row_id_is_the_same_in_every_version_and_process() -> None:
    """A changed figure here is a new ROW_ID_VERSION: see the CHANGELOG's rule."""
    values = [1700000000000, 'v"1', None, -323232, 52.5, {"b": 1, "a": [True, None]}]
    expected = "a32e688124997f3f8e156ef0c844ecf3"
    assert row_id("feature_events", values) == expected
    code = (
        "from tap_pendo.records.identity import row_id; "
        f"print(row_id('feature_events', {values!r}))"
    )
    told = subprocess.run(
        [sys.executable, "-c", code],
        env={"PYTHONHASHSEED": "1"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert told.stdout.strip() == expected


@pytest.mark.parametrize(
    ("left", "right", "same"),
    [
        ([None], [""], True),
        ([1.0], ["1.0"], True),
        ([0], [None], False),
        ([0.0], [None], False),
        ([{"a": 1, "b": 2}], [{"b": 2, "a": 1}], True),
        ([{"a": ""}], [{}], False),
        (["a", "b"], ["ab", ""], False),
        (["1"], [1], False),
    ],
)
def test_which_rows_are_one(left: list[object], right: list[object], same: bool) -> None:
    assert (row_id("s", left) == row_id("s", right)) is same


def test_streams_do_not_share_ids() -> None:
    assert row_id("page_events", ["x"]) != row_id("feature_events", ["x"])


counts = st.none() | st.integers(0, 10**6)


@given(st.lists(st.tuples(counts, counts), min_size=1, max_size=5))
def test_measures_are_added_up(pairs: list[tuple[int | None, int | None]]) -> None:
    records = [
        {"visitor_id": "v", "num_events": events, "num_minutes": minutes}
        for events, minutes in pairs
    ]
    result, told = merged(records, MEASURES)
    assert not told
    assert (result.get("num_events") or 0) == sum(events or 0 for events, _ in pairs)
    assert (result.get("num_minutes") or 0) == sum(minutes or 0 for _, minutes in pairs)
    assert result["visitor_id"] == "v"


def test_times_and_extra_of_merged_rows() -> None:
    a = {"first_time": "2026-01-01T01:00", "last_time": "2026-01-01T02:00", "extra": {"x": 1}}
    b = {"first_time": "2026-01-01T00:00", "last_time": None, "extra": {"x": 1}}
    one = {"first_time": "2026-01-01T00:00", "last_time": "2026-01-01T02:00"}
    assert merged([a, b], MEASURES) == ({**one, "extra": {"x": 1}}, [])
    c = {**b, "extra": {"x": 2}}
    assert merged([a, c], MEASURES) == (one, ["x"])
    assert merged([{**a, "extra": {"x": 1, "y": 2}}, b], MEASURES) == (
        {**one, "extra": {"x": 1}},
        ["y"],
    )


@pytest.mark.parametrize(
    ("records", "expected", "told"),
    [
        # one alone beyond 64 bits, and with another that fits
        ([{"extra": {"numEvents": 2**63}}, {"num_events": 1}], (None, 2**63 + 1), True),
        # each fits, their sum does not
        ([{"num_events": 2**62}, {"num_events": 2**62}], (None, 2**63), True),
        ([{"num_events": 2**62}, {"num_events": 2**61}], (2**62 + 2**61, None), False),
        # no number: kept beside the sum of the others
        ([{"extra": {"numEvents": "many"}}, {"num_events": 3}], (3, "many"), True),
        ([{"extra": {"numEvents": "x"}}, {"extra": {"numEvents": "y"}}], (None, ["x", "y"]), True),
    ],
)
def test_counts_that_do_not_fit_are_added_or_kept(
    records: list[dict[str, object]], expected: tuple[object, object], told: bool
) -> None:
    result, names = merged(records, MEASURES)
    extra = result.get("extra", {})
    assert (result.get("num_events"), extra.get("numEvents")) == expected
    assert names == (["numEvents"] if told else [])


@given(st.permutations([{"url": u, "n": n} for u in ("a", "b") for n in (None, 1, "1")]))
def test_numbers_do_not_depend_on_the_order_of_the_answer(rows: list[dict[str, object]]) -> None:
    once = {repr(row): number for number, row in numbered(rows)}
    again = {repr(row): number for number, row in numbered(rows[::-1])}
    assert once == again
    assert sorted(once.values()) == list(range(6))
