"""Event rows: their order, their identity (`row_id`), and which of them are one.

Pendo gives event rows no key (pendo-api.md §5.3).
"""

from __future__ import annotations

import hashlib
import typing as t

import msgspec

from tap_pendo.errors import UnsortedError

if t.TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from tap_pendo.shapes import Field

Row = dict[str, t.Any]
Key = tuple[t.Any, ...]

# A new version changes every row_id: a CHANGELOG line, and a full refresh of the streams.
ROW_ID_VERSION = 1
_encode = msgspec.json.Encoder(order="sorted").encode


def sort_key(names: Sequence[str]) -> Callable[[Row], Key]:
    """Return a function that gives a row's place in the order; missing, null and "" are alike."""

    def key(row: Row) -> Key:
        get = row.get
        return tuple(["" if (value := get(name)) is None else value for name in names])

    return key


def before(left: Key, right: Key) -> bool:
    """Compare two places as Pendo sorts: nothing < booleans < numbers < strings, by code point."""
    try:
        return left < right
    except TypeError:
        return [_ranked(v) for v in left] < [_ranked(v) for v in right]


def _ranked(value: t.Any) -> tuple[int, t.Any]:
    if value == "":
        return 0, ""
    if isinstance(value, bool):
        return 1, value
    if isinstance(value, (int, float)):
        return 2, value
    return (3, value) if isinstance(value, str) else (4, _encode(value))


def adjacent(
    rows: Iterable[Row], key: Callable[[Row], Key]
) -> Iterator[tuple[Key, list[Row], bool]]:
    """Gather rows of one key that follow each other.

    Yields:
        Key, rows, and whether these are the last ones (an answer may be cut inside them).

    Raises:
        UnsortedError: a row comes after one that should follow it.
    """
    held: list[Row] = []
    held_key: Key = ()
    for row in rows:
        place = key(row)
        if not held or place == held_key:
            held_key = place
            held.append(row)
        elif before(held_key, place):
            yield held_key, held, False
            held_key, held = place, [row]
        else:
            raise UnsortedError
    if held:
        yield held_key, held, True


def row_id(stream: str, values: Iterable[t.Any]) -> str:
    """Hash a row's identity: 32 hexadecimal digits, the same at every read and on every machine.

    Null, missing and "" are alike; floats count by their repr.
    """
    plain = [_plain(value) for value in values]
    text = _encode([ROW_ID_VERSION, stream, plain])
    return hashlib.blake2b(text, digest_size=16).hexdigest()


def _plain(value: t.Any) -> t.Any:
    if value == "":
        return None
    return repr(value) if isinstance(value, float) else value


_COMBINE: dict[str, Callable[[t.Any], t.Any]] = {"sum": sum, "min": min, "max": max}


def merged(records: Sequence[Row], measures: Sequence[Field]) -> Row:
    """Make one record of several with one identity.

    Measures are added up, or their least or greatest kept; `extra` is kept where equal.
    """
    result: Row = {}
    for record in records:
        for name, value in record.items():
            if result.get(name) in (None, ""):
                result[name] = value
    for measure in measures:
        values = [v for r in records if (v := r.get(measure.name)) is not None]
        if values:
            result[measure.name] = _COMBINE[measure.merge or "max"](values)
    if any(r.get("extra") != records[0].get("extra") for r in records):
        result.pop("extra", None)
    return result


def numbered(rows: Sequence[Row]) -> list[tuple[int, Row]]:
    """Number rows with one identity in their canonical order, so that each keeps its number."""
    if len(rows) == 1:
        return [(0, rows[0])]
    return list(enumerate(sorted(rows, key=_encode)))
