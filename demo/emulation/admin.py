"""Knows how an emulator's own paths answer: JSON, and a 400 with the reason for bad input."""

from collections.abc import Awaitable, Callable, Iterable
from json import JSONDecodeError
from typing import Any

import msgspec
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

Act = Callable[[Request], Awaitable[Any]]


def routes(table: Iterable[tuple[str, str, Act]]) -> list[Route]:
    """Return the routes of a table of verb, path and what it does; that returns a JSON value."""
    return [Route(path, _answering(act), methods=[verb]) for verb, path, act in table]


def _answering(act: Act) -> Callable[[Request], Awaitable[Response]]:
    async def endpoint(request: Request) -> Response:
        try:
            value = await act(request)
        except (ValueError, LookupError, TypeError, JSONDecodeError) as error:
            return JSONResponse({"error": f"{type(error).__name__}: {error}"}, 400)
        return Response(msgspec.json.encode(value), media_type="application/json")

    return endpoint
