"""HTTP: which calls are allowed, what goes wrong with them, and how an answer's body is written."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from datetime import datetime, timedelta, timezone
from email.utils import format_datetime
from typing import Any

import msgspec
from emulation.calls import Calls
from emulation.serving import Disconnect
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.types import Receive, Scope, Send

from pendo_emulator.access import Key, Keys, Refused
from pendo_emulator.faults import Fault, Faults
from pendo_emulator.knobs import Knobs
from pendo_emulator.pipeline.request import run, source_name, window_hours
from pendo_emulator.pipeline.table import Table
from pendo_emulator.routes import Asked, Found, find
from pendo_emulator.world import World

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


_AGGREGATION = "/api/v1/aggregation"
_VERIFY = "/api/v1/token/verify"
_READING = ("GET", "HEAD")


class PendoApi:
    """The ASGI application of one region."""

    def __init__(self, world: World, region: str, keys: Keys, faults: Faults, calls: Calls) -> None:
        self._world = world
        self._region = region
        self._keys = keys
        self._faults = faults
        self._calls = calls

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        request = Request(scope, receive)
        body = await request.body()
        path = _endpoint(request)
        source = source_name(body) if path == _AGGREGATION else ""
        with self._calls.running(path, source):
            try:
                response = await self._respond(request, path, source, body)
            except Refused as refusal:
                response = _refusal(refusal.status, refusal.body)
            self._calls.answered(response.status_code)
            await response(scope, receive, send)

    async def _respond(self, request: Request, path: str, source: str, body: bytes) -> Response:
        key = self._keys.check(request.headers.get("x-pendo-integration-key"), self._region)
        writes = request.method not in _READING and path != _AGGREGATION
        if writes and not key.write_access:
            raise Refused(403)
        hours = window_hours(self._world, body) if source else 0
        faults = self._faults.take(path, source, hours)
        pace = faults.get("pace")
        if pace and pace.kind == "delay":
            await asyncio.sleep(pace.seconds)
        answer = faults.get("answer")
        if answer and answer.kind == "status":
            return self._failure(answer)
        if path == _AGGREGATION:
            _allow(request, "POST")
            pieces = await asyncio.to_thread(self._aggregate, body, faults)
        else:
            value = await asyncio.to_thread(self._read, request, key, verified=answer is None)
            pieces = iter([msgspec.json.encode(_changed(value, faults.get("rows")))])
        return StreamingResponse(_paced(pieces, faults), media_type="application/json")

    def _failure(self, fault: Fault) -> Response:
        headers = {}
        if fault.retry_after is not None:
            headers["Retry-After"] = _retry_after(fault.retry_after, self._world.knobs)
        return _refusal(fault.status or 500, fault.text, headers)

    def _aggregate(self, body: bytes, faults: dict[str, Fault]) -> Iterator[bytes]:
        """Return the pieces of an answer; the rows are made while they are read."""
        answer = run(self._world, body)
        change, ending, size = (faults.get(stage) for stage in ("rows", "body", "size"))
        if change and change.kind == "null_results":
            return iter([b'{"results":null}'])
        table = answer.table
        if change:
            table = table.mapped(lambda chunk: _extended(chunk, change))
        empty = self._world.knobs.empty_results
        pieces = encode(table, answer.start_time, ending.rows if ending else None, empty=empty)
        return _within(pieces, size) if size else pieces

    def _read(self, request: Request, key: Key, *, verified: bool) -> Any:
        """Return what a GET path answers.

        Raises:
            Refused: 404 for an unknown path, 405 for another verb.
        """
        found = _found(request)
        if not found and request.scope["path"] != _VERIFY:
            raise Refused(404)
        _allow(request, *_READING)
        if not found:
            return {"valid": verified, "writeAccess": key.write_access}
        _template, answer, names = found
        return answer(Asked(self._world, request.query_params, names))


def _found(request: Request) -> Found | None:
    """Return what is known of a request's path, in which ids may be in base64."""
    encoded = request.headers.get("x-pendo-base64-encoded-params", "").lower() == "true"
    return find(request.scope["raw_path"].decode(), encoded=encoded)


def _endpoint(request: Request) -> str:
    """Return the path with {id} for an id, by which calls are counted and befallen by faults."""
    path: str = request.scope["path"]
    try:
        found = _found(request)
    except Refused:
        return path
    # other names in braces, such as {kind}, are of few and known values
    return found[0] if found and "id" in found[2] else path


def _allow(request: Request, *methods: str) -> None:
    if request.method not in methods:
        raise Refused(405)


def _refusal(status: int, body: str, headers: dict[str, str] | None = None) -> Response:
    kind = "application/json" if body.startswith("{") else "text/plain"
    return Response(body, status, headers, kind if body else None)


def _retry_after(seconds: float, knobs: Knobs) -> str:
    if knobs.retry_after == "seconds":
        return f"{seconds:g}"
    moment = datetime.now(timezone.utc) + timedelta(seconds=seconds)
    return format_datetime(moment, usegmt=True)


def _extended(rows: list[Any], change: Fault) -> list[Any]:
    return [{**row, **change.fields} if isinstance(row, dict) else row for row in rows]


def _changed(value: Any, change: Fault | None) -> Any:
    """Return what a GET path answers, with further fields in the objects of a list."""
    if change and change.kind == "extra_fields" and isinstance(value, list):
        return _extended(value, change)
    return value


def _within(pieces: Iterator[bytes], fault: Fault) -> Iterator[bytes]:
    """Return the pieces of a body that is not too large.

    Raises:
        Refused: with the fault's status where it is.
    """
    kept, size = [], 0
    for piece in pieces:
        kept.append(piece)
        size += len(piece)
        if size > (fault.bytes or 0):
            raise Refused(fault.status or 413, fault.text)
    return iter(kept)


async def _paced(pieces: Iterator[bytes], faults: dict[str, Fault]) -> AsyncIterator[bytes]:
    """Yield the body as it is to be sent: perhaps slowly, perhaps not to its end.

    Raises:
        Disconnect: where the connection is to break.
    """
    ending, pace = faults.get("body"), faults.get("pace")
    trickle = pace if pace and pace.kind == "trickle" else None
    if ending and ending.bytes is not None:
        pieces = cut(pieces, ending.bytes)
    if trickle:
        pieces = in_pieces(pieces, trickle.bytes or 1)
    while piece := await asyncio.to_thread(next, pieces, b""):
        yield piece
        if trickle:
            await asyncio.sleep(trickle.seconds)
    if ending and ending.kind == "cut":
        raise Disconnect
