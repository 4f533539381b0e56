"""Event rows: their order, their identity (`row_id`), and which of them are one.

Pendo gives event rows no key.
"""

from __future__ import annotations

import hashlib
import operator
import typing as t
from collections import Counter

import msgspec

from tap_pendo.errors import UnsortedError
from tap_pendo.records.fields import EXTRA, ConversionError

if t.TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator, Sequence

    from tap_pendo import Row
    from tap_pendo.records.fields import Field

Key = tuple[t.Any, ...]
Group = list[t.Any]

# A new version changes every row_id: a CHANGELOG line, and a full refresh of the streams.
ROW_ID_VERSION = 1
_encode = msgspec.json.Encoder(order="sorted").encode


def sort_key(names: Sequence[str]) -> Callable[[Row], Key]:
    """Return a function that gives a row's place in the order; missing, null and "" are alike."""

    def key(row: Row) -> Key:
        get = row.get
        return tuple(["" if (value := get(name)) is None else value for name in names])

    return key


def plain(key: Key) -> Key:
    """Write a place with "" for null."""
    return tuple("" if value is None else value for value in key)


def before(left: Key, right: Key) -> bool:
    """Compare two places as Pendo sorts: nothing < booleans < numbers < strings, by code point.

    Null and "" are alike: nothing.
    """
    try:
        return left < right
    except TypeError:
        return [_ranked(v) for v in left] < [_ranked(v) for v in right]


def _ranked(value: t.Any) -> tuple[int, t.Any]:
    if value in (None, ""):
        return 0, ""
    if isinstance(value, bool):
        return 1, value
    if isinstance(value, (int, float)):
        return 2, value
    return (3, value) if isinstance(value, str) else (4, _encode(value))


def adjacent(
    blocks: Iterable[Sequence[t.Any]], key: Callable[[t.Any], Key]
) -> Iterator[tuple[list[Group], bool]]:
    """Gather rows of one key that follow each other.

    Yields:
        Groups, and whether this is the last one (an answer may be cut inside it).

    Raises:
        UnsortedError: a row comes after one that should follow it.
    """
    held: Group = []
    place: Key = ()
    for block in blocks:
        places = [place, *map(key, block)]
        if _all_behind(places):
            groups = [held, *([row] for row in block)]
        else:
            groups = [held]
            for before_it, at, row in zip(places, places[1:], block, strict=False):
                if at == before_it or not _behind(before_it, at):
                    groups[-1].append(row)
                else:
                    groups.append([row])
        place, held = places[-1], groups.pop()
        if groups and not groups[0]:
            del groups[0]
        if groups:
            yield groups, False
    if held:
        yield [held], True


def _all_behind(places: list[Key]) -> bool:
    """Whether each place is behind the one before: the rule, and fast to see."""
    try:
        return all(map(operator.lt, places, places[1:]))
    except TypeError:
        return False


def _behind(held: Key, place: Key) -> bool:
    if before(held, place):
        return True
    if before(place, held):
        raise UnsortedError
    return False


def row_id(stream: str, values: Iterable[t.Any]) -> str:
    """Hash a row's identity: 32 hexadecimal digits, the same at every read and on every machine.

    Null, missing and "" are alike; floats count by their repr.
    """
    plain = [
        None if value == "" else repr(value) if isinstance(value, float) else value
        for value in values
    ]
    return _hashed(_encode((ROW_ID_VERSION, stream, plain)))


def row_id_of_texts(stream: str, values: Sequence[t.Any]) -> str:
    """Do what `row_id` does, faster, for values without floats."""
    text = _encode((ROW_ID_VERSION, stream, values))
    # a text that ends in a quote looks like "" too, and does no harm
    return row_id(stream, values) if b'""' in text else _hashed(text)


def _hashed(text: bytes) -> str:
    return hashlib.blake2b(text, digest_size=16).hexdigest()


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
    rest, conflicts = _agreed([{k: v for k, v in e.items() if k not in own} for e in extras])
    for measure in measures:
        values = [v for r in records if (v := r.get(measure.name)) is not None]
        misfits = [e[measure.pendo] for e in extras if measure.pendo in e]
        if not values and not misfits:
            continue
        result[measure.name], kept = _combined(measure, values, misfits)
        if kept is not None:
            rest[measure.pendo] = kept
        if misfits or kept is not None:
            conflicts.append(measure.pendo)
    if rest:
        result[EXTRA] = rest
    return result, conflicts


def _first_values(records: Sequence[Row]) -> Row:
    result: Row = {}
    for record in records:
        for name, value in record.items():
            if value is not None and result.get(name) in (None, ""):
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
        except ConversionError:
            return None, total
    kept = misfits[0] if len(misfits) == 1 else misfits or None
    return combine(values) if values else None, kept


def _is_whole(value: t.Any) -> bool:
    if isinstance(value, bool):
        return False
    return isinstance(value, int) or (isinstance(value, float) and value.is_integer())


def numbered_id(identity: str, number: int) -> str:
    """Give the `row_id` of one of several rows with one identity; number 0 has the identity."""
    return row_id(identity, [number]) if number else identity


def numbered(rows: Sequence[Row]) -> list[tuple[int, Row]]:
    """Number rows with one identity in their canonical order, so that each keeps its number.

    Missing and null are alike.
    """
    if len(rows) == 1:
        return [(0, rows[0])]
    return list(enumerate(sorted(rows, key=_canonical)))


def _canonical(row: Row) -> bytes:
    return _encode({name: value for name, value in row.items() if value is not None})


class KeyCheck:
    """Checks the keys of a stream's records; those without a key are counted, to be left out.

    Args:
        keys: columns of the key.
        texts: columns that hold text: a missing one becomes the empty text.
        needed: columns whose text must not be empty.
    """

    def __init__(
        self, keys: Sequence[str], texts: Collection[str], needed: Collection[str] = ()
    ) -> None:
        self._keys, self._texts, self._needed = keys, texts, needed
        self.taken = self._first = 0
        self._keyless: Counter[str] = Counter()

    def keyed(self, record: Row) -> Row | None:
        """Give a record whose key is whole, None for another."""
        self.taken += 1
        for name in self._keys:
            if record.get(name) is None and name in self._texts:
                record[name] = ""
            if record.get(name) is None or (name in self._needed and record[name] == ""):
                self._keyless[name] += 1
                self._first = self._first or self.taken
                return None
        return record

    def problems(self) -> Iterator[str]:
        """Say which records were without a key."""
        for name, count in self._keyless.items():
            yield (
                f"{count} of {self.taken} rows have no `{name}` and are left out; the first is row "
                f"{self._first}"
            )
