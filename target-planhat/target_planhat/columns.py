"""Reads of a record's JSON only the fields that are wanted."""

from __future__ import annotations

import re
import typing as t

import msgspec

if t.TYPE_CHECKING:
    from collections.abc import Callable, Sequence

Scalar = str | int | None
Values = tuple[t.Any, ...]

# A struct cannot have a field of such a name
_unnameable = re.compile(r'[\x00-\x1f"\\\ud800-\udfff]')


def reader(scalars: Sequence[str], others: Sequence[str]) -> Callable[[msgspec.Raw], Values | None]:
    """Make what reads the values of fields of a record, in this order; what is missing is None.

    It gives None for a record in which one of the `scalars` is something else: neither text nor
    whole number nor null. So they tell records apart: 1 and true, which Python takes for the same,
    are not both there. It gives None for all records if a name has quotes or the like.
    """
    names = [*scalars, *others]
    if any(map(_unnameable.search, names)):
        return lambda _: None
    fields = [(f"f{n}", Scalar if n < len(scalars) else t.Any, None) for n in range(len(names))]
    renamed = dict(zip([name for name, _, _ in fields], names, strict=True))
    made = msgspec.defstruct("Columns", fields, rename=renamed, gc=False)
    decode, values = msgspec.json.Decoder(made).decode, msgspec.structs.astuple

    def read(record: msgspec.Raw) -> Values | None:
        try:
            return values(decode(record))
        except msgspec.ValidationError:
            return None

    return read
