"""Writes Singer messages to stdout in blocks; STATE and SCHEMA are never held back."""

from __future__ import annotations

import sys
import typing as t

import msgspec
from singer_sdk.singerlib import Message, RecordMessage
from singer_sdk.singerlib.encoding.base import GenericSingerWriter

_BLOCK = 256 * 1024


def _plain(value: t.Any) -> str:
    """Write a date-time as the SDK does; there is nothing else that JSON does not know."""
    return value.isoformat() if hasattr(value, "isoformat") else str(value)


class BlockWriter(GenericSingerWriter[bytes, Message]):
    """Gathers lines and writes whole ones, so that a reader never sees half a message."""

    def __init__(self) -> None:
        super().__init__()
        self._encode = msgspec.json.Encoder(enc_hook=_plain, decimal_format="number").encode
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
