"""Pitfalls of other Pendo connectors: a test for each, here or where the table says."""

from __future__ import annotations

import typing as t
from datetime import timedelta
from pathlib import Path

import pytest
from tap_pendo.windows import to_ms, to_text

from tests.conftest import NOW

if t.TYPE_CHECKING:
    from tests.conftest import TapRunner

TESTS = Path(__file__).parents[1]
ELSEWHERE = {
    "only the default app's data": "tap/test_runs.py::test_lists_are_whole_and_in_order",
    "regions other than the US": "tap/test_settings.py::test_region",
    "memory grows with events or visitors": (
        "tap/test_memory.py::test_eight_times_the_rows_of_a_window_need_no_more_memory"
    ),
    "requests time out": "tap/test_settings.py::test_request_timeout",
    "the connection breaks in a body": (
        "tap/test_runs.py::test_faults_lose_nothing_and_double_nothing"
    ),
    "windows too wide for Pendo": (
        "tap/test_parts.py::test_windows_that_are_too_long_for_pendo_are_halved"
    ),
    "everything until now in one call": (
        "tap/test_parts.py::"
        "test_quiet_history_is_read_in_long_windows_and_busy_history_in_short_ones"
    ),
    "rows lost to a weak key": "tap/test_grouping.py::test_which_rows_are_one",
    "rows dropped at the bound of a page": (
        "tap/test_runs.py::test_pages_of_any_size_give_the_same_rows"
    ),
    "lastupdated is null": (
        "tap/test_failures.py::test_people_that_changed_and_people_never_stamped"
    ),
    "metadata of mixed types": "tap/test_shapes.py::test_metadata_is_typed_and_misfits_are_kept",
    "anonymous visitors by the million": ("tap/test_settings.py::test_include_anonymous_visitors"),
    "track events with parameters that Pendo refuses": (
        "tap/test_runs.py::test_a_first_run_is_complete"
    ),
    "incremental reads all": "tap/test_runs.py::test_a_second_run_brings_only_news",
    "visitor history with one row a visitor": (
        "tap/test_history.py::test_every_visitor_of_every_closed_day"
    ),
    "visitor history comes twice": "tap/test_history.py::test_the_same_rows_at_every_read",
    "a parent's bookmark hides rows of its child": (
        "tap/test_lists.py::test_a_derived_stream_that_is_new_to_the_state_gets_all_rows"
    ),
    "a child cannot be read without its parent": (
        "tap/test_lists.py::test_a_derived_stream_alone_reads_its_parent_without_writing_it"
    ),
    "a stream that is not allowed ends the run": (
        "tap/test_failures.py::test_a_stream_that_is_not_allowed_is_skipped"
    ),
    "a stream that fails counts as read": (
        "tap/test_failures.py::test_a_stream_that_breaks_off_goes_on_from_its_last_whole_window"
    ),
    "late events are lost": (
        "tap/test_runs.py::test_late_events_are_read_by_the_first_run_of_the_next_day"
    ),
    "a late event makes a second row": (
        "tap/test_runs.py::test_a_row_keeps_its_id_when_its_counts_change"
    ),
    "retagging rewrites history": (
        "end_to_end/test_current_rows.py::test_current_rows_are_exact_after_every_kind_of_read"
    ),
    "days of UTC, not of the subscription": "tap/test_settings.py::test_period_and_timezone",
    "quotes in an id": "tap/test_aggregation.py::test_a_quoted_id_is_itself_and_nothing_else",
    "reports are missing": ("tap/test_lists.py::test_each_report_is_a_stream_with_its_own_columns"),
    "429 ends the run": "tap/test_parts.py::test_throttling_waits_and_never_splits",
    "fields that the schema lacks are dropped": (
        "tap/test_shapes.py::test_any_row_fits_its_schema_and_keeps_what_does_not"
    ),
    "customers' names are changed": (
        "tap/test_shapes.py::test_nested_fields_are_renamed_and_customers_are_not"
    ),
}


@pytest.mark.parametrize("place", ELSEWHERE.values(), ids=ELSEWHERE.keys())
def test_a_pitfall_that_is_tested_elsewhere_is(place: str) -> None:
    file, name = place.split("::")
    assert f"\ndef {name}(" in (TESTS / file).read_text()


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

    tap.pendo.world.alterations.alter("account", loaded)
    output = tap.run(select=("accounts",), page_size=9)
    ids = [r["account_id"] for r in output.records("accounts")]
    assert len(ids) == len(set(ids)) == tap.pendo.world.count("accounts")


def test_pages_of_visitors_are_incomplete(tap: TapRunner) -> None:
    output = tap.run(select=("visitors",), page_size=125)
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
    values = [r["metadata"].get("custom", {}).get("unknown_1") for r in output.records("visitors")]
    assert {type(value) for value in values} >= {int, str, float, bool, list, dict}


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
