"""Writes Singer messages to stdout in blocks; STATE and SCHEMA are never held back."""

from __future__ import annotations

import sys
import typing as t
from datetime import datetime

import msgspec
from singer_sdk.singerlib import Message, RecordMessage
from singer_sdk.singerlib.encoding.base import GenericSingerWriter

from tap_pendo.windows import UTC

if t.TYPE_CHECKING:
    from collections.abc import Sequence

_BLOCK = 256 * 1024


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
        # JSON holds no line feed: those there are stand between two records
        lines = self._encode_lines(records)[:-1]
        self._buffer += head + lines.replace(b"\n", tail + head) + tail
        if len(self._buffer) >= _BLOCK:
            self.flush()

    def flush(self) -> None:
        """Write out what is held."""
        if self._buffer:
            data, self._buffer = bytes(self._buffer), bytearray()
            binary = getattr(sys.stdout, "buffer", None)
            if binary is None:
                # stdout replaced by a text buffer, as tests do
                sys.stdout.write(data.decode())
            else:
                binary.write(data)
        sys.stdout.flush()
