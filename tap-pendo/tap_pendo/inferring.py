"""Shapes of rows that only their maker can describe: found from a sample, and permissive.

Names are kept as they are. A later value that does not fit its column is kept under `extra`.
"""

from __future__ import annotations

import typing as t

from tap_pendo.shapes import ANY, BOOLEAN, INTEGER, NUMBER, STRING, TIME, Field, Shape, Type

if t.TYPE_CHECKING:
    from collections.abc import Collection, Iterable


def _as_it_is(value: t.Any) -> t.Any:
    """Keep whole numbers whole: ids among them may be longer than a float can hold."""
    whole = isinstance(value, int) and not isinstance(value, bool)
    return value if whole else NUMBER.fit(value)


_NUMBER = Type(NUMBER.schema, _as_it_is)
_JSON_TYPES: dict[str, Type] = {
    "string": STRING,
    "integer": INTEGER,
    "number": _NUMBER,
    "boolean": BOOLEAN,
}
LONGEST_NAME = 63  # bytes, of a table or a column in PostgreSQL
_SYSTEM_COLUMNS = {"ctid", "xmin", "xmax", "cmin", "cmax", "tableoid"}


def shape_of(rows: Iterable[dict[str, t.Any]], reserved: Collection[str]) -> Shape:
    """Declare each name found in the rows, but those reserved for columns of our own.

    A whole number may have a fraction in the next row, so all numbers are `number`; lists, objects
    and mixed values are of any type. What has been null so far is not declared: a table could not
    change its type later. Nor is what cannot name a column.
    """
    kinds: dict[str, Type] = {}
    for row in rows:
        for name, value in row.items():
            if value is not None and name not in reserved and is_column(name):
                kind = _kind(value)
                kinds[name] = kind if kinds.get(name, kind) is kind else ANY
    return Shape(*(_field(name, kind) for name, kind in kinds.items()))


def is_column(name: str) -> bool:
    """Whether PostgreSQL and target-postgres can have a column of that name."""
    return (
        0 < len(name.encode()) <= LONGEST_NAME
        and '"' not in name
        and name.isprintable()
        and name not in _SYSTEM_COLUMNS
        and not name.startswith("_sdc_")
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
        return _NUMBER
    return STRING if isinstance(value, str) else ANY
