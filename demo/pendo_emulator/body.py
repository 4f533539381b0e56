"""Knows how an answer's body is written, piece by piece, and how it is cut."""

from collections.abc import Iterator

import msgspec

from pendo_emulator.table import Table

_ROWS = 500  # encoded at once
_PIECE = 1 << 17  # bytes that are worth sending


def encode(
    table: Table, start_time: int | None, rows: int | None = None, *, empty: str = "list"
) -> Iterator[bytes]:
    """Yield the JSON of an aggregation's answer; without its end after `rows` rows.

    No rows are `[]`, or null where `empty` says so.
    """
    start = "" if start_time is None else f'"startTime":{start_time},'
    waiting = bytearray(f'{{{start}"results":'.encode())
    encoder = msgspec.json.Encoder()
    limited = table if rows is None else table.cut(rows)
    before = b"["
    for chunk in limited.chunks():
        for first in range(0, len(chunk), _ROWS):
            waiting += before + encoder.encode(chunk[first : first + _ROWS])[1:-1]
            before = b","
            if len(waiting) > _PIECE:
                yield bytes(waiting)
                waiting.clear()
    if rows is not None:
        yield bytes(waiting + before)
    elif before == b"[":
        yield bytes(waiting) + (b"null}" if empty == "null" else b"[]}")
    else:
        yield bytes(waiting) + b"]}"


def cut(pieces: Iterator[bytes], size: int) -> Iterator[bytes]:
    """Yield no more than the first `size` bytes."""
    for piece in pieces:
        if size <= 0:
            return
        yield piece[:size]
        size -= len(piece)


def in_pieces(pieces: Iterator[bytes], size: int) -> Iterator[bytes]:
    """Yield the same bytes in pieces of at most `size`."""
    for piece in pieces:
        for first in range(0, len(piece), size):
            yield piece[first : first + size]
