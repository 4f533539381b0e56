"""Paths under /_emulator/: tests look into an emulator and change it; a tenant's summary."""

from collections import Counter
from typing import Any

import msgspec
from emulation.admin import CommonAdmin, Row, routes
from emulation.clock import format_moment
from starlette.requests import Request
from starlette.routing import Route

from planhat_emulator.activities import Activity
from planhat_emulator.api import Emulated
from planhat_emulator.journal import Happening
from planhat_emulator.metrics import Point
from planhat_emulator.store import MODELS
from planhat_emulator.world import World, day


class OfCompany(msgspec.Struct):
    """What a company has: activities of its end users, as items and by their counts, and points.

    `id` is its _id; what belongs to no company has the `id` "".
    """

    id: str
    name: str | None
    activities: int = 0
    count: float = 0
    points: int = 0


class Summary(msgspec.Struct):
    """A tenant in figures: `metrics` are [dimensionId, model, points], `failed` [kind, reason, n].

    `created` counts the end users that activities have created, `companies` has none without
    activities and points.
    """

    companies: list[OfCompany]
    metrics: list[tuple[str, str, int]]
    created: int
    failed: list[tuple[str, str, int]]


def summary(world: World) -> Summary:
    """Return what a tenant holds, each list in an order of its own that stays."""
    found: dict[str, OfCompany] = {}
    for activity in world.activities():
        of = _company(world, found, activity.end_user.get("companyId"))
        of.activities += 1
        of.count += activity.count
    for point in world.points():
        _company(world, found, point.company_id).points += 1
    metrics = Counter((one.dimension_id, one.model) for one in world.points())
    failed = Counter((one.kind, one.reason) for one in world.failed)
    return Summary(
        [found[key] for key in sorted(found)],
        [(*key, number) for key, number in sorted(metrics.items())],
        len(world.created),
        [(*key, number) for key, number in sorted(failed.items())],
    )


def _company(world: World, found: dict[str, OfCompany], key: Any) -> OfCompany:
    company = world.store.named("companies", key) or {}
    key = company.get("_id", "")
    return found.setdefault(key, OfCompany(key, company.get("name")))


_KINDS = (*MODELS, "activities", "points", "failed", "created")


class Admin(CommonAdmin):
    """The endpoints; they need no token. Bad input is a 400 with the reason."""

    def __init__(self, emulator: Emulated) -> None:
        super().__init__(emulator)
        self._emulator = emulator

    @property
    def _world(self) -> World:
        return self._emulator.world

    def routes(self) -> list[Route]:
        """Return the routes."""
        table: list[Row] = [
            ("GET", "/", self._state),
            ("POST", "/seed", self._seed),
            ("GET", "/activities", self._activities),
            ("GET", "/points", self._points),
            ("GET", "/failed", self._failed),
            ("GET", "/created", self._created),
            ("GET", "/summary", self._summary),
            ("GET", "/truth/count", self._count),
            ("GET", "/truth/activity_sums", self._activity_sums),
            ("GET", "/truth/point_sums", self._point_sums),
        ]
        return routes(table, self.common())

    async def _state(self, _request: Request) -> Any:
        return {
            "now": format_moment(self._world.clock.now()),
            "url": self._emulator.url,
            "analytics_url": self._emulator.analytics_url,
            "knobs": self._world.knobs,
            "counts": {kind: self._world.count(kind) for kind in _KINDS},
        }

    async def _seed(self, request: Request) -> Any:
        """Read {model's path: a number, or an array of objects}."""
        seeds = await request.json()
        self._world.seed(**seeds)
        self._emulator.journal.note(Happening(self._world.clock.now(), seeds=seeds))
        return {path: self._world.count(path) for path in MODELS}

    async def _activities(self, request: Request) -> Any:
        asked = request.query_params
        found = self._world.activities(asked.get("externalId"), asked.get("action"))
        return [_shown_activity(one) for one in found]

    async def _points(self, request: Request) -> Any:
        asked = request.query_params
        found = self._world.points(
            asked.get("dimensionId"), asked.get("model"), asked.get("externalId")
        )
        return [_shown_point(one) for one in found]

    async def _failed(self, _request: Request) -> Any:
        return self._world.failed

    async def _created(self, _request: Request) -> Any:
        return self._world.created

    async def _summary(self, _request: Request) -> Any:
        return summary(self._world)

    async def _count(self, request: Request) -> Any:
        return {"rows": self._world.count(request.query_params["kind"])}

    async def _activity_sums(self, _request: Request) -> Any:
        return [[*key, total] for key, total in self._world.activity_sums().items()]

    async def _point_sums(self, _request: Request) -> Any:
        return [[*key, total] for key, total in self._world.point_sums().items()]

    async def _set_knobs(self, request: Request) -> Any:
        knobs = await super()._set_knobs(request)
        changed = msgspec.to_builtins(knobs)
        self._emulator.journal.note(Happening(self._world.clock.now(), knobs=changed))
        return knobs

    async def _forget(self, request: Request) -> Any:
        """Forget the calls, and let the quota begin again."""
        self._emulator.quota.clear()
        return await super()._forget(request)


def _shown_activity(one: Activity) -> dict[str, Any]:
    return {
        "externalId": one.end_user.get("externalId"),
        "email": one.end_user.get("email"),
        "companyId": one.end_user.get("companyId"),
        "action": one.action,
        "date": format_moment(one.date),
        "count": one.count,
        "weight": one.weight,
        "info": one.info,
        "received": format_moment(one.received),
    }


def _shown_point(one: Point) -> dict[str, Any]:
    return {
        "dimensionId": one.dimension_id,
        "model": one.model,
        "externalId": one.of.get("externalId"),
        "value": one.value,
        "day": day(one.day),
        "received": format_moment(one.received),
    }
