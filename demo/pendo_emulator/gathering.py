"""Knows the operators that gather rows: group and reduce."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import product
from typing import Any

from pendo_emulator.aggregators import AGGREGATORS, TUPLES, Aggregate
from pendo_emulator.compiling import Compiler, Operate, bad, only, put
from pendo_emulator.expressions import Evaluate, Row
from pendo_emulator.table import Table, shuffled
from pendo_emulator.values import fingerprint


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
    if name not in TUPLES:
        raise bad(operator, f"{name} takes one expression")
    reads = [compiler.expression(operator, text) for text in argument]
    return _Measure(output, AGGREGATORS[name], lambda row: [read(row) for read in reads])


Keys = tuple[Any, ...]


def _group(argument: Any, compiler: Compiler) -> Operate:
    argument = only("group", argument, needed=set(), known={"group", "fields", "forceKeys"})
    names = argument.get("group") or []
    if not isinstance(names, list):
        raise bad("group", "group must be a list of fields")
    reads = {name: compiler.expression("group", name) for name in names}
    outputs = _measures("group", argument.get("fields") or {}, compiler)
    forced = _forced(names, argument.get("forceKeys") or {}, compiler)

    def make(table: Table) -> Iterator[Row]:
        members: dict[str, tuple[Keys, list[Row]]] = {}
        for row in table.rows():
            keys = tuple(read(row) for read in reads.values())
            members.setdefault(fingerprint(keys), (keys, []))[1].append(row)
        if forced:
            for keys in _forced_keys(list(reads), forced, [keys for keys, _ in members.values()]):
                members.setdefault(fingerprint(keys), (keys, []))
        for keys, rows in members.values():
            yield _gathered(reads, keys, outputs, rows)

    return lambda table: shuffled(lambda: make(table))


def _forced(names: list[str], argument: Any, compiler: Compiler) -> dict[str, list[Any]]:
    """Return the values of fields that must have groups: `{field: "list(…)"}`."""
    argument = only("group", argument, needed=set(), known=set(names))
    values = {name: compiler.expression("group", text)({}) for name, text in argument.items()}
    if not all(isinstance(one, list) for one in values.values()):
        raise bad("group", "forceKeys must be lists")
    return values


def _forced_keys(
    names: list[str], forced: dict[str, list[Any]], found: list[Keys]
) -> Iterable[Keys]:
    """Return the keys of groups that must be: forced values beside all others that were found."""
    columns = [
        forced[name] if name in forced else [keys[place] for keys in found]
        for place, name in enumerate(names)
    ]
    return product(*columns)


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


GATHERING: dict[str, Callable[[Any, Compiler], Operate]] = {"group": _group, "reduce": _reduce}
