"""Knows the operators of a pipeline: each becomes a function from table to table (§3.5, §8.3)."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from pendo_emulator.aggregators import AGGREGATORS, Aggregate
from pendo_emulator.expressions import (
    Evaluate,
    ExpressionError,
    Row,
    Scope,
    compile_expression,
)
from pendo_emulator.functions import is_anonymous
from pendo_emulator.knobs import Knobs
from pendo_emulator.refusals import bad_pipeline
from pendo_emulator.table import Chunk, SortKey, Table, shuffled
from pendo_emulator.values import truth

Operate = Callable[[Table], Table]


@dataclass(frozen=True)
class Compiler:
    """What operators are compiled with: one request's expression scope, and the knobs."""

    scope: Scope
    knobs: Knobs

    def expression(self, operator: str, text: Any) -> Evaluate:
        """Return a compiled expression of an operator.

        Raises:
            Refused: 400 with the operator's name and the reason.
        """
        try:
            return compile_expression(text, self.scope)
        except ExpressionError as error:
            raise bad_pipeline(f"bad {operator}: {error}") from error

    def outputs(self, operator: str, argument: Any) -> dict[str, Evaluate]:
        """Return {output path: expression} of select and eval."""
        if not isinstance(argument, dict) or not argument:
            raise bad_pipeline(f"bad {operator}: expected an object of expressions")
        return {name: self.expression(operator, text) for name, text in argument.items()}


def _filter(argument: Any, compiler: Compiler) -> Operate:
    holds = compiler.expression("filter", argument)
    return lambda table: table.mapped(lambda chunk: [row for row in chunk if truth(holds(row))])


def _identified(argument: Any, _compiler: Compiler) -> Operate:
    fields = {"visitorId": "visitorId", "!visitorId": "visitorId", "accountId": "accountId"}
    field = fields.get(argument) if isinstance(argument, str) else None
    if field is None:
        raise bad_pipeline(f"bad identified: unexpected {json.dumps(argument)}")
    kept = not argument.startswith("!")

    def keep(chunk: Chunk) -> Chunk:
        return [row for row in chunk if _is_identified(row.get(field)) == kept]

    return lambda table: table.mapped(keep)


def _is_identified(value: Any) -> bool:
    return bool(value) and not is_anonymous(value)


def _sort(argument: Any, compiler: Compiler) -> Operate:
    if not isinstance(argument, list) or not argument:
        raise bad_pipeline("bad sort: expected a list of fields")
    keys = [_sort_key(field, compiler) for field in argument]
    keys = keys[: compiler.knobs.sort_keys]
    casefold = compiler.knobs.collation != "bytewise"
    return lambda table: table.sorted(keys, casefold=casefold)


def _sort_key(field: Any, compiler: Compiler) -> SortKey:
    if not isinstance(field, str):
        raise bad_pipeline("bad sort: a field must be a string")
    path = field.lstrip("+-") if field[:1] in "+-" else field
    return SortKey(path, compiler.expression("sort", path), descending=field.startswith("-"))


def _whole(operator: str, argument: Any) -> int:
    if isinstance(argument, bool) or not isinstance(argument, int) or argument < 0:
        raise bad_pipeline(f"bad {operator}: expected a whole number")
    return argument


def _limit(argument: Any, _compiler: Compiler) -> Operate:
    limit = _whole("limit", argument)
    return lambda table: table.sliced(0, limit)


def _skip(argument: Any, _compiler: Compiler) -> Operate:
    skip = _whole("skip", argument)
    return lambda table: table.sliced(skip, None)


def _count(argument: Any, _compiler: Compiler) -> Operate:
    if argument is not None:
        raise bad_pipeline("bad count: expected null")
    return lambda table: shuffled(lambda: [{"count": sum(map(len, table.chunks()))}])


def _cat(argument: Any, _compiler: Compiler) -> Operate:
    if argument is not None:
        raise bad_pipeline("bad cat: expected null")
    return lambda table: table


def _put(row: Row, path: str, value: Any) -> None:
    """Set a dotted path in a row, copying the objects on the way, which others may share."""
    *outer, last = path.split(".")
    for name in outer:
        inner = row.get(name)
        row[name] = dict(inner) if isinstance(inner, dict) else {}
        row = row[name]
    row[last] = value


def _select(argument: Any, compiler: Compiler) -> Operate:
    outputs = compiler.outputs("select", argument)

    def project(chunk: Chunk) -> Chunk:
        projected = []
        for row in chunk:
            new: Row = {}
            for path, value in outputs.items():
                _put(new, path, value(row))
            projected.append(new)
        return projected

    def operate(table: Table) -> Table:
        return table.mapped(project, keeps=all(argument.get(name) == name for name in table.by))

    return operate


def _eval(argument: Any, compiler: Compiler) -> Operate:
    outputs = compiler.outputs("eval", argument)

    def extend(chunk: Chunk) -> Chunk:
        extended = []
        for row in chunk:
            new = dict(row)
            for path, value in outputs.items():
                _put(new, path, value(row))
            extended.append(new)
        return extended

    roots = {path.split(".")[0] for path in outputs}
    return lambda table: table.mapped(extend, keeps=roots.isdisjoint(table.by))


def _set(argument: Any, _compiler: Compiler) -> Operate:
    if not isinstance(argument, dict):
        raise bad_pipeline("bad set: expected an object")

    def fill(chunk: Chunk) -> Chunk:
        filled = [dict(row) for row in chunk]
        for row in filled:
            for path, value in argument.items():
                _put(row, path, value)
        return filled

    roots = {path.split(".")[0] for path in argument}
    return lambda table: table.mapped(fill, keeps=roots.isdisjoint(table.by))


def _unwind_argument(argument: Any) -> tuple[str, str | None, bool]:
    """Return the field, the name of the index, and whether rows without elements stay."""
    if not isinstance(argument, dict) or not isinstance(argument.get("field"), str):
        raise bad_pipeline("bad unwind: expected an object with field")
    if not isinstance(argument.get("index", ""), str):
        raise bad_pipeline("bad unwind: index must be a string")
    unknown = argument.keys() - {"field", "index", "keepEmpty"}
    if unknown:
        raise bad_pipeline(f"bad unwind: unexpected {', '.join(sorted(unknown))}")
    return argument["field"], argument.get("index"), truth(argument.get("keepEmpty"))


def _unwind(argument: Any, compiler: Compiler) -> Operate:
    """Return the operator that makes one row of each element; `index` names their position."""
    path, index, keeps_empty = _unwind_argument(argument)
    read = compiler.expression("unwind", path)

    def expand(chunk: Chunk) -> Chunk:
        expanded = []
        for row in chunk:
            found = read(row)
            items = found if isinstance(found, list) else []
            if not items and keeps_empty:
                items = [None]
            for position, item in enumerate(items):
                new = dict(row)
                _put(new, path, item)
                if index is not None:
                    _put(new, index, position)
                expanded.append(new)
        return expanded

    return lambda table: table.mapped(expand, keeps=path not in table.by)


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
        raise bad_pipeline(f"bad {operator}: expected an object of aggregators")
    return [
        _measure(operator, output, spec, compiler)
        for part in parts
        for output, spec in part.items()
    ]


def _measure(operator: str, output: str, spec: Any, compiler: Compiler) -> _Measure:
    if not isinstance(spec, dict) or len(spec) != 1:
        raise bad_pipeline(f"bad {operator}: {output} needs one aggregator")
    ((name, text),) = spec.items()
    if name not in AGGREGATORS:
        raise bad_pipeline(f"bad {operator}: unknown aggregator {name}")
    if text is None and name == "count":
        return _Measure(output, AGGREGATORS[name], None)
    return _Measure(output, AGGREGATORS[name], compiler.expression(operator, text))


def _group(argument: Any, compiler: Compiler) -> Operate:
    if not isinstance(argument, dict) or argument.keys() - {"group", "fields"}:
        raise bad_pipeline("bad group: expected an object of group and fields")
    names = argument.get("group") or []
    if not isinstance(names, list):
        raise bad_pipeline("bad group: group must be a list of fields")
    reads = {name: compiler.expression("group", name) for name in names}
    outputs = _measures("group", argument.get("fields") or {}, compiler)

    def make(table: Table) -> list[Row]:
        members: dict[str, tuple[list[Any], list[Row]]] = {}
        for row in table.rows():
            values = [read(row) for read in reads.values()]
            members.setdefault(json.dumps(values), (values, []))[1].append(row)
        return [_grouped(list(reads), values, outputs, rows) for values, rows in members.values()]

    return lambda table: shuffled(lambda: make(table))


def _grouped(names: list[str], values: list[Any], outputs: list[_Measure], rows: list[Row]) -> Row:
    new: Row = {}
    for name, value in zip(names, values, strict=True):
        _put(new, name, value)
    for measure in outputs:
        _put(new, measure.output, measure.of(rows))
    return new


def _reduce(argument: Any, compiler: Compiler) -> Operate:
    outputs = _measures("reduce", argument, compiler)
    return lambda table: shuffled(lambda: [_grouped([], [], outputs, list(table.rows()))])


OPERATORS: dict[str, Callable[[Any, Compiler], Operate]] = {
    "cat": _cat,
    "count": _count,
    "eval": _eval,
    "filter": _filter,
    "group": _group,
    "identified": _identified,
    "limit": _limit,
    "reduce": _reduce,
    "select": _select,
    "set": _set,
    "skip": _skip,
    "sort": _sort,
    "unwind": _unwind,
}
