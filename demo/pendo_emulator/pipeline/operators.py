"""Knows the operators that look at one row at a time, or only order and cut the rows."""

import json
from collections.abc import Callable
from typing import Any

from pendo_emulator.access import Refused
from pendo_emulator.pipeline.context import Compiler, Operate, bad, only, put
from pendo_emulator.pipeline.expressions import Evaluate, Row
from pendo_emulator.pipeline.table import Chunk, SortKey, Table, shuffled
from pendo_emulator.product.people import is_anonymous
from pendo_emulator.values import truth


def _filter(argument: Any, compiler: Compiler) -> Operate:
    if compiler.knobs.filter_escapes == "refused" and "\\" in str(argument):
        raise Refused(400, "Cannot parse filter expression")
    holds = compiler.expression("filter", argument)
    return lambda table: table.mapped(lambda chunk: [row for row in chunk if truth(holds(row))])


def _identified(argument: Any, _compiler: Compiler) -> Operate:
    fields = {"visitorId": "visitorId", "!visitorId": "visitorId", "accountId": "accountId"}
    field = fields.get(argument) if isinstance(argument, str) else None
    if field is None:
        raise bad("identified", f"unexpected {json.dumps(argument)}")
    kept = not argument.startswith("!")

    def keep(chunk: Chunk) -> Chunk:
        return [row for row in chunk if _is_identified(row.get(field)) == kept]

    return lambda table: table.mapped(keep)


def _is_identified(value: Any) -> bool:
    return bool(value) and not is_anonymous(value)


def _sort(argument: Any, compiler: Compiler) -> Operate:
    if not isinstance(argument, list) or not argument:
        raise bad("sort", "expected a list of fields")
    most = compiler.knobs.max_sort_fields
    if most is not None and len(argument) > most:
        raise bad("sort", f"no more than {most} fields are allowed")
    keys = [_sort_key(field, compiler) for field in argument]
    keys = keys[: compiler.knobs.sort_keys]
    casefold = compiler.knobs.collation != "bytewise"
    return lambda table: table.sorted(keys, casefold=casefold)


def _sort_key(field: Any, compiler: Compiler) -> SortKey:
    if not isinstance(field, str):
        raise bad("sort", "a field must be a string")
    path = field.lstrip("+-") if field[:1] in "+-" else field
    return SortKey(path, compiler.expression("sort", path), descending=field.startswith("-"))


def _whole(operator: str, argument: Any) -> int:
    if isinstance(argument, bool) or not isinstance(argument, int) or argument < 0:
        raise bad(operator, "expected a whole number")
    return argument


def _limit(argument: Any, _compiler: Compiler) -> Operate:
    limit = _whole("limit", argument)
    return lambda table: table.cut(limit)


def _count(argument: Any, _compiler: Compiler) -> Operate:
    if argument is not None:
        raise bad("count", "expected null")
    return lambda table: shuffled(lambda: [{"count": sum(map(len, table.chunks()))}])


def _cat(argument: Any, _compiler: Compiler) -> Operate:
    if argument is not None:
        raise bad("cat", "expected null")
    return lambda table: table


def _select(argument: Any, compiler: Compiler) -> Operate:
    outputs = compiler.outputs("select", argument)

    def project(chunk: Chunk) -> Chunk:
        projected = []
        for row in chunk:
            new: Row = {}
            for path, value in outputs.items():
                put(new, path, value(row))
            projected.append(new)
        return projected

    def operate(table: Table) -> Table:
        return table.mapped(project, keeps=all(argument.get(name) == name for name in table.by))

    return operate


def _eval(argument: Any, compiler: Compiler) -> Operate:
    return _setting(compiler.outputs("eval", argument))


def _setting(outputs: dict[str, Evaluate]) -> Operate:
    """Return the operator that adds or replaces fields; all see the row as it was."""

    def extend(chunk: Chunk) -> Chunk:
        extended = []
        for row in chunk:
            new = dict(row)
            for path, value in outputs.items():
                put(new, path, value(row))
            extended.append(new)
        return extended

    roots = {path.split(".")[0] for path in outputs}
    return lambda table: table.mapped(extend, keeps=roots.isdisjoint(table.by))


def _set(argument: Any, _compiler: Compiler) -> Operate:
    if not isinstance(argument, dict):
        raise bad("set", "expected an object")

    def constant(value: Any) -> Evaluate:
        return lambda _row: value

    return _setting({path: constant(value) for path, value in argument.items()})


def _unwind(argument: Any, compiler: Compiler) -> Operate:
    """Return the operator that makes one row of each element; `index` is its position's field."""
    known = {"index", "keepEmpty"}
    argument = only("unwind", argument, needed={"field"}, known=known)
    path, index = argument["field"], argument.get("index")
    if not isinstance(index, str | None):
        raise bad("unwind", "index must be a string")
    read = compiler.expression("unwind", path)
    keeps_empty = truth(argument.get("keepEmpty"))

    def elements(row: Row) -> list[Any]:
        found = read(row)
        items = found if isinstance(found, list) else []
        return items or [None] * keeps_empty

    def expand(chunk: Chunk) -> Chunk:
        expanded = []
        for row in chunk:
            for position, item in enumerate(elements(row)):
                new = dict(row)
                put(new, path, item)
                if index is not None:
                    put(new, index, position)
                expanded.append(new)
        return expanded

    return lambda table: table.mapped(expand, keeps=path not in table.by)


OPERATORS: dict[str, Callable[[Any, Compiler], Operate]] = {
    "cat": _cat,
    "count": _count,
    "eval": _eval,
    "filter": _filter,
    "identified": _identified,
    "limit": _limit,
    "select": _select,
    "set": _set,
    "sort": _sort,
    "unwind": _unwind,
}
