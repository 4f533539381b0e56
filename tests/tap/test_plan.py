"""`--plan`: what a run would read, found by counting only, and compared with what it then reads."""

from __future__ import annotations

import json
import typing as t
from datetime import datetime, timedelta

import pytest
from pendo_emulator.server import serve
from pendo_emulator.world import World
from tap_pendo.calendar import HOUR, UTC
from tap_pendo.catalog import CATALOG
from tap_pendo.catalog.stream_specs import EventSpec, PerParentSpec

from tests.conftest import NOW, TapRunner, costly

if t.TYPE_CHECKING:
    from pathlib import Path

    from click.testing import Result

    from tests.conftest import Message, Output

AGGREGATION = "/api/v1/aggregation"
START = datetime(2026, 1, 20, tzinfo=UTC)
# the emulated Pendo refuses agentic events, as the real one may
EVENTS = [
    # a call for each of 1,200 hours
    pytest.param(row, id=row.name, marks=[pytest.mark.whole] if row.longest == HOUR else [])
    for row in CATALOG
    if isinstance(row, EventSpec) and row.name != "agentic_events"
]
Entry = dict[str, t.Any]


class Planner:
    """Asks the command line for plans."""

    def __init__(self, tap: TapRunner, folder: Path) -> None:
        self.tap, self.folder = tap, folder
        tap.config["start_date"] = START.isoformat()

    def said(
        self,
        *entry: str,
        select: tuple[str, ...] = (),
        state: Message | None = None,
        **settings: t.Any,
    ) -> Result:
        """What the tap prints; `select` goes into a catalogue, without which all is default."""
        if select:
            settings = {"costly_streams": costly(select), **settings}
            catalogue = self.tap.tap(select=select, **settings).catalog_dict
            (self.folder / "catalog.json").write_text(json.dumps(catalogue))
            entry += ("--catalog", str(self.folder / "catalog.json"))
        self.tap.pendo.calls.clear()
        result, _ = self.tap.cli(self.folder, "--plan", *entry, state=state, **settings)
        return result

    def whole(self, **arguments: t.Any) -> dict[str, t.Any]:
        """The plan as JSON."""
        result = self.said("--format=json", **arguments)
        assert result.exit_code == 0, result.stderr
        return json.loads(result.stdout)

    def streams(self, **arguments: t.Any) -> dict[str, Entry]:
        """The plan of each stream."""
        return {entry["stream"]: entry for entry in self.whole(**arguments)["streams"]}


@pytest.fixture
def plan(tap: TapRunner, tmp_path: Path) -> Planner:
    return Planner(tap, tmp_path)


def windows_read(output: Output, stream: str) -> list[dict[str, str]]:
    return [
        {"start": each["window_start"], "end": each["window_end"]}
        for each in output.records("sync_windows")
        if each["stream"] == stream
    ]


def calls(plan: Planner, source: str) -> int:
    return plan.tap.pendo.calls.counts[AGGREGATION, source]


@pytest.mark.some(3)
@pytest.mark.parametrize("row", EVENTS)
def test_rows_windows_and_calls_of_events_are_those_of_the_run(
    row: EventSpec, plan: Planner
) -> None:
    planned = plan.streams(select=(row.name,))[row.name]
    plan.tap.pendo.calls.clear()

    output = plan.tap.run(select=(row.name,))

    assert planned["rows"] == len(output.records(row.name))
    assert planned["windows"] == windows_read(output, row.name)
    assert planned["calls"] == calls(plan, row.source) == len(planned["windows"])
    assert planned["bucket"] == "hour"
    assert planned["start"] == "2026-01-20T00:00:00.000Z"
    assert planned["end"] == "2026-03-11T12:00:00.000Z"


def test_a_run_that_goes_on_is_planned_from_its_state(plan: Planner) -> None:
    select = ("feature_events", "visitors")
    first = plan.tap.run(select=select, start_date="2026-02-20T00:00:00Z")
    plan.tap.pendo.clock.advance(3 * 3600)

    planned = plan.streams(select=select, state=first.state)
    second = plan.tap.run(select=select, state=first.state)

    events = planned["feature_events"]
    assert [each["part"] for each in events["ranges"]] == ["forward", "backfill"]
    assert events["ranges"][0]["start"] == "2026-03-11T00:00:00.000Z"
    assert events["ranges"][1]["end"] == "2026-02-20T00:00:00.000Z"
    assert (events["start"], events["end"]) == (
        "2026-01-20T00:00:00.000Z",
        "2026-03-11T15:00:00.000Z",
    )
    assert events["windows"] == windows_read(second, "feature_events")
    assert events["rows"] == sum(each["rows"] for each in events["ranges"])
    for name in select:
        assert planned[name]["rows"] == len(second.records(name))
    assert planned["visitors"]["rows"] < len(first.records("visitors"))


def test_nothing_is_planned_where_all_is_read(plan: Planner) -> None:
    limits = {"end_date": "2026-02-01T00:00:00Z", "lookback_hours": 0}
    first = plan.tap.run(select=("page_events",), **limits)

    planned = plan.streams(select=("page_events",), state=first.state, **limits)["page_events"]

    assert (planned["calls"], planned["rows"], planned["windows"]) == (0, 0, [])
    assert planned["start"] is planned["end"] is None
    assert planned["expected_minutes"] == 0
    assert calls(plan, "pageEvents") == 0


@pytest.mark.parametrize(
    ("settings", "most"),
    [
        ({"page_size": 200}, 1.25),
        # windows of some hours: those of working hours hold more than the plan's even spread
        ({"page_size": 24, "concurrency": 1, "start_date": "2026-03-05"}, 2),
    ],
)
def test_windows_of_small_pages_are_about_those_of_the_run(
    settings: Entry, most: float, plan: Planner
) -> None:
    select = ("events", "visitors")
    planned = plan.streams(select=select, **settings)
    plan.tap.pendo.calls.clear()

    output = plan.tap.run(select=select, **settings)

    read = windows_read(output, "events")
    assert planned["visitors"]["calls"] == calls(plan, "visitors")
    assert planned["events"]["rows"] == len(output.records("events"))
    assert 0.8 < calls(plan, "events") / planned["events"]["calls"] < most
    assert 0.8 < len(read) / len(planned["events"]["windows"]) < most
    assert len(read) > 10


@pytest.mark.parametrize("order", ["newest_first", "oldest_first"])
def test_days_apps_and_order_are_those_of_the_settings(order: str, plan: Planner) -> None:
    settings = {
        "period": "day",
        "app_ids": [-323232],
        "backfill_order": order,
        "concurrency": 1,
        "start_date": "2026-01-20T05:00:00Z",
    }
    planned = plan.streams(select=("feature_events",), **settings)["feature_events"]
    output = plan.tap.run(select=("feature_events",), **settings)

    assert planned["bucket"] == "day"
    assert planned["app_ids"] == settings["app_ids"]
    assert planned["start"] == "2026-01-21T00:00:00.000Z"
    assert planned["windows"] == windows_read(output, "feature_events")
    assert planned["rows"] == len(output.records("feature_events")) > 0


def test_only_counts_are_asked_for(plan: Planner) -> None:
    own = [
        {"name": "total", "pipeline": [{"source": {"accounts": None}}], "primary_keys": ["id"]},
    ]
    # an answer that holds rows is refused
    rows = {"kind": "too_large", "path": AGGREGATION, "bytes": 150, "times": None}
    plan.tap.pendo.faults.add(rows)

    found = plan.whole(aggregations=own, report_ids=["r1"])

    assert [each["stream"] for each in found["streams"] if each["problem"]] == []
    counts = plan.tap.pendo.calls.counts
    assert {path for path, _ in counts} == {
        "/api/v1/token/verify",
        "/api/v1/metadata/schema/account",
        "/api/v1/metadata/schema/visitor",
        AGGREGATION,
    }
    assert counts[AGGREGATION, "apps"] == counts[AGGREGATION, "visitors"] == 1
    # 50 days are counted in two stretches
    assert counts[AGGREGATION, "events"] == 2
    assert set(plan.tap.pendo.calls.statuses) == {200}


def test_without_a_catalogue_the_default_streams_are_planned(plan: Planner) -> None:
    found = plan.streams()

    assert set(found) == {row.name for row in CATALOG if row.by_default}
    world = plan.tap.pendo.world
    assert found["applications"]["rows"] == world.count("app")
    assert found["accounts"]["rows"] == world.count("accounts")
    for name in ("pages", "guides", "segments", "metadata_visitors"):
        assert (found[name]["calls"], found[name]["rows"]) == (1, None)
    for name in ("sync_windows", "users", "guide_steps", "visitor_accounts"):
        assert (found[name]["calls"], found[name]["expected_minutes"]) == (0, 0)


def test_a_list_is_planned_for_the_sake_of_what_is_derived_from_it(plan: Planner) -> None:
    assert list(plan.streams(select=("guide_steps",))) == ["sync_windows", "guide_steps", "guides"]


def test_lists_of_the_items_of_others_are_a_call_for_each(plan: Planner) -> None:
    row_by_name = {row.name: row for row in CATALOG if isinstance(row, PerParentSpec)}
    planned = plan.streams(select=tuple(row_by_name))
    plan.tap.pendo.calls.clear()

    plan.tap.run(select=tuple(row_by_name))

    counts = plan.tap.pendo.calls.counts
    history = counts["/api/v1/guide/{id}/history", ""]
    assert planned["guide_history"]["calls"] == 1 + history > 1
    assert planned["polls_seen"]["calls"] == 1 + calls(plan, "pollsSeenEver") > 1
    # Pendo has no source that counts segments
    assert planned["segment_members"]["calls"] is None
    assert planned["segment_members"]["expected_minutes"] is None


def test_own_aggregations_are_a_call_for_each_bucket(plan: Planner) -> None:
    steps = [{"source": {"featureEvents": None}}, {"group": {"group": ["accountId"]}}]
    now = [{"source": {"accounts": None}}]
    own = [
        {"name": "daily", "pipeline": steps, "primary_keys": ["window_start"], "grain": "day"},
        {"name": "now", "pipeline": now, "primary_keys": ["accountId"]},
    ]
    found = plan.streams(aggregations=own)
    plan.tap.pendo.calls.clear()

    output = plan.tap.run(select=("daily",), aggregations=own)

    assert found["daily"]["windows"] == windows_read(output, "daily")
    assert found["daily"]["calls"] == len(found["daily"]["windows"]) == 50
    assert (found["daily"]["bucket"], found["daily"]["rows"]) == ("day", None)
    assert (found["now"]["calls"], found["now"]["rows"]) == (1, None)


def test_reports_are_a_call_each(plan: Planner) -> None:
    found = plan.streams(select=("report_results",), report_ids=["one", "two"])

    assert found["report_results"]["calls"] == 2
    assert {path for path, _ in plan.tap.pendo.calls.counts} == {"/api/v1/token/verify"}


def test_visitor_history_is_about_a_call_for_each_day_and_visitor(
    plan: Planner, tmp_path: Path
) -> None:
    start = (NOW - timedelta(days=3)).isoformat()
    select = ("visitor_history",)
    with serve(World(events_per_day=20, visitors=200, clock=plan.tap.pendo.clock)) as few:
        plan = Planner(TapRunner(few), tmp_path)
        planned = plan.streams(select=select, start_date=start)["visitor_history"]
        few.calls.clear()
        output = plan.tap.run(select=select, start_date=start)

    assert planned["windows"] == windows_read(output, "visitor_history")
    made = sum(few.calls.counts.values())
    assert planned["calls_about"]
    assert planned["calls"] == pytest.approx(made, rel=0.25)
    assert len(planned["windows"]) == 2


def test_what_is_refused_is_told_in_pendos_words_and_the_plan_goes_on(plan: Planner) -> None:
    sources = {"visitors": "visitors", "events": "events", "product_areas": "groups"}
    for status, source in zip((403, 400, 400), sources.values(), strict=True):
        fault = {"kind": "status", "status": status, "source": source, "text": f"no {source}"}
        plan.tap.pendo.faults.add({**fault, "times": None})

    result = plan.said()
    found = plan.streams()

    assert result.exit_code == 0
    for name, source in sources.items():
        assert f"no {source}" in found[name]["problem"]
        assert f"{name}: {found[name]['problem']}" in result.stdout.splitlines()
        assert found[name]["rows"] is None
    assert found["events"]["windows"]
    assert found["page_events"]["rows"] > 0


def test_what_is_read_in_another_way_is_counted_in_that_way(plan: Planner) -> None:
    fault = {"kind": "status", "status": 400, "source": "apps", "times": None}
    plan.tap.pendo.faults.add(fault)

    planned = plan.streams()["applications"]
    output = plan.tap.run(select=("applications",))

    assert (planned["calls"], planned["problem"]) == (2, None)
    assert planned["rows"] == len(output.records("applications")) > 0


def test_what_pendo_cannot_count_at_once_is_counted_in_halves(plan: Planner) -> None:
    rows = plan.streams(select=("feature_events",))["feature_events"]["rows"]
    fault = {"kind": "status", "status": 500, "source": "featureEvents", "times": None}
    plan.tap.pendo.faults.add({**fault, "hours": 10 * 24})

    in_halves = plan.streams(select=("feature_events",))["feature_events"]

    assert in_halves["rows"] == rows
    assert in_halves["problem"] is None


def test_what_pendo_never_counts_is_planned_by_days(plan: Planner) -> None:
    fault = {"kind": "status", "status": 500, "source": "featureEvents", "times": None}
    plan.tap.pendo.faults.add(fault)

    planned = plan.streams(select=("feature_events",))["feature_events"]

    assert planned["rows"] is None
    assert "500" in planned["problem"]
    assert planned["calls"] == len(planned["windows"]) == 51


def test_a_state_that_cannot_be_gone_on_from_is_told(plan: Planner) -> None:
    marks = {"covered_from": "2026-03-01T00:00:00Z", "covered_to": "2026-03-02T00:00:00Z"}
    state = {"bookmarks": {"page_events": {**marks, "period": "day in UTC"}}}

    found = plan.streams(state=state)

    assert "setting `period`" in found["page_events"]["problem"]
    assert found["page_events"]["calls"] is None
    assert found["feature_events"]["problem"] is None


def test_people_get_a_table_with_a_total_and_what_was_assumed(plan: Planner) -> None:
    whole = plan.whole(select=("events", "visitors"))
    lines = plan.said("--plan", select=("events", "visitors")).stdout.splitlines()

    assert lines[0].split() == ["stream", "from", "to", "windows", "calls", "rows", "minutes"]
    (events,) = (line for line in lines if line.startswith("events "))
    entry = next(each for each in whole["streams"] if each["stream"] == "events")
    assert events.split()[1:5] == ["2026-01-20", "00:00", "2026-03-11", "12:00"]
    assert events.split()[5:8] == [
        f"{value:,}" for value in (len(entry["windows"]), entry["calls"], entry["rows"])
    ]
    (total,) = (line for line in lines if line.startswith("total "))
    sums = (whole["windows"], whole["calls"], whole["rows"])
    assert total.split()[1:4] == [f"{value:,}" for value in sums]
    assert {len(line) for line in lines[: lines.index(total) + 1]} == {len(total)}
    assert "8,000 rows a second" in "\n".join(lines[lines.index(total) :])


def test_settings_may_come_from_the_environment(
    plan: Planner, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in plan.tap.config.items():
        monkeypatch.setenv(f"TAP_PENDO_{name.upper()}", str(value))
    result, _ = plan.tap.cli(plan.folder, "--plan", "--config", "ENV")
    assert result.exit_code == 0
    assert "\nvisitors " in result.stdout


def test_a_refused_key_and_bad_settings_end_in_one_line(
    plan: Planner, caplog: pytest.LogCaptureFixture
) -> None:
    plan.tap.pendo.faults.add({"kind": "verify", "times": None})
    assert plan.said().exit_code == 1
    assert "Pendo refuses the `integration_key`" in caplog.records[-1].message

    result = plan.said(timezone="Mars/xyzzy")
    assert result.exit_code == 1
    assert caplog.records[-1].message.startswith("setting `timezone` must be")
    assert result.stdout == ""
