"""Incremental JSON: the bytes of an aggregation answer in, blocks of its rows out."""

from __future__ import annotations

import re
import typing as t

import msgspec

from tap_pendo.errors import BrokenBodyError

if t.TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

Row = dict[str, t.Any]

# A quote inside a JSON string is escaped, so an unescaped "results" here is the key itself.
_RESULTS = re.compile(rb'(?<!\\)"results"\s*:\s*')
_BLOCK = 256 * 1024
_rows = msgspec.json.Decoder(list[Row])
_envelope = msgspec.json.Decoder(dict[str, t.Any])


def blocks(chunks: Iterable[bytes]) -> Iterator[list[Row]]:
    """Yield the rows of `{"results": [row, …], …}`, a block of about 256 KiB at a time.

    The buffer is cut behind a `},`: a prefix of a valid array, closed with `]`, is valid JSON only
    when the cut is between two rows, so strings and nested objects cannot fool it.

    Raises:
        BrokenBodyError: the body ends early or is not JSON; all rows yielded before are whole.
    """
    buffer = bytearray()
    inside = False
    for chunk in chunks:
        buffer += chunk
        if not inside:
            inside = _enter(buffer)
        if inside and len(buffer) >= _BLOCK:
            rows = _cut(buffer)
            if rows:
                yield rows
    rows = _tail(buffer, inside=inside)
    if rows:
        yield rows


def _enter(buffer: bytearray) -> bool:
    """Drop the envelope's head up to and with the array's `[`; False until it is there."""
    found = _RESULTS.search(buffer)
    if not found or found.end() >= len(buffer) or buffer[found.end()] != ord("["):
        return False
    del buffer[: found.end() + 1]
    return True


def _cut(buffer: bytearray) -> list[Row]:
    """Take the whole rows at the buffer's front; none if one row fills it."""
    at = buffer.rfind(b"},")
    while at >= 0:
        try:
            rows = _rows.decode(b"[" + buffer[: at + 1] + b"]")
        except msgspec.DecodeError:
            at = buffer.rfind(b"},", 0, at)
        else:
            del buffer[: at + 2]
            return rows
    return []


def _tail(buffer: bytearray, *, inside: bool) -> list[Row]:
    """Decode what is left, which must close the array and the envelope."""
    text = b'{"results":[' + buffer if inside else bytes(buffer)
    try:
        results = _envelope.decode(text).get("results")
        return [] if results is None else msgspec.convert(results, list[Row])
    except msgspec.MsgspecError as error:
        raise BrokenBodyError("the answer ended early") from error
