"""Shapes of rows that only their maker can describe: found from a sample, and permissive.

Names are kept as they are. A later value that does not fit its column is kept under `extra`.
"""

from __future__ import annotations

import typing as t

from tap_pendo.shapes import ANY, BOOLEAN, INTEGER, NUMBER, STRING, TIME, Field, Shape, Type

if t.TYPE_CHECKING:
    from collections.abc import Collection, Iterable

_JSON_TYPES: dict[str, Type] = {
    "string": STRING,
    "integer": INTEGER,
    "number": NUMBER,
    "boolean": BOOLEAN,
}


def shape_of(rows: Iterable[dict[str, t.Any]], reserved: Collection[str]) -> Shape:
    """Declare each name found in the rows, but those reserved for columns of our own.

    A whole number may have a fraction in the next row, so all numbers are `number`; lists, objects
    and mixed values are of any type.
    """
    kinds: dict[str, set[Type]] = {}
    for row in rows:
        for name, value in row.items():
            if name not in reserved:
                seen = kinds.setdefault(name, set())
                if value is not None:
                    seen.add(_kind(value))
    return Shape(
        *(_field(name, seen.pop() if len(seen) == 1 else ANY) for name, seen in kinds.items())
    )


def shape_from(properties: dict[str, t.Any], reserved: Collection[str]) -> Shape:
    """Declare the columns of a JSON schema's properties; what is no plain scalar is of any type."""
    kinds = {name: _said(schema) for name, schema in properties.items() if name not in reserved}
    return Shape(*(_field(name, kind) for name, kind in kinds.items()))


def _said(schema: t.Any) -> Type:
    said = schema.get("type") if isinstance(schema, dict) else None
    types = {said} if isinstance(said, str) else set(said or ())
    types.discard("null")
    kind = _JSON_TYPES.get(types.pop(), ANY) if len(types) == 1 else ANY
    return TIME if kind is STRING and schema.get("format") == "date-time" else kind


def _field(name: str, kind: Type) -> Field:
    return Field(name, name, kind, "")


def _kind(value: t.Any) -> Type:
    if isinstance(value, bool):
        return BOOLEAN
    if isinstance(value, (int, float)):
        return NUMBER
    return STRING if isinstance(value, str) else ANY
