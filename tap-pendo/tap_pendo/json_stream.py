"""Decodes answers: incrementally, a block of rows at a time, and tolerantly.

NaN, Infinity and lone surrogates, which JSON lacks, become text.
"""

from __future__ import annotations

import json
import re
import typing as t

import msgspec

from tap_pendo import Row
from tap_pendo.errors import BrokenBodyError, StreamError

if t.TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

# Tokens of Python and JavaScript that JSON lacks; escapes of half a character
_ODD = re.compile(rb"NaN|Infinity|\\u[dD][89a-fA-F]")
# Pairs have become one character by then
_HALF = re.compile("[\ud800-\udfff]")
T = t.TypeVar("T")


def decode(data: bytes, decoder: msgspec.json.Decoder[T], on_odd: Callable[[], None]) -> T:
    """Decode; NaN and Infinity become these texts, a half character becomes U+FFFD.

    Args:
        data: one JSON value.
        decoder: says what it is to be.
        on_odd: called if the data held what JSON lacks.

    Raises:
        msgspec.DecodeError: it is not JSON, or not what it is to be.
    """
    try:
        return decoder.decode(data)
    except msgspec.DecodeError:
        if not _ODD.search(data):
            raise
    try:
        value = _whole(json.loads(data, parse_constant=str))
        mended = decoder.decode(json.dumps(value, allow_nan=False).encode())
    except ValueError as error:
        raise msgspec.DecodeError(str(error)) from error
    on_odd()
    return mended


def _whole(value: t.Any) -> t.Any:
    if isinstance(value, str):
        return _HALF.sub("\ufffd", value)
    if isinstance(value, list):
        return [_whole(item) for item in value]
    if isinstance(value, dict):
        return {_whole(name): _whole(item) for name, item in value.items()}
    return value


Note = t.Callable[[str, int], None]
Decode = t.Callable[[bytes, t.Callable[[], None]], list[t.Any]]
"""Decodes a list of rows; calls back if they held what JSON lacks."""

# A quote inside a JSON string is escaped, so an unescaped "results" here is the key itself.
_RESULTS = re.compile(rb'(?<!\\)"results"\s*:\s*\[')
_START_TIME = re.compile(rb'(?<!\\)"startTime"\s*:\s*"?(\d+)')
_HEAD = len(b'"results":') + 20
# the last string may be cut
_TOKEN = re.compile(rb'"(?:[^"\\]|\\.)*(?:"|\\?\Z)|[{}\[\]]', re.DOTALL)
_BLOCK = 256 * 1024
# How JSON writes U+0000; an escaped backslash before it only costs a look at the rows.
NUL = b"\\u0000"
_GUESSES = 8
_rows = msgspec.json.Decoder(list[Row])
_values = msgspec.json.Decoder(list[t.Any])


class _Envelope(msgspec.Struct):
    """What an answer holds; one that has none of it is a document of something else."""

    results: msgspec.Raw = msgspec.Raw()
    start_time: t.Any = msgspec.field(default=None, name="startTime")


_envelope = msgspec.json.Decoder(_Envelope)


def plain(data: bytes, on_odd: Callable[[], None]) -> list[Row]:
    """Decode rows as dicts.

    Raises:
        msgspec.DecodeError: it is not JSON, or not a list of objects.
    """
    return decode(data, _rows, on_odd)


def blocks(
    chunks: Iterable[bytes],
    note: Note = lambda _name, _value: None,
    decode: Decode = plain,
) -> Iterator[list[t.Any]]:
    """Yield the rows of `{"results": [row, …], …}`, a block of about 256 KiB at a time.

    Memory and time stay linear, also for one row of many megabytes. `note` is called with
    what was found besides: ("nul", 1) before rows that may hold U+0000 are yielded, ("odd", 1) when
    something was mended that JSON lacks, ("start_time", epoch ms) for the envelope's startTime.

    Raises:
        BrokenBodyError: the body ends early or is not JSON; all rows yielded before are whole.
    """

    def rows_of(data: bytes) -> list[t.Any]:
        if NUL in data:
            note("nul", 1)
        return decode(data, lambda: note("odd", 1))

    buffer = bytearray()
    inside = False
    ready = _BLOCK
    for chunk in chunks:
        searched = max(0, len(buffer) - _HEAD)
        buffer += chunk
        if not inside:
            inside = _enter(buffer, searched, note)
        if inside and len(buffer) >= ready:
            rows = _cut(buffer, rows_of)
            # a row that fills the buffer is looked at again when there is twice as much of it
            ready = _BLOCK if rows else 2 * len(buffer)
            if rows:
                yield rows
    rows = _tail(buffer, rows_of, inside=inside, note=note)
    if rows:
        yield rows


def of_list(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """Give the bytes of an answer that is a list, or null, as those of `{"results": list}`.

    Raises:
        StreamError: it is something else.
    """
    yield b'{"results":'
    seen = False
    for chunk in chunks:
        if not seen and chunk.strip():
            seen = True
            if chunk.lstrip()[:1] not in b"[n":
                raise StreamError("the answer is not a list of objects")
        yield chunk
    yield b"}"


def objects(data: bytes, on_odd: Callable[[], None]) -> list[Row]:
    """Decode rows as dicts.

    Raises:
        StreamError: they are not all objects.
        msgspec.DecodeError: it is not JSON, or not a list.
    """
    rows = decode(data, _values, on_odd)
    if not all(isinstance(row, dict) for row in rows):
        raise StreamError("the answer is not a list of objects")
    return rows


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


def _cut(buffer: bytearray, rows_of: Callable[[bytes], list[t.Any]]) -> list[t.Any]:
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
            return _take(buffer, at + 1, rows_of)
        except msgspec.DecodeError:
            continue
    end = _last_row_end(buffer)
    try:
        return _take(buffer, end, rows_of) if end else []
    except msgspec.DecodeError as error:
        raise BrokenBodyError("the answer holds a row that is not JSON") from error


def _take(buffer: bytearray, end: int, rows_of: Callable[[bytes], list[t.Any]]) -> list[t.Any]:
    """Decode the rows before `end`, and drop them with the comma behind."""
    rows = rows_of(b"[" + buffer[:end] + b"]")
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


def _tail(
    buffer: bytearray,
    rows_of: Callable[[bytes], list[t.Any]],
    *,
    inside: bool,
    note: Note,
) -> list[t.Any]:
    """Decode what is left, which must close the array and the envelope."""
    text = b'{"results":[' + buffer if inside else bytes(buffer)
    try:
        envelope = decode(text, _envelope, lambda: note("odd", 1))
        if str(envelope.start_time).isdigit():
            note("start_time", int(envelope.start_time))
        results = bytes(envelope.results)
        if results:
            return [] if results == b"null" else rows_of(results)
    except msgspec.MsgspecError as error:
        raise BrokenBodyError("the answer ended early, or is not JSON") from error
    # a proxy's error may come as 200 and JSON, and must not pass for a time without rows
    if envelope.start_time is None:
        raise BrokenBodyError("the answer has no `results`")
    return []
