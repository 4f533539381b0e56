"""What each operator does with rows, and in which order."""

from collections.abc import Callable
from typing import Any

import pytest
from pendo_emulator.pipeline.sources import EVERY_APP
from pendo_emulator.values import sort_key
from pendo_emulator.world import World

Ask = Callable[..., list[dict[str, Any]]]
FEATURES = ("features", {"appId": EVERY_APP}, None)
DAYS = {"period": "dayRange", "first": "now()", "count": -3}
EVENTS = ("featureEvents", {"appId": EVERY_APP}, DAYS)


def test_filter_keeps_what_is_true(world: World, ask: Ask) -> None:
    rows = ask(world, *FEATURES, {"filter": "appId == -323232 && appWide"})

    assert rows
    assert all(row["appId"] == -323232 and row["appWide"] for row in rows)


def test_steps_run_in_the_order_they_stand_in(world: World, ask: Ask) -> None:
    keys = sorted(row["id"] for row in ask(world, *FEATURES))
    after = {"filter": f'id > "{keys[9]}"'}
    sort, limit = {"sort": ["id"]}, {"limit": 5}

    assert [row["id"] for row in ask(world, *FEATURES, sort, after, limit)] == keys[10:15]
    assert ask(world, *FEATURES, sort, limit, after) == []


def test_without_sort_rows_come_in_any_order(world: World, ask: Ask) -> None:
    orders = {tuple(row["visitorId"] for row in ask(world, "visitors")) for _ in range(3)}

    assert len(orders) == 3


def test_ties_come_in_any_order(world: World, ask: Ask) -> None:
    pipeline = ("visitors", None, None, {"sort": ["metadata.custom.beta"]}, {"limit": 50})
    orders = {tuple(row["visitorId"] for row in ask(world, *pipeline)) for _ in range(3)}

    assert len(orders) == 3


@pytest.mark.parametrize("field", ["metadata.custom.level", "metadata.auto.lastupdated", "nope"])
@pytest.mark.parametrize("sign", ["", "+", "-"])
def test_sort_puts_null_first_then_types_by_rank(
    world: World, ask: Ask, field: str, sign: str
) -> None:
    rows = ask(world, "visitors", None, None, {"sort": [sign + field]})
    keys = [sort_key(_at(row, field)) for row in rows]

    assert keys == sorted(keys, reverse=sign == "-")
    assert len(rows) == 418


def _at(row: Any, path: str) -> Any:
    for name in path.split("."):
        row = row.get(name) if isinstance(row, dict) else None
    return row


def test_sort_by_several_keys_and_directions(world: World, ask: Ask) -> None:
    rows = ask(world, *EVENTS, {"sort": ["-day", "appId", "-visitorId"]})
    by_visitor = sorted(rows, key=lambda row: row["visitorId"], reverse=True)
    by_app = sorted(by_visitor, key=lambda row: row["appId"])
    expected = sorted(by_app, key=lambda row: row["day"], reverse=True)

    def shown(rows: list[dict[str, Any]]) -> list[Any]:
        return [(row["day"], row["appId"], row["visitorId"]) for row in rows]

    assert shown(rows) == shown(expected)


def test_sort_of_event_rows_by_bucket_and_visitor(world: World, ask: Ask) -> None:
    rows = ask(world, *EVENTS, {"sort": ["day", "visitorId", "featureId"]})
    keys = [(row["day"], row["visitorId"], row["featureId"]) for row in rows]

    assert keys == sorted(keys)
    assert len({day for day, _, _ in keys}) == 3


def test_limit_cuts_a_sorted_table(world: World, ask: Ask) -> None:
    sort = {"sort": ["visitorId"]}
    every = ask(world, "visitors", None, None, sort)

    assert ask(world, "visitors", None, None, sort, {"limit": 100}) == every[:100]
    assert ask(world, "visitors", None, None, sort, {"limit": 9999}) == every
    assert ask(world, "visitors", None, None, {"limit": 0}) == []


def test_identified(world: World, ask: Ask) -> None:
    def count(parameters: Any, *steps: Any) -> int:
        return len(ask(world, "visitors", parameters, None, *steps))

    assert count(None) == count({"identified": False}) == 418
    assert count({"identified": True}) == count(None, {"identified": "visitorId"}) == 400
    assert count(None, {"identified": "!visitorId"}) == 18


def test_count_replaces_the_rows(world: World, ask: Ask) -> None:
    assert ask(world, *FEATURES, {"limit": 7}, {"count": None}) == [{"count": 7}]


def test_select_eval_set_and_cat(world: World, ask: Ask) -> None:
    rows = ask(
        world,
        *FEATURES,
        {"cat": None},
        {"select": {"key": "id", "who.name": "createdByUser.first", "app": "appId"}},
        {"eval": {"who.app": "app + 1", "app": "null"}},
        {"set": {"fixed": [1]}},
    )

    assert all(row.keys() == {"key", "who", "app", "fixed"} for row in rows)
    assert all(row["app"] is None and row["fixed"] == [1] for row in rows)
    assert {row["who"]["app"] for row in rows} >= {-323231}


def test_eval_leaves_the_definitions_alone(world: World, ask: Ask) -> None:
    ask(world, *FEATURES, {"eval": {"createdByUser.first": "`changed`"}})

    assert all(row["createdByUser"]["first"] != "changed" for row in ask(world, *FEATURES))


def test_select_that_moves_the_bucket_still_sorts_rightly(world: World, ask: Ask) -> None:
    moved = {"select": {"day": "0 - day", "visitorId": "visitorId"}}
    rows = ask(world, *EVENTS, moved, {"sort": ["day", "visitorId"]})
    keys = [(row["day"], row["visitorId"]) for row in rows]

    assert keys == sorted(keys)


def test_unwind(world: World, ask: Ask) -> None:
    accounts = "metadata.auto.accountids"
    plain = ask(world, "visitors", None, None, {"unwind": {"field": accounts, "index": "place"}})
    full = ask(world, "visitors", None, None, {"unwind": {"field": accounts, "keepEmpty": True}})
    visitors = ask(world, "visitors")
    lists = [row["metadata"].get("auto", {}).get("accountids", []) for row in visitors]

    assert len(plain) == sum(map(len, lists))
    assert len(full) == sum(max(1, len(found)) for found in lists)
    assert {row["place"] for row in plain} == {0, 1}


def test_group_and_reduce(world: World, ask: Ask) -> None:
    rows = ask(world, *EVENTS)
    fields = {
        "rows": {"count": None},
        "visitors": {"count": "visitorId"},
        "events": {"sum": "numEvents"},
        "first": {"min": "firstTime"},
        "last": {"max": "lastTime"},
        "mean": {"avg": "numEvents"},
        "many": {"countIf": "numEvents > 1"},
        "kinds": {"list": "appId"},
    }
    (total,) = ask(world, *EVENTS, {"reduce": fields})
    groups = ask(world, *EVENTS, {"group": {"group": ["appId"], "fields": [fields]}})
    distinct = ask(world, *EVENTS, {"group": {"group": ["appId", "visitorId"]}})

    assert total["rows"] == len(rows) == sum(group["rows"] for group in groups)
    assert total["visitors"] == len({row["visitorId"] for row in rows})
    assert total["events"] == sum(row["numEvents"] for row in rows)
    assert (total["first"], total["last"]) == (
        min(row["firstTime"] for row in rows),
        max(row["lastTime"] for row in rows),
    )
    assert total["mean"] == pytest.approx(total["events"] / total["rows"])
    assert total["many"] == sum(row["numEvents"] > 1 for row in rows)
    assert len(total["kinds"]) == len(rows)
    assert {group["appId"] for group in groups} == {row["appId"] for row in rows}
    assert len(distinct) == len({(row["appId"], row["visitorId"]) for row in rows})


def test_knob_sort_keys_honours_only_the_first(new_world: Any, ask: Ask) -> None:
    world = new_world()
    world.knobs.sort_keys = 1
    rows = ask(world, *EVENTS, {"sort": ["day", "visitorId"]})
    keys = [(row["day"], row["visitorId"]) for row in rows]

    assert [day for day, _ in keys] == sorted(day for day, _ in keys)
    assert keys != sorted(keys)


@pytest.mark.parametrize(
    ("collation", "folded_order", "found"),
    [
        ("bytewise", False, {"case@atlas.example"}),
        ("casefold", True, set()),
        ("casefold_sort", True, {"case@atlas.example"}),
    ],
)
def test_knob_collation(
    new_world: Any, ask: Ask, collation: str, folded_order: bool, found: set[str]
) -> None:
    world = new_world()
    world.knobs.collation = collation
    ids = [row["visitorId"] for row in ask(world, "visitors", None, None, {"sort": ["visitorId"]})]
    after = {"filter": 'visitorId > "Case@atlas.example" && visitorId == "case@atlas.example"'}

    assert [one.casefold() for one in ids] == sorted(one.casefold() for one in ids) or (
        not folded_order and ids == sorted(ids)
    )
    assert {row["visitorId"] for row in ask(world, "visitors", None, None, after)} == found


def test_knob_identified_null(new_world: Any, ask: Ask) -> None:
    world = new_world()
    world.knobs.identified_null = "identified"

    assert len(ask(world, "visitors")) == 400


def test_knob_max_sort_fields_refuses_more(new_world: Any, ask: Ask) -> None:
    world = new_world()
    world.knobs.max_sort_fields = 2

    assert ask(world, *EVENTS, {"sort": ["day", "visitorId"]})
    with pytest.raises(Exception, match="bad pipeline: bad sort: no more than 2 fields"):
        ask(world, *EVENTS, {"sort": ["day", "visitorId", "featureId"]})


ROW = {"n": 5, "list": ["a", "b", "c"], "empty": [], "text": "x"}


STEPS: list[tuple[dict[str, Any], str, list[Any]]] = [
    # steps, a field, and its values in the rows that come out
    ({"unwind": {"field": "list"}}, "list", ["a", "b", "c"]),
    ({"unwind": {"field": "list", "index": "at"}}, "at", [0, 1, 2]),
    ({"unwind": {"field": "text", "keepEmpty": True}}, "text", [None]),
    ({"set": {"a.b": 1, "n": None}}, "a", [{"b": 1}]),
]  # fmt: skip


@pytest.mark.parametrize(("step", "field", "values"), STEPS)
def test_steps(world: World, ask: Ask, step: dict[str, Any], field: str, values: list[Any]) -> None:
    rows = ask(world, "const", [ROW], None, step)

    assert [row[field] for row in rows] == values


@pytest.mark.parametrize(
    ("step", "text"),
    [
        ({"unwind": {"field": "list", "to": "x"}}, "bad unwind: unexpected to"),
    ],
)
def test_bad_steps_are_refused(world: World, ask: Ask, step: dict[str, Any], text: str) -> None:
    with pytest.raises(Exception, match=f"bad pipeline: {text}"):
        ask(world, "const", [ROW], None, step)
