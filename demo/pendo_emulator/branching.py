"""Knows the operators that join rows of several pipelines: fork, join and merge."""

from collections.abc import Callable, Iterator
from typing import Any

from pendo_emulator.compiling import Compiler, Operate, bad, field_names, only, put
from pendo_emulator.expressions import Evaluate, Row
from pendo_emulator.table import Chunk, Table, settled, shuffled
from pendo_emulator.values import fingerprint


def _fork(argument: Any, compiler: Compiler) -> Operate:
    """Return the operator that sends each row to every branch, and gives what they all answer."""
    branches = argument if isinstance(argument, list) else []
    if not branches or not all(isinstance(branch, list) and branch for branch in branches):
        raise bad("fork", "expected a list of pipelines, none of them empty")
    operations = [compiler.steps(branch, compiler) for branch in branches]

    def operate(table: Table) -> Table:
        def chunks() -> Iterator[Chunk]:
            rows = list(table.rows())
            for operation in operations:
                yield from operation(settled(lambda: iter([rows]))).chunks()

        return settled(chunks)

    return operate


def _join(argument: Any, compiler: Compiler) -> Operate:
    """Return the operator that makes one row of `width` rows of equal keys, later fields winning.

    A row whose partners are missing is given as it is.
    """
    argument = only("join", argument, needed={"fields", "width"}, known=set())
    width = argument["width"]
    if isinstance(width, bool) or not isinstance(width, int) or width < 1:
        raise bad("join", "width must be a whole number")
    name = _namer("join", argument["fields"], compiler)

    def joined(table: Table) -> Iterator[Row]:
        waiting: dict[str, tuple[Row, int]] = {}
        for row in table.rows():
            key = name(row)
            partner, count = waiting.pop(key, ({}, 0))
            if count + 1 == width:
                yield {**partner, **row}
            else:
                waiting[key] = {**partner, **row}, count + 1
        yield from (row for row, _ in waiting.values())

    return lambda table: shuffled(lambda: joined(table))


def _merge(argument: Any, compiler: Compiler) -> Operate:
    """Return the left join to the rows of an inner pipeline.

    Of several inner rows of equal keys any one is taken, as nothing says which Pendo takes.
    """
    known = {"mappings"}
    argument = only("merge", argument, needed={"fields", "pipeline"}, known=known)
    name = _namer("merge", argument["fields"], compiler)
    make = compiler.pipeline(argument["pipeline"], compiler)
    mappings = argument.get("mappings")
    reads = compiler.outputs("merge", mappings) if mappings else None

    def operate(table: Table) -> Table:
        def chunks() -> Iterator[Chunk]:
            found = {name(row): row for row in make().rows()}
            for chunk in table.chunks():
                yield [_merged(row, found.get(name(row)), reads) for row in chunk]

        return settled(chunks)

    return operate


def _merged(row: Row, found: Row | None, reads: dict[str, Evaluate] | None) -> Row:
    if found is None:
        return row
    if reads is None:
        return {**row, **found}
    new = dict(row)
    for path, read in reads.items():
        put(new, path, read(found))
    return new


def _namer(operator: str, fields: Any, compiler: Compiler) -> Callable[[Row], str]:
    """Return what a row's key fields say, as one text."""
    names = field_names(operator, fields)
    reads = [compiler.expression(operator, name) for name in names]
    return lambda row: fingerprint([read(row) for read in reads])


BRANCHING: dict[str, Callable[[Any, Compiler], Operate]] = {
    "fork": _fork,
    "join": _join,
    "merge": _merge,
}
