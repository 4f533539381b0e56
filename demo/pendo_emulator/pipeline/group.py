"""The operators group, join and reduce, and their aggregators."""

import statistics
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from pendo_emulator.pipeline.context import Compiler, Operate, bad, field_names, only, put
from pendo_emulator.pipeline.expressions import Evaluate, Row
from pendo_emulator.pipeline.table import Table, shuffled
from pendo_emulator.values import fingerprint, rank, sort_key, truth

Aggregate = Callable[[Sequence[Any]], Any]


def _numbers(values: Sequence[Any]) -> list[Any]:
    return [value for value in values if rank(value) == rank(0)]


def _known(values: Sequence[Any]) -> list[Any]:
    return [value for value in values if value is not None]


def _distinct(values: Sequence[Any]) -> int:
    return len({fingerprint(value) for value in _known(values)})


def _average(values: Sequence[Any]) -> float | None:
    numbers = _numbers(values)
    return statistics.fmean(numbers) if numbers else None


AGGREGATORS: dict[str, Aggregate] = {
    "any": lambda values: next(iter(_known(values)), None),
    "avg": _average,
    "count": _distinct,
    "countIf": lambda values: sum(map(truth, values)),
    "first": lambda values: values[0] if values else None,
    "list": _known,
    "max": lambda values: max(_known(values), key=sort_key, default=None),
    "min": lambda values: min(_known(values), key=sort_key, default=None),
    "sum": lambda values: sum(_numbers(values)),
}


@dataclass(frozen=True)
class _Measure:
    """One output of group or reduce; without expression, count counts rows."""

    output: str
    aggregate: Aggregate
    read: Evaluate | None

    def of(self, rows: list[Row]) -> Any:
        """Return the aggregate over the rows."""
        return self.aggregate([self.read(row) for row in rows]) if self.read else len(rows)


def _measures(operator: str, argument: Any, compiler: Compiler) -> list[_Measure]:
    """Return the outputs of `{out: {aggregator: expression}}`, or of a list of such objects."""
    parts = argument if isinstance(argument, list) else [argument]
    if not all(isinstance(part, dict) for part in parts):
        raise bad(operator, "expected an object of aggregators")
    return [
        _measure(operator, output, spec, compiler)
        for part in parts
        for output, spec in part.items()
    ]


def _measure(operator: str, output: str, spec: Any, compiler: Compiler) -> _Measure:
    if not isinstance(spec, dict) or len(spec) != 1:
        raise bad(operator, f"{output} needs one aggregator")
    ((name, argument),) = spec.items()
    if name not in AGGREGATORS:
        raise bad(operator, f"unknown aggregator {name}")
    if argument is None and name == "count":
        return _Measure(output, AGGREGATORS[name], None)
    if not isinstance(argument, list):
        return _Measure(output, AGGREGATORS[name], compiler.expression(operator, argument))
    if name != "count":  # of distinct tuples
        raise bad(operator, f"{name} takes one expression")
    reads = [compiler.expression(operator, text) for text in argument]
    return _Measure(output, AGGREGATORS[name], lambda row: [read(row) for read in reads])


Keys = tuple[Any, ...]


def _group(argument: Any, compiler: Compiler) -> Operate:
    argument = only("group", argument, needed=set(), known={"group", "fields"})
    names = argument.get("group") or []
    if not isinstance(names, list):
        raise bad("group", "group must be a list of fields")
    reads = {name: compiler.expression("group", name) for name in names}
    outputs = _measures("group", argument.get("fields") or {}, compiler)

    def make(table: Table) -> Iterator[Row]:
        members: dict[str, tuple[Keys, list[Row]]] = {}
        for row in table.rows():
            keys = tuple(read(row) for read in reads.values())
            members.setdefault(fingerprint(keys), (keys, []))[1].append(row)
        for keys, rows in members.values():
            yield _gathered(reads, keys, outputs, rows)

    return lambda table: shuffled(lambda: make(table))


def _gathered(names: Iterable[str], keys: Keys, outputs: list[_Measure], rows: list[Row]) -> Row:
    new: Row = {}
    for name, value in zip(names, keys, strict=True):
        put(new, name, value)
    for measure in outputs:
        put(new, measure.output, measure.of(rows))
    return new


def _reduce(argument: Any, compiler: Compiler) -> Operate:
    outputs = _measures("reduce", argument, compiler)
    return lambda table: shuffled(lambda: [_gathered([], (), outputs, list(table.rows()))])


def _join(argument: Any, compiler: Compiler) -> Operate:
    """Return the operator that makes one row of `width` rows of equal keys, later fields winning.

    A row whose partners are missing is given as it is.
    """
    argument = only("join", argument, needed={"fields", "width"}, known=set())
    width = argument["width"]
    if isinstance(width, bool) or not isinstance(width, int) or width < 1:
        raise bad("join", "width must be a whole number")
    reads = [
        compiler.expression("join", field) for field in field_names("join", argument["fields"])
    ]

    def joined(table: Table) -> Iterator[Row]:
        waiting: dict[str, tuple[Row, int]] = {}
        for row in table.rows():
            key = fingerprint([read(row) for read in reads])
            partner, count = waiting.pop(key, ({}, 0))
            if count + 1 == width:
                yield {**partner, **row}
            else:
                waiting[key] = {**partner, **row}, count + 1
        yield from (row for row, _ in waiting.values())

    return lambda table: shuffled(lambda: joined(table))


GATHERING: dict[str, Callable[[Any, Compiler], Operate]] = {
    "group": _group,
    "join": _join,
    "reduce": _reduce,
}
