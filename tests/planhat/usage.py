"""Some usage with its truth, and how Planhat and the ledger compare with it, item by item."""

from __future__ import annotations

import json
import sqlite3
import typing as t
from collections import Counter
from datetime import datetime, timezone

from tests.planhat.running import (
    EVENTS,
    NOW,
    WINDOWS,
    day,
    event,
    record,
    schema,
    state,
    window,
)

if t.TYPE_CHECKING:
    from pathlib import Path

    from planhat_emulator.world import World

    from tests.planhat.running import Message, Record

Place = tuple[str, ...]
NAMES = {"f1": "Export", "f2": "Search", "f3": "Share"}
COMPANIES = {"acme": ("u2", "u4", "u6"), "beta": ("u3", "u5")}
DAYS = (7, 8, 9)
ACTIVITIES: Record = {"activities": [{"name": "use", "stream": "feature_events"}]}
METRICS: Record = {
    "activities": [],
    "metrics": [
        {
            "name": f"{model} uses",
            "stream": "feature_events",
            "dimension_id": "uses",
            "model": model,
            "match": {"field": field, "by": "externalId"},
            "value": "num_events",
            "aggregate": "sum",
        }
        for model, field in (("Company", "account_id"), ("EndUser", "visitor_id"))
    ],
}
BOTH: Record = {**METRICS, **ACTIVITIES}
_MODELS = {"Company uses": "Company", "EndUser uses": "EndUser"}


class Usage:
    """Feature events of a few people over three days, each with a count of its own.

    `more` adds to each count; rows are in windows of a day.
    """

    def __init__(self, more: int = 0) -> None:
        self.rows = [
            (account, visitor, feature, date, n + number + date + more)
            for account, visitors in COMPANIES.items()
            for n, visitor in enumerate(visitors)
            for number, feature in enumerate(NAMES)
            for date in DAYS
        ]

    def messages(self, read: datetime = NOW) -> list[Message]:
        """Give them as tap-pendo does, a STATE after each day."""
        told: list[Message] = [WINDOWS, schema("features", "id", "name"), EVENTS]
        told += [record("features", id=key, name=name) for key, name in NAMES.items()]
        for number, date in enumerate(DAYS):
            told += [
                event(day(date, 8), visitor, count, account=account, feature=feature, read=read)
                for account, visitor, feature, of, count in self.rows
                if of == date
            ]
            told += [window(day(date), day(date + 1), read), state({"days": number + 1})]
        return told

    @property
    def activities(self) -> Counter[Place]:
        """Truth: {(visitor, action, day): count}."""
        return Counter(
            {(v, NAMES[f], f"2026-03-{d:02}"): count for _, v, f, d, count in self.rows}
        )

    @property
    def points(self) -> Counter[Place]:
        """Truth: {(dimensionId, model, externalId, day): sum}."""
        found: Counter[Place] = Counter()
        for account, visitor, _, date, count in self.rows:
            found["uses", "Company", account, f"2026-03-{date:02}"] += count
            found["uses", "EndUser", visitor, f"2026-03-{date:02}"] += count
        return found


def settle_in(world: World) -> None:
    """Bring the people to Planhat who are not in the small tenant of all tests."""
    for account, visitors in COMPANIES.items():
        for visitor in visitors:
            if visitor != "u2":
                world.add("endusers", {"externalId": visitor, "companyId": f"extid-{account}"})


def held(world: World) -> dict[Place, float]:
    """What Planhat has, of activities and points."""
    return {**world.activity_sums(), **world.point_sums()}


class Kept(t.NamedTuple):
    """What the ledger says of an item; `doubt` may be lacking, `repeated` may be there twice."""

    wanted: float
    sent: float
    doubt: float
    repeated: float
    claimed: float | None
    fate: str


def ledger(file: Path) -> dict[Place, Kept]:
    """Read a ledger's items, by the place where they are in Planhat."""
    connection = sqlite3.connect(file)
    try:
        rows = connection.execute(
            "select r.name, i.subject, i.entity, i.date, i.wanted, i.sent, i.doubt, i.repeated, "
            "i.claimed, i.fate from planhat_items i join planhat_rules r on r.id = i.rule_id"
        ).fetchall()
    finally:
        connection.close()
    return {_place(*row[:4]): Kept(*row[4:]) for row in rows}


def _place(rule: str, subject: str, entity: str, date: int) -> Place:
    label = datetime.fromtimestamp(date / 1000, timezone.utc).date().isoformat()
    if rule in _MODELS:
        return "uses", _MODELS[rule], subject, label
    return subject, NAMES[json.loads(entity)[0]], label


def assert_once(found: dict[Place, float], truth: dict[Place, float], kept: dict[Place, Kept]) -> None:
    """Planhat has the truth, but for what the ledger has in doubt, in the direction it says."""
    assert found.keys() <= truth.keys()
    for place, wanted in truth.items():
        item, there = kept[place], found.get(place, 0)
        assert item.wanted == wanted
        if item.claimed is None:
            assert item.sent - item.doubt <= there <= item.sent + item.repeated, place
        else:
            assert item.sent <= there + item.doubt, place
            assert there <= item.sent + item.claimed + item.repeated, place
