"""Event rows: fields, grouping, arrival, and the truth that they add up to."""

import json
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from datetime import datetime, timezone
from typing import Any

import pytest
from emulation.clock import Clock, format_moment, parse_moment
from pendo_emulator.access import Refused
from pendo_emulator.pipeline.sources import EVERY_APP
from pendo_emulator.product.calendar import DAY, HOUR
from pendo_emulator.product.definitions import DEFAULT_APP, LIVE_APPS, SECOND_APP
from pendo_emulator.product.events import LATEST
from pendo_emulator.product.rows import ENTITY_FIELDS, MEASURES
from pendo_emulator.world import World

Ask = Callable[..., list[dict[str, Any]]]
ALL = {"appId": EVERY_APP}
TODAY = parse_moment("2026-03-11")
FIRST = TODAY - 7 * DAY
GROUPED = sorted(ENTITY_FIELDS)
SINGLE = {"guideEvents": "guideId", "pollEvents": "pollId"}


def series(period: str, first: int = FIRST, last: int = TODAY) -> dict[str, Any]:
    return {"period": period, "first": first, "last": last - 1}


def dimensions(row: dict[str, Any]) -> str:
    return json.dumps({key: row[key] for key in row.keys() - set(MEASURES)}, sort_keys=True)


def utc_day(moment: int) -> str:
    return datetime.fromtimestamp(moment / 1000, timezone.utc).date().isoformat()


@pytest.mark.parametrize("source", GROUPED)
@pytest.mark.parametrize("zone", ["UTC", "America/New_York", "Asia/Kolkata"])
@pytest.mark.parametrize("alignment", ["utc", "local"])
def test_hours_add_up_to_the_truth(
    new_world: Any, ask: Ask, source: str, zone: str, alignment: str
) -> None:
    world = new_world(time_zone=zone)
    world.knobs.hour_alignment = alignment
    sums: Counter[tuple[int, str, str]] = Counter()
    for row in ask(world, source, ALL, series("hourRange")):
        if FIRST <= row["hour"] < TODAY:
            sums[row["appId"], row[ENTITY_FIELDS[source]], utc_day(row["hour"])] += row["numEvents"]

    assert sums == world.sums(source, FIRST, TODAY)
    assert sums


@pytest.mark.parametrize("source", GROUPED)
@pytest.mark.parametrize("zone", ["UTC", "America/New_York", "Asia/Kathmandu"])
def test_days_hold_what_their_hours_hold(new_world: Any, ask: Ask, source: str, zone: str) -> None:
    world = new_world(time_zone=zone)
    (day,) = ask(world, source, ALL, series("dayRange"), {"reduce": {"n": {"sum": "numEvents"}}})
    days = list(world.calendar.buckets("day", world.calendar.floor("day", FIRST), TODAY))
    counts = world.sums(source, days[0][0], days[-1][1])
    edges = [world.calendar.floor("day", edge) for edge in (days[0][0], days[-1][1])]

    assert zone == "Asia/Kathmandu" or day["n"] == sum(counts.values())
    assert edges == [days[0][0], days[-1][1]]


@pytest.mark.parametrize(
    ("day", "starts", "hours"),
    [
        ("2026-03-07", ["2026-03-07T05:00", "2026-03-08T05:00", "2026-03-09T04:00"], [24, 23, 24]),
        ("2025-11-01", ["2025-11-01T04:00", "2025-11-02T04:00", "2025-11-03T05:00"], [24, 25, 24]),
    ],
)
def test_days_of_new_york_when_the_clock_changes(
    new_world: Any, ask: Ask, day: str, starts: list[str], hours: list[int]
) -> None:
    world = new_world(time_zone="America/New_York", events_per_day=3000)
    first = parse_moment(f"{day}T12:00Z")
    rows = ask(world, "events", ALL, {"period": "dayRange", "first": first, "count": 3})
    by_day: Counter[int] = Counter()
    for row in rows:
        by_day[row["day"]] += row["numEvents"]

    assert [format_moment(one)[:16] for one in sorted(by_day)] == starts
    for start, length in zip(sorted(by_day), hours, strict=True):
        span = series("hourRange", start, start + length * HOUR)
        assert by_day[start] == sum(row["numEvents"] for row in ask(world, "events", ALL, span))


@pytest.mark.parametrize("source", [*GROUPED, *SINGLE, "singleEvents", "guidesSeen"])
def test_knob_without_series_gives_all_that_ever_happened(
    new_world: Any, ask: Ask, source: str
) -> None:
    world = new_world(events_per_day=5, visitors=40, accounts=5)
    with pytest.raises(Refused, match="timeSeries required"):
        ask(world, source, ALL)
    world.knobs.without_series = "all_time"
    ever = {"period": "dayRange", "first": 0, "last": "now()"}

    assert sorted(map(dimensions, ask(world, source, ALL))) == sorted(
        map(dimensions, ask(world, source, ALL, ever))
    )


@pytest.mark.parametrize("source", sorted(SINGLE))
def test_single_events_add_up_to_the_truth(world: World, ask: Ask, source: str) -> None:
    rows = ask(world, source, ALL, series("dayRange"))
    sums = Counter((row["appId"], row[SINGLE[source]], utc_day(row["browserTime"])) for row in rows)

    assert sums == world.sums(source, FIRST, TODAY)
    assert len(rows) == world.count(source, FIRST, TODAY)


@pytest.mark.parametrize("source", GROUPED)
@pytest.mark.parametrize(("period", "bucket"), [("hourRange", "hour"), ("dayRange", "day")])
def test_grouped_rows(world: World, ask: Ask, source: str, period: str, bucket: str) -> None:
    rows = ask(world, source, ALL, series(period))
    needed = {"visitorId", "appId", ENTITY_FIELDS[source], bucket, "numEvents", "numMinutes"}
    needed |= {"firstTime", "lastTime", "server", "userAgent", "country", "region", "latitude"}
    needed |= {"longitude", "tabId", "analyticsSessionId"}

    assert (
        len({dimensions(row) for row in rows})
        == len(rows)
        == world.count(source, FIRST, TODAY, bucket)
    )
    for row in rows:
        assert needed <= row.keys()
        assert len(row.keys() & {"hour", "day", "week", "month"}) == 1
        assert row[bucket] <= row["firstTime"] <= row["lastTime"] < row[bucket] + DAY
        assert 1 <= row["numMinutes"] <= row["numEvents"]
    assert {"accountId", "remoteIp"} <= set().union(*rows)


def test_accounts_of_event_rows_may_be_empty_or_missing(new_world: Any, ask: Ask) -> None:
    rows = ask(new_world(events_per_day=5000), "events", ALL, series("dayRange"))

    assert {"", None} < {row.get("accountId") for row in rows}
    assert None in {row.get("remoteIp") for row in rows}


def test_rows_may_differ_in_parameters_only(new_world: Any, ask: Ask) -> None:
    rows = ask(new_world(events_per_day=2000), "pageEvents", ALL, series("hourRange"))
    keys = Counter(
        dimensions({name: value for name, value in row.items() if name != "parameters"})
        for row in rows
    )

    assert max(keys.values()) > 1


def test_events_have_one_page_for_all(world: World, ask: Ask) -> None:
    rows = ask(world, "events", ALL, series("dayRange"))

    assert {row["pageId"] for row in rows} == {"allevents"}
    assert {row["appId"] for row in rows} == set(LIVE_APPS)


def test_some_single_rows_are_all_alike(new_world: Any, ask: Ask) -> None:
    rows = ask(new_world(events_per_day=20_000), "guideEvents", ALL, series("dayRange"))
    counts = Counter(json.dumps(row, sort_keys=True) for row in rows)

    assert max(counts.values()) > 1


def test_answers_of_polls_have_three_types(new_world: Any, ask: Ask) -> None:
    rows = ask(new_world(events_per_day=2000), "pollEvents", ALL, series("dayRange"))
    types = {row["pollType"]: type(row["pollResponse"]) for row in rows}

    assert types == {"NPSRating": int, "FreeForm": str, "MultiSelect": list}


@pytest.mark.parametrize(
    ("app_id", "apps"),
    [
        (None, {DEFAULT_APP}),
        (SECOND_APP, {SECOND_APP}),
        ([SECOND_APP, DEFAULT_APP], {SECOND_APP, DEFAULT_APP}),
        ([], set()),
        ("expandAppIds('*')", None),
        (EVERY_APP, set(LIVE_APPS)),
    ],
)
def test_apps(world: World, ask: Ask, app_id: Any, apps: set[int] | None) -> None:
    parameters = None if app_id is None else {"appId": app_id}
    if apps is None:
        with pytest.raises(Exception, match="bad parameters"):
            ask(world, "events", parameters, series("dayRange"))
        return

    rows = ask(world, "events", parameters, series("dayRange"))
    assert {row["appId"] for row in rows} == apps
    if app_id != []:
        sums = world.sums("events", FIRST, TODAY, apps)
        assert sum(row["numEvents"] for row in rows) == sum(sums.values())


def test_an_id_fixes_the_app(world: World, ask: Ask) -> None:
    every = ask(world, "pageEvents", ALL, series("dayRange"))
    page = next(row["pageId"] for row in every if row["appId"] == SECOND_APP)
    rows = ask(world, "pageEvents", {"pageId": page}, series("dayRange"))

    assert len(rows) == sum(row["pageId"] == page for row in every)


def test_event_class_means_platforms(world: World, ask: Ask) -> None:
    rows = ask(world, "events", {**ALL, "eventClass": ["ios"]}, series("dayRange"))

    assert {row["appId"] for row in rows} == {LIVE_APPS[2]}


def test_exclude_list(new_world: Any, ask: Ask) -> None:
    world = new_world(events_per_day=3000)

    def visitors(choice: str) -> set[str]:
        rows = ask(world, "events", {**ALL, "blacklist": choice}, series("dayRange"))
        return {row["visitorId"] for row in rows}

    excluded = visitors("only")
    assert excluded
    assert excluded <= world.people.excluded
    assert not visitors("apply") & world.people.excluded
    assert visitors("ignore") == visitors("apply") | excluded


def test_events_arrive_late_and_change_their_hours(new_world: Any, ask: Ask) -> None:
    world = new_world(events_per_day=100_000, visitors=60)
    start = world.clock.now() - HOUR
    start -= start % HOUR
    hour = {"period": "hourRange", "first": start, "count": 1}

    def read() -> dict[str, Any]:
        return {dimensions(row): row for row in ask(world, "featureEvents", ALL, hour)}

    before = read()
    world.clock.advance(2 * HOUR / 1000)
    between = read()
    world.clock.advance(LATEST / 1000)
    after = read()
    world.clock.advance(DAY / 1000)

    assert before.keys() < between.keys() < after.keys()
    assert any(before[key]["numEvents"] < after[key]["numEvents"] for key in before)
    assert read() == after


def test_most_events_arrive_within_minutes(new_world: Any) -> None:
    world = new_world(events_per_day=50_000)
    (shard, *_) = world.activity.shards("events")
    delays = [
        arrival - moment
        for _, moment, arrival in world.activity.between(
            "events", FIRST, FIRST + DAY, shard, world.clock.now()
        )
    ]
    shares = [
        sum(delay > limit for delay in delays) / len(delays) for limit in (10 * 60_000, 2 * HOUR)
    ]

    assert max(delays) < LATEST
    assert shares == [pytest.approx(0.1, abs=0.02), pytest.approx(0.02, abs=0.01)]


def test_nothing_happens_after_now_nor_before_history(world: World, ask: Ask) -> None:
    future = {"period": "dayRange", "first": "now()", "last": "dateAdd(now(), 9, `days`)"}
    rows = ask(world, "events", ALL, future)
    past = series("dayRange", world.history_start - 9 * DAY, world.history_start + DAY)

    assert all(row["lastTime"] <= world.clock.now() for row in rows)
    assert {row["day"] for row in ask(world, "events", ALL, past)} == {world.history_start}


def test_every_hour_has_some_traffic(ask: Ask) -> None:
    rows = ask(World(clock=Clock(TODAY)), "featureEvents", ALL, series("hourRange"))

    assert len({row["hour"] for row in rows}) == 7 * 24


def test_an_injected_event_joins_the_row_of_its_dimensions(new_world: Any, ask: Ask) -> None:
    world = new_world()
    query = ("featureEvents", ALL, series("hourRange"), {"sort": ["hour", "visitorId"]})
    before = {dimensions(row): row for row in ask(world, *query)}
    name, row = next(iter(before.items()))
    world.inject([{**row, "source": "featureEvents", "ts": row["lastTime"]}])
    after = {dimensions(row): row for row in ask(world, *query)}

    assert after.keys() == before.keys()
    assert after[name]["numEvents"] == row["numEvents"] + 1
    assert after[name]["numMinutes"] == row["numMinutes"]


def test_injected_events_of_new_visitors(new_world: Any, ask: Ask) -> None:
    world = new_world()
    event = {"visitorId": "new one", "appId": SECOND_APP, "ts": "2026-03-10T03:00:00Z"}
    world.inject(
        [
            {**event, "source": "pageEvents", "pageId": "p"},
            {**event, "source": "pollEvents", "guideId": "g", "pollId": "p", "pollResponse": [1]},
        ]
    )
    day = {"period": "dayRange", "first": event["ts"].replace("Z", ""), "count": 1}
    day["first"] = parse_moment(event["ts"])
    own = {"filter": 'visitorId == "new one"'}

    (page,) = ask(world, "pageEvents", {"pageId": "p"}, day, own)
    (poll,) = ask(world, "pollEvents", ALL, day, own)
    assert (page["numEvents"], page["numMinutes"], page["day"]) == (1, 1, TODAY - DAY)
    assert (poll["browserTime"], poll["receivedTime"]) == (day["first"], world.clock.now())
    assert world.sums("pageEvents", TODAY - DAY, TODAY)[SECOND_APP, "p", "2026-03-10"] == 1


def test_all_of_history_may_be_asked_for(new_world: Any, ask: Ask) -> None:
    world = new_world(events_per_day=20)
    world.inject([{"source": "events", "ts": "2001-01-01T01:30:00Z", "visitorId": "early"}])
    rows = ask(world, "events", ALL, series("hourRange", 0), {"sort": ["hour", "visitorId"]})

    assert rows[0]["hour"] == parse_moment("2001-01-01T01:00:00Z")
    assert rows[1]["hour"] >= world.history_start


@pytest.mark.parametrize(
    "event",
    [{"source": "visitors", "ts": 1, "visitorId": "x"}, {"source": "events", "ts": 1}, {}],
)
def test_bad_injections_are_refused(new_world: Any, event: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"source|visitorId"):
        new_world().inject([event])


def test_a_world_is_the_same_in_every_process() -> None:
    program = f"""
import json
from emulation.clock import Clock
from pendo_emulator.world import World
world = World(seed=7, clock=Clock({TODAY}), visitors=400, accounts=40)
sums = [[*key, count] for key, count in world.sums("events", {FIRST}, {TODAY}).items()]
print(json.dumps([sums, world.definitions, list(world.visitors({TODAY}, identified=False))]))
"""
    runs = [
        subprocess.run([sys.executable, "-c", program], capture_output=True, check=True).stdout
        for _ in range(2)
    ]

    assert runs[0] == runs[1]
    assert len(runs[0]) > 100_000


def test_worlds_of_other_seeds_differ(new_world: Any) -> None:
    sums = [new_world(seed=seed).sums("events", FIRST, TODAY) for seed in (1, 2)]

    assert sums[0] != sums[1]


def test_a_limit_in_a_huge_world_does_little_work(ask: Ask) -> None:
    world = World(events_per_day=1_250_000, clock=Clock(TODAY))
    month = series("hourRange", TODAY - 30 * DAY)
    began = time.process_time()
    rows = ask(world, "featureEvents", ALL, month, {"sort": ["hour", "visitorId"]}, {"limit": 10})
    late = ask(world, "featureEvents", ALL, month, {"filter": "numEvents > 1"}, {"limit": 10})

    assert (len(rows), len(late)) == (10, 10)
    assert time.process_time() - began < 20  # a month of it takes minutes, ten rows 0.1 s
