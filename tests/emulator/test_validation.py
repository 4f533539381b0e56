"""What a bad aggregation is refused with, and in which order."""

import json
from typing import Any

import pytest
from pendo_emulator.access import Refused
from pendo_emulator.pipeline.request import run
from pendo_emulator.world import World

PARAMETERS = "bad pipeline: bad source: bad parameters for source type"
DAY = {"period": "dayRange", "first": "now()", "count": -1}


def _body(source: Any, *steps: Any) -> dict[str, Any]:
    return {"request": {"pipeline": [{"source": source}, *steps]}}


REFUSALS: list[tuple[Any, int, str]] = [
    ({}, 422, '{"overall": {}, "fields": {"request": "Required"}}'),
    ([], 422, '{"overall": {}, "fields": {"request": "Required"}}'),
    ({"request": {}}, 422, '{"overall": {}, "fields": {"pipeline": "Required"}}'),
    ({"request": {"pipeline": []}}, 400, "bad pipeline: no source"),
    (
        {"request": {"pipeline": [{"filter": "true"}]}},
        400,
        "bad pipeline: first step must be a source",
    ),
    (_body({"polls": None}), 400, "bad pipeline: bad source: unknown source type polls"),
    (
        _body({"trackEvents": {"featureId": "x"}, "timeSeries": DAY}),
        400,
        f"{PARAMETERS} trackEvents: unexpected parameters",
    ),
    (
        _body({"pollEvents": {"guideId": "x"}, "timeSeries": DAY}),
        400,
        f"{PARAMETERS} pollEvents: guideId and pollId go together",
    ),
    (_body({"events": None}), 400, "bad pipeline: bad source: timeSeries required"),
    (
        _body({"visitors": None}, {"frobnicate": 1}),
        400,
        "bad pipeline: unknown step type 'frobnicate'",
    ),
    (
        # Pendo has no such step, whatever clients believe
        _body({"visitors": None}, {"skip": 1}),
        400,
        "bad pipeline: unknown step type 'skip'",
    ),
    (
        _body({"visitors": None}, {"limit": 1, "count": None}),
        400,
        "bad pipeline: a step must have exactly one operator",
    ),
    (_body({"visitors": None}, {"limit": -1}), 400, "bad pipeline: bad limit: "),
    (_body({"visitors": None}, {"limit": True}), 400, "bad pipeline: bad limit: "),
    (_body({"visitors": None}, {"sort": "visitorId"}), 400, "bad pipeline: bad sort: "),
    (_body({"visitors": None}, {"count": 1}), 400, "bad pipeline: bad count: "),
    (_body({"visitors": None}, {"identified": "x"}), 400, "bad pipeline: bad identified: "),
    (_body({"visitors": None}, {"select": []}), 400, "bad pipeline: bad select: "),
    (_body({"visitors": None}, {"unwind": {"index": "i"}}), 400, "bad pipeline: bad unwind: "),
    (_body({"guides": None}, {"unwind": {"field": "a", "index": 1}}), 400, "bad pipeline: bad unw"),
    (_body({"guides": None}, {"unwind": {"field": "a", "to": "b"}}), 400, "bad pipeline: bad unw"),
    (_body({"visitors": None}, {"group": {"group": "a"}}), 400, "bad pipeline: bad group: "),
    (_body({"visitors": None}, {"set": 1}), 400, "bad pipeline: bad set: "),
    (_body({"visitors": None}, {"cat": 1}), 400, "bad pipeline: bad cat: "),
    (
        _body({"visitors": None}, {"group": {"fields": {"n": {"nope": None}}}}),
        400,
        "bad pipeline: bad group: unknown aggregator nope",
    ),
    (
        _body({"visitors": None}, {"filter": 'visitorId > "a"b"'}),
        400,
        "bad pipeline: bad filter: cannot parse",
    ),
    (
        _body({"visitors": None}, {"filter": {"field": "visitorId"}}),
        400,
        "bad pipeline: bad filter: expected a string",
    ),
    (_body({"visitors": {"identified": 1}}), 400, "bad pipeline: bad source: bad parameters"),
    (_body({"features": {"appId": "all"}}), 400, "bad pipeline: bad source: bad parameters"),
    # what is checked first is told first
    (
        _body({"events": {"nope": 1}}, {"frobnicate": 1}),
        400,
        "bad pipeline: bad source: bad parameters for source type events: unexpected parameters",
    ),
    (
        _body({"events": None}, {"frobnicate": 1}),
        400,
        "bad pipeline: bad source: timeSeries required",
    ),
    (
        _body({"visitors": None}, {"filter": "(("}, {"frobnicate": 1}),
        400,
        "bad pipeline: unknown step type 'frobnicate'",
    ),
]


@pytest.mark.parametrize(("body", "status", "text"), REFUSALS)
def test_refusals(world: World, body: Any, status: int, text: str) -> None:
    with pytest.raises(Refused) as refusal:
        run(world, json.dumps(body).encode())

    assert refusal.value.status == status
    assert refusal.value.body.startswith(text)


def test_malformed_json(world: World) -> None:
    with pytest.raises(Refused) as refusal:
        run(world, b'{"request":')

    assert refusal.value.status == 400


def test_refusals_over_http(pendo: Any) -> None:
    bad = pendo.aggregate("nope")
    empty = pendo.call("POST", "/api/v1/aggregation", json={"request": {}})

    assert (bad.status_code, bad.text) == (
        400,
        "bad pipeline: bad source: unknown source type nope",
    )
    assert (empty.status_code, empty.json()) == (
        422,
        {"overall": {}, "fields": {"pipeline": "Required"}},
    )


def test_time_series_may_stand_beside_the_source(world: World) -> None:
    body = {"request": {"pipeline": [{"source": {"events": None}, "timeSeries": DAY}]}}

    assert run(world, json.dumps(body).encode()).start_time == 1773187200000


def test_time_series_on_an_object_source_is_tolerated(world: World) -> None:
    answer = run(world, json.dumps(_body({"accounts": None, "timeSeries": DAY})).encode())

    assert answer.start_time is None
