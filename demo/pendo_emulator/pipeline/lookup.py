"""Operators that look up people, definitions and segments."""

from collections.abc import Callable
from functools import cache
from typing import Any

from pendo_emulator.pipeline.context import Compiler, Operate, bad, only, put
from pendo_emulator.pipeline.expressions import Evaluate, Row
from pendo_emulator.pipeline.table import Chunk
from pendo_emulator.values import fingerprint

_PEOPLE = ("visitor", "account")
_DEFINITIONS = {"page": "page", "feature": "feature", "trackType": "tracktype"}
_KEYS = ("visitorId", "accountId")


def _found(kind: str, compiler: Compiler) -> dict[str, Any]:
    """Return everything of a kind by id; people without the `metadata.` around."""
    world, now = compiler.world, compiler.now
    if kind == "visitor":
        rows = world.visitors(now, identified=False)
        return {row["visitorId"]: row["metadata"] for row in rows}
    if kind == "account":
        return {row["accountId"]: row["metadata"] for row in world.accounts(now)}
    return {one["id"]: one for one in world.listed(_DEFINITIONS[kind], now)}


def _expanding(operator: str, kinds: tuple[str, ...]) -> Callable[[Any, Compiler], Operate]:
    """Return the maker of `{out: {kind: field}}`, which puts an object, or null, into each row."""

    def make(argument: Any, compiler: Compiler) -> Operate:
        if not isinstance(argument, dict) or not argument:
            raise bad(operator, "expected an object")
        finds = {out: _finding(operator, spec, kinds, compiler) for out, spec in argument.items()}

        def expand(chunk: Chunk) -> Chunk:
            expanded = [dict(row) for row in chunk]
            for row, new in zip(chunk, expanded, strict=True):
                for out, find in finds.items():
                    put(new, out, find(row))
            return expanded

        roots = {out.split(".")[0] for out in argument}
        return lambda table: table.mapped(expand, keeps=roots.isdisjoint(table.by))

    return make


def _finding(operator: str, spec: Any, kinds: tuple[str, ...], compiler: Compiler) -> Evaluate:
    """Return what `{kind: field}` finds for a row; everything is looked up at the first row."""
    if not isinstance(spec, dict) or len(spec) != 1 or not spec.keys() <= set(kinds):
        raise bad(operator, f"expected one of {', '.join(kinds)}")
    ((kind, field),) = spec.items()
    read = compiler.expression(operator, field)
    known = cache(lambda: _found(kind, compiler))

    def find(row: Row) -> Any:
        key = read(row)
        return known().get(key) if isinstance(key, str) else None

    return find


def _segment(argument: Any, compiler: Compiler) -> Operate:
    """Return the operator that keeps the members of a segment.

    Members are visitors, or visitors in their accounts: a row is compared by those of visitorId
    and accountId that both it and the members have.
    """
    make = compiler.pipeline(_members_pipeline(argument, compiler), compiler)

    @cache
    def members() -> list[Row]:
        return list(make().rows())

    @cache
    def having(keys: tuple[str, ...]) -> set[str]:
        return {fingerprint([member.get(name) for name in keys]) for member in members()}

    def is_member(row: Row) -> bool:
        known = {name for member in members()[:1] for name in member}
        keys = tuple(name for name in _KEYS if name in known and name in row)
        return bool(keys) and fingerprint([row[name] for name in keys]) in having(keys)

    return lambda table: table.mapped(lambda chunk: [row for row in chunk if is_member(row)])


def _members_pipeline(argument: Any, compiler: Compiler) -> list[Any]:
    """Return the pipeline whose rows are the members.

    Raises:
        Refused: 400 for a segment that is not there for everyone, or of another form.
    """
    argument = only("segment", argument, needed=set(), known={"id", "source", "filter", "pipeline"})
    if argument.keys() == {"id"}:
        shared = {one["id"]: one for one in compiler.world.listed("segment", compiler.now)}
        if argument["id"] not in shared:
            raise bad("segment", f"unknown segment {argument['id']}")
        pipeline: list[Any] = shared[argument["id"]]["pipeline"]
        return pipeline
    if argument.keys() == {"pipeline"} and isinstance(argument["pipeline"], list):
        return argument["pipeline"]
    if "source" in argument and "pipeline" not in argument and "id" not in argument:
        steps = [{"filter": argument["filter"]}] if "filter" in argument else []
        return [{"source": argument["source"]}, *steps]
    raise bad("segment", "expected id, pipeline, or source and filter")


LOOKUPS: dict[str, Callable[[Any, Compiler], Operate]] = {
    "bulkExpand": _expanding("bulkExpand", _PEOPLE),
    "expand": _expanding("expand", (*_DEFINITIONS, *_PEOPLE)),
    "segment": _segment,
}
