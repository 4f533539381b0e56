"""JSON that is none by the letter: NaN, Infinity, halves of emoji. Their place is kept, as text."""

from __future__ import annotations

import json
import re
import typing as t

import msgspec

if t.TYPE_CHECKING:
    from collections.abc import Callable

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
        on_odd: called if something had to be mended.

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
