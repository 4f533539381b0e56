"""Knows how an aggregation request is checked, in what order, and run."""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from itertools import chain
from typing import Any

import msgspec

from pendo_emulator.access import Refused, bad_pipeline
from pendo_emulator.pipeline.context import Compiler, MakeTable, Operate
from pendo_emulator.pipeline.expressions import Scope, scope
from pendo_emulator.pipeline.group import GATHERING
from pendo_emulator.pipeline.lookup import LOOKUPS
from pendo_emulator.pipeline.operators import OPERATORS
from pendo_emulator.pipeline.sources import (
    PARAMETERS,
    check_parameters,
    event_rows,
    has_window,
    object_rows,
)
from pendo_emulator.pipeline.table import Chunk, Table, settled
from pendo_emulator.pipeline.timeseries import Window, all_time, read_window
from pendo_emulator.product.calendar import HOUR, Calendar
from pendo_emulator.world import World

_OPERATORS = {**OPERATORS, **GATHERING, **LOOKUPS}


@dataclass(frozen=True)
class Surroundings:
    """The moment of a request, ms, and the subscription's calendar."""

    now: int
    calendar: Calendar


@dataclass(frozen=True)
class Answer:
    """The rows of an answer, not yet made, and its startTime (event sources only).

    With an iterative period the rows are {startTime, results}, one for each period.
    """

    table: Table
    start_time: int | None


@dataclass(frozen=True)
class _Source:
    """What a source step means: how its rows are made, and of which window (event sources)."""

    make: Callable[[Window | None], Table]
    window: Window | None


def source_name(body: bytes) -> str:
    """Return the name of a request's first source, or "" where there is none to be found."""
    try:
        source = _first_steps(msgspec.json.decode(body)["request"]["pipeline"])[0]["source"]
    except (msgspec.DecodeError, LookupError, TypeError):
        return ""
    names = [name for name in source if name != "timeSeries"] if isinstance(source, dict) else []
    return names[0] if names else ""


def window_hours(world: World, body: bytes) -> float:
    """Return how many hours a request's longest timeSeries means; 0 without a good one."""
    compiler = _compiler(world)
    iterative = world.knobs.iterative_periods
    try:
        firsts = _first_steps(_steps(body))
        windows = [_source(step, compiler, iterative=iterative).window for step in firsts]
    except Refused:
        return 0
    return max((max(one.last - one.first, 0) / HOUR for one in windows if one), default=0)


def _first_steps(pipeline: list[Any]) -> list[Any]:
    """Return the first step of a pipeline, or of each pipeline that it spawns."""
    first = pipeline[0]
    if isinstance(first, dict) and isinstance(first.get("spawn"), list):
        branches = (one for one in first["spawn"] if isinstance(one, list) and one)
        return [step for branch in branches for step in _first_steps(branch)]
    return [first]


def run(world: World, body: bytes) -> Answer:
    """Return the answer to the body of `POST /api/v1/aggregation`.

    Raises:
        Refused: 400 or 422, with the text of the first thing that is wrong.
    """
    compiler = _compiler(world)
    steps = _steps(body)
    if _spawns(steps[0]):
        return Answer(_pipeline(steps, compiler)(), None)
    source = _source(steps[0], compiler, iterative=world.knobs.iterative_periods)
    operate = _operations(steps[1:], compiler)
    window = source.window
    if window and window.iterative:
        return Answer(_by_period(source, window, operate), None)
    return Answer(operate(source.make(window)), window.start_time if window else None)


def _compiler(world: World) -> Compiler:
    now = world.clock.now()
    return Compiler(world, now, _scope(world, now), _operations, _pipeline)


def _scope(world: World, now: int) -> Scope:
    surroundings = Surroundings(now, world.calendar)
    return scope(surroundings, casefold=world.knobs.collation == "casefold")


def _by_period(source: _Source, window: Window, operate: Operate) -> Table:
    """Return one row for each period: its start, and all that the pipeline makes of it."""

    def chunks() -> Iterator[Chunk]:
        for start, end in window.buckets():
            table = operate(source.make(replace(window, first=start, last=end)))
            yield [{"startTime": start, "results": list(table.rows())}]

    return settled(chunks)


def _pipeline(steps: Any, compiler: Compiler) -> MakeTable:
    """Return how the rows of a pipeline inside another one are made.

    Raises:
        Refused: 400 for what is wrong with it, an iterative period included.
    """
    if not isinstance(steps, list) or not steps:
        raise bad_pipeline("no source")
    if _spawns(steps[0]):
        make = _spawned(steps[0]["spawn"], compiler)
    else:
        source = _source(steps[0], compiler)
        make = lambda: source.make(source.window)  # noqa: E731 -- one of two ways to make rows
    operate = _operations(steps[1:], compiler)
    return lambda: operate(make())


def _spawns(step: Any) -> bool:
    return isinstance(step, dict) and step.keys() == {"spawn"}


def _spawned(branches: Any, compiler: Compiler) -> MakeTable:
    """Return how the rows of independent pipelines are made, one after the other."""
    if not isinstance(branches, list) or not branches:
        raise bad_pipeline("bad spawn: expected a list of pipelines")
    makes = [_pipeline(branch, compiler) for branch in branches]
    return lambda: settled(lambda: chain.from_iterable(make().chunks() for make in makes))


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


def _source(step: Any, compiler: Compiler, *, iterative: bool = False) -> _Source:
    """Return what a source step means; its timeSeries stands in or beside the source."""
    if not isinstance(step, dict) or not isinstance(step.get("source"), dict):
        raise bad_pipeline("first step must be a source")
    described = dict(step["source"])
    series = described.pop("timeSeries", step.get("timeSeries"))
    if len(described) != 1 or step.keys() - {"source", "timeSeries"}:
        raise bad_pipeline("bad source: expected exactly one source type")
    ((name, given),) = described.items()
    if name not in PARAMETERS:
        raise bad_pipeline(f"bad source: unknown source type {name}")
    parameters = check_parameters(name, given)
    world, now = compiler.world, compiler.now
    if not has_window(name, parameters, series, world.knobs):
        table = object_rows(world, name, parameters, now)
        return _Source(lambda _window: table, None)
    if series is None and world.knobs.without_series == "all_time":
        window = all_time(world.calendar, world.earliest(name), now)
    else:
        window = read_window(series, world.calendar, now, compiler.scope, iterative=iterative)
    event_rows(world, name, parameters, window, now)  # says what is wrong before any step is read

    def make(part: Window | None) -> Table:
        return event_rows(world, name, parameters, part or window, now)

    return _Source(make, window)


def _operations(steps: list[Any], compiler: Compiler) -> Operate:
    """Return what steps do, one after the other; every name is checked before any argument."""
    found = [_operator(step) for step in steps]
    operations = [_OPERATORS[name](argument, compiler) for name, argument in found]

    def operate(table: Table) -> Table:
        for operation in operations:
            table = operation(table)
        return table

    return operate


def _operator(step: Any) -> tuple[str, Any]:
    if not isinstance(step, dict) or len(step) != 1:
        raise bad_pipeline("a step must have exactly one operator")
    ((name, argument),) = step.items()
    if name not in _OPERATORS:
        raise bad_pipeline(f"unknown step type '{name}'")
    return name, argument
