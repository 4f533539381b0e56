"""Pipelines in pipelines, and the join of their rows."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from pendo_emulator.access import Refused
from pendo_emulator.pipeline.request import run, source_name, window_hours
from pendo_emulator.pipeline.sources import EVERY_APP
from pendo_emulator.world import World

Ask = Callable[..., list[dict[str, Any]]]
DAYS = {"period": "dayRange", "first": "now()", "count": -3}
ROWS = [{"k": 1, "a": "x"}, {"k": 2, "a": "y"}, {"k": None, "a": "z"}]


def const(*rows: dict[str, Any]) -> dict[str, Any]:
    """Return the source of some rows."""
    return {"source": {"const": list(rows)}}


def encoded(*steps: Any) -> bytes:
    """Return the body of a request."""
    return json.dumps({"request": {"pipeline": list(steps)}}).encode()


def rows_of(world: World, *steps: Any) -> list[dict[str, Any]]:
    """Return what a pipeline answers, in the order of its JSON."""
    return sorted(run(world, encoded(*steps)).table.rows(), key=json.dumps)


def refused(world: World, *steps: Any) -> str:
    """Return the text with which a pipeline is refused."""
    with pytest.raises(Refused) as refusal:
        run(world, encoded(*steps))
    assert refusal.value.status == 400
    return refusal.value.body


CASES: list[tuple[str, list[Any], list[dict[str, Any]]]] = [
    (
        "spawn unites pipelines, and what follows sees all rows",
        [
            {"spawn": [[const({"n": 1})], [const({"n": 2}, {"n": 9}), {"limit": 2}]]},
            {"reduce": {"n": {"sum": "n"}}},
        ],
        [{"n": 12}],
    ),
    (
        "spawn may be in spawn",
        [{"spawn": [[{"spawn": [[const({"n": 1})]]}], [const({"n": 2})]]}],
        [{"n": 1}, {"n": 2}],
    ),
    (
        "join makes one row of the rows of a key",
        [
            {"spawn": [[const({"k": 1, "a": 2})], [const({"k": 1, "b": 3}, {"k": 2, "b": 4})]]},
            {"join": {"fields": ["k"], "width": 2}},
        ],
        [{"k": 1, "a": 2, "b": 3}, {"k": 2, "b": 4}],
    ),
    (
        "join begins a new row when one is full",
        [
            const({"k": 1, "a": 1}, {"k": 1, "a": 1}, {"k": 1, "a": 1}),
            {"join": {"fields": ["k"], "width": 2}},
        ],
        [{"k": 1, "a": 1}, {"k": 1, "a": 1}],
    ),
]


@pytest.mark.parametrize(
    ("steps", "rows"), [case[1:] for case in CASES], ids=[case[0] for case in CASES]
)
def test_rows(world: World, steps: list[Any], rows: list[dict[str, Any]]) -> None:
    assert rows_of(world, *steps) == sorted(rows, key=json.dumps)


REFUSALS: list[tuple[list[Any], str]] = [
    ([{"spawn": []}], "bad pipeline: bad spawn: expected a list of pipelines"),
    ([{"spawn": [[]]}], "bad pipeline: no source"),
    ([{"spawn": [5]}], "bad pipeline: no source"),
    ([{"spawn": [[{"limit": 1}]]}], "bad pipeline: first step must be a source"),
    ([{"spawn": [[const()], [{"source": {"nope": None}}]]}], "bad pipeline: bad source: unknown"),
    ([const(), {"spawn": [[const()]]}], "bad pipeline: unknown step type 'spawn'"),
    ([{"source": {"const": {"a": 1}}}], "bad pipeline: bad source: bad parameters for source type"),
    ([const(), {"join": {"fields": ["k"]}}], "bad pipeline: bad join: expected an object with "),
    ([const(), {"join": {"fields": [], "width": 2}}], "bad pipeline: bad join: expected a list"),
    ([const(), {"join": {"fields": ["k"], "width": 0}}], "bad pipeline: bad join: width"),
]


@pytest.mark.parametrize(("steps", "text"), REFUSALS)
def test_refusals(world: World, steps: list[Any], text: str) -> None:
    assert refused(world, *steps).startswith(text)


@pytest.mark.parametrize("beside", [True, False])
def test_spawned_sources_have_their_own_time_series(world: World, ask: Ask, beside: bool) -> None:
    def branch(app: int) -> list[Any]:
        source = {"featureEvents": {"appId": app}}
        if beside:
            return [{"source": source, "timeSeries": DAYS}]
        return [{"source": {**source, "timeSeries": DAYS}}]

    apps = sorted({row["appId"] for row in ask(world, "apps", None, None, {"select": APP})})
    total = {"reduce": {"n": {"sum": "numEvents"}}}
    (spawned,) = rows_of(world, {"spawn": [branch(app) for app in apps]}, total)
    (whole,) = ask(world, "featureEvents", {"appId": EVERY_APP}, DAYS, total)

    assert spawned == whole
    assert whole["n"] > 100


APP = {"appId": "id"}


def test_iterative_periods_are_refused_within_other_pipelines(new_world: Any) -> None:
    world = new_world()
    world.knobs.iterative_periods = True
    daily = {"source": {"events": None, "timeSeries": {**DAYS, "period": "daily"}}}
    text = "bad pipeline: bad source: bad timeSeries: iterative period daily is not allowed here"

    assert refused(world, {"spawn": [[daily]]}) == text


def test_a_spawn_has_the_source_and_the_longest_window_of_its_pipelines(world: World) -> None:
    events = {"source": {"events": None, "timeSeries": DAYS}}
    body = encoded({"spawn": [[{"source": {"visitors": None}}], [events]]})

    assert source_name(body) == "visitors"
    assert window_hours(world, body) == 72
    assert window_hours(world, encoded({"spawn": [[]]})) == 0


def test_a_spawn_without_pipelines_is_refused_over_http(pendo: Any) -> None:
    for spawn in ([], [[]], [5], None):
        body = {"request": {"pipeline": [{"spawn": spawn}]}}
        assert pendo.call("POST", "/api/v1/aggregation", json=body).status_code == 400
