"""The answer of /metadata/schema/*, as types of the metadata of visitors and accounts.

Source: pendo-api.md §2.8. Customers' own names are kept as they are.
"""

from __future__ import annotations

import dataclasses
import typing as t

from tap_pendo.shapes import (
    ANY,
    BOOLEAN,
    INTEGER,
    NUMBER,
    STRING,
    TIME,
    JsonSchema,
    MisfitError,
    Type,
)

Groups = dict[str, dict[str, Type]]


def _list(value: t.Any) -> list[t.Any]:
    if isinstance(value, list):
        return value
    raise MisfitError


# "array" without items: the elements of a list may be of any type
_TYPES = {
    "string": STRING,
    "time": TIME,
    "boolean": BOOLEAN,
    "integer": INTEGER,
    "float": NUMBER,
    "list": Type({"type": ["array", "null"]}, _list, list),
}
# Pendo's own times, known even where the description lacks them
_AUTO = dict.fromkeys(
    ("createdat", "firstvisit", "firstidentifiedvisit", "lastvisit", "lastupdated"), TIME
)


@dataclasses.dataclass(frozen=True)
class Metadata:
    """Types of metadata fields by group and field."""

    groups: Groups
    unknown: tuple[str, ...] = ()
    """Fields whose type Pendo names in a way not known here; they are of any type."""

    @classmethod
    def described(cls, answer: t.Any) -> Metadata:
        """Read Pendo's description; what cannot be read is of any type, never an error."""
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
                types[name] = types.get(name) or found or ANY
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
                except MisfitError:
                    out[name] = None
                    misfits[f"metadata.{group}.{name}"] = value
        return fitted, misfits

    def _types(self, group: str) -> dict[str, Type] | None:
        # auto_<appId>: what `auto` says, for one app; the names come with the rows
        return self.groups.get("auto" if group.startswith("auto_") else group)


def _object(properties: JsonSchema) -> JsonSchema:
    return {"type": ["object", "null"], "properties": properties, "additionalProperties": True}
