"""Pitfalls of other Pendo connectors that no other test is about."""

from __future__ import annotations

import typing as t
from datetime import timedelta

import pytest
from tap_pendo.calendar import to_ms, to_text

from tests.conftest import NOW

if t.TYPE_CHECKING:
    from tests.conftest import TapRunner


@pytest.mark.parametrize("page_size", [3, 7])
def test_all_rows_share_one_timestamp(page_size: int, tap: TapRunner) -> None:
    moment = to_ms(NOW - timedelta(hours=3))
    tap.pendo.world.inject(
        {"source": "guideEvents", "ts": moment, "visitorId": f"v{n % 5}", "guideId": f"g{n}"}
        for n in range(40)
    )
    start = (NOW - timedelta(hours=4)).isoformat()
    output = tap.run(select=("guide_events",), start_date=start, page_size=page_size)
    ours = [r["guide_id"] for r in output.records("guide_events") if len(r["visitor_id"]) == 2]
    assert sorted(ours) == sorted(f"g{n}" for n in range(40))


def test_all_people_share_one_timestamp(tap: TapRunner) -> None:
    """Paging by lastupdated would never get past a bulk load."""

    def loaded(row: dict[str, t.Any]) -> dict[str, t.Any]:
        auto = {**row["metadata"].get("auto", {}), "lastupdated": to_ms(NOW)}
        return {**row, "metadata": {**row["metadata"], "auto": auto}}

    tap.pendo.world.overrides.override("account", loaded)
    output = tap.run(select=("accounts",), page_size=9)
    ids = [r["account_id"] for r in output.records("accounts")]
    assert len(ids) == len(set(ids)) == tap.pendo.world.count("accounts")


def test_pages_of_visitors_are_incomplete(tap: TapRunner) -> None:
    output = tap.run(select=("visitors",), page_size=45)
    ids = [r["visitor_id"] for r in output.records("visitors")]
    assert len(ids) == len(set(ids)) == tap.pendo.world.count("visitors")
    assert tap.pendo.calls.counts["/api/v1/aggregation", "visitors"] > 6


def test_visitors_that_are_not_processed_lack_metadata(tap: TapRunner) -> None:
    silent = {row["visitorId"] for row in tap.pendo.world.do_not_process("doNotProcessVisitors")}
    output = tap.run(select=("visitors", "visitor_accounts", "visitor_applications"))
    assert tap.exit_code == 0
    found = {r["visitor_id"]: r for r in output.records("visitors")}
    assert silent
    assert silent <= found.keys()
    assert all("auto" not in found[visitor]["metadata"] for visitor in silent)


def test_a_metadata_type_is_unknown(tap: TapRunner) -> None:
    tap.pendo.arm("unknown-metadata-types")
    output = tap.run(select=("visitors",))
    assert tap.exit_code == 0
    values = {r["metadata"].get("custom", {}).get("unknown_1") for r in output.records("visitors")}
    # as text: a column has one type
    assert "true" in values
    assert {text[0] for text in values if text} > {"[", "{"}


def test_rows_of_the_hour_that_is_not_over_come_twice(tap: TapRunner) -> None:
    select = ("feature_events",)
    first = tap.run(select=select)
    hour = to_text(NOW.replace(minute=0, second=0))
    assert max(r["hour"] for r in first.records("feature_events")) < hour
    tap.pendo.clock.advance(3600)
    second = tap.run(select=select, state=first.state, lookback_hours=0)
    assert {r["hour"] for r in second.records("feature_events")} == {hour}


def test_a_day_that_is_not_over_is_skipped_later(tap: TapRunner) -> None:
    """Whatever the time of the runs, each day comes whole, once it is over."""
    settings: dict[str, t.Any] = {"select": ("events",), "period": "day", "lookback_hours": 0}
    days, state = [], None
    for _ in range(4):
        output = tap.run(state=state, lookback_days=0, **settings)
        state = output.state
        days += [(w["window_start"], w["window_end"]) for w in output.records("sync_windows")]
        tap.pendo.clock.advance(17 * 3600)
    bounds = sorted(days)
    assert [end for _, end in bounds[:-1]] == [start for start, _ in bounds[1:]]
    assert all(moment.endswith("T00:00:00.000Z") for window in bounds for moment in window)
    assert bounds[-1][1] == "2026-03-13T00:00:00.000Z"


def test_fields_have_wrong_types_or_are_never_filled(tap: TapRunner) -> None:
    output = tap.run(select=("track_types", "page_events", "guide_events", "poll_events"))
    assert all(isinstance(r["name"], str) for r in output.records("track_types"))
    assert all(isinstance(r.get("parameters") or {}, dict) for r in output.records("page_events"))
    assert any(r.get("parameters") for r in output.records("page_events"))
    assert all(r["guide_id"] and r["type"] for r in output.records("guide_events"))
    assert all(r["poll_id"] and r["poll_type"] for r in output.records("poll_events"))


def test_accounts_ignore_the_app(tap: TapRunner) -> None:
    """So `app_ids` must not seem to limit them."""
    output = tap.run(select=("accounts",), app_ids=[-323232])
    assert len(output.records("accounts")) == tap.pendo.world.count("accounts")


def test_a_call_for_each_feature(tap: TapRunner) -> None:
    output = tap.run(select=("features", "feature_events"))
    assert tap.pendo.calls.counts["/api/v1/aggregation", "featureEvents"] < 10
    used = {r["feature_id"] for r in output.records("feature_events")}
    assert len(used) > 10


def test_the_key_of_a_stream_grows_while_it_runs(tap: TapRunner) -> None:
    for _ in range(2):
        output = tap.run(select=("feature_events",))
        keys = [m["key_properties"] for m in output if m["type"] == "SCHEMA"]
        assert keys == [["stream", "window_start", "window_end", "app_ids"], ["row_id"]]
