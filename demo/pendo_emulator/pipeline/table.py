"""Knows rows that are made chunk by chunk, as late as possible, and in no order one may rely on."""

import random
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import chain, islice
from typing import Any

from pendo_emulator.values import sort_key

Row = dict[str, Any]
Chunk = list[Row]
Read = Callable[[Row], Any]

_CHUNK = 500
_COMPARABLE: tuple[set[type], ...] = ({str}, {int}, {float}, {int, float})


@dataclass(frozen=True)
class SortKey:
    """One key of a sort: the field's dotted path, how to read it, and the direction."""

    path: str
    read: Read
    descending: bool = False


@dataclass(frozen=True)
class Table:
    """Rows in chunks, to be read once.

    `chunks` yields them in any order. `ordered` yields them so that no row of a chunk comes
    before a row of an earlier chunk in the (code point) order of the fields `by`; within a
    chunk the rows have no order. Without `by` the two are the same.
    """

    chunks: Callable[[], Iterator[Chunk]]
    ordered: Callable[[], Iterator[Chunk]]
    by: tuple[str, ...] = ()

    def mapped(self, change: Callable[[Chunk], Chunk], *, keeps: bool = True) -> "Table":
        """Return the table with each chunk changed; `keeps` says that the `by` fields stay."""
        chunks, ordered = self.chunks, self.ordered
        if not keeps:
            return settled(lambda: map(change, chunks()))
        return Table(lambda: map(change, chunks()), lambda: map(change, ordered()), self.by)

    def rows(self) -> Iterator[Row]:
        """Yield all rows."""
        return chain.from_iterable(self.chunks())

    def sorted(self, keys: list[SortKey], *, casefold: bool = False) -> "Table":
        """Return the table sorted; ties come in any order.

        A chunk at a time where the first keys are those the chunks are ordered by.
        """
        first = [(key.path, key.descending) for key in keys[: len(self.by)]]
        if self.by and not casefold and first == [(name, False) for name in self.by]:
            ordered = self.ordered
        else:
            ordered = self._whole
        return settled(lambda: (_sort(chunk, keys, casefold=casefold) for chunk in ordered()))

    def _whole(self) -> Iterator[Chunk]:
        yield list(self.rows())

    def cut(self, limit: int) -> "Table":
        """Return the table with at most `limit` rows."""
        chunks = self.chunks
        return settled(lambda: _cut(chunks(), limit))


def settled(chunks: Callable[[], Iterator[Chunk]]) -> Table:
    """Return a table whose order is settled, or of no account."""
    return Table(chunks, chunks)


def shuffled(make: Callable[[], Iterable[Row]], by: tuple[str, ...] = ()) -> Table:
    """Return a table of rows that `make` yields in the order of `by`; it is asked when read."""

    def chunks() -> Iterator[Chunk]:
        rows = list(make())
        random.shuffle(rows)
        yield rows

    def ordered() -> Iterator[Chunk]:
        rows = iter(make())
        while chunk := list(islice(rows, _CHUNK)):
            yield chunk

    return Table(chunks, ordered if by else chunks, by)


def _sort(chunk: Chunk, keys: list[SortKey], *, casefold: bool) -> Chunk:
    """Return the rows sorted, by runs of keys of one direction, last run first."""
    chunk = random.sample(chunk, len(chunk))
    end = len(keys)
    while end:
        start = end - 1
        while start and keys[start - 1].descending == keys[start].descending:
            start -= 1
        columns = [_column(chunk, key.read, casefold=casefold) for key in keys[start:end]]
        place = list(zip(*columns, strict=True)).__getitem__
        order = sorted(range(len(chunk)), key=place, reverse=keys[start].descending)
        chunk = [chunk[number] for number in order]
        end = start
    return chunk


def _column(chunk: Chunk, read: Read, *, casefold: bool) -> list[Any]:
    """Return what the rows sort by under one key; bare values where they are of one type."""
    values = list(map(read, chunk))
    if set(map(type, values)) in _COMPARABLE and not casefold:
        return values
    return [sort_key(value, casefold=casefold) for value in values]


def _cut(chunks: Iterator[Chunk], limit: int) -> Iterator[Chunk]:
    if limit == 0:
        return
    for chunk in chunks:
        yield chunk[:limit]
        limit -= len(chunk)
        if limit <= 0:
            return
