"""Incremental JSON: the bytes of an aggregation answer in, blocks of its rows out."""

from __future__ import annotations

import re
import typing as t

import msgspec

from tap_pendo import mending
from tap_pendo.errors import BrokenBodyError

if t.TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

Row = dict[str, t.Any]
Note = t.Callable[[str, int], None]

# A quote inside a JSON string is escaped, so an unescaped "results" here is the key itself.
_RESULTS = re.compile(rb'(?<!\\)"results"\s*:\s*\[')
_START_TIME = re.compile(rb'(?<!\\)"startTime"\s*:\s*(\d+)')
_HEAD = len(b'"results":') + 20
# the last string may be cut
_TOKEN = re.compile(rb'"(?:[^"\\]|\\.)*(?:"|\\?\Z)|[{}\[\]]', re.DOTALL)
_BLOCK = 256 * 1024
# How JSON writes U+0000; an escaped backslash before it only costs a look at the rows.
NUL = b"\\u0000"
_GUESSES = 8
_rows = msgspec.json.Decoder(list[Row])
_envelope = msgspec.json.Decoder(dict[str, t.Any])


def blocks(
    chunks: Iterable[bytes],
    note: Note = lambda _name, _value: None,
) -> Iterator[list[Row]]:
    """Yield the rows of `{"results": [row, …], …}`, a block of about 256 KiB at a time.

    Memory and time stay linear, also for one row of many megabytes. `note` is called with
    what was found besides: ("nul", 1) before rows that may hold U+0000 are yielded, ("odd", 1) when
    something was mended that JSON lacks, ("start_time", epoch ms) for the envelope's startTime.

    Raises:
        BrokenBodyError: the body ends early or is not JSON; all rows yielded before are whole.
    """
    buffer = bytearray()
    inside = False
    ready = _BLOCK
    for chunk in chunks:
        searched = max(0, len(buffer) - _HEAD)
        buffer += chunk
        if not inside:
            inside = _enter(buffer, searched, note)
        if inside and len(buffer) >= ready:
            if NUL in buffer:
                note("nul", 1)
            rows = _cut(buffer, note)
            # a row that fills the buffer is looked at again when there is twice as much of it
            ready = _BLOCK if rows else 2 * len(buffer)
            if rows:
                yield rows
    if NUL in buffer:
        note("nul", 1)
    rows = _tail(buffer, inside=inside, note=note)
    if rows:
        yield rows


def _enter(buffer: bytearray, searched: int, note: Note) -> bool:
    """Drop the envelope's head up to and with the array's `[`; False until it is there."""
    found = _RESULTS.search(buffer, searched)
    if not found:
        return False
    start_time = _START_TIME.search(buffer, 0, found.start())
    if start_time:
        note("start_time", int(start_time[1]))
    del buffer[: found.end()]
    return True


def _cut(buffer: bytearray, note: Note) -> list[Row]:
    """Take the whole rows at the buffer's front; none if one row fills it.

    A prefix of a valid array, closed with `]`, is valid JSON only when the cut is between two
    rows, so a guess cannot be fooled by strings and nested objects; it can only fail.
    """
    at = len(buffer)
    for _ in range(_GUESSES):
        at = buffer.rfind(b"},{", 0, at)
        if at < 0:
            break
        try:
            return _take(buffer, at + 1, note)
        except msgspec.DecodeError:
            continue
    end = _last_row_end(buffer)
    try:
        return _take(buffer, end, note) if end else []
    except msgspec.DecodeError as error:
        raise BrokenBodyError("the answer holds a row that is not JSON") from error


def _take(buffer: bytearray, end: int, note: Note) -> list[Row]:
    """Decode the rows before `end`, and drop them with the comma behind."""
    rows = mending.decode(b"[" + buffer[:end] + b"]", _rows, lambda: note("odd", 1))
    comma = buffer.find(b",", end)
    del buffer[: comma + 1 if comma >= 0 else end]
    return rows


def _last_row_end(buffer: bytearray) -> int:
    """Where the last whole row that is followed by a comma ends; 0 if there is none."""
    depth = end = 0
    for token in _TOKEN.finditer(buffer):
        kind = buffer[token.start()]
        if kind in b"{[":
            depth += 1
        elif kind in b"}]":
            depth -= 1
            if not depth and buffer[token.end() : token.end() + 20].lstrip().startswith(b","):
                end = token.end()
    return end


def _tail(buffer: bytearray, *, inside: bool, note: Note) -> list[Row]:
    """Decode what is left, which must close the array and the envelope."""
    text = b'{"results":[' + buffer if inside else bytes(buffer)
    try:
        envelope = mending.decode(text, _envelope, lambda: note("odd", 1))
        results, start_time = envelope.get("results"), envelope.get("startTime")
        if isinstance(start_time, int):
            note("start_time", start_time)
        return [] if results is None else msgspec.convert(results, list[Row])
    except msgspec.MsgspecError as error:
        raise BrokenBodyError("the answer ended early, or is not JSON") from error
