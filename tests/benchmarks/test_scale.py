"""The arithmetic of docs/scale.md: by hand, and against how the tap cuts time."""

from __future__ import annotations

import dataclasses
import subprocess
import sys
from datetime import timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from tap_pendo.calendar import EPOCH, HOUR, Grid, Length, Window, plan
from tap_pendo.reading.plan import windowed

from benchmarks import scale

ROOT = Path(__file__).parents[2]
# 240,000 rows a day of one stream, at all hours alike
EVEN = scale.Case(
    events=365 * 240_000, streams=1, events_per_row=1, hours_per_day=24, rows_per_item=3
)


@pytest.mark.parametrize(
    ("changes", "days"),
    [
        ({}, (23 * 13 + 73) / 24),
        ({"runs_per_day": 4}, (3 * 18 + 78) / 24),
        ({"runs_per_day": 1}, 4),
        ({"lookback_hours": 3, "lookback_days": 1}, (23 * 4 + 25) / 24),
    ],
)
def test_a_day_reads_what_is_new_and_its_look_backs(changes: dict[str, float], days: float) -> None:
    found = scale.upkeep(dataclasses.replace(EVEN, **changes))

    assert found.rows == pytest.approx(days * 240_000)
    assert found.again == pytest.approx(1 - 1 / days)


def test_a_history_is_rows_seconds_and_activities() -> None:
    found = scale.history(dataclasses.replace(EVEN, years=10 / 365))

    assert found.rows == pytest.approx(2_400_000)
    assert found.seconds[scale.PIPE] == pytest.approx(2_400_000 * (196 + 51) * 1e-6)
    assert found.seconds[scale.CORES] == pytest.approx(2_400_000 * (33 + 18.3 + 196) * 1e-6 / 2)
    assert found.items == pytest.approx(800_000)


@pytest.mark.parametrize(
    ("changes", "slowest"),
    [
        ({"seconds_per_call": 60}, scale.PENDO),
        ({"calls_per_second": 0.1}, scale.PENDO),
        ({"megabytes_per_second": 0.5}, scale.PENDO),
        ({}, scale.PIPE),
        ({"partitions": 8}, scale.CORES),
    ],
)
def test_a_history_takes_as_long_as_its_slowest_part(
    changes: dict[str, float], slowest: str
) -> None:
    seconds = scale.history(dataclasses.replace(EVEN, **changes)).seconds

    assert max(seconds, key=lambda name: seconds[name]) == slowest


def test_a_start_costs_each_tenant_the_same_however_little_it_has() -> None:
    found = scale.upkeep(dataclasses.replace(EVEN, events=1, end_users=1))

    assert found.cpu == pytest.approx(2 * 24 * 6.72, rel=1e-3)


def test_a_limit_is_where_all_is_used() -> None:
    at = scale.stands_at(scale.CORES, EVEN, "tenants")

    assert scale.upkeep(dataclasses.replace(EVEN, tenants=at)).shares[scale.CORES] == pytest.approx(
        1, rel=1e-6
    )


@pytest.mark.parametrize("hourly", [1, 40, 700, 3000, 25_000, 120_000])
def test_a_history_takes_about_as_many_calls_as_the_tap_plans(hourly: int) -> None:
    """Within two and a half times: the tap has to learn how long windows may be."""
    days = 30
    grid = Grid("hour", ZoneInfo("UTC"))
    end = EPOCH + days * 24 * HOUR
    planned = plan(grid, None, start=EPOCH, end=end, lookback=timedelta(), order="newest_first")
    spread = [(Window(EPOCH + n * HOUR, EPOCH + (n + 1) * HOUR), hourly) for n in range(days * 24)]
    case = dataclasses.replace(EVEN, events=365 * 24 * hourly)

    _, _, calls = windowed(planned, Length(grid.period), [], spread, width=4, page_size=50_000)

    assert calls / 2.5 <= scale.calls(case, days * 24) <= calls * 2.5


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the command."""
    command = [sys.executable, "-m", "benchmarks.scale", *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


def test_a_reader_asks_for_a_case_of_their_own() -> None:
    done = run("--events", "3e9", "--tenants", "20", "--runs-per-day", "4")

    assert done.returncode == 0, done.stderr
    assert [line for line in done.stdout.splitlines() if line in scale.TITLES] == [*scale.TITLES]
    assert "\n3,000,000,000          20 " in done.stdout


@pytest.mark.parametrize("said", ["none", "nan", "0", "1e15"])
def test_what_cannot_be_is_refused_in_one_line(said: str) -> None:
    done = run("--events", said)

    assert done.returncode == 2
    assert done.stderr.splitlines()[-1] == (
        "./do dev scale: error: argument --events: it must be a number above 0"
    )
