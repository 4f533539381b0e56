"""What the made-up product holds."""

from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest
from emulation.clock import Clock, parse_moment
from pendo_emulator.pipeline.sources import EVERY_APP
from pendo_emulator.product.calendar import DAY
from pendo_emulator.product.definitions import DEFAULT_APP, DISABLED_APP, LIVE_APPS
from pendo_emulator.product.random_values import VISITOR_IDS
from pendo_emulator.world import ALL_APPS, World

Ask = Callable[..., list[dict[str, Any]]]
ALL = {"appId": EVERY_APP}
SIZES = {
    "app": 4,
    "page": 25,
    "feature": 60,
    "trackType": 21,
    "guide": 9,
    "group": 6,
    "report": 6,
    "accounts": 220,
    "doNotProcessVisitors": 20,
    "doNotProcessAccounts": 4,
}


@pytest.fixture(scope="module")
def whole() -> World:
    """A world of the default size."""
    return World(clock=Clock("2026-03-11T10:30:00Z"))


def test_sizes(whole: World) -> None:
    assert {kind: whole.count(kind) for kind in SIZES} == SIZES
    assert whole.count("visitors") == 3200
    assert whole.count("visitors", identified=False) == 3350


def test_a_world_may_be_tiny(new_world: Any) -> None:
    world = new_world(visitors=50, accounts=5, events_per_day=10)

    assert (world.count("visitors"), world.count("accounts")) == (50, 5)


def test_apps(whole: World, ask: Ask) -> None:
    apps = {row["id"]: row for row in ask(whole, "apps")}

    assert apps.keys() == set(ALL_APPS)
    assert all(app == DEFAULT_APP or len(str(app)) == 16 for app in apps)
    assert apps[DISABLED_APP]["applicationFlags"]["disabled"]
    assert "disabledAt" not in apps[DEFAULT_APP]


@pytest.mark.parametrize("source", ["pages", "features", "trackTypes", "guides"])
def test_definitions_have_what_countables_have(whole: World, ask: Ask, source: str) -> None:
    rows = ask(whole, source, ALL)
    needed = {"id", "appId", "kind", "name", "createdAt", "lastUpdatedAt", "createdByUser"}
    needed |= {"lastUpdatedByUser", "rootVersionId", "stableVersionId"}

    assert all(needed <= row.keys() for row in rows)
    assert len({row["id"] for row in rows}) == len(rows)
    assert all(len(row["id"]) == 27 for row in rows)
    assert all(row["createdAt"] <= row["lastUpdatedAt"] for row in rows)


def test_some_features_have_no_page(whole: World, ask: Ask) -> None:
    pages = {row["id"] for row in ask(whole, "pages", ALL)}
    features = ask(whole, "features", ALL)

    assert {"pageId" in row for row in features} == {True, False}
    assert all(row["appWide"] or row["pageId"] in pages for row in features)


def test_groups_may_be_missing_and_hold_no_items(whole: World, ask: Ask) -> None:
    groups = [row.get("group") for row in ask(whole, "features", ALL)]

    assert None in groups
    assert all(group["items"] is None for group in groups if group)


def test_valid_through_moves_and_last_updated_does_not(new_world: Any) -> None:
    world = new_world()
    (before, *_) = world.listed("page", world.clock.now())
    (after, *_) = world.listed("page", world.clock.now() + DAY)

    assert before["validThrough"] + DAY == after["validThrough"]
    assert before["lastUpdatedAt"] == after["lastUpdatedAt"]


def test_rules_may_be_several(whole: World, ask: Ask) -> None:
    rules = {"pages": "rules", "features": "elementPathRules", "trackTypes": "trackTypeRules"}

    for source, field in rules.items():
        assert {1, 2} <= {len(row[field]) for row in ask(whole, source, ALL)}
    captured = [row["eventPropertyConfigurations"] for row in ask(whole, "features", ALL)]
    assert {len(properties) for properties in captured} == {0, 1}


def test_one_guide_is_a_mail(whole: World, ask: Ask) -> None:
    (mail,) = [guide for guide in ask(whole, "guides", ALL) if guide["attributes"].get("email")]

    assert (mail["emailState"], mail["launchMethod"]) == ("sent", "email")
    assert mail["emailConfiguration"]["emailMetadataPropertyName"] == "agent.email"


def test_guides(whole: World, ask: Ask) -> None:
    guides = ask(whole, "guides", ALL)

    assert {guide["state"] for guide in guides} == {"draft", "public", "disabled", "staged"}
    assert {len(guide["steps"]) for guide in guides} == {1, 2}
    assert {guide["attributes"]["badge"] is None for guide in guides} == {True, False}
    for guide in guides:
        asked = [poll for step in guide["steps"] for poll in step["pollIds"]]
        assert asked == [poll["id"] for poll in guide["polls"]]
        assert guide["publishedEver"] == bool(guide["publishedAt"])


def test_the_nps_is_a_rating_that_names_its_follow_up(whole: World, ask: Ask) -> None:
    rating, reason = next(
        guide["polls"] for guide in ask(whole, "guides", ALL) if len(guide["polls"]) == 2
    )

    assert rating["attributes"]["type"] == "NPSRating"
    assert rating["attributes"]["followUp"] == reason["id"]


def test_visitors_are_awkward(whole: World, ask: Ask) -> None:
    rows = {row["visitorId"]: row["metadata"] for row in ask(whole, "visitors")}
    autos = [metadata["auto"] for metadata in rows.values() if "auto" in metadata]
    updated = Counter(auto.get("lastupdated", "missing") for auto in autos)

    assert set(VISITOR_IDS) <= rows.keys()
    assert len({name.casefold() for name in rows}) < len(rows)
    assert {len(auto.get("accountids", [])) for auto in autos} == {0, 1, 2}
    assert len(autos) == len(rows) - 20  # the others must not be processed
    assert (updated[None], updated["missing"]) == (21, 17)
    assert updated[1_719_792_000_000] == 130  # loaded in bulk
    assert {type(metadata.get("custom", {}).get("level")) for metadata in rows.values()} == {
        int,
        str,
        list,
        float,
        type(None),
    }


def test_visitors_know_their_apps(whole: World, ask: Ask) -> None:
    groups = Counter(name for row in ask(whole, "visitors") for name in row["metadata"])

    assert {name for name in groups if name.startswith("auto_")} == {
        f"auto_{app}".replace("-", "_") for app in LIVE_APPS
    }


@pytest.mark.parametrize(("source", "some"), [("visitors", 500), ("accounts", 30)])
def test_an_incremental_read_returns_only_some(
    new_world: Any, ask: Ask, source: str, some: int
) -> None:
    world = new_world(visitors=3200, accounts=220)
    last = f"metadata.auto.lastupdated >= {world.clock.now()}"
    world.clock.advance(DAY / 1000)
    rows = ask(world, source, None, None, {"filter": last})

    assert some < len(rows) < 4 * some
    assert all(row["metadata"]["auto"]["lastvisit"] <= world.clock.now() for row in rows)


def test_definitions_come_and_go(new_world: Any, ask: Ask) -> None:
    world = new_world()
    (page, *_) = world.listed("page", 0)
    world.add_definition("page", {**page, "id": "new"})

    assert world.remove_definition("page", page["id"])
    assert not world.remove_definition("page", page["id"])
    ids = {row["id"] for row in ask(world, "pages", ALL)}
    assert "new" in ids
    assert page["id"] not in ids


def test_events_need_a_span_to_be_counted(world: World) -> None:
    with pytest.raises(ValueError, match="between first and last"):
        world.count("events")


def test_a_clock_runs_until_it_is_set() -> None:
    clock = Clock()
    began = clock.now()
    clock.advance(60)

    assert clock.now() >= began + 60_000
    clock.set("2026-03-11")
    clock.advance(0.5)
    assert clock.now() == parse_moment("2026-03-11T01:00:00.500+01:00")
