"""Knows the paths under /_emulator/ that every emulator has: clock, faults, knobs and calls."""

from collections.abc import Awaitable, Callable
from json import JSONDecodeError
from typing import Any, Protocol

import msgspec
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from emulation.calls import Calls, Orders
from emulation.clock import Clock, format_moment

Act = Callable[[Request], Awaitable[Any]]
Row = tuple[str, str, Act]


class World(Protocol):
    """What an emulator shows: a clock, and knobs, which are a msgspec struct."""

    clock: Clock
    knobs: Any


class Administered(Protocol):
    """An emulator, as these paths see it."""

    @property
    def world(self) -> World:
        """What it shows."""

    @property
    def faults(self) -> Orders[Any]:
        """The faults in force."""

    @property
    def calls(self) -> Calls:
        """The calls that were made."""


class CommonAdmin:
    """The endpoints; they need no key. Bad input is a 400 with the reason."""

    def __init__(self, administered: Administered) -> None:
        self._administered = administered

    def common(self) -> list[Row]:
        """Return verb, path and what it does."""
        return [
            ("POST", "/clock", self._set_clock),
            ("POST", "/faults", self._add_faults),
            ("DELETE", "/faults", self._clear_faults),
            ("POST", "/knobs", self._set_knobs),
            ("GET", "/calls", self._report),
            ("DELETE", "/calls", self._forget),
        ]

    async def _set_clock(self, request: Request) -> Any:
        order, clock = await request.json(), self._administered.world.clock
        if "now" in order:
            clock.set(order["now"])
        clock.advance(order.get("advance_seconds", 0))
        return {"now": format_moment(clock.now())}

    async def _add_faults(self, request: Request) -> Any:
        self._administered.faults.add(*await request.json())
        return {}

    async def _clear_faults(self, _request: Request) -> Any:
        self._administered.faults.clear()
        return {}

    async def _set_knobs(self, request: Request) -> Any:
        """Set the knobs that are named, and leave the others as they are."""
        world = self._administered.world
        changed = {**msgspec.to_builtins(world.knobs), **await request.json()}
        world.knobs = msgspec.convert(changed, type(world.knobs))
        return world.knobs

    async def _report(self, _request: Request) -> Any:
        return self._administered.calls.report()

    async def _forget(self, _request: Request) -> Any:
        self._administered.calls.clear()
        return {}


def routes(*tables: list[Row]) -> list[Route]:
    """Return the routes of tables of verb, path and what it does; that returns a JSON value."""
    rows = [row for table in tables for row in table]
    return [Route(path, _answering(act), methods=[verb]) for verb, path, act in rows]


def _answering(act: Act) -> Callable[[Request], Awaitable[Response]]:
    async def endpoint(request: Request) -> Response:
        try:
            value = await act(request)
        except KeyError as error:
            name = error.args[0] if error.args else "?"
            text = f"`{name}` is missing or not known: the query, the body or the path must name it"
            return JSONResponse({"error": text}, 400)
        except (ValueError, LookupError, TypeError, JSONDecodeError) as error:
            return JSONResponse({"error": f"{type(error).__name__}: {error}"}, 400)
        return Response(msgspec.json.encode(value), media_type="application/json")

    return endpoint
