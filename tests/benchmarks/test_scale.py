"""The arithmetic of docs/scale.md: by hand, against how the tap cuts, and against real runs."""

from __future__ import annotations

import dataclasses
import json
import re
import subprocess
import sys
import typing as t
from datetime import timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from tap_pendo.calendar import EPOCH, HOUR, Grid, Length, Window, plan
from tap_pendo.reading.plan import windowed

from benchmarks import figures, messages
from benchmarks.running import measured, program, serving
from benchmarks.scale import cutting, reckoning, telling
from benchmarks.scale.cases import Case
from benchmarks.scale.costs import Costs, costs
from benchmarks.suites.pendo import Pendo

ROOT = Path(__file__).parents[2]
KEPT = figures.read(ROOT / "docs" / "benchmarks.json")
# round figures, so that what follows from them is seen
COSTS = Costs(
    start=3,
    start_seconds=4,
    run_memory=500,
    answer_bytes=500,
    tap=10e-6,
    meltano=5e-6,
    load=50e-6,
    load_again=60e-6,
    database=30e-6,
    database_again=40e-6,
    table_bytes=900,
    index_bytes=100,
    state_bytes=200,
    record=20e-6,
    record_again=10e-6,
    post_bytes=200,
    item_bytes=300,
    total_bytes=100,
    info_bytes=50,
    end_user=10e-6,
)
# 240,000 rows a day of one stream, at all hours alike
EVEN = Case(events=365 * 240_000, streams=1, events_per_row=1, hours_per_day=24, rows_per_item=3)


def scale(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the command."""
    command = [sys.executable, "-m", "benchmarks.scale", *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


# By hand


@pytest.mark.parametrize(
    ("changes", "days"),
    [
        ({}, (23 * 13 + 73) / 24),
        ({"runs_per_day": 4}, (3 * 18 + 78) / 24),
        ({"runs_per_day": 1}, 4),
        ({"lookback_hours": 0, "lookback_days": 0}, 1),
        ({"lookback_hours": 3, "lookback_days": 1}, (23 * 4 + 25) / 24),
        # rows of a day are a third as many; each run reads the last day again, the first three
        ({"period": "day"}, (23 * 1 + 3 + 1) / 3),
        ({"period": "day", "runs_per_day": 1}, 4 / 3),
    ],
)
def test_a_day_reads_what_is_new_and_its_look_backs(changes: dict[str, t.Any], days: float) -> None:
    found = reckoning.upkeep(dataclasses.replace(EVEN, **changes), COSTS)

    assert found.rows == pytest.approx(days * 240_000, rel=1e-4)


def test_a_history_is_rows_calls_bytes_and_seconds() -> None:
    found = reckoning.history(dataclasses.replace(EVEN, years=10 / 365), COSTS)

    rows = 2_400_000
    assert found.rows == rows
    # eight windows of 3 hours a day fit a page each; the first, of a day, take six calls
    assert 70 < found.calls < 90
    assert found.size == rows * 500
    assert found.load_seconds == pytest.approx(rows * 80e-6)
    assert found.seconds == pytest.approx(4 + rows * 80e-6)
    assert found.slowest == "target-postgres"
    assert (found.table_size, found.index_size) == (rows * 900, rows * 100)
    assert found.items == rows / 3
    assert found.posts == rows / 3 / 2500
    assert found.planhat_seconds == pytest.approx(rows * 20e-6)
    assert found.ledger_size == pytest.approx(rows * 150 + rows / 3 * 300)


@pytest.mark.parametrize(
    ("changes", "slowest"),
    [
        ({"seconds_per_call": 60}, "Pendo"),
        ({"calls_per_second": 0.1}, "Pendo"),
        ({"megabytes_per_second": 0.5}, "Pendo"),
        ({}, "target-postgres"),
        ({"partitions": 8}, "workers' cores"),
        ({"partitions": 8, "workers": 8, "database_cores": 1}, "PostgreSQL's cores"),
        ({"partitions": 64, "workers": 64, "database_cores": 99, "calls_per_second": 2}, "Pendo"),
    ],
)
def test_a_history_is_as_fast_as_its_slowest_part(changes: dict[str, t.Any], slowest: str) -> None:
    case = dataclasses.replace(EVEN, **changes)

    found = reckoning.history(case, COSTS)

    assert found.slowest == slowest
    assert found.rows == reckoning.history(EVEN, COSTS).rows


@pytest.mark.parametrize(
    ("changes", "wall"),
    [
        ({"tenants": 10_000, "events": 1e5}, "workers' cores"),
        ({"events": 1e10, "seconds_per_call": 30}, "Pendo"),
        ({"events": 1e10}, "target-postgres"),
        ({"end_users": 100_000_000}, "Planhat's REST quota"),
        (
            {"tenants": 1000, "workers": 1000, "memory": 0.1, "database_cores": 1000},
            "workers' memory",
        ),
        ({"tenants": 1000, "workers": 1000, "database_cores": 1}, "PostgreSQL's cores"),
    ],
)
def test_the_wall_is_what_is_used_most(changes: dict[str, t.Any], wall: str) -> None:
    assert reckoning.upkeep(dataclasses.replace(EVEN, **changes), COSTS).wall == wall


def test_a_start_costs_each_tenant_the_same_however_little_it_has() -> None:
    case = dataclasses.replace(EVEN, events=1, end_users=0)

    assert reckoning.upkeep(case, COSTS).cpu == pytest.approx(2 * 24 * 3, rel=1e-3)


@pytest.mark.parametrize(("each", "at"), [(1 / 5000, 5000), (1e-20, None)])
def test_a_wall_stands_where_all_is_used(each: float, at: float | None) -> None:
    found = reckoning.stands_at(lambda number: number * each, 1e12)

    assert found == (at and pytest.approx(at, rel=0.01))


# Against the tap


@pytest.mark.parametrize("newest_first", [True, False])
@pytest.mark.parametrize("hourly", [1, 40, 700, 3000, 25_000, 60_000])
@pytest.mark.parametrize("by_day", [True, False])
@pytest.mark.parametrize(("start", "end"), [(0, 24 * 20), (31, 24 * 9 + 17), (5, 18)])
def test_time_is_cut_as_the_tap_plans_it(
    *, start: int, end: int, by_day: bool, hourly: int, newest_first: bool
) -> None:
    if by_day:
        start, end = 24 * (start // 24), 24 * -(-end // 24)
    grid = Grid("day" if by_day else "hour", ZoneInfo("UTC"))
    first, last = EPOCH + start * HOUR, EPOCH + end * HOUR
    order: t.Any = "newest_first" if newest_first else "oldest_first"
    planned = plan(grid, None, start=first, end=last, lookback=timedelta(), order=order)
    spread = [(Window(EPOCH + n * HOUR, EPOCH + (n + 1) * HOUR), hourly) for n in range(start, end)]
    length = Length(grid.period)

    _, windows, calls = windowed(planned, length, [], spread, width=4, page_size=50_000)
    found = list(
        cutting.windows(
            start,
            end,
            lambda hour: hour * hourly,
            page_size=50_000,
            width=4,
            by_day=by_day,
            newest_first=newest_first,
        )
    )

    bounds = [(EPOCH + one.start * HOUR, EPOCH + one.end * HOUR) for one in found]
    assert bounds == [(one.start, one.end) for one in windows]
    assert cutting.calls(found, 50_000) == calls


def test_runs_of_the_tap_take_what_is_reckoned(tmp_path: Path) -> None:
    """Rows within a fifth; bytes within a third, calls within 2.5 times.

    The first page of a window may come twice, and an emulated week is not even.
    """
    days = 14
    server = ("--port", "0", "--now", "2026-03-20T00:00:00Z", "--events-per-day", 600)
    unit_costs, per_row = costs(KEPT), KEPT["units"].amount("row of the emulated product")
    assert unit_costs
    with serving("pendo_emulator", *server) as served:
        pendo = Pendo({**served, "end": "2026-03-16T00:00:00+00:00"}, days, tmp_path)
        for page_size in (100, 400, 10_000):
            command = pendo.ours("sync_windows", "feature_events", page_size=page_size)
            done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
            messages_of_it = map(json.loads, done.stdout.splitlines())
            read = [one["record"] for one in messages_of_it if one["type"] == "RECORD"]
            windows = [record for record in read if "calls" in record]
            rows, calls, events = (
                sum(one[name] for one in windows) for name in ("rows", "calls", "num_events")
            )
            (megabytes,) = re.findall(r"feature_events: ok; .* ([\d.]+) MB", done.stderr)

            case = Case(
                events=events * 365 / days,
                years=days / 365,
                streams=1,
                events_per_row=per_row,
                page_size=page_size,
            )
            found = reckoning.history(case, unit_costs)

            assert found.rows == pytest.approx(rows, rel=0.2)
            assert calls / 2.5 <= found.calls <= calls * 2.5
            assert found.size / 1e6 == pytest.approx(float(megabytes), rel=0.33)


def test_a_ledger_is_as_large_as_is_reckoned(tmp_path: Path) -> None:
    """Within a quarter: each table of SQLite has a page that is not full."""
    records, together = 45_000, 3
    ledger = tmp_path / "ledger.db"
    with serving("benchmarks.receiving") as served:
        settings = {
            "analytics_url": served["url"],
            "tenant_token": served["tenant_token"],
            "ledger_url": f"sqlite:///{ledger}",
            "activities": [{"stream": "feature_events", "info": {"minutes": "num_minutes"}}],
        }
        (tmp_path / "config.json").write_text(json.dumps(settings))
        feeder = program("benchmarks.messages", "--rows", records, "--together", together)
        target = program("target_planhat", "--config", tmp_path / "config.json")
        measured(target, given=feeder)
    unit_costs = costs(KEPT)
    assert unit_costs

    found = reckoning.ledger(unit_costs, records, messages.activities(records, together))

    assert found == pytest.approx(ledger.stat().st_size, rel=0.25)


# The command


def test_the_command_prints_what_the_document_quotes() -> None:
    done = scale()

    assert done.returncode == 0, done.stderr
    assert [line for line in done.stdout.splitlines() if line in telling.TITLES] == list(
        telling.TITLES
    )
    assert "10,000,000,000" in done.stdout


def test_a_reader_asks_for_a_case_of_their_own() -> None:
    done = scale("--events", "1e9", "--tenants", "20", "--runs-per-day", "4", "--period", "day")

    assert done.returncode == 0, done.stderr
    assert re.search(r"^ +1,000,000,000 +20 ", done.stdout, re.MULTILINE)
    assert "what is used of each resource" in done.stdout


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--events", "none"), "argument --events: it must be a number from 1 to 1e+13"),
        (("--events", "nan"), "argument --events: it must be a number from 1 to 1e+13"),
        (("--tenants", "1.5"), "argument --tenants: it must be a whole number from 1 to 1e+06"),
        (
            ("--hours-per-day", "25"),
            "argument --hours-per-day: it must be a whole number from 1 to 24",
        ),
        (("--period", "week"), "argument --period: invalid choice: 'week' (choose from"),
    ],
)
def test_what_cannot_be_is_refused_in_one_line(arguments: tuple[str, ...], said: str) -> None:
    done = scale(*arguments)

    assert done.returncode == 2
    assert done.stderr.splitlines()[-1].startswith(f"./do dev scale: error: {said}")
