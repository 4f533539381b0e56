"""Segments, their members, and what else is looked up: bulkExpand and expand."""

from collections.abc import Callable
from typing import Any

import pytest
from pendo_emulator.pipeline.sources import EVERY_APP
from pendo_emulator.world import World

Ask = Callable[..., list[dict[str, Any]]]
DAYS = {"period": "dayRange", "first": "now()", "count": -30}
EVENTS = ("featureEvents", {"appId": EVERY_APP}, DAYS)
ADMINS = 'metadata.agent.role == "admin"'


def segment(world: World, name: str) -> str:
    key: str = next(one["id"] for one in world.definitions["segment"] if name in one["name"])
    return key


def visitors(rows: list[dict[str, Any]]) -> set[str]:
    return {row["visitorId"] for row in rows}


def test_segments_that_are_shared_are_listed(pendo: Any) -> None:
    found = pendo.get("/api/v1/segment").json()
    made = pendo.get("/api/v1/segment?createdByApi=true").json()

    assert [one["shared"] for one in found] == [True] * 3
    assert [one for one in found if one["createdByApi"]] == made
    assert {one["dependentMetadata"][0].split(".")[0] for one in found} == {"visitor", "account"}
    assert all(one["kind"] == "Segment" and one["pipeline"] for one in found)


@pytest.mark.parametrize("source", [("visitors", None, None), EVENTS])
@pytest.mark.parametrize("by", ["id", "source and filter", "pipeline"])
def test_a_segment_by_visitor_metadata_keeps_its_visitors(
    world: World, ask: Ask, source: Any, by: str
) -> None:
    arguments: dict[str, Any] = {
        "id": {"id": segment(world, "Admins")},
        "source and filter": {"source": {"visitors": {"identified": True}}, "filter": ADMINS},
        "pipeline": {"pipeline": [{"source": {"visitors": None}}, {"filter": ADMINS}]},
    }
    admins = visitors(ask(world, "visitors", {"identified": True}, None, {"filter": ADMINS}))
    rows = ask(world, *source)
    kept = ask(world, *source, {"segment": arguments[by]})

    assert len(kept) == sum(row["visitorId"] in admins for row in rows)
    assert visitors(kept) == visitors(rows) & admins
    assert 0 < len(kept) < len(rows)


def test_a_segment_by_account_metadata_keeps_visitors_in_their_accounts(
    world: World, ask: Ask
) -> None:
    key = {"segment": {"id": segment(world, "Strategic")}}
    strategic = {row["accountId"] for row in ask(world, "accounts", None, None, {"filter": CUSTOM})}
    rows = [row for row in ask(world, *EVENTS) if row.get("accountId") in strategic]
    members = ask(world, *MEMBERS, key)

    assert len(ask(world, *EVENTS, key)) == len(rows) > 0
    assert {row["accountId"] for row in members} <= strategic
    assert visitors(ask(world, "visitors", None, None, key)) == visitors(members)
    assert {row["accountId"] for row in ask(world, "accounts", None, None, key)} == {
        row["accountId"] for row in members
    }


CUSTOM = "metadata.custom.strategic"
MEMBERS = (
    "visitors",
    None,
    None,
    {"eval": {"accountId": "metadata.auto.accountids"}},
    {"unwind": {"field": "accountId", "keepEmpty": True}},
)


def test_a_segment_without_members_keeps_nothing(world: World, ask: Ask) -> None:
    nobody = {"segment": {"source": {"visitors": None}, "filter": "false"}}

    assert ask(world, "visitors", None, None, nobody) == []


def test_sorting_after_a_segment_is_right(world: World, ask: Ask) -> None:
    key = {"segment": {"id": segment(world, "Admins")}}
    rows = ask(world, *EVENTS, key, {"sort": ["day", "visitorId"]})
    keys = [(row["day"], row["visitorId"]) for row in rows]

    assert keys == sorted(keys)


@pytest.mark.parametrize(
    "argument", [{}, {"id": "nope"}, {"id": "x", "filter": "true"}, {"pipeline": 1}, "x"]
)
def test_bad_segments_are_refused(world: World, ask: Ask, argument: Any) -> None:
    with pytest.raises(Exception, match="bad pipeline: bad segment: "):
        ask(world, "visitors", None, None, {"segment": argument})


def test_a_private_segment_is_unknown_to_others(world: World, ask: Ask) -> None:
    with pytest.raises(Exception, match="unknown segment"):
        ask(world, "visitors", None, None, {"segment": {"id": segment(world, "My own")}})


@pytest.mark.parametrize("operator", ["bulkExpand", "expand"])
def test_people_are_looked_up_without_the_metadata_around(
    world: World, ask: Ask, operator: str
) -> None:
    people = {row["visitorId"]: row["metadata"] for row in ask(world, "visitors")}
    accounts = {row["accountId"]: row["metadata"] for row in ask(world, "accounts")}
    steps = {"who": {"visitor": "visitorId"}, "at.home": {"account": "accountId"}}
    rows = ask(world, *EVENTS, {operator: steps}, {"sort": ["day", "visitorId"]})

    assert rows
    assert all(row["who"] == people[row["visitorId"]] for row in rows)
    assert all(row["at"]["home"] == accounts.get(row.get("accountId")) for row in rows)


@pytest.mark.parametrize(
    ("kind", "source", "field"),
    [
        ("page", "pageEvents", "pageId"),
        ("feature", "featureEvents", "featureId"),
        ("trackType", "trackEvents", "trackTypeId"),
    ],
)
def test_definitions_are_looked_up(
    world: World, ask: Ask, kind: str, source: str, field: str
) -> None:
    rows = ask(world, source, {"appId": EVERY_APP}, DAYS, {"expand": {"info": {kind: field}}})

    assert rows
    assert all(row["info"]["id"] == row[field] for row in rows)


def test_what_is_unknown_is_null(world: World, ask: Ask) -> None:
    rows = [{"id": "nope"}, {"id": 5}, {"id": None}, {}]
    found = ask(world, "const", rows, None, {"expand": {"out": {"page": "id"}}})

    assert [row["out"] for row in found] == [None] * 4


@pytest.mark.parametrize(
    "step",
    [
        {"bulkExpand": {"out": {"page": "pageId"}}},
        {"bulkExpand": {"out": "visitorId"}},
        {"bulkExpand": {}},
        {"expand": {"out": {"vocItem": "id"}}},
        {"expand": {"out": {"page": "((", "visitor": "id"}}},
        {"expand": {"out": {"page": "(("}}},
    ],
)
def test_bad_lookups_are_refused(world: World, ask: Ask, step: Any) -> None:
    with pytest.raises(Exception, match=r"bad pipeline: bad (bulkE|e)xpand: "):
        ask(world, "visitors", None, None, step)
