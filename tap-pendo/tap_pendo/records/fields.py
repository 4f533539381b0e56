"""How a Pendo object becomes a record: names, types, and a place for what does not fit.

A shape is data: fields with Pendo's name, a column name and a type. Values are converted when
nothing is lost by it; all else, and every field that no shape declares, is kept under `extra`.
Event rows have a faster way, which decodes them into structs (`Typed`).
"""

from __future__ import annotations

import dataclasses
import math
import re
import threading
import typing as t

import msgspec
from msgspec import Meta
from msgspec.structs import astuple

from tap_pendo import Row, json_stream
from tap_pendo.calendar import from_text, ms_text, to_text

if t.TYPE_CHECKING:
    from collections.abc import Callable

    Fit = Callable[[t.Any], t.Any]
    from collections.abc import Callable, Mapping, Sequence

JsonSchema = dict[str, t.Any]
EXTRA = "extra"
_INT64 = 2**63
END = 253402300800000  # year 10000 in epoch ms, which no date-time can hold
# Pendo writes "never" as 0 or as a date in year 1
NEVER = "0001-"


class ConversionError(Exception):
    """A value that its field's type cannot hold without loss."""


@dataclasses.dataclass(frozen=True, eq=False)
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
    raise ConversionError


def _integer(value: t.Any) -> int:
    if isinstance(value, str) and re.fullmatch(r"-?\d{1,19}", value):
        value = int(value)
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, int) and not isinstance(value, bool) and -_INT64 <= value < _INT64:
        return value
    raise ConversionError


def _number(value: t.Any) -> float:
    if isinstance(value, (int, float, str)) and not isinstance(value, bool):
        try:
            number = float(value)
        except (ValueError, OverflowError):
            raise ConversionError from None
        if math.isfinite(number):
            return number
    raise ConversionError


def _boolean(value: t.Any) -> bool:
    if isinstance(value, bool):
        return value
    if isinstance(value, str) and value.lower() in {"true", "false"}:
        return value.lower() == "true"
    raise ConversionError


def _time(value: t.Any) -> str | None:
    """Epoch milliseconds or ISO text into ISO text in UTC; Pendo's "never" (0, year 1) is null."""
    if type(value) is int and 0 < value < END:
        return ms_text(value)
    try:
        if isinstance(value, (int, float)) and not isinstance(value, bool):
            text = ms_text(int(value)) if value else NEVER
        elif isinstance(value, str) and value:
            text = to_text(from_text(value))
        elif value == "":
            return None
        else:
            raise ConversionError
    except (ValueError, OverflowError):
        raise ConversionError from None
    return None if text.startswith(NEVER) else text


def _id(value: t.Any) -> str | None:
    return _string(value) or None


def _object(value: t.Any) -> Row:
    if isinstance(value, dict):
        return value
    raise ConversionError


def _list(value: t.Any) -> list[t.Any]:
    if isinstance(value, list):
        return value
    raise ConversionError


def _text(value: t.Any) -> str:
    """Write lists and objects as JSON, and all else as `_string` does."""
    if isinstance(value, (dict, list)):
        return msgspec.json.encode(value).decode()
    return _string(value)


_NULL = "null"
STRING = Type({"type": ["string", _NULL]}, _string, str)
# an id of another object: Pendo's empty text means that there is none
ID = Type(STRING.schema, _id, str)
INTEGER = Type(
    {"type": ["integer", _NULL]}, _integer, t.Annotated[int, Meta(ge=-_INT64, le=_INT64 - 1)]
)
NUMBER = Type({"type": ["number", _NULL]}, _number, float)
BOOLEAN = Type({"type": ["boolean", _NULL]}, _boolean, bool)
TIME = Type(
    {"type": ["string", _NULL], "format": "date-time"}, _time, t.Annotated[int, Meta(gt=0, lt=END)]
)
OBJECT = Type({"type": ["object", _NULL], "additionalProperties": True}, _object, Row)
# lists whose items need no conversion
_LISTS: dict[Type, t.Any] = {
    STRING: list[str | None],
    INTEGER: list[t.Annotated[int, Meta(ge=-_INT64, le=_INT64 - 1)] | None],
    OBJECT: list[Row | None],
}
# no `items`: they may be of any type
LIST = Type({"type": ["array", _NULL]}, _list, list)
# what may be a number, a text or a list; no column has several types, as few loaders take that
ANY_AS_TEXT = Type({"type": ["string", _NULL]}, _text, str)


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
        extra = {**OBJECT.schema, "description": "Fields that Pendo sent beyond the declared ones."}
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
            except ConversionError:
                record[name] = None
                extra[key] = value
        if extra:
            record[EXTRA] = extra
        return record


def types_of(schema: t.Any) -> set[str]:
    """Types that a JSON schema allows, null apart; none if it does not say."""
    said = schema.get("type") if isinstance(schema, dict) else None
    return ({said} if isinstance(said, str) else set(said or ())) - {_NULL}


def flat_properties(properties: Mapping[str, JsonSchema]) -> dict[str, JsonSchema]:
    """Declare objects and lists as text, for targets that hold neither."""
    return {name: _flat(schema) for name, schema in properties.items()}


def _flat(schema: JsonSchema) -> JsonSchema:
    if not {"object", "array"} & types_of(schema):
        return schema
    said = schema.get("description", "")
    return {**STRING.schema, "description": f"{said} As JSON text.".strip()}


def flat_values(record: Row) -> Row:
    """Write objects and lists as JSON text."""
    return {
        name: msgspec.json.encode(value).decode() if isinstance(value, (dict, list)) else value
        for name, value in record.items()
    }


def struct(*fields: Field) -> Type:
    """Declare an object with fields of its own; they are renamed and typed as at the top."""
    shape = Shape(*fields)

    def fit(value: t.Any) -> dict[str, t.Any]:
        if not isinstance(value, dict):
            raise ConversionError
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
            raise ConversionError
        return [None if item is None else items.fit(item) for item in value]

    # the SDK looks for the properties of such items, as when target-snowflake writes its files
    schema = {"properties": {}, **OBJECT.schema} if items is OBJECT else items.schema
    # Typed as JSON: an SQL array could hold no items that are objects
    return Type({"type": ["array", _NULL], "items": schema}, fit, _LISTS.get(items))


TEXTS, INTEGERS = array(STRING), array(INTEGER)

Values = tuple[t.Any, ...]

# Fields that no shape declares; with more of them, rows that have them stay dicts
_MOST_BEYOND = 100
# A struct cannot have a field of such a name; rows that have one stay dicts
_unnameable = re.compile(r'[\x00-\x1f"\\\ud800-\udfff]')
_rows = msgspec.json.Decoder(list[Row])
_UNSET = msgspec.UNSET


class Typed:
    """The structs of one kind of row: as sent by Pendo, and as written.

    Fast path for rows with the expected JSON types. Others stay dicts, which `Shape` converts value
    by value: from answer to output that takes 1.4 to 1.7 times as long. Both give the same records,
    to the byte.

    A row is a tuple of its values: of `fields` in their order, None for what is missing or null,
    then of the fields beyond the declared ones, which are learnt from the rows.

    Args:
        fields: all with a type that says what is `sent`; the first is one that no row lacks.
        stamps: names of the columns that each record has besides, all of them texts.

    `record` makes a record of the stamps and of `columns`; what is null is not written.
    `record_of` makes the same of a dict of columns.
    """

    def __init__(self, fields: Sequence[Field], stamps: Sequence[str]) -> None:
        self._fields, self._count = fields, len(fields)
        self._times = [at for at, field in enumerate(fields) if field.type is TIME]
        self._ids = [at for at, field in enumerate(fields) if field.type is ID]
        self._columns = tuple(field.name for field in fields)
        self._names = tuple(field.pendo for field in fields)
        self._learning = threading.Lock()
        self.record = msgspec.defstruct(
            "Record",
            [
                *((name, str) for name in stamps),
                *((field.name, t.Any, None) for field in fields),
                (EXTRA, t.Any, None),
            ],
            omit_defaults=True,
            gc=False,
        )
        self._declare(self._names)

    def _declare(self, names: tuple[str, ...]) -> None:
        """Decode rows with these fields; the names of struct fields are their positions."""
        first, *others = self._fields
        known = [(f"f{n}", f.type.sent | None, None) for n, f in enumerate(others, 1)]
        beyond = [(f"f{n}", t.Any, _UNSET) for n in range(self._count, len(names))]
        self._sent = msgspec.defstruct(
            "Sent",
            [("f0", first.type.sent), *known, *beyond],
            rename={f"f{n}": name for n, name in enumerate(names)},
            forbid_unknown_fields=True,
            gc=False,
        )
        self._decode = msgspec.json.Decoder(list[self._sent]).decode  # type: ignore[name-defined]
        # by name, not as they were learnt: equal rows are equal records in every run
        self._beyond = sorted((names[n], n) for n in range(self._count, len(names)))
        self._names = names

    def decode(self, data: bytes, on_odd: Callable[[], None]) -> list[Values | Row]:
        """Decode a list of rows; those that do not fit are dicts.

        Raises:
            msgspec.DecodeError: it is not JSON, or not a list of objects.
        """
        try:
            return list(map(astuple, self._decode(data)))
        except msgspec.DecodeError:
            rows = json_stream.decode(data, _rows, on_odd)
        self._learn(rows)
        return [self._values(row) for row in rows]

    def _learn(self, rows: list[Row]) -> None:
        found = {name for row in rows for name in row if not _unnameable.search(name)}
        with self._learning:
            names = (*self._names, *sorted(found.difference(self._names)))
            if len(self._names) < len(names) <= self._count + _MOST_BEYOND:
                self._declare(names)

    def _values(self, row: Row) -> Values | Row:
        try:
            return astuple(msgspec.convert(row, self._sent))
        except msgspec.ValidationError:
            return row

    def position(self, name: str) -> int:
        """Return the position of Pendo's field in a row."""
        return self._names.index(name)

    def row(self, values: Values) -> Row:
        """Give a row as Pendo sent it, but for declared fields that are null."""
        count = self._count
        declared = zip(self._names, values[:count], strict=False)
        found = {name: value for name, value in declared if value is not None}
        if len(values) > count:
            beyond = zip(self._names[count:], values[count:], strict=False)
            found.update((name, value) for name, value in beyond if value is not _UNSET)
        return found

    def columns(self, values: Values) -> list[t.Any]:
        """Give the values of a record's columns, stamps apart."""
        columns = list(values)
        for at in self._times:
            ms = columns[at]
            if ms is not None:
                columns[at] = ms_text(ms)
        for at in self._ids:
            if columns[at] == "":
                columns[at] = None
        if len(columns) > self._count:
            known = len(columns)  # a later row may have taught more
            extra = {
                name: value
                for name, at in self._beyond
                if at < known and (value := columns[at]) is not _UNSET
            }
            columns[self._count :] = [extra or None]
        return columns

    def record_of(self, stamps: Sequence[str], columns: Row) -> msgspec.Struct:
        """Make a record of the stamps and a dict of columns."""
        extra = columns.get(EXTRA)
        ordered = dict(sorted(extra.items())) if extra else None
        return self.record(*stamps, *map(columns.get, self._columns), ordered)
