"""Knows the paths under /_emulator/, by which tests look into an emulator and change it."""

import asyncio
from typing import Any, Protocol

from emulation.admin import CommonAdmin, Row, routes
from emulation.calls import Calls
from emulation.clock import format_moment, parse_moment
from starlette.requests import Request
from starlette.routing import Route

from pendo_emulator.product.events import EVER
from pendo_emulator.product.ground_truth import SUMMED
from pendo_emulator.switches import SWITCHES, Emulated

_KINDS = (
    "app",
    "page",
    "feature",
    "tracktype",
    "guide",
    "segment",
    "group",
    "report",
    "accounts",
    "visitors",
    "doNotProcessVisitors",
    "doNotProcessAccounts",
)


class Administered(Emulated, Protocol):
    """An emulator, as its own paths see it."""

    region: str

    @property
    def calls(self) -> Calls:
        """The calls that were made."""

    def arm(self, *names: str) -> None:
        """Bring difficulties about, by the names of their switches."""


class Admin(CommonAdmin):
    """The endpoints; they need no key. Bad input is a 400 with the reason."""

    def __init__(self, emulator: Administered) -> None:
        super().__init__(emulator)
        self._emulator = emulator
        self._world = emulator.world
        self._region = emulator.region

    def routes(self) -> list[Route]:
        """Return the routes."""
        table: list[Row] = [
            ("GET", "/", self._state),
            ("GET", "/switches", self._list_switches),
            ("POST", "/switches/{name}", self._arm),
            ("POST", "/retag", self._retag),
            ("POST", "/events", self._inject),
            ("POST", "/definitions/{kind}", self._define),
            ("DELETE", "/definitions/{kind}/{id:path}", self._undefine),
            ("GET", "/truth/sums", self._sums),
            ("GET", "/truth/count", self._count),
            ("GET", "/truth/history", self._history),
        ]
        return routes(table, self.common())

    async def _state(self, _request: Request) -> Any:
        return {
            "now": format_moment(self._world.clock.now()),
            "region": self._region,
            "knobs": self._world.knobs,
            "counts": {kind: self._world.count(kind) for kind in _KINDS},
        }

    async def _list_switches(self, _request: Request) -> Any:
        return [{"name": one.name, "about": one.about, "fatal": one.fatal} for one in SWITCHES]

    async def _arm(self, request: Request) -> Any:
        name = request.path_params["name"]
        await asyncio.to_thread(self._emulator.arm, name)
        return {"armed": name}

    async def _retag(self, request: Request) -> Any:
        """Read {source, from, to (null: nothing), first, last}; times are ms or ISO 8601."""
        order = await request.json()
        first, last = (_moment(str(order[name])) for name in ("first", "last"))
        self._world.retag(order["source"], order["from"], order["to"], first, last)
        return {}

    async def _inject(self, request: Request) -> Any:
        events = await request.json()
        self._world.inject(events)
        return {"events": len(events)}

    async def _define(self, request: Request) -> Any:
        self._world.add_definition(request.path_params["kind"], await request.json())
        return {}

    async def _undefine(self, request: Request) -> Any:
        known = self._world.remove_definition(
            request.path_params["kind"], request.path_params["id"]
        )
        return {"removed": known}

    async def _sums(self, request: Request) -> Any:
        first, last = _span(request)
        source = request.query_params["source"]
        sums = await asyncio.to_thread(self._world.sums, source, first, last)
        return [[*key, count] for key, count in sums.items()]

    async def _count(self, request: Request) -> Any:
        asked = request.query_params
        kind = asked["kind"]
        if kind in _KINDS:
            return {"rows": self._world.count(kind), "events": 0}
        if kind in EVER:
            return {"rows": await asyncio.to_thread(self._world.count, kind), "events": 0}
        first, last = _span(request)
        period = asked.get("period", "hour")
        rows = await asyncio.to_thread(self._world.count, kind, first, last, period)
        if kind not in SUMMED:
            return {"rows": rows, "events": 0}
        sums = await asyncio.to_thread(self._world.sums, kind, first, last)
        return {"rows": rows, "events": sum(sums.values())}

    async def _history(self, request: Request) -> Any:
        """Return the number of rows of `visitor` in the 24 hours from `start`, ms or ISO 8601."""
        asked = request.query_params
        start, visitor = _moment(asked["start"]), asked["visitor"]
        return {"rows": await asyncio.to_thread(self._world.history_count, visitor, start)}


def _span(request: Request) -> tuple[int, int]:
    """Return first and last of the query, epoch milliseconds or ISO 8601, as milliseconds."""
    asked = request.query_params
    return _moment(asked["first"]), _moment(asked["last"])


def _moment(text: str) -> int:
    return int(text) if text.lstrip("-").isdigit() else parse_moment(text)
