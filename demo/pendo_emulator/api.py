"""Knows Pendo's HTTP interface: who may call, which path answers what, and how it goes wrong."""

import asyncio
import re
from collections.abc import AsyncIterator, Iterator
from datetime import datetime, timedelta, timezone
from email.utils import format_datetime
from typing import Any

import msgspec
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.types import Receive, Scope, Send

from pendo_emulator.body import cut, encode, in_pieces
from pendo_emulator.calls import Calls
from pendo_emulator.definitions import DEFAULT_APP
from pendo_emulator.faults import Fault, Faults
from pendo_emulator.keys import Key, Keys
from pendo_emulator.knobs import Knobs
from pendo_emulator.pipeline import run, source_name, window_hours
from pendo_emulator.refusals import Refused
from pendo_emulator.world import World

_AGGREGATION = "/api/v1/aggregation"
_LIST = re.compile(r"/api/v1/(page|feature|tracktype|guide)")
_SEGMENT = re.compile(r"/api/v1/segment(?:/([^/]+))?")
_SCHEMA = re.compile(r"/api/v1/metadata/schema/(account|visitor|AccountMetadata|VisitorMetadata)")
_VERIFY = "/api/v1/token/verify"
_READING = ("GET", "HEAD")


class Disconnect(Exception):  # noqa: N818 -- it is ordered, not an error
    """The connection is to end here, in the middle of the body."""


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
        path = request.url.path
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
            value = self._read(request, path, key, verified=answer is None)
            change = faults.get("rows")
            if change and change.kind == "extra_fields" and isinstance(value, list):
                value = _extended(value, change)
            pieces = iter([msgspec.json.encode(value)])
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

    def _read(self, request: Request, path: str, key: Key, *, verified: bool) -> Any:
        """Return what a GET path answers.

        Raises:
            Refused: 404 for an unknown path, 405 for another verb.
        """
        listed, schema = _LIST.fullmatch(path), _SCHEMA.fullmatch(path)
        segment = _SEGMENT.fullmatch(path)
        if not (listed or schema or segment or path == _VERIFY):
            raise Refused(404)
        _allow(request, *_READING)
        if segment:
            return self._segments(segment[1], request)
        if listed:
            return self._listed(listed[1], request)
        if schema:
            return self._world.metadata_schema(schema[1].removesuffix("Metadata").lower())
        return {"valid": verified, "writeAccess": key.write_access}

    def _segments(self, key: str | None, request: Request) -> Any:
        """Return the segments that everyone may see, or the one of that id.

        Raises:
            Refused: 404 for an id that is not among them.
        """
        found = self._world.listed("segment", self._world.clock.now())
        if key is not None:
            one = next((one for one in found if one["id"] == key), None)
            if one is None:
                raise Refused(404)
            return one
        if request.query_params.get("createdByApi") == "true":
            found = [one for one in found if one["createdByApi"]]
        return found

    def _listed(self, kind: str, request: Request) -> list[dict[str, Any]]:
        """Return the definitions of a kind; the default app's without expand and appId (§2)."""
        asked = request.query_params
        found = self._world.listed(kind, self._world.clock.now())
        if "appId" in asked or asked.get("expand") != "*":
            app = asked.get("appId", str(DEFAULT_APP))
            found = [one for one in found if str(one["appId"]) == app]
        if "id" in asked:
            ids = set(asked["id"].split(","))
            found = [one for one in found if one["id"] in ids]
        if kind == "guide" and "state" in asked:
            found = [one for one in found if one["state"] == asked["state"]]
        return found


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


def _extended(rows: list[dict[str, Any]], change: Fault) -> list[dict[str, Any]]:
    return [{**row, **change.fields} for row in rows]


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
