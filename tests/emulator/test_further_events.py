"""The further event sources: single events, what was seen, mails, recordings, agents."""

import json
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest
from emulation.clock import Clock, parse_moment
from pendo_emulator.access import Refused
from pendo_emulator.pipeline.request import run
from pendo_emulator.pipeline.sources import EVERY_APP
from pendo_emulator.product.calendar import DAY, HOUR
from pendo_emulator.product.definitions import AGENTS, DEFAULT_APP, LIVE_APPS, SECOND_APP
from pendo_emulator.product.events import LATEST
from pendo_emulator.world import World

Ask = Callable[..., list[dict[str, Any]]]
ALL = {"appId": EVERY_APP}
ANY_AGENT = {**ALL, "agentId": [agent for agent, _app in AGENTS]}
TODAY = parse_moment("2026-03-11")
FIRST = TODAY - 7 * DAY
WEEK = {"period": "dayRange", "first": FIRST, "last": TODAY - 1}
SINGLE = {"singleEvents": ALL, "emailEvents": ALL, "agenticEvents": ANY_AGENT}


@pytest.fixture(scope="module")
def busy() -> World:
    """A world in which each rare thing happens."""
    return _make()


def _make() -> World:
    clock = Clock("2026-03-11T10:30:00Z")
    return World(clock=clock, events_per_day=1200, visitors=60, accounts=20)


@pytest.mark.parametrize("source", SINGLE)
def test_single_rows_add_up_to_the_truth(busy: World, ask: Ask, source: str) -> None:
    rows = ask(busy, source, SINGLE[source], WEEK)

    assert len(rows) == sum(busy.sums(source, FIRST, TODAY).values())
    assert len(rows) == busy.count(source, FIRST, TODAY)
    assert all(FIRST <= row["browserTime"] < TODAY for row in rows)
    assert all(row["visitorId"] for row in rows)


def test_single_events_are_what_events_count(busy: World, ask: Ask) -> None:
    def tell(row: dict[str, Any]) -> tuple[Any, ...]:
        return row["visitorId"], row["appId"], row["tabId"]

    singles = Counter(map(tell, ask(busy, "singleEvents", ALL, WEEK)))
    grouped: Counter[tuple[Any, ...]] = Counter()
    for row in ask(busy, "events", ALL, WEEK):
        grouped[tell(row)] += row["numEvents"]

    assert singles == grouped
    assert {app for _, app, _ in singles} == set(LIVE_APPS)


def test_knob_single_event_rows_gives_counts_by_hour(ask: Ask) -> None:
    world = _make()
    events = Counter(row["browserTime"] // HOUR for row in ask(world, "singleEvents", ALL, WEEK))
    world.knobs.single_event_rows = "hours"
    rows = ask(world, "singleEvents", ALL, WEEK)
    counted: Counter[int] = Counter()
    for row in rows:
        counted[row["hour"] // HOUR] += row["numEvents"]

    assert counted == events
    assert not any("browserTime" in row or "type" in row for row in rows)
    assert all(row["day"] == row["hour"] - row["hour"] % DAY for row in rows)


def test_single_events_have_their_fields(busy: World, ask: Ask) -> None:
    rows = ask(busy, "singleEvents", ALL, WEEK)
    needed = {"visitorId", "accountId", "appId", "type", "browserTime", "url", "eventId", "tabId"}
    needed |= {"country", "region", "userAgent", "properties"}

    assert all(needed <= row.keys() for row in rows)
    assert {row["type"] for row in rows} == {"click", "load", "focus", "change"}
    assert {"elementPath" in row for row in rows} == {True, False}
    assert {"recordingSessionId" in row for row in rows} == {True, False}
    assert max(Counter(json.dumps(row, sort_keys=True) for row in rows).values()) > 1


def test_an_event_that_is_put_in_is_also_a_single_one(new_world: Any, ask: Ask) -> None:
    world = new_world()
    world.inject([{"source": "events", "ts": FIRST + 5, "visitorId": "new one"}])
    one, *more = [
        row for row in ask(world, "singleEvents", ALL, WEEK) if row["visitorId"] == "new one"
    ]

    assert not more
    assert one == {"visitorId": "new one", "appId": DEFAULT_APP, "browserTime": FIRST + 5}
    assert sum(world.sums("singleEvents", FIRST, TODAY).values()) == world.count(
        "singleEvents", FIRST, TODAY
    )


def test_raw_events_must_be_enabled(new_world: Any, ask: Ask) -> None:
    world = new_world()
    with pytest.raises(Refused) as refusal:
        ask(world, "rawEvents", ALL, WEEK)
    world.knobs.raw_events = "enabled"
    rows = ask(world, "rawEvents", ALL, WEEK)

    assert (refusal.value.status, refusal.value.body[-11:]) == (400, "not enabled")
    assert len(rows) == sum(world.sums("rawEvents", FIRST, TODAY).values()) > 0
    assert all(row["receivedTime"] >= row["browserTime"] for row in rows)


@pytest.mark.parametrize("source", ["guidesSeen", "pollsSeen"])
def test_what_was_seen_is_counted(busy: World, ask: Ask, source: str) -> None:
    rows = ask(busy, source, ALL, WEEK)
    ever = ask(busy, f"{source}Ever", ALL)

    assert len(rows) == busy.count(source, FIRST, TODAY)
    assert len(ever) == busy.count(f"{source}Ever") >= len(rows) > 0


@pytest.mark.parametrize("source", ["guidesSeenEver", "pollsSeenEver"])
def test_what_is_put_in_is_seen(new_world: Any, ask: Ask, source: str) -> None:
    world = new_world()
    before = world.count(source)
    event = {"ts": FIRST - 900 * DAY, "visitorId": "new one", "guideId": "g"}
    world.inject(
        [
            {**event, "source": "guideEvents", "type": "guideSeen", "guideStepId": "s"},
            {**event, "source": "guideEvents", "type": "guideDismissed", "guideStepId": "other"},
            {**event, "source": "pollEvents", "pollId": "p", "pollResponse": 7},
        ]
    )
    rows = ask(world, source, ALL)
    (row,) = [row for row in rows if row["visitorId"] == "new one"]

    assert len(rows) == world.count(source) == before + 1
    assert row["guideId"] == "g"


def test_guides_seen_are_what_guide_events_say(busy: World, ask: Ask) -> None:
    seen: Counter[tuple[str, ...]] = Counter()
    times: dict[tuple[str, ...], list[int]] = {}
    for row in ask(busy, "guideEvents", ALL, WEEK):
        if row["type"].endswith("guideSeen"):
            key = row["visitorId"], row["guideId"], row["guideStepId"]
            seen[key] += 1
            times.setdefault(key, []).append(row["browserTime"])
    rows = {
        (row["visitorId"], row["guideId"], row["guideStepId"]): row
        for row in ask(busy, "guidesSeen", ALL, WEEK)
    }

    assert {key: row["seenCount"] for key, row in rows.items()} == seen
    for key, row in rows.items():
        assert (row["firstSeenAt"], row["lastSeenAt"]) == (min(times[key]), max(times[key]))
    assert {row["lastState"] for row in rows.values()} >= {"active", "advanced", "dismissed"}
    assert {"lastDismissedAutoAt" in row for row in rows.values()} == {True, False}


@pytest.mark.parametrize("field", ["response", "pollResponse"])
def test_polls_seen_hold_the_last_answer(ask: Ask, field: str) -> None:
    world = _make()
    world.knobs.poll_response = field  # type: ignore[assignment]
    last: dict[tuple[str, ...], int] = {}
    for row in ask(world, "pollEvents", ALL, WEEK):
        key = row["visitorId"], row["guideId"], row["pollId"]
        last[key] = max(last.get(key, 0), row["browserTime"])
    rows = ask(world, "pollsSeen", ALL, WEEK)

    assert {(row["visitorId"], row["guideId"], row["pollId"]): row["time"] for row in rows} == last
    assert {type(row[field]) for row in rows} == {int, str, list}
    assert {"accountId", "time", field} <= rows[0].keys()


def test_one_guide_and_one_poll_may_be_asked_for(busy: World, ask: Ask) -> None:
    every = ask(busy, "pollsSeenEver", ALL)
    one = {name: every[0][name] for name in ("guideId", "pollId")}
    answers = [row for row in every if one.items() <= row.items()]
    views = ask(busy, "guidesSeenEver", {"guideId": one["guideId"]})

    assert len(ask(busy, "pollsSeenEver", one)) == len(answers) < len(every)
    assert {row["guideId"] for row in views} == {one["guideId"]}


@pytest.mark.parametrize(
    ("knob", "without", "within"),
    [("either", True, True), ("series", False, True), ("no_series", True, False)],
)
def test_guides_ever_seen_may_want_a_time_series(
    new_world: Any, ask: Ask, knob: str, without: bool, within: bool
) -> None:
    world = new_world()
    world.knobs.guides_seen_ever = knob
    for series, answers in ((None, without), (WEEK, within)):
        if answers:
            assert len(ask(world, "guidesSeenEver", ALL, series)) == world.count("guidesSeenEver")
        else:
            with pytest.raises(Refused, match="timeSeries") as refusal:
                ask(world, "guidesSeenEver", ALL, series)
            assert refusal.value.status == 400


def test_polls_ever_seen_may_want_one_poll(new_world: Any, ask: Ask) -> None:
    world = new_world()
    some = ask(world, "pollsSeenEver", None)[0]
    one = {name: some[name] for name in ("guideId", "pollId")}
    world.knobs.polls_seen_ever = "one_poll"

    for parameters in (None, ALL):
        with pytest.raises(Refused, match="guideId and pollId are required"):
            ask(world, "pollsSeenEver", parameters)
    assert some in ask(world, "pollsSeenEver", one)


def test_mails_are_events_of_the_guides_that_are_mails(busy: World, ask: Ask) -> None:
    rows = ask(busy, "emailEvents", ALL, WEEK)
    mails = {guide["id"] for guide in ask(busy, "guides", ALL) if guide["emailState"]}
    in_apps = {row["guideId"] for row in ask(busy, "guideEvents", ALL, WEEK)}

    assert {row["guideId"] for row in rows} == mails
    assert not mails & in_apps
    assert {"emailSent", "emailOpened", "emailClicked"} < {row["type"] for row in rows}
    assert {"userAgent" in row for row in rows} == {True, False}


def test_agents_are_asked_for_by_id_and_app(busy: World, ask: Ask) -> None:
    agent, app = AGENTS[1]
    rows = ask(busy, "agenticEvents", {"agentId": agent, "appId": app}, WEEK)

    assert app == SECOND_APP
    assert {(row["agentId"], row["appId"]) for row in rows} == {(agent, app)}
    assert len({row["eventId"] for row in rows}) == len(rows)
    assert {"content" in row for row in rows} == {True, False}
    for parameters in (None, ALL, {"agentId": agent}):
        with pytest.raises(Refused, match="agentId and appId are required") as refusal:
            ask(busy, "agenticEvents", parameters, WEEK)
        assert refusal.value.status == 400


def test_recordings_are_of_sessions(busy: World, ask: Ask) -> None:
    rows = ask(busy, "recordingMetadata", ALL, WEEK)
    keys = {(row["recordingId"], row["recordingSessionId"], row["startTime"]) for row in rows}
    singles = ask(busy, "singleEvents", ALL, WEEK)
    recorded = {row["recordingSessionId"] for row in singles if "recordingSessionId" in row}

    assert len(keys) == len(rows) == busy.count("recordingMetadata", FIRST, TODAY) > 0
    assert {row["recordingSessionId"] for row in rows} == recorded
    assert {row["appId"] for row in rows} == set(LIVE_APPS[:2])
    assert {row["isBroken"] for row in rows} == {True, False}
    for row in rows:
        assert FIRST <= row["startTime"] <= row["endTime"]
        assert row["activityTimelineTimestamps"][0] == row["startTime"]
        assert ("recordingEndTime" in row) != row["isBroken"]


def test_a_recording_does_not_change_once_it_is_shown(ask: Ask) -> None:
    world = _make()
    today = {"period": "hourRange", "first": TODAY - DAY, "last": "now()"}

    def read() -> dict[str, dict[str, Any]]:
        rows = ask(world, "recordingMetadata", ALL, today)
        return {row["recordingId"] + row["recordingSessionId"]: row for row in rows}

    before = read()
    world.clock.advance(LATEST / 1000)
    after = read()

    assert all(after[key] == row for key, row in before.items())
    assert len(after) > len(before)


@pytest.mark.parametrize("source", [*SINGLE, "recordingMetadata", "guidesSeen", "pollsSeen"])
def test_they_need_a_time_series_and_know_the_exclude_list(
    busy: World, ask: Ask, source: str
) -> None:
    parameters = SINGLE.get(source, ALL)
    with pytest.raises(Refused, match="timeSeries required"):
        ask(busy, source, parameters)
    heard = {row["visitorId"] for row in ask(busy, source, parameters, WEEK)}

    assert not heard & busy.people.excluded


@pytest.mark.parametrize("source", ["singleEvents", "emailEvents", "recordingMetadata"])
def test_single_rows_may_come_day_by_day(ask: Ask, source: str) -> None:
    world = _make()
    rows = ask(world, source, ALL, WEEK)
    world.knobs.iterative_periods = True
    days = ask(world, source, ALL, {"period": "daily", "first": FIRST, "count": 7})

    assert [day["startTime"] for day in days] == [FIRST + number * DAY for number in range(7)]
    assert sorted(repr(row) for day in days for row in day["results"]) == sorted(map(repr, rows))


def test_pipelines_of_further_sources_may_be_spawned(busy: World) -> None:
    sources = [{"guidesSeenEver": ALL}, {"groups": None}, {"doNotProcessVisitors": None}]
    branches = [[{"source": source}] for source in sources]
    body = {"request": {"pipeline": [{"spawn": branches}, {"count": None}]}}
    (row,) = run(busy, json.dumps(body).encode()).table.rows()

    assert row["count"] == sum(
        busy.count(kind) for kind in ("guidesSeenEver", "group", "doNotProcessVisitors")
    )


@pytest.mark.parametrize("source", ["singleEvents", "recordingMetadata"])
def test_hours_of_single_rows_are_their_days(busy: World, ask: Ask, source: str) -> None:
    time = "startTime" if source == "recordingMetadata" else "browserTime"
    hours = {"period": "hourRange", "first": TODAY - DAY, "count": 5}
    rows = ask(busy, source, ALL, hours)
    inside = [
        row
        for row in ask(busy, source, ALL, WEEK, {"sort": [time, "visitorId"]})
        if TODAY - DAY <= row[time] < TODAY - DAY + 5 * HOUR
    ]

    assert sorted(map(repr, rows)) == sorted(map(repr, inside))
    assert [row[time] for row in inside] == sorted(row[time] for row in inside)


def test_sums_are_of_events_only(world: World) -> None:
    with pytest.raises(ValueError, match="no sums"):
        world.sums("guidesSeen", FIRST, TODAY)
