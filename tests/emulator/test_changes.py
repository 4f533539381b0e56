"""What tests change in a world: tags and metadata; rows and truth change alike."""

from collections import Counter
from collections.abc import Callable
from typing import Any

import msgspec
import pytest
from emulation.clock import parse_moment
from pendo_emulator.api import encode
from pendo_emulator.pipeline.sources import EVERY_APP
from pendo_emulator.pipeline.table import settled
from pendo_emulator.product.calendar import DAY, HOUR
from pendo_emulator.product.definitions import DEFAULT_APP, MOBILE_APP
from pendo_emulator.product.event_store import TAGGED
from pendo_emulator.product.metadata import ABSENT
from pendo_emulator.product.rows import ENTITY_FIELDS
from pendo_emulator.world import World

Ask = Callable[..., list[dict[str, Any]]]
ALL = {"appId": EVERY_APP}
TODAY = parse_moment("2026-03-11")
FIRST, LAST = TODAY - 3 * DAY, TODAY - DAY
HOURS = {"period": "hourRange", "first": FIRST - DAY, "last": TODAY - 1}


def entity(world: World, source: str, app: int, place: int = 0) -> str:
    """Return the id of one of the busiest entities of an app."""
    known = [one.id for one in world.activity.entities[source] if one.app_id == app]
    return known[place]


def by_entity(world: World, ask: Ask, source: str) -> Counter[tuple[int, str, str]]:
    """Return how many events the rows count, by app, entity and whether they are within."""
    counts: Counter[tuple[int, str, str]] = Counter()
    for row in ask(world, source, ALL, HOURS):
        when = "within" if FIRST <= row["hour"] < LAST else "without"
        counts[row["appId"], row[ENTITY_FIELDS[source]], when] += row["numEvents"]
    return counts


def check_truth(world: World, ask: Ask, source: str) -> None:
    """Compare the rows with the sums."""
    counts: Counter[tuple[int, str]] = Counter()
    for (app, key, _), count in by_entity(world, ask, source).items():
        counts[app, key] += count
    truth: Counter[tuple[int, str]] = Counter()
    for (app, key, _), count in world.sums(source, FIRST - DAY, TODAY).items():
        truth[app, key] += count
    assert counts == truth


@pytest.mark.parametrize("source", sorted(TAGGED))
@pytest.mark.parametrize("app", [DEFAULT_APP, MOBILE_APP])
def test_retagged_events_count_for_the_other_entity(
    new_world: Any, ask: Ask, source: str, app: int
) -> None:
    world = new_world(events_per_day=2000)
    old, new = entity(world, source, DEFAULT_APP), entity(world, source, app, -1)
    before = by_entity(world, ask, source)
    world.retag(source, old, new, FIRST, LAST)
    after = by_entity(world, ask, source)

    assert before[DEFAULT_APP, old, "within"] > 10
    assert after[DEFAULT_APP, old, "within"] == 0
    assert after[app, new, "within"] == (
        before[app, new, "within"] + before[DEFAULT_APP, old, "within"]
    )
    assert after[DEFAULT_APP, old, "without"] == before[DEFAULT_APP, old, "without"] > 10
    check_truth(world, ask, source)
    dimensions = [
        {name: row[name] for name in row if name not in MEASURES}
        for row in ask(world, source, ALL, HOURS)
    ]
    assert len({msgspec.json.encode(one, order="sorted") for one in dimensions}) == len(dimensions)


MEASURES = {"numEvents", "numMinutes", "firstTime", "lastTime", "rageClickCount", "deadClickCount"}


def test_a_filter_by_id_sees_the_tags_of_now(new_world: Any, ask: Ask) -> None:
    world = new_world(events_per_day=2000)
    old, new = (entity(world, "pageEvents", DEFAULT_APP, place) for place in (0, 1))
    world.retag("pageEvents", old, new, 0, TODAY)

    assert ask(world, "pageEvents", {"pageId": old}, HOURS) == []
    assert {row["pageId"] for row in ask(world, "pageEvents", {"pageId": new}, HOURS)} == {new}


def test_events_may_be_retagged_to_nothing_or_to_a_new_definition(new_world: Any, ask: Ask) -> None:
    world = new_world(events_per_day=2000)
    first, second = (entity(world, "featureEvents", DEFAULT_APP, place) for place in (0, 1))
    before = by_entity(world, ask, "featureEvents")
    world.add_definition("feature", {**world.listed("feature", 0)[0], "id": "made today"})
    world.retag("featureEvents", first, None, FIRST, LAST)
    world.retag("featureEvents", second, "made today", FIRST, LAST)
    after = by_entity(world, ask, "featureEvents")

    assert sum(before.values()) - sum(after.values()) == before[DEFAULT_APP, first, "within"] > 10
    assert after[DEFAULT_APP, "made today", "within"] == before[DEFAULT_APP, second, "within"] > 10
    check_truth(world, ask, "featureEvents")


def test_retags_come_one_after_the_other(new_world: Any, ask: Ask) -> None:
    world = new_world(events_per_day=2000)
    first, second, third = (entity(world, "pageEvents", DEFAULT_APP, place) for place in range(3))
    before = by_entity(world, ask, "pageEvents")
    world.retag("pageEvents", first, second, FIRST, LAST)
    world.retag("pageEvents", second, third, FIRST, LAST)
    after = by_entity(world, ask, "pageEvents")

    assert after[DEFAULT_APP, third, "within"] == sum(
        before[DEFAULT_APP, key, "within"] for key in (first, second, third)
    )
    check_truth(world, ask, "pageEvents")


def test_injected_events_are_retagged_too(new_world: Any, ask: Ask) -> None:
    world = new_world()
    old, new = entity(world, "trackEvents", DEFAULT_APP), entity(world, "trackEvents", MOBILE_APP)
    event = {"source": "trackEvents", "visitorId": "new one", "trackTypeId": old}
    world.inject([{**event, "ts": FIRST}, {**event, "ts": LAST}])
    world.retag("trackEvents", old, new, FIRST, LAST)
    own = {"filter": 'visitorId == "new one"'}
    rows = ask(world, "trackEvents", ALL, HOURS, own, {"sort": ["hour"]})

    assert [(row["appId"], row["trackTypeId"]) for row in rows] == [
        (MOBILE_APP, new),
        (DEFAULT_APP, old),
    ]
    check_truth(world, ask, "trackEvents")


@pytest.mark.parametrize("source", ["pageEvents", "featureEvents"])
def test_histories_show_the_tags_of_now(new_world: Any, source: str) -> None:
    world = new_world(events_per_day=3000)
    field = ENTITY_FIELDS[source]
    old, new = (entity(world, source, DEFAULT_APP, place) for place in (0, 1))
    event = {"source": source, "visitorId": "null", field: old}
    world.inject([{**event, "ts": FIRST + 1}, {**event, "ts": LAST}])
    visitors = [person.id for person in world.people.visitors[::10]] + ["null"]

    def tags() -> Counter[str]:
        rows = [row for one in visitors for row in world.history(one, FIRST, world.clock.now())]
        assert len(rows) == sum(world.history_count(one, FIRST) for one in visitors)
        return Counter(row[field] for row in rows if field in row)

    before = tags()
    world.retag(source, old, new, FIRST, LAST)
    after = tags()
    world.retag(source, new, None, FIRST, LAST)

    assert before[old] > 1
    assert before[new] < after[new] <= before[new] + before[old]
    assert old not in after
    assert new not in tags()


@pytest.mark.parametrize(("source", "new"), [("events", None), ("pageEvents", "nope")])
def test_bad_retags_are_refused(new_world: Any, source: str, new: str | None) -> None:
    with pytest.raises(ValueError, match=r"source must be|no page has the id nope"):
        new_world().retag(source, "x", new, 0, 1)


@pytest.mark.parametrize("kind", ["visitor", "account"])
def test_a_metadata_field_may_be_added(new_world: Any, ask: Ask, kind: str) -> None:
    world = new_world()
    values = [1, "two", [3], ABSENT]
    world.overrides.add_field(kind, "custom", "level", "duration", values)
    world.overrides.add_field(kind, "new_group", "level", "", values)
    field = world.metadata_schema(kind)["custom"]["level"]

    def levels() -> dict[str, Any]:
        rows = ask(world, f"{kind}s")
        groups = {row[f"{kind}Id"]: row["metadata"].get("new_group", {}) for row in rows}
        return {key: group.get("level") for key, group in groups.items()}

    assert field["Type"] == "duration"
    assert world.metadata_schema(kind)["new_group"]["level"]["Type"] == ""
    assert {str(level) for level in levels().values()} == {"1", "two", "[3]", "None"}
    assert levels() == levels()


def test_filters_see_altered_metadata(new_world: Any, ask: Ask) -> None:
    world = new_world()
    world.overrides.override("visitor", lambda row: {**row, "metadata": {"custom": {"x": 1}}})

    assert len(ask(world, "visitors", None, None, {"filter": "metadata.custom.x == 1"})) == 418


def test_knob_split_rows_keeps_every_sum(new_world: Any, ask: Ask) -> None:
    world = new_world(events_per_day=1000)
    sums = {"events": {"sum": "numEvents"}, "clicks": {"sum": "rageClickCount"}}
    sums |= {"rows": {"count": None}, "first": {"min": "firstTime"}, "last": {"max": "lastTime"}}
    (whole,) = ask(world, "pageEvents", ALL, HOURS, {"reduce": sums})
    world.knobs.split_rows = True
    (split,) = ask(world, "pageEvents", ALL, HOURS, {"reduce": sums})
    rows = ask(world, "pageEvents", ALL, HOURS)

    assert {**split, "rows": 0} == {**whole, "rows": 0}
    assert split["rows"] > whole["rows"]
    assert all(1 <= row["numMinutes"] <= row["numEvents"] for row in rows)


@pytest.mark.parametrize(("empty", "text"), [("list", b"[]"), ("null", b"null")])
def test_knob_empty_results_concerns_no_rows_only(empty: str, text: bytes) -> None:
    rows: list[dict[str, Any]] = [{"a": 1}]

    none = b"".join(encode(settled(lambda: iter([])), 5, empty=empty))
    some = b"".join(encode(settled(lambda: iter([[], rows, []])), None, empty=empty))
    assert none == b'{"startTime":5,"results":' + text + b"}"
    assert some == b'{"results":[{"a":1}]}'


def test_injected_events_are_found_in_narrow_and_in_wide_windows(new_world: Any, ask: Ask) -> None:
    world = new_world(events_per_day=1)
    event = {"source": "pageEvents", "visitorId": "new one"}
    world.inject({**event, "ts": FIRST + number * HOUR} for number in range(24))
    own = {"filter": 'visitorId == "new one"'}

    def count(first: int, last: int) -> int:
        series = {"period": "hourRange", "first": first, "last": last - 1}
        return len(ask(world, "pageEvents", ALL, series, own))

    assert count(FIRST, FIRST + HOUR) == 1
    assert count(FIRST, TODAY) == count(FIRST - 300 * DAY, TODAY) == 24
    assert sum(world.sums("pageEvents", FIRST, FIRST + 2 * HOUR).values()) >= 2
