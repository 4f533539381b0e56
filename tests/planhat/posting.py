"""What the tests of posts share: items of both kinds, and what becomes of them."""

from __future__ import annotations

import typing as t

import pytest

if t.TYPE_CHECKING:
    from target_planhat.planhat.endpoints import PlanhatClient
    from target_planhat.planhat.posts import Outcome

Kind = t.Literal["activities", "points"]
KINDS: tuple[Kind, ...] = ("activities", "points")
BOTH = pytest.mark.parametrize("kind", KINDS)
PATHS = {"activities": "/analytics/bulk", "points": "/dimensiondata"}
DATE = "2026-03-10T00:00:00.000Z"


def items(kind: Kind, count: int = 3) -> list[dict[str, t.Any]]:
    if kind == "activities":
        return [
            {"externalId": "u2", "action": f"Used {n}", "date": DATE, "count": n}
            for n in range(count)
        ]
    return [
        {"dimensionId": f"d{n}", "externalId": "acme", "model": "Company", "value": n, "date": DATE}
        for n in range(count)
    ]


def post(client: PlanhatClient, kind: Kind, sent: list[dict[str, t.Any]]) -> list[Outcome]:
    return client.post_activities(sent) if kind == "activities" else client.post_metrics(sent)


def fates(outcomes: list[Outcome]) -> list[str]:
    return [one.fate for one in outcomes]
