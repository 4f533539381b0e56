"""Knows how an aggregation request is checked, in what order, and run (API facts §3.1, §8.3)."""

import json
from dataclasses import dataclass
from typing import Any

import msgspec

from pendo_emulator.expressions import scope
from pendo_emulator.operators import OPERATORS, Compiler, Operate
from pendo_emulator.periods import HOUR, Calendar
from pendo_emulator.refusals import Refused, bad_pipeline
from pendo_emulator.sources import (
    EVENT_SOURCES,
    PARAMETERS,
    check_parameters,
    event_rows,
    has_window,
    object_rows,
)
from pendo_emulator.table import Table
from pendo_emulator.timeseries import Window, read_window
from pendo_emulator.world import World


@dataclass(frozen=True)
class Surroundings:
    """The moment of a request, ms, and the subscription's calendar."""

    now: int
    calendar: Calendar


@dataclass(frozen=True)
class Answer:
    """The rows of an answer, not yet made, and its startTime (event sources only)."""

    table: Table
    start_time: int | None


def source_name(body: bytes) -> str:
    """Return the name of a request's first source, or "" where there is none to be found."""
    try:
        source = msgspec.json.decode(body)["request"]["pipeline"][0]["source"]
    except (msgspec.DecodeError, LookupError, TypeError):
        return ""
    names = [name for name in source if name != "timeSeries"] if isinstance(source, dict) else []
    return names[0] if names else ""


def window_hours(world: World, body: bytes) -> float:
    """Return how many hours a request's timeSeries means; 0 where it has none, or a bad one."""
    try:
        source, _, series = _source(_steps(body)[0])
        if source not in EVENT_SOURCES:
            return 0
        surroundings = Surroundings(world.clock.now(), world.calendar)
        window = read_window(series, world.calendar, surroundings.now, scope(surroundings))
    except Refused:
        return 0
    return max(window.last - window.first, 0) / HOUR


def run(world: World, body: bytes) -> Answer:
    """Return the answer to the body of `POST /api/v1/aggregation`.

    Raises:
        Refused: 400 or 422, with the text of the first thing that is wrong.
    """
    now, calendar, knobs = world.clock.now(), world.calendar, world.knobs
    expressions = scope(Surroundings(now, calendar), casefold=knobs.collation == "casefold")
    steps = _steps(body)
    source, parameters, series = _source(steps[0])
    window: Window | None = None
    if has_window(source, parameters, series, knobs):
        window = read_window(series, calendar, now, expressions)
    operations = _compiled(steps[1:], Compiler(expressions, knobs))
    if window is None:
        table = object_rows(world, source, parameters, now)
    else:
        table = event_rows(world, source, parameters, window, now)
    for operate in operations:
        table = operate(table)
    return Answer(table, window.start_time if window else None)


def _steps(body: bytes) -> list[Any]:
    try:
        request = msgspec.json.decode(body)
    except msgspec.DecodeError as error:
        raise Refused(400, f"malformed JSON: {error}") from error
    if not isinstance(request, dict) or not isinstance(request.get("request"), dict):
        raise _required("request")
    pipeline = request["request"].get("pipeline")
    if pipeline is None:
        raise _required("pipeline")
    if not isinstance(pipeline, list) or not pipeline:
        raise bad_pipeline("no source")
    return pipeline


def _required(field: str) -> Refused:
    return Refused(422, json.dumps({"overall": {}, "fields": {field: "Required"}}))


def _source(step: Any) -> tuple[str, dict[str, Any], Any]:
    """Return the source's name, its parameters, and the timeSeries, in or beside the source."""
    if not isinstance(step, dict) or not isinstance(step.get("source"), dict):
        raise bad_pipeline("first step must be a source")
    source = dict(step["source"])
    series = source.pop("timeSeries", step.get("timeSeries"))
    if len(source) != 1 or step.keys() - {"source", "timeSeries"}:
        raise bad_pipeline("bad source: expected exactly one source type")
    ((name, parameters),) = source.items()
    if name not in PARAMETERS:
        raise bad_pipeline(f"bad source: unknown source type {name}")
    return name, check_parameters(name, parameters), series


def _compiled(steps: list[Any], compiler: Compiler) -> list[Operate]:
    """Return the operators' functions; every name is checked before any argument."""
    found = [_operator(step) for step in steps]
    return [OPERATORS[name](argument, compiler) for name, argument in found]


def _operator(step: Any) -> tuple[str, Any]:
    if not isinstance(step, dict) or len(step) != 1:
        raise bad_pipeline("a step must have exactly one operator")
    ((name, argument),) = step.items()
    if name not in OPERATORS:
        raise bad_pipeline(f"unknown operator {name}")
    return name, argument
