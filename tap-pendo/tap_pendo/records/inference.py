"""Shapes of rows that only their maker can describe: found from a sample, and permissive.

Names are kept as they are. A later value that does not fit its column is kept under `extra`.
"""

from __future__ import annotations

import dataclasses
import typing as t

from tap_pendo.records.fields import (
    ANY_AS_TEXT,
    BOOLEAN,
    INTEGER,
    LIST,
    NUMBER,
    OBJECT,
    STRING,
    TIME,
    ConversionError,
    Field,
    JsonSchema,
    Shape,
    Type,
    types_of,
)

if t.TYPE_CHECKING:
    from collections.abc import Collection, Iterable


def _as_it_is(value: t.Any) -> t.Any:
    """Keep whole numbers whole: ids among them may be longer than a float can hold."""
    whole = isinstance(value, int) and not isinstance(value, bool)
    return value if whole else NUMBER.fit(value)


_NUMBER = Type(NUMBER.schema, _as_it_is)
_JSON_TYPES: dict[str, Type] = {
    # in a catalogue of flat records, objects and lists are declared as texts too
    "string": ANY_AS_TEXT,
    "integer": INTEGER,
    "number": _NUMBER,
    "boolean": BOOLEAN,
    "object": OBJECT,
    "array": LIST,
}
LONGEST_NAME = 63  # bytes, of a table or a column in PostgreSQL
_SYSTEM_COLUMNS = {"ctid", "xmin", "xmax", "cmin", "cmax", "tableoid"}


def shape_of(rows: Iterable[dict[str, t.Any]], reserved: Collection[str]) -> Shape:
    """Declare each name found in the rows, but those reserved for columns of our own.

    A whole number may have a fraction in the next row, so all numbers are `number`; a column of
    mixed values is text. What has been null so far is not declared: a table could not change its
    type later. Nor is what cannot name a column.
    """
    kinds: dict[str, Type] = {}
    for row in rows:
        for name, value in row.items():
            if value is not None and name not in reserved and is_column(name):
                kind = _kind(value)
                kinds[name] = kind if kinds.get(name, kind) is kind else ANY_AS_TEXT
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
    """Declare the columns of a JSON schema's properties; one of several types, or none, is text."""
    kinds = {name: _said(schema) for name, schema in properties.items() if name not in reserved}
    return Shape(*(_field(name, kind) for name, kind in kinds.items()))


def _said(schema: t.Any) -> Type:
    types = types_of(schema)
    if types == {"string"} and schema.get("format") == "date-time":
        return TIME
    return _JSON_TYPES.get(types.pop(), ANY_AS_TEXT) if len(types) == 1 else ANY_AS_TEXT


def _field(name: str, kind: Type) -> Field:
    return Field(name, name, kind, "")


def _kind(value: t.Any) -> Type:
    if isinstance(value, bool):
        return BOOLEAN
    if isinstance(value, (int, float)):
        return _NUMBER
    if isinstance(value, (dict, list)):
        return OBJECT if isinstance(value, dict) else LIST
    return STRING


Groups = dict[str, dict[str, Type]]


_TYPES = {
    "string": STRING,
    "time": TIME,
    "boolean": BOOLEAN,
    "integer": INTEGER,
    "float": NUMBER,
    "list": LIST,
}
# Pendo's own times, known even where the description lacks them
_AUTO = dict.fromkeys(
    (
        *("createdat", "firstvisit", "firstidentifiedvisit", "lastvisit", "lastupdated"),
        "lastmetadataupdate_agent",
    ),
    TIME,
)


@dataclasses.dataclass(frozen=True)
class Metadata:
    """Types of metadata fields by group and field."""

    groups: Groups
    unknown: tuple[str, ...] = ()
    """Fields whose type Pendo names in a way not known here; they are text."""

    @classmethod
    def described(cls, answer: t.Any) -> Metadata:
        """Read Pendo's description; what cannot be read is text, never an error."""
        groups: Groups = {"auto": dict(_AUTO)}
        unknown = []
        for group, fields in (answer if isinstance(answer, dict) else {}).items():
            if not isinstance(fields, dict):
                continue
            types = groups.setdefault(group, {})
            for name, definition in fields.items():
                said = definition.get("Type") if isinstance(definition, dict) else None
                found = _TYPES.get(said) if isinstance(said, str) else None
                if found is None:
                    unknown.append(f"{group}.{name}")
                types[name] = types.get(name) or found or ANY_AS_TEXT
        return cls(groups, tuple(unknown))

    def schema(self) -> JsonSchema:
        """JSON schema of the `metadata` column; fields not described are allowed too."""
        return _object(
            {
                group: _object({name: kind.schema for name, kind in fields.items()})
                for group, fields in self.groups.items()
            }
        ) | {"description": "Metadata by group: auto (Pendo's), agent, custom, pendo, …"}

    def fit(self, metadata: dict[str, t.Any]) -> tuple[dict[str, t.Any], dict[str, t.Any]]:
        """Convert one visitor's or account's metadata.

        Returns:
            The converted metadata, and what does not fit its type, by dotted name.
        """
        fitted: dict[str, t.Any] = {}
        misfits: dict[str, t.Any] = {}
        for group, values in metadata.items():
            types = self._types(group)
            if values is None or not types:
                fitted[group] = values
                continue
            if not isinstance(values, dict):
                fitted[group] = None
                misfits[f"metadata.{group}"] = values
                continue
            fitted[group] = out = dict(values)
            for name, value in values.items():
                kind = types.get(name)
                if kind is None or value is None or type(value) is kind.sent:
                    continue
                try:
                    out[name] = kind.fit(value)
                except ConversionError:
                    out[name] = None
                    misfits[f"metadata.{group}.{name}"] = value
        return fitted, misfits

    def _types(self, group: str) -> dict[str, Type] | None:
        # auto_<appId>: what `auto` says, for one app; the names come with the rows
        return self.groups.get("auto" if group.startswith("auto_") else group)


def _object(properties: JsonSchema) -> JsonSchema:
    return {"type": ["object", "null"], "properties": properties, "additionalProperties": True}
