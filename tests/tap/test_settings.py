"""Every setting acts: shown through the command line."""

from __future__ import annotations

import dataclasses
import json
import typing as t
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from pendo_emulator.server import serve
from pendo_emulator.world import World
from tap_pendo.calendar import UTC, from_text, to_ms
from tap_pendo.config.settings import Settings

if t.TYPE_CHECKING:
    from collections.abc import Callable

    from tests.conftest import Output, TapRunner

OWN_SETTINGS = {f.name for f in dataclasses.fields(Settings)} - {"base_url", "zone"}
DAY_AGO = "2026-03-10T12:00:00Z"
Cli = t.Any


@pytest.fixture
def cli(tap: TapRunner, tmp_path: Path) -> Callable[..., Output]:
    """Run the command line to its good end; the messages come back."""

    def run(**settings: t.Any) -> Output:
        result, output = tap.cli(tmp_path, **{"start_date": DAY_AGO, **settings})
        assert result.exit_code == 0, result.output
        return output

    return run


def windows(output: Output, stream: str = "feature_events") -> list[tuple[str, str]]:
    found = [w for w in output.records("sync_windows") if w["stream"] == stream]
    return sorted((w["window_start"][:16], w["window_end"][:16]) for w in found)


def test_api_url_and_integration_key(cli: Cli, tap: TapRunner) -> None:
    """The configured host is asked with the configured key; another key is refused elsewhere."""
    assert cli().records("features")
    assert tap.pendo.calls.counts["/api/v1/feature", ""] == 1


def test_region(cli: Cli, tap: TapRunner, monkeypatch: pytest.MonkeyPatch) -> None:
    with serve(tap.pendo.world, region="eu", keys=tap.pendo.keys) as europe:
        monkeypatch.setattr(
            "tap_pendo.config.settings.REGIONS", {"us": tap.pendo.url, "eu": europe.url}
        )
        tap.pendo.calls.clear()
        key = tap.pendo.other_region_key
        assert cli(api_url=None, region="eu", integration_key=key).records("features")
        assert not tap.pendo.calls.counts


def test_start_date(cli: Cli) -> None:
    output = cli(start_date="2026-03-10T21:20:00Z")
    assert windows(output)[0][0] == "2026-03-10T22:00"
    assert min(r["hour"] for r in output.records("feature_events")) >= "2026-03-10T22"


def test_start_date_by_default_is_three_months_back_and_then_stays(
    cli: Cli, tap: TapRunner, tmp_path: Path
) -> None:
    with serve(World(events_per_day=20, visitors=100, clock=tap.pendo.clock)) as quiet:
        tap.config |= {"api_url": quiet.url, "integration_key": quiet.key}
        first = cli(start_date=None, lookback_days=0)
        tap.pendo.clock.advance(40 * 86400)
        _, second = tap.cli(tmp_path, state=first.state, start_date=None)
    assert windows(first)[0][0] == "2025-12-11T12:00"
    marks = second.state["bookmarks"]["feature_events"]
    assert marks["start"] == marks["covered_from"] == "2025-12-11T12:00:00.000Z"


def test_end_date(cli: Cli, tap: TapRunner) -> None:
    """Partitions that adjoin, also inside an hour, share no bucket and miss none."""
    cut = "2026-03-11T03:17:00Z"
    left = cli(end_date=cut)
    right = cli(start_date=cut)
    assert windows(left)[-1][1] == windows(right)[0][0] == "2026-03-11T04:00"
    rows = [r for part in (left, right) for r in part.records("feature_events")]
    assert len({r["row_id"] for r in rows}) == len(rows)
    now = tap.pendo.clock.now()
    expected = tap.pendo.world.sums(
        "featureEvents", to_ms(from_text(DAY_AGO)), now - now % 3_600_000
    )
    assert sum(r["num_events"] for r in rows) == sum(expected.values())


def test_app_ids(cli: Cli) -> None:
    every = cli()
    apps = {r["app_id"] for r in every.records("feature_events")}
    assert len(apps) > 1
    output = cli(app_ids=[-323232])
    for stream in ("features", "pages", "track_types", "feature_events", "events", "page_events"):
        assert {r["app_id"] for r in output.records(stream)} == {-323232}
    assert [r["id"] for r in output.records("applications")] == [-323232]
    assert all(
        -323232 in {r["app_id"], *(r.get("app_ids") or ())} for r in output.records("guides")
    )
    assert {w["app_ids"] for w in output.records("sync_windows")} == {"-323232"}
    assert len(output.records("visitors")) == len(every.records("visitors"))


@pytest.mark.some(1)
@pytest.mark.parametrize("zone", ["UTC", "America/New_York", "Asia/Kolkata"])
def test_period_and_timezone(zone: str, tap: TapRunner, tmp_path: Path) -> None:
    world = World(events_per_day=60, visitors=80, time_zone=zone, clock=tap.pendo.clock)
    # lets the truth count from half past, where days begin in India
    world.knobs.hour_alignment = "local"
    with serve(world) as pendo:
        tap.config |= {"api_url": pendo.url, "integration_key": pendo.key}
        settings = {"period": "day", "timezone": zone, "start_date": "2026-03-06"}
        result, output = tap.cli(tmp_path, **settings)
        assert result.exit_code == 0
        rows = output.records("feature_events")
        assert rows[0].get("hour") is None
        days = {from_text(r["day"]) for r in rows}
        start, end = min(days), from_text(output.state["bookmarks"]["feature_events"]["covered_to"])
        # the day of 23 hours in New York is one of them
        assert len(days) == round((end - start) / timedelta(days=1))
        expected = world.sums("featureEvents", to_ms(start), to_ms(end))
        assert sum(r["num_events"] for r in rows) == sum(expected.values())


def test_another_period_is_refused_as_its_rows_would_count_twice(
    cli: Cli, tap: TapRunner, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    hours = cli(start_date="2026-03-08")
    result, days = tap.cli(tmp_path, state=hours.state, period="day", start_date="2026-03-08")
    assert result.exit_code == 1
    assert "setting `period` (for days also `timezone`) is not that of the state" in caplog.text
    assert not days.records("feature_events")
    # single events have no period
    assert days.records("guide_events")
    anew = cli(start_date="2026-03-08", period="day")
    ids = {r["row_id"] for r in hours.records("feature_events")}
    assert not ids & {r["row_id"] for r in anew.records("feature_events")}


def test_a_start_in_the_future_is_told(cli: Cli, caplog: pytest.LogCaptureFixture) -> None:
    assert not cli(start_date="2027-01-01").records("events")
    assert "`start_date` is in the future" in caplog.text


def test_a_timezone_that_is_not_the_subscriptions(
    tap: TapRunner, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    settings = {"period": "day", "timezone": "Europe/Berlin", "start_date": "2026-03-06"}
    result, _ = tap.cli(tmp_path, **settings)
    assert result.exit_code == 1
    assert "do not begin at midnight in `timezone`" in caplog.text


def test_hours_off_the_hour_ask_for_the_timezone(
    tap: TapRunner, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    world = World(events_per_day=60, visitors=80, time_zone="Asia/Kolkata", clock=tap.pendo.clock)
    world.knobs.hour_alignment = "local"
    with serve(world) as pendo:
        tap.config |= {"api_url": pendo.url, "integration_key": pendo.key}
        result, _ = tap.cli(tmp_path)
    assert result.exit_code == 1
    assert "set `timezone`" in caplog.text


@pytest.mark.some(2)
@pytest.mark.parametrize(
    ("hours_later", "days", "hours", "first_window"),
    [
        (1, 3, 12, "2026-03-11T00:00"),
        (1, 3, 30, "2026-03-10T06:00"),
        (1, 3, 0, "2026-03-11T12:00"),
        (13, 3, 12, "2026-03-08T12:00"),
        (13, 1.5, 12, "2026-03-10T00:00"),
        (13, 0, 12, "2026-03-11T12:00"),
    ],
)
def test_lookback(  # the first run of a UTC day reads days again, the others hours
    hours_later: int, days: float, hours: float, first_window: str, tap: TapRunner, tmp_path: Path
) -> None:
    _, first = tap.cli(tmp_path, start_date="2026-03-07")
    tap.pendo.clock.advance(hours_later * 3600)
    settings = {"lookback_days": days, "lookback_hours": hours, "start_date": "2026-03-07"}
    _, second = tap.cli(tmp_path, state=first.state, **settings)
    assert windows(second)[0][0] == first_window


def test_backfill_order(cli: Cli) -> None:
    def order(output: Output) -> list[str]:
        found = [w for w in output.records("sync_windows") if w["stream"] == "events"]
        return [w["window_start"] for w in found]

    oldest = order(cli(start_date="2026-03-08", backfill_order="oldest_first"))
    newest = order(cli(start_date="2026-03-08"))
    assert oldest == sorted(oldest)
    assert newest == oldest[::-1]


def test_include_anonymous_visitors(cli: Cli, tap: TapRunner, tmp_path: Path) -> None:
    def anonymous(output: Output) -> int:
        visitors = output.records("visitors")
        return sum(v["visitor_id"].startswith("_PENDO_T_") for v in visitors)

    without = cli()
    assert anonymous(without) == 0
    # events are complete in either case
    assert [r for r in without.records("events") if r["visitor_id"].startswith("_PENDO_T_")]
    everybody = anonymous(cli(include_anonymous_visitors=True))
    assert everybody > 10
    # switched on later, those of the past come too
    _, later = tap.cli(tmp_path, state=without.state, include_anonymous_visitors=True)
    assert anonymous(later) == everybody


def test_exclude_list(cli: Cli, tap: TapRunner) -> None:
    def visitors(output: Output) -> set[str]:
        return {r["visitor_id"] for r in output.records("events")}

    excluded = tap.pendo.world.people.excluded
    start = "2026-03-05"
    assert not visitors(cli(start_date=start)) & excluded
    assert visitors(cli(start_date=start, exclude_list="ignore")) & excluded


@pytest.mark.parametrize("concurrency", [1, 3])
def test_concurrency(concurrency: int, cli: Cli, tap: TapRunner) -> None:
    delay = {"kind": "delay", "seconds": 0.05, "times": None, "source": "events"}
    tap.pendo.faults.add(delay)
    cli(start_date="2026-03-05", concurrency=concurrency)
    assert tap.pendo.calls.most_at_once == concurrency


def test_max_calls_per_second(cli: Cli, tap: TapRunner) -> None:
    cli(start_date="2026-03-11T06:00Z", max_calls_per_second=4)
    assert tap.pendo.calls.most_per_second["/api/v1/aggregation"] <= 5


def test_request_timeout(
    tap: TapRunner,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("tap_pendo.api.client.MAX_TRIES", 2)
    tap.pendo.faults.add({"kind": "delay", "seconds": 1, "times": 1, "source": "pageEvents"})
    result, output = tap.cli(tmp_path, request_timeout=0.3, start_date="2026-03-11T06:00Z")
    assert "ReadTimeout" in caplog.text
    assert result.exit_code == 0
    assert output.records("page_events")


def test_page_size(cli: Cli, tap: TapRunner) -> None:
    cli()
    one = tap.pendo.calls.counts["/api/v1/aggregation", "visitors"]
    tap.pendo.calls.clear()
    cli(page_size=100)
    assert one == 1
    assert (
        tap.pendo.calls.counts["/api/v1/aggregation", "visitors"] == 6
    )  # four, one counts, and the first again


def test_record_format(cli: Cli) -> None:
    assert isinstance(cli().records("pages")[0]["rules"], list)
    assert isinstance(cli(record_format="flat").records("pages")[0]["rules"], str)


def test_aggregations(cli: Cli) -> None:
    entry = {
        "name": "apps_used",
        "primary_keys": ["appId"],
        "pipeline": [
            {"source": {"apps": None}},
            {"filter": "eventRate >= 0.0 || isNull(eventRate)"},
            {"select": {"appId": "id"}},
        ],
    }
    assert len(cli(aggregations=[entry]).records("apps_used")) == 4
    # from the environment it comes as text
    assert len(cli(aggregations=json.dumps([entry])).records("apps_used")) == 4


def test_agent_ids(tap: TapRunner) -> None:
    output = tap.run(select=("agentic_events",), agent_ids=["agent-atlas-admin"])
    assert {r["agent_id"] for r in output.records("agentic_events")} == {"agent-atlas-admin"}


def test_report_ids(cli: Cli, tap: TapRunner) -> None:
    reports = tap.pendo.world.listed("report", tap.pendo.clock.now())
    (report,) = (r for r in reports if r["name"] == "Page views by day")
    output = cli(report_ids=[report["id"]])
    name = "report_results_" + report["id"].replace("-", "_")
    assert output.records(name)


def test_costly_streams(cli: Cli) -> None:
    assert not cli().records("server_names")
    assert cli(costly_streams=["server_names"]).records("server_names")
    assert cli(costly_streams='["server_names"]').records("server_names")


def test_settings_that_are_null_or_empty_are_not_set(tap: TapRunner) -> None:
    config = {**tap.config, "region": None, "timezone": "", "end_date": "", "page_size": None}
    made = type(tap.tap())(config=config, setup_mapper=False)
    assert made.run.settings.region == "us"
    assert made.run.settings.page_size == 50_000
    made.run.client.close()


def test_every_setting_has_a_test_here() -> None:
    source = Path(__file__).read_text(encoding="utf-8")
    assert [name for name in OWN_SETTINGS if name not in source] == []


def test_dates_are_utc_unless_they_say_otherwise(cli: Cli) -> None:
    assert windows(cli(start_date="2026-03-11T02:00:00+05:30"))[0][0] == "2026-03-10T21:00"
    assert datetime(2026, 3, 11, tzinfo=UTC) == from_text("2026-03-11")
