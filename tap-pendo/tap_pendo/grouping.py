"""Event rows: their order, their identity (`row_id`), and which of them are one.

Pendo gives event rows no key (pendo-api.md §5.3).
"""

from __future__ import annotations

import hashlib
import typing as t

import msgspec

from tap_pendo.errors import UnsortedError
from tap_pendo.shapes import EXTRA, MisfitError

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


def merged(records: Sequence[Row], measures: Sequence[Field]) -> tuple[Row, list[str]]:
    """Make one record of several with one identity.

    Measures are added up, or their least or greatest kept, also those that did not fit and are
    under `extra`; what else is there is kept where equal.

    Returns:
        The record, and Pendo's names of what could not be added or was left out.
    """
    result = _first_values(records)
    result.pop(EXTRA, None)
    extras = [record.get(EXTRA) or {} for record in records]
    own = {measure.pendo for measure in measures}
    rest, told = _agreed([{k: v for k, v in e.items() if k not in own} for e in extras])
    for measure in measures:
        values = [v for r in records if (v := r.get(measure.name)) is not None]
        misfits = [e[measure.pendo] for e in extras if measure.pendo in e]
        if not values and not misfits:
            continue
        result[measure.name], kept = _combined(measure, values, misfits)
        if kept is not None:
            rest[measure.pendo] = kept
        if misfits or kept is not None:
            told.append(measure.pendo)
    if rest:
        result[EXTRA] = rest
    return result, told


def _first_values(records: Sequence[Row]) -> Row:
    result: Row = {}
    for record in records:
        for name, value in record.items():
            if result.get(name) in (None, ""):
                result[name] = value
    return result


def _agreed(extras: list[Row]) -> tuple[Row, list[str]]:
    """What is equal in all, and the names of what is not."""
    names = dict.fromkeys(name for extra in extras for name in extra)
    first = extras[0]
    same = {n: first[n] for n in names if all(n in e and e[n] == first[n] for e in extras)}
    return same, [name for name in names if name not in same]


def _combined(measure: Field, values: list[t.Any], misfits: list[t.Any]) -> tuple[t.Any, t.Any]:
    """Combine a measure's values; the second is what its type cannot hold, None if it holds all."""
    combine = _COMBINE[measure.merge or "max"]
    if measure.merge == "sum" and all(_is_whole(value) for value in misfits):
        total = sum(int(value) for value in (*values, *misfits))
        try:
            return measure.type.fit(total), None
        except MisfitError:
            return None, total
    kept = misfits[0] if len(misfits) == 1 else misfits or None
    return combine(values) if values else None, kept


def _is_whole(value: t.Any) -> bool:
    if isinstance(value, bool):
        return False
    return isinstance(value, int) or (isinstance(value, float) and value.is_integer())


def numbered(rows: Sequence[Row]) -> list[tuple[int, Row]]:
    """Number rows with one identity in their canonical order, so that each keeps its number."""
    if len(rows) == 1:
        return [(0, rows[0])]
    return list(enumerate(sorted(rows, key=_encode)))
