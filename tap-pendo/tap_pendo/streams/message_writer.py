"""Writes Singer messages to stdout in blocks; STATE and SCHEMA are never held back."""

from __future__ import annotations

import errno
import json
import logging
import select
import sys
import typing as t
from datetime import datetime

import msgspec
from singer_sdk.singerlib import Message, RecordMessage
from singer_sdk.singerlib.encoding.base import GenericSingerWriter

from tap_pendo.calendar import UTC
from tap_pendo.errors import OutputError

if t.TYPE_CHECKING:
    from collections.abc import Sequence

_BLOCK = 256 * 1024
# what Meltano passes on as one line, half of its default `elt.buffer_size`
_LONGEST_LINE = 5 * 1024 * 1024

logger = logging.getLogger("tap-pendo")


def _plain(value: t.Any) -> str:
    """Write a date-time as the SDK does; there is nothing else that JSON does not know."""
    return value.isoformat() if hasattr(value, "isoformat") else str(value)


class BlockWriter(GenericSingerWriter[bytes, Message]):
    """Gathers lines and writes whole ones, so that a reader never sees half a message."""

    def __init__(self) -> None:
        super().__init__()
        encoder = msgspec.json.Encoder(enc_hook=_plain, decimal_format="number")
        self._encode, self._encode_lines = encoder.encode, encoder.encode_lines
        self._buffer = bytearray()

    def serialize_message(self, message: Message) -> bytes:
        """Give the message as one line of JSON."""
        return self._encode(message.to_dict()) + b"\n"

    def write_message(self, message: Message) -> None:
        """Take a message; all but records go out at once, with what came before them."""
        if not isinstance(message, RecordMessage):
            self._buffer += self.serialize_message(message)
            self.flush()
            return
        # not to_dict, which would copy the record deeply
        line: dict[str, t.Any] = {
            "type": message.type,
            "stream": message.stream,
            "record": message.record,
            "time_extracted": message.time_extracted,
        }
        if message.version is not None:
            line["version"] = message.version
        self._buffer += self._encode(line)
        self._buffer += b"\n"
        if len(self._buffer) >= _BLOCK:
            self.flush()

    def write_records(self, stream: str, records: Sequence[t.Any], version: int | None) -> None:
        """Take records of one stream, as RECORD messages that are extracted now."""
        if not records:
            return
        head = b'{"type":"RECORD","stream":' + self._encode(stream) + b',"record":'
        tail = b',"time_extracted":' + self._encode(datetime.now(UTC))
        if version is not None:
            tail += b',"version":' + self._encode(version)
        tail += b"}\n"
        # JSON holds no line feed: each one is between two records
        lines = self._encode_lines(records)[:-1]
        if len(lines) > _LONGEST_LINE:
            _warn_of_long(stream, lines.split(b"\n"))
        self._buffer += head + lines.replace(b"\n", tail + head) + tail
        if len(self._buffer) >= _BLOCK:
            self.flush()

    def flush(self) -> None:
        """Write out what is held.

        Raises:
            OutputError: the output takes no more; what is held is dropped.
        """
        data, self._buffer = self._buffer, bytearray()
        write_out(data)


def _warn_of_long(stream: str, lines: Sequence[bytes]) -> None:
    for line in lines:
        if len(line) > _LONGEST_LINE:
            record = msgspec.json.decode(line)
            name = next((name for name in ("row_id", "id") if name in record), "")
            which = f" (`{name}` {record[name]})" if name else ""
            logger.warning(
                "%s: a record%s has %s bytes, which Meltano does not pass on by default; set its "
                "`elt.buffer_size` to at least %s",
                stream,
                which,
                f"{len(line):,}",
                f"{4 * len(line):,}",
            )


def write_out(data: bytes | bytearray) -> None:
    """Write all of it to stdout.

    Raises:
        OutputError: the output takes no more.
    """
    try:
        _write_out(data)
    except OSError as error:
        raise OutputError("The output", error) from None


def _write_out(data: bytes | bytearray) -> None:
    if sys.stdout is None:
        raise OSError(errno.EBADF, "stdout is closed")
    sys.stdout.flush()
    binary = getattr(sys.stdout, "buffer", None)
    if binary is None:
        # stdout replaced by a text buffer, as tests do
        sys.stdout.write(data.decode())
        return
    # past Python's buffer, which would keep what could not be written, and try again at the end
    raw = getattr(binary, "raw", binary)
    rest = memoryview(data)
    while rest:
        # a pipe takes a part if a signal comes, and none (None) if it does not block and is full
        taken = raw.write(rest)
        if taken is None:
            select.select([], [raw], [])
        rest = rest[taken or 0 :]


# What targets cannot take


def without_nul(value: t.Any) -> t.Any:
    """Take U+0000 out of all strings and keys: PostgreSQL holds it in neither text nor JSON.

    A value without it is given back as it is, the same object.
    """
    if isinstance(value, str):
        return value.replace("\0", "") if "\0" in value else value
    if isinstance(value, list):
        items = [without_nul(item) for item in value]
        return items if any(a is not b for a, b in zip(items, value, strict=True)) else value
    if not isinstance(value, dict):
        return value
    cleaned: dict[str, t.Any] = {}
    changed = False
    for key, item in value.items():
        name, content = without_nul(key), without_nul(item)
        changed = changed or name is not key or content is not item
        while name in cleaned or (name is not key and name in value):
            name += "_"  # it must not replace another key
        cleaned[name] = content
    return cleaned if changed else value


def texts_for_flattening(value: t.Any, schema: dict[str, t.Any]) -> t.Any:
    """Write numbers and truths as JSON text where objects and lists are allowed too.

    Flattening, which the SDK does after this, declares such columns as text.
    """
    types = schema.get("type", ())
    properties = schema.get("properties")
    if isinstance(value, dict) and properties:
        return {
            name: texts_for_flattening(item, properties.get(name, {}))
            for name, item in value.items()
        }
    mixed = "object" in types or "array" in types
    return json.dumps(value) if mixed and isinstance(value, (bool, int, float)) else value
