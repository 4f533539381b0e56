"""Product areas, and who must not be processed: the further object sources."""

from collections.abc import Callable
from typing import Any

import pytest
from pendo_emulator.access import Refused
from pendo_emulator.pipeline.sources import EVERY_APP
from pendo_emulator.world import World

Ask = Callable[..., list[dict[str, Any]]]
ALL = {"appId": EVERY_APP}
TAGGED = {"page": "pages", "feature": "features", "trackType": "trackTypes"}


def test_areas_are_the_default_one_and_custom_ones(world: World, ask: Ask) -> None:
    areas = ask(world, "groups")

    assert len(areas) == world.count("group") == 6
    assert sum(area["id"].startswith("_PENDO_DEFAULTGROUP_00_") for area in areas) == 1
    assert {area["items"] is None for area in areas} == {True}
    assert {"description" in area for area in areas} == {True, False}
    assert {"feedbackProductId" in area for area in areas} == {True, False}


def test_areas_hold_what_says_so_itself(world: World, ask: Ask) -> None:
    areas = {area["id"]: area for area in ask(world, "groups", {"items": True})}
    held = {
        (key, item["itemType"], item["itemId"])
        for key, area in areas.items()
        for item in area["items"]
    }
    said = {
        (one["group"]["id"], kind, one["id"])
        for kind, source in TAGGED.items()
        for one in ask(world, source, ALL)
        if "group" in one
    }
    guides = {one["id"] for one in ask(world, "guides", ALL)}

    assert {item for item in held if item[1] != "guide"} == said
    assert {item[2] for item in held if item[1] == "guide"} < guides
    assert {item[1] for item in held} == {"page", "feature", "trackType", "guide"}
    assert all(len(area["items"]) == area["length"] for area in areas.values())
    assert min(area["length"] for area in areas.values()) == 0


@pytest.mark.parametrize("source", TAGGED.values())
def test_embedded_areas_agree_with_the_list(world: World, ask: Ask, source: str) -> None:
    areas = {area["id"]: area for area in ask(world, "groups")}
    embedded = [one["group"] for one in ask(world, source, ALL) if "group" in one]

    assert embedded
    for group in embedded:
        assert group == {name: areas[group["id"]][name] for name in group}


def test_areas_follow_the_definitions(new_world: Any, ask: Ask) -> None:
    world = new_world()
    page = next(one for one in world.listed("page", 0) if "group" in one)
    guide = next(
        item["itemId"]
        for area in ask(world, "groups", {"items": True})
        for item in area["items"]
        if item["itemType"] == "guide"
    )
    world.remove_definition("page", page["id"])
    world.remove_definition("guide", guide)
    world.add_definition("group", {"id": "new", "name": "New"})
    areas = {area["id"]: area for area in ask(world, "groups", {"items": True})}
    held = {item["itemId"] for area in areas.values() for item in area["items"]}

    assert not {page["id"], guide} & held
    assert areas["new"]["items"] == []


def test_items_is_a_boolean(world: World, ask: Ask) -> None:
    with pytest.raises(Refused, match="items must be a boolean"):
        ask(world, "groups", {"items": "yes"})


@pytest.mark.parametrize(
    ("source", "people", "key"),
    [
        ("doNotProcessVisitors", "visitors", "visitorId"),
        ("doNotProcessAccounts", "accounts", "accountId"),
    ],
)
def test_who_must_not_be_processed_is_marked_so(
    world: World, ask: Ask, source: str, people: str, key: str
) -> None:
    silent = {row[key] for row in ask(world, source)}
    marked = {
        row[key]
        for row in ask(world, people)
        if row["metadata"].get("pendo", {}).get("donotprocess")
    }

    assert silent == marked
    assert len(silent) == world.count(source) > 0
