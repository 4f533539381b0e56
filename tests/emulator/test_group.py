"""What group, reduce and each aggregator make of rows."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from pendo_emulator.world import World

Ask = Callable[..., list[dict[str, Any]]]
ROWS = [
    {"v": "a", "n": 1, "list": [1, 2], "app": 7},
    {"v": "b", "n": 4, "list": [], "app": 7},
    {"v": "a", "n": 4, "list": [9], "app": 8},
    {"v": None, "n": None, "app": 7},
    {"v": "c", "n": "text", "list": "no list", "app": 7},
]

AGGREGATES: list[tuple[dict[str, Any], Any]] = [
    ({"count": None}, 5),
    ({"count": "v"}, 3),
    ({"count": ["v", "app"]}, 5),
    ({"count": ["app"]}, 2),
    ({"countIf": "n > 1"}, 2),
    ({"sum": "n"}, 9),
    ({"sum": "missing"}, 0),
    ({"avg": "n"}, 3),
    ({"min": "n"}, 1),
    ({"max": "n"}, "text"),
    ({"max": "missing"}, None),
    ({"any": "missing"}, None),
]
LISTS: list[tuple[dict[str, Any], list[Any]]] = [
    ({"list": "v"}, ["a", "a", "b", "c"]),
]


@pytest.mark.parametrize(("spec", "value"), AGGREGATES)
def test_aggregates(world: World, ask: Ask, spec: dict[str, Any], value: Any) -> None:
    (row,) = ask(world, "const", ROWS, None, {"reduce": {"out": spec}})

    assert row == {"out": value}


@pytest.mark.parametrize(("spec", "values"), LISTS)
def test_lists_come_in_any_order(
    world: World, ask: Ask, spec: dict[str, Any], values: list[Any]
) -> None:
    (row,) = ask(world, "const", ROWS, None, {"reduce": [{"out": spec}]})

    assert sorted(row["out"], key=json.dumps) == sorted(values, key=json.dumps)


@pytest.mark.parametrize("aggregator", ["first", "any"])
def test_first_and_any_take_one_of_the_values(world: World, ask: Ask, aggregator: str) -> None:
    (row,) = ask(
        world, "const", ROWS[:3], None, {"sort": ["n"]}, {"reduce": {"out": {aggregator: "v"}}}
    )

    assert row["out"] == "a"


GROUPS: list[tuple[dict[str, Any], list[dict[str, Any]]]] = [
    ({"group": ["app"]}, [{"app": 7}, {"app": 8}]),
    (
        {"group": ["app"], "fields": [{"n": {"sum": "n"}}, {"rows": {"count": None}}]},
        [{"app": 7, "n": 5, "rows": 4}, {"app": 8, "n": 4, "rows": 1}],
    ),
    ({"fields": {"n": {"sum": "n"}}}, [{"n": 9}]),
]


@pytest.mark.parametrize(("argument", "rows"), GROUPS)
def test_groups(
    world: World, ask: Ask, argument: dict[str, Any], rows: list[dict[str, Any]]
) -> None:
    found = ask(world, "const", ROWS, None, {"group": argument})

    assert sorted(found, key=json.dumps) == sorted(rows, key=json.dumps)


@pytest.mark.parametrize(
    "argument",
    [
        {"group": ["v"], "stages": 1},
        {"fields": {"n": {"sum": ["a", "b"]}}},
        {"fields": {"n": {}}},
        {"fields": [1]},
    ],
)
def test_bad_groups_are_refused(world: World, ask: Ask, argument: Any) -> None:
    with pytest.raises(Exception, match="bad pipeline: bad group: "):
        ask(world, "const", ROWS, None, {"group": argument})
