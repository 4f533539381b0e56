"""The form of the rules in the configuration, as JSON schema."""

from __future__ import annotations

import typing as t

from target_planhat.rules import Granularity, Key, Model, OnChange

Schema = dict[str, t.Any]
# unlike $, not before a line feed
END = r"(?![\s\S])"


def _one_of(values: t.Any) -> Schema:
    return {"type": "string", "enum": list(t.get_args(values))}


_TEXT: Schema = {"type": "string", "minLength": 1}
_VALUES: Schema = {"type": "array", "items": {"type": ["string", "number", "boolean"]}}
_ID: Schema = {"type": ["string", "integer"]}

_SHARED: Schema = {
    "name": {"type": "string", "pattern": r"^[^\x00-\x1f\x7f]{1,200}" + END},
    "stream": {"type": "string", "pattern": r"^[A-Za-z_]\w*" + END},
    "only": {"type": "array", "items": _ID},
    "where": {"type": "object", "additionalProperties": _VALUES},
    "match": {
        "type": "object",
        "properties": {"field": _TEXT, "by": _one_of(Key)},
        "additionalProperties": False,
    },
}
_ACTIVITY: Schema = {
    **_SHARED,
    "action": _TEXT,
    "company": {"type": ["string", "null"], "minLength": 1},
    "granularity": _one_of(Granularity),
    "count": _TEXT,
    "weight": {"type": "number", "minimum": 0},
    "info": {"type": "object", "additionalProperties": _TEXT},
}
_METRIC: Schema = {
    **_SHARED,
    "dimension_id": _TEXT,
    "dimension_id_as_is": {"type": "boolean"},
    "model": _one_of(Model),
    "value": _TEXT,
    "aggregate": {"type": "string", "enum": ["sum", "count", "max", "last"]},
    "date": _TEXT,
    "on_change": _one_of(OnChange),
}


def _rules(properties: Schema, *required: str) -> Schema:
    return {
        "type": ["array", "null"],
        "items": {
            "type": "object",
            "properties": properties,
            "required": list(required),
            "additionalProperties": False,
        },
    }


ACTIVITIES = _rules(_ACTIVITY, "stream")
METRICS = _rules(_METRIC, "stream", "dimension_id")
