"""Knows Planhat's HTTP interface: which host answers what, and how it goes wrong."""

import asyncio
import socket
import struct
from contextlib import suppress
from typing import Any, Protocol, cast
from urllib.parse import unquote

import msgspec
from emulation.serving import Disconnect
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from planhat_emulator import analytics, rest
from planhat_emulator.answers import Answer, Call, in_form, refusal
from planhat_emulator.faults import Fault, Faults
from planhat_emulator.journal import Entry, Happening, Journal, Requests, digest
from planhat_emulator.refusals import Refused
from planhat_emulator.tokens import Quota, Token, Tokens, limit_headers, retry_after, too_many
from planhat_emulator.world import World

_LINGER_NOT = struct.pack("ii", 1, 0)  # struct linger: on, 0 s, so that a reset is sent
_WRITING = ("POST", "PUT")
_decode = msgspec.json.Decoder().decode


class Emulated(Protocol):
    """An emulator of one tenant; its hosts differ by `analytics_port`."""

    url: str
    analytics_url: str
    analytics_port: int
    world: World
    tokens: Tokens
    faults: Faults
    calls: Requests
    quota: Quota
    journal: Journal


class _Transport(Protocol):
    def get_extra_info(self, name: str) -> Any: ...
    def abort(self) -> None: ...


class PlanhatApi:
    """The ASGI application of both hosts."""

    def __init__(self, emulator: Emulated) -> None:
        self._emulator = emulator
        self._world = emulator.world
        self._tokens = emulator.tokens
        self._calls = emulator.calls
        self._parallel = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        request = Request(scope, receive)
        body = await request.body()
        on_analytics = scope["server"][1] == self._emulator.analytics_port
        parts = [unquote(part) for part in scope["raw_path"].decode().split("/")[1:]]
        found = (analytics if on_analytics else rest).find(request.method, parts)
        path, key = found or ("", "")
        entry = self._entry(request, path, body)
        self._calls.note(entry, body)
        faults = self._emulator.faults.take(path, request.method, body)
        with self._calls.running(path, request.method):
            self._parallel += not on_analytics
            try:
                await _delay(faults.get("pace"))
                call = Call(request.method, path, key, dict(request.query_params))
                if "items" in faults:
                    call.spoilt = faults["items"].text, faults["items"].spoilt(body)
                answer = self._fated(request, call, body, faults.get("answer"), entry)
                if answer is None:
                    await _break(faults["answer"], receive, send)
                    return
                entry.status = answer.status
                self._calls.answered(answer.status)
                response = Response(answer.body, answer.status, answer.headers, answer.kind)
                await response(scope, receive, send)
            finally:
                self._parallel -= not on_analytics

    def _entry(self, request: Request, path: str, body: bytes) -> Entry:
        headers = request.headers
        return Entry(
            verb=request.method,
            path=path,
            query=dict(request.query_params),
            authorization=headers.get("authorization", "").partition(" ")[0],
            content_type=headers.get("content-type", ""),
            size=len(body),
            digest=digest(body),
            received=self._world.clock.now(),
        )

    def _fated(
        self, request: Request, call: Call, body: bytes, fault: Fault | None, entry: Entry
    ) -> Answer | None:
        """Return the answer, or None for no answer; a fault may come before the effect or after."""
        answer = None
        if fault is None or fault.commit or fault.kind == "malformed":
            try:
                answer = self._answer(request, call, body, entry)
            except Refused as refused:
                answer = refusal(refused, self._world.knobs)
        if fault is None:
            return answer
        if fault.kind == "status":
            return self._failure(fault)
        if fault.kind == "malformed" and answer:
            text = fault.text.encode() or answer.body[: max(1, len(answer.body) // 2)]
            return Answer(answer.status, text, answer.kind, answer.headers)
        return None

    def _failure(self, fault: Fault) -> Answer:
        answer = in_form(fault.status, fault.text, fault.form)
        knobs = self._world.knobs
        if fault.headers:
            limit, wait = knobs.rate_limit or 0, fault.retry_after or knobs.rate_window
            answer.headers.update(limit_headers(fault.headers, limit, 0, wait))
        if fault.retry_after is not None:
            form = "seconds" if knobs.retry_after == "absent" else knobs.retry_after
            now = self._world.clock.now()
            answer.headers["Retry-After"] = retry_after(form, fault.retry_after, now)
        return answer

    def _answer(self, request: Request, call: Call, body: bytes, entry: Entry) -> Answer:
        """Let a request have its effect, and return the answer.

        Raises:
            Refused: where Planhat refuses it; then it has no effect.
        """
        if request.scope["server"][1] == self._emulator.analytics_port:
            return self._analytics(request, call, body, entry)
        headers = self._admit(request, call)
        if call.verb in _WRITING:
            call.body = self._body(request, body, entry)
        answer = rest.answer(self._world, call)
        answer.headers.update(headers)
        if call.verb != "GET":
            self._commit(call, call.key, entry)
        return answer

    def _analytics(self, request: Request, call: Call, body: bytes, entry: Entry) -> Answer:
        if not call.path:
            raise Refused(404, "Not found")
        if analytics.is_sink(self._world, self._tokens, call, len(body)):
            return analytics.sunk(self._world, call)
        if call.path == analytics.METRICS and self._world.knobs.metrics_need_token:
            self._token(request)
        try:
            call.body = self._body(request, body, entry)
        except Refused:
            if self._world.knobs.malformed == "sink":
                return analytics.sunk(self._world, call)
            raise
        answer = analytics.answer(self._world, call)
        self._commit(call, "", entry)  # its key is the tenant token, which nobody needs to read
        return answer

    def _commit(self, call: Call, key: str, entry: Entry) -> None:
        """Note that a call has had its effect; whoever is answered can rely on it."""
        entry.committed = True
        now, named = self._world.clock.now(), (call.verb, call.path, key)
        happening = Happening(now, call=named, body=call.body, spoilt=call.spoilt)
        self._emulator.journal.note(happening)

    def _admit(self, request: Request, call: Call) -> dict[str, str]:
        """Return the headers of a call that may be made."""
        call.token = self._token(request)
        now, knobs = self._world.clock.now(), self._world.knobs
        if knobs.most_parallel is not None and self._parallel > knobs.most_parallel:
            raise too_many({}, 1, now, knobs)
        headers = self._emulator.quota.count(call.token.token, now, knobs)
        if not call.path:
            raise Refused(404, "Not found")
        return headers

    def _token(self, request: Request) -> Token:
        return self._tokens.check(request.headers.get("authorization", ""))

    def _body(self, request: Request, body: bytes, entry: Entry) -> Any:
        """Return the decoded body.

        Raises:
            Refused: 413 if too large, 415 if compressed, 400 if it is not JSON, or not said to be.
        """
        if len(body) > self._world.knobs.max_body:
            raise Refused(413, "request entity too large")
        if request.headers.get("content-encoding", "identity") != "identity":
            raise Refused(415, "unsupported content encoding")
        if request.headers.get("content-type", "").partition(";")[0].strip() != "application/json":
            raise Refused(400, "Content-Type must be application/json")
        try:
            value = _decode(body)
        except (msgspec.DecodeError, UnicodeDecodeError):
            raise Refused(400, "body is not valid JSON") from None
        if not isinstance(value, (dict, list)):
            raise Refused(400, "body must be an object or an array")
        entry.items = len(value) if isinstance(value, list) else 1
        return value


async def _delay(fault: Fault | None) -> None:
    if fault:
        await asyncio.sleep(fault.seconds)


async def _break(fault: Fault, receive: Receive, send: Send) -> None:
    """End the connection without an answer: at once with a reset, or after a while."""
    if fault.kind == "time_out":
        # whoever gives up first, the client or this
        with suppress(asyncio.TimeoutError):
            await asyncio.wait_for(_until_disconnected(receive), fault.seconds)
    # uvicorn would answer 500 for an application that answers nothing
    cycle = getattr(send, "__self__", None)
    transport = cast("_Transport", cycle.transport) if cycle else None
    if transport is None:
        raise Disconnect
    sock = transport.get_extra_info("socket")
    if fault.kind == "reset" and sock is not None:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _LINGER_NOT)
    transport.abort()
    await _until_disconnected(receive)


async def _until_disconnected(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        continue
