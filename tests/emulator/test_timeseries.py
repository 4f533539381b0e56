"""Which buckets a timeSeries means: DST days, half-hour zones, counts."""

from itertools import pairwise
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from emulation.clock import format_moment, parse_moment
from pendo_emulator.access import Refused
from pendo_emulator.pipeline.expressions import scope
from pendo_emulator.pipeline.request import Surroundings
from pendo_emulator.pipeline.timeseries import Window, read_window
from pendo_emulator.product.calendar import HOUR, Calendar


def window(
    series: dict[str, Any],
    zone: str = "UTC",
    now: str = "2026-11-20T10:30:00Z",
    alignment: str = "utc",
) -> Window:
    calendar, moment = Calendar(ZoneInfo(zone), alignment), parse_moment(now)
    return read_window(series, calendar, moment, scope(Surroundings(moment, calendar)))


def shown(found: Window) -> list[str]:
    """Return the buckets' starts, as yy-mm-ddThh:mm; midnight is left out."""
    return [format_moment(start)[2:16].removesuffix("T00:00") for start, _ in found.buckets()]


def ms(text: str) -> int:
    return parse_moment(text)


THREE, FOUR = ms("2026-11-02T15:59Z"), ms("2026-11-02T16:00Z")


@pytest.mark.parametrize(
    ("period", "first", "extent", "starts"),
    [
        # first is rounded down; last includes its period
        ("dayRange", ms("2026-11-02T15:00Z"), {"count": 2}, ["26-11-02", "26-11-03"]),
        ("dayRange", ms("2026-11-02T15:00Z"), {"last": ms("2026-11-03")}, ["26-11-02", "26-11-03"]),
        ("dayRange", ms("2026-11-02"), {"last": ms("2026-11-03") - 1}, ["26-11-02"]),
        ("hourRange", THREE, {"last": FOUR}, ["26-11-02T15:00", "26-11-02T16:00"]),
        # a negative count means the periods before the one of first
        ("dayRange", "now()", {"count": -1}, ["26-11-19"]),
        ("hourRange", "now()", {"count": -2}, ["26-11-20T08:00", "26-11-20T09:00"]),
        # nothing lies after now
        ("hourRange", "now()", {"count": 5}, ["26-11-20T10:00"]),
        ("hourRange", "now()", {"last": "dateAdd(now(), 3, `days`)"}, ["26-11-20T10:00"]),
        ("dayRange", ms("2026-12-01"), {"count": 3}, []),
        ("dayRange", ms("2026-11-03"), {"last": ms("2026-11-01")}, []),
        # weeks begin on Sunday, months on the 1st
        ("weekRange", ms("2026-11-04"), {"count": 2}, ["26-11-01", "26-11-08"]),
        ("monthRange", ms("2026-09-15"), {"last": "now()"}, ["26-09-01", "26-10-01", "26-11-01"]),
        ("quarterRange", ms("2026-03-31"), {"count": 3}, ["26-01-01", "26-04-01", "26-07-01"]),
        ("quarterRange", "now()", {"count": -4}, ["25-10-01", "26-01-01", "26-04-01", "26-07-01"]),
        # first may be a text
        ("dayRange", str(ms("2026-11-02")), {"count": 1}, ["26-11-02"]),
        ("dayRange", "date(2026,11,2)", {"count": 1}, ["26-11-02"]),
        ("dayRange", 'date("26-11-02")', {"count": 1}, ["26-11-02"]),
        ("dayRange", "now() - 2*24*60*60*1000", {"count": 1}, ["26-11-18"]),
        ("dayRange", 'startOfPeriod("daily", now())', {"count": 1}, ["26-11-20"]),
    ],
)  # fmt: skip
def test_windows_in_utc(period: str, first: Any, extent: dict[str, Any], starts: list[str]) -> None:
    assert shown(window({"period": period, "first": first, **extent})) == starts


@pytest.mark.parametrize(
    ("zone", "day", "start", "hours"),
    [
        ("UTC", "2026-03-08", "2026-03-08T00:00", 24),
        ("America/New_York", "2026-03-08", "2026-03-08T05:00", 23),
        ("America/New_York", "2026-03-09", "2026-03-09T04:00", 24),
        ("America/New_York", "2025-11-02", "2025-11-02T04:00", 25),
        ("Asia/Kolkata", "2026-03-08", "2026-03-07T18:30", 24),
        ("Asia/Kathmandu", "2026-03-08", "2026-03-07T18:15", 24),
        ("Australia/Lord_Howe", "2026-04-05", "2026-04-04T13:00", 24.5),
        ("America/Sao_Paulo", "2018-11-04", "2018-11-04T03:00", 23),  # it has no midnight
    ],
)
def test_days_are_local(zone: str, day: str, start: str, hours: float) -> None:
    year, month, date = map(int, day.split("-"))
    first = f"date({year},{month},{date},12)"
    found = window({"period": "dayRange", "first": first, "count": 1}, zone)
    ((begin, end),) = found.buckets()

    assert format_moment(begin)[:16] == start
    assert (end - begin) / HOUR == hours
    assert found.start_time == begin


@pytest.mark.parametrize(
    ("zone", "alignment", "start"),
    [
        ("UTC", "local", "2026-03-08T10:00"),
        ("America/New_York", "local", "2026-03-08T10:00"),
        ("Asia/Kolkata", "utc", "2026-03-08T10:00"),
        ("Asia/Kolkata", "local", "2026-03-08T09:30"),
        ("Asia/Kathmandu", "local", "2026-03-08T10:15"),
    ],
)
def test_hours_are_aligned_as_the_knob_says(zone: str, alignment: str, start: str) -> None:
    series = {"period": "hourRange", "first": ms("2026-03-08T10:20Z"), "count": 1}

    assert shown(window(series, zone, alignment=alignment)) == [start[2:]]


@pytest.mark.parametrize("zone", ["America/New_York", "Asia/Kolkata", "Australia/Lord_Howe"])
@pytest.mark.parametrize("alignment", ["utc", "local"])
@pytest.mark.parametrize(
    "period", ["hourRange", "dayRange", "weekRange", "monthRange", "quarterRange"]
)
def test_buckets_leave_no_gap(zone: str, alignment: str, period: str) -> None:
    series = {"period": period, "first": ms("2026-03-01"), "last": ms("2026-04-20")}
    found = window(series, zone, alignment=alignment)
    buckets = list(found.buckets())

    assert all(end == start for (_, end), (start, _) in pairwise(buckets))
    assert buckets[0][0] <= ms("2026-03-01") < buckets[0][1]
    assert buckets[-1][0] <= ms("2026-04-20") < buckets[-1][1]
    back = found.calendar.shift(found.unit, buckets[-1][0], 1 - len(buckets))
    assert back == buckets[0][0]


@pytest.mark.parametrize(
    "series",
    [
        None,
        [],
        {},
        {"period": "daily", "first": 0, "count": 1},
        {"period": "dayRange", "first": 0},
        {"period": "dayRange", "first": 0, "count": 1, "last": 0},
        {"period": "dayRange", "count": 1},
        {"period": "dayRange", "first": None, "count": 1},
        {"period": "dayRange", "first": True, "count": 1},
        {"period": "dayRange", "first": "soon", "count": 1},
        {"period": "dayRange", "first": "2024-01-01", "count": 1.5},
        {"period": "dayRange", "first": 0, "count": 0},
        {"period": "dayRange", "first": 0, "count": "1"},
        {"period": "dayRange", "first": 0, "count": True},
        {"period": "dayRange", "first": 10**18, "count": 1},
        {"period": "dayRange", "first": 0, "count": 1, "zone": "UTC"},
    ],
)
def test_bad_time_series_are_refused(series: Any) -> None:
    with pytest.raises(Refused) as refusal:
        window(series)

    assert refusal.value.status == 400
    assert refusal.value.body.startswith("bad pipeline: bad source: ")


@pytest.mark.parametrize(
    ("period", "bucket"),
    [("hourly", "hour"), ("daily", "day"), ("weekly", "week"), ("monthly", "month")],
)
def test_knob_iterative_periods_runs_the_pipeline_once_a_period(
    new_world: Any, ask: Any, period: str, bucket: str
) -> None:
    world = new_world(events_per_day=30)
    world.knobs.iterative_periods = True
    first = {"first": ms("2026-01-20T12:00Z"), "last": ms("2026-02-03T12:00Z")}
    every = {"appId": 'expandAppIds("*")'}
    total = {"reduce": {"n": {"sum": "numEvents"}, "starts": {"count": bucket}}}
    found = ask(world, "events", every, {"period": period, **first}, total)
    starts = [one["startTime"] for one in found]
    (whole,) = ask(world, "events", every, {"period": f"{bucket}Range", **first}, total)

    assert sum(one["results"][0]["n"] for one in found) == whole["n"] > 0
    assert sum(one["results"][0]["starts"] for one in found) == whole["starts"]
    assert starts == sorted(starts)
    assert len(starts) == {"hour": 337, "day": 15, "week": 3, "month": 2}[bucket]
