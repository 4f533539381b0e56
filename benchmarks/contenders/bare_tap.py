"""A tap for the same rows without any framework: what is left when only the work itself is done."""

from __future__ import annotations

import json
import sys
import typing as t
from datetime import timedelta
from pathlib import Path

import msgspec
import urllib3

from benchmarks.contenders import work

if t.TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

_BLOCK = 256 * 1024
_HEAD = b'{"results":['
_rows = msgspec.json.Decoder(list[dict[str, t.Any]])
_encode = msgspec.json.Encoder().encode
_CONVERT: dict[str, tuple[Callable[[work.Row, str], work.Row], str]] = {
    "feature_events": (work.event, "row_id"),
    "visitors": (work.visitor, "visitor_id"),
}


def blocks(chunks: Iterable[bytes]) -> Iterator[list[work.Row]]:
    """Yield the rows of an answer, a block of bytes at a time.

    What comes before a `},{`, closed with `]`, is JSON only if the cut is between two rows.
    """
    buffer = bytearray()
    started = False
    for chunk in chunks:
        buffer += chunk
        if not started:
            if len(buffer) < len(_HEAD):
                continue
            if not buffer.startswith(_HEAD):
                raise ValueError("the answer begins in another way")
            del buffer[: len(_HEAD)]
            started = True
        if len(buffer) >= _BLOCK:
            rows, end = _cut(buffer)
            if rows:
                del buffer[:end]
                yield rows
    rest = bytes(buffer[: buffer.rindex(b"]")])
    yield _rows.decode(b"[" + rest + b"]")


def _cut(buffer: bytearray) -> tuple[list[work.Row], int]:
    at = len(buffer)
    while (at := buffer.rfind(b"},{", 0, at)) >= 0:
        try:
            return _rows.decode(b"[" + buffer[: at + 1] + b"]"), at + 2
        except msgspec.DecodeError:
            continue
    return [], 0


def answers(config: dict[str, str]) -> Iterator[urllib3.BaseHTTPResponse]:
    """Ask, and give each answer."""
    pool = urllib3.PoolManager(headers={"x-pendo-integration-key": config["integration_key"]})
    start, end = (work.moment(config[name]) for name in ("start_date", "end_date"))
    days = (end - start) // timedelta(days=1)
    bodies = (work.events_of(start + timedelta(days=n)) for n in range(days))
    for body in [work.visitors()] if config["stream"] == "visitors" else bodies:
        url = config["api_url"] + "/api/v1/aggregation"
        yield pool.request("POST", url, json=body, preload_content=False)


def main() -> None:
    """Read one stream, as `--config FILE` says, and write its messages."""
    config = json.loads(Path(sys.argv[2]).read_text(encoding="utf-8"))
    stream = config["stream"]
    convert, key = _CONVERT[stream]
    schema = {"type": "object", "properties": {}}
    head = {"type": "SCHEMA", "stream": stream, "schema": schema, "key_properties": [key]}
    write = sys.stdout.buffer.write
    write(_encode(head) + b"\n")
    for answer in answers(config):
        if answer.status != 200:  # noqa: PLR2004 - success
            sys.exit(f"Pendo answers {answer.status}")
        read_at = work.now()
        for rows in blocks(answer.stream(64 * 1024)):
            lines = bytearray()
            for row in rows:
                message = {"type": "RECORD", "stream": stream, "record": convert(row, read_at)}
                lines += _encode(message)
                lines += b"\n"
            write(lines)
        write(_encode({"type": "STATE", "value": {stream: read_at}}) + b"\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
