"""How a Pendo object becomes a record: names, types, and a place for what does not fit.

A shape is data: fields with Pendo's name, a column name and a type. Values are converted when
nothing is lost by it; all else, and every field that no shape declares, is kept under `extra`.
"""

from __future__ import annotations

import dataclasses
import json
import math
import re
import typing as t

from msgspec import Meta

from tap_pendo.windows import from_text, ms_text, to_text

if t.TYPE_CHECKING:
    from collections.abc import Callable

    Fit = Callable[[t.Any], t.Any]

JsonSchema = dict[str, t.Any]
EXTRA = "extra"
_INT64 = 2**63
_END = 253402300800000  # year 10000 in epoch ms, which no date-time can hold
# Pendo writes "never" as 0 or as a date in year 1
NEVER = "0001-"


class MisfitError(Exception):
    """A value that its field's type cannot hold without loss."""


@dataclasses.dataclass(frozen=True)
class Type:
    """A field's type: its JSON schema and the conversion into it.

    `sent` is the Python type of what Pendo sends as a rule: such values need no more than to be
    checked (times: to be written as text). None if only `fit` can tell.
    """

    schema: JsonSchema
    fit: Fit
    sent: t.Any = None


def _string(value: t.Any) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (int, float)):
        return repr(value)
    raise MisfitError


def _integer(value: t.Any) -> int:
    if isinstance(value, str) and re.fullmatch(r"-?\d{1,19}", value):
        value = int(value)
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, int) and not isinstance(value, bool) and -_INT64 <= value < _INT64:
        return value
    raise MisfitError


def _number(value: t.Any) -> float:
    if isinstance(value, (int, float, str)) and not isinstance(value, bool):
        try:
            number = float(value)
        except (ValueError, OverflowError):
            raise MisfitError from None
        if math.isfinite(number):
            return number
    raise MisfitError


def _boolean(value: t.Any) -> bool:
    if isinstance(value, bool):
        return value
    if isinstance(value, str) and value.lower() in {"true", "false"}:
        return value.lower() == "true"
    raise MisfitError


def _time(value: t.Any) -> str | None:
    """Epoch milliseconds or ISO text into ISO text in UTC; Pendo's "never" (0, year 1) is null."""
    if type(value) is int and 0 < value < _END:
        return ms_text(value)
    try:
        if isinstance(value, (int, float)) and not isinstance(value, bool):
            text = ms_text(int(value)) if value else NEVER
        elif isinstance(value, str) and value:
            text = to_text(from_text(value))
        elif value == "":
            return None
        else:
            raise MisfitError
    except (ValueError, OverflowError):
        raise MisfitError from None
    return None if text.startswith(NEVER) else text


def _anything(value: t.Any) -> t.Any:
    return value


_NULL = "null"
_TEXTS = list[str | None]
STRING = Type({"type": ["string", _NULL]}, _string, str)
INTEGER = Type(
    {"type": ["integer", _NULL]}, _integer, t.Annotated[int, Meta(ge=-_INT64, le=_INT64 - 1)]
)
NUMBER = Type({"type": ["number", _NULL]}, _number, float)
BOOLEAN = Type({"type": ["boolean", _NULL]}, _boolean, bool)
TIME = Type(
    {"type": ["string", _NULL], "format": "date-time"}, _time, t.Annotated[int, Meta(gt=0, lt=_END)]
)
# "object" among the types makes target-postgres choose JSONB, which holds any of them
ANY = Type(
    {"type": ["string", "integer", "number", "boolean", "object", "array", _NULL]},
    _anything,
    t.Any,
)


@dataclasses.dataclass(frozen=True)
class Field:
    """A declared field: Pendo's name (dotted if nested), the column's name and type.

    `merge` says how the values of rows with one identity become one: measures only.
    """

    pendo: str
    name: str
    type: Type
    description: str
    merge: t.Literal["sum", "min", "max"] | None = None

    @property
    def schema(self) -> JsonSchema:
        """JSON schema of the column, with Pendo's name in its description."""
        said = "" if self.pendo in ("", self.name) else f" Pendo: `{self.pendo}`."
        return {**self.type.schema, "description": self.description + said}


def snake_case(name: str) -> str:
    """Write visitorId as visitor_id, uTurnCount as u_turn_count."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", name).lower()


def field(
    pendo: str,
    type_: Type,
    description: str = "",
    *,
    name: str | None = None,
    merge: t.Literal["sum", "min", "max"] | None = None,
) -> Field:
    """Declare a field whose column name follows from Pendo's name, if not given."""
    return Field(pendo, name or snake_case(pendo), type_, description, merge)


class Shape:
    """The declared fields of one object; converts it and describes the result."""

    def __init__(self, *fields: Field) -> None:
        self.fields = fields
        self._by_pendo = {f.pendo: (f.name, f.type.fit) for f in fields}

    def __add__(self, other: Shape) -> Shape:
        return Shape(*self.fields, *other.fields)

    def properties(self) -> dict[str, JsonSchema]:
        """JSON schema properties, `extra` last."""
        extra = {**ANY.schema, "description": "Fields that Pendo sent beyond the declared ones."}
        return {**{f.name: f.schema for f in self.fields}, EXTRA: extra}

    def record(self, row: dict[str, t.Any]) -> dict[str, t.Any]:
        """Convert a row; what is not declared, or does not fit, is kept under `extra`."""
        record: dict[str, t.Any] = {}
        extra: dict[str, t.Any] = {}
        known = self._by_pendo
        for key, value in row.items():
            if key not in known:
                extra[key] = value
                continue
            name, fit = known[key]
            if value is None:
                record[name] = None
                continue
            try:
                record[name] = fit(value)
            except MisfitError:
                record[name] = None
                extra[key] = value
        if extra:
            record[EXTRA] = extra
        return record


def without_nul(value: t.Any) -> t.Any:
    """Take U+0000 out of all strings and keys: PostgreSQL holds it in neither text nor JSON.

    A value without it is given back as it is, the same object.
    """
    if isinstance(value, str):
        return value.replace("\0", "") if "\0" in value else value
    if isinstance(value, list):
        items = [without_nul(item) for item in value]
        return items if any(a is not b for a, b in zip(items, value, strict=True)) else value
    if not isinstance(value, dict):
        return value
    cleaned: dict[str, t.Any] = {}
    changed = False
    for key, item in value.items():
        name, content = without_nul(key), without_nul(item)
        changed = changed or name is not key or content is not item
        while name in cleaned or (name is not key and name in value):
            name += "_"  # it must not replace another key
        cleaned[name] = content
    return cleaned if changed else value


def texts_for_flattening(value: t.Any, schema: JsonSchema) -> t.Any:
    """Write numbers and truths as JSON text where objects and lists are allowed too.

    Flattening, which the SDK does after this, declares such columns as text.
    """
    types = schema.get("type", ())
    properties = schema.get("properties")
    if isinstance(value, dict) and properties:
        return {
            name: texts_for_flattening(item, properties.get(name, {}))
            for name, item in value.items()
        }
    mixed = "object" in types or "array" in types
    return json.dumps(value) if mixed and isinstance(value, (bool, int, float)) else value


def struct(*fields: Field) -> Type:
    """Declare an object with fields of its own; they are renamed and typed as at the top."""
    shape = Shape(*fields)

    def fit(value: t.Any) -> dict[str, t.Any]:
        if not isinstance(value, dict):
            raise MisfitError
        return shape.record(value)

    schema = {
        "type": ["object", _NULL],
        "properties": shape.properties(),
        "additionalProperties": True,
    }
    return Type(schema, fit)


def array(items: Type) -> Type:
    """Declare a list whose items all have one type."""

    def fit(value: t.Any) -> list[t.Any]:
        if not isinstance(value, list):
            raise MisfitError
        return [None if item is None else items.fit(item) for item in value]

    # Typed as JSON: an SQL array could hold no items that are objects
    return Type(
        {"type": ["array", _NULL], "items": items.schema}, fit, _TEXTS if items is STRING else None
    )
