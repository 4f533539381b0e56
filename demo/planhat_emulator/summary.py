"""Knows what a tenant holds in all: per company, per metric, and what was not stored."""

from collections import Counter
from typing import Any

import msgspec

from planhat_emulator.world import World


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
