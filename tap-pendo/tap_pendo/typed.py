"""Rows decoded straight into typed structs and made into records of the same types.

That is several times as fast as `shapes`, which has to look at each value of a dict. It serves rows
that are as Pendo sends them as a rule; others stay dicts, for `shapes` to convert.
"""

from __future__ import annotations

import re
import threading
import typing as t

import msgspec
from msgspec.structs import astuple

from tap_pendo import mending
from tap_pendo.shapes import EXTRA, TIME
from tap_pendo.windows import ms_text

if t.TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from tap_pendo.shapes import Field

Row = dict[str, t.Any]
Values = tuple[t.Any, ...]

# Fields that no shape declares; with more of them, rows that have them stay dicts
_MOST_BEYOND = 100
# A struct cannot have a field of such a name; rows that have one stay dicts
_unnameable = re.compile(r'[\x00-\x1f"\\\ud800-\udfff]')
_rows = msgspec.json.Decoder(list[Row])
_UNSET = msgspec.UNSET


class Typed:
    """The structs of one kind of row: as sent by Pendo, and as written.

    A row is a tuple of its values: of `fields` in their order, None for what is missing or null,
    then of the fields beyond the declared ones, which are learnt from the rows.

    Args:
        fields: all with a type that says what is `sent`; the first is one that no row lacks.
        stamps: names of the columns that each record has besides, all of them texts.

    `record` makes a record of the stamps and of `columns`; what is null is not written.
    """

    def __init__(self, fields: Sequence[Field], stamps: Sequence[str]) -> None:
        self._fields, self._count = fields, len(fields)
        self._times = [at for at, field in enumerate(fields) if field.type is TIME]
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
        self._names = names

    def decode(self, data: bytes, on_odd: Callable[[], None]) -> list[Values | Row]:
        """Decode a list of rows; those that do not fit are dicts.

        Raises:
            msgspec.DecodeError: it is not JSON, or not a list of objects.
        """
        try:
            return list(map(astuple, self._decode(data)))
        except msgspec.DecodeError:
            rows = mending.decode(data, _rows, on_odd)
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
        """Where Pendo's field stands."""
        return self._names.index(name)

    def row(self, values: Values) -> Row:
        """Give a row as Pendo sent it, but for what is null."""
        named = zip(self._names, values, strict=False)
        return {name: value for name, value in named if value is not None and value is not _UNSET}

    def columns(self, values: Values) -> list[t.Any]:
        """Give the values of a record's columns, stamps apart."""
        columns = list(values)
        for at in self._times:
            ms = columns[at]
            if ms is not None:
                columns[at] = ms_text(ms)
        if len(columns) > self._count:
            beyond = zip(self._names[self._count :], columns[self._count :], strict=False)
            extra = {name: value for name, value in beyond if value is not _UNSET}
            columns[self._count :] = [extra or None]
        return columns
