"""Some usage with its truth, and how Planhat and the ledger compare with it, item by item."""

from __future__ import annotations

import contextlib
import json
import sqlite3
import typing as t
from collections import Counter
from datetime import datetime, timezone

import psycopg

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
    from collections.abc import Callable, Mapping, Sequence
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
        return Counter({(v, NAMES[f], f"2026-03-{d:02}"): count for _, v, f, d, count in self.rows})

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
    """What the ledger says of a place; `doubt` may be lacking, `repeated` may be there twice.

    `claimed` was posted, and its answer has not come.
    """

    wanted: float = 0
    sent: float = 0
    doubt: float = 0
    repeated: float = 0
    claimed: float = 0
    excess: float = 0

    def plus(self, other: Kept) -> Kept:
        """Add another item of the same place."""
        return Kept(*(mine + its for mine, its in zip(self, other, strict=True)))


_ITEMS = """
    select rules.fingerprint, items.subject, actions.action, items.entity, items.date,
        items.wanted, items.sent, items.doubt, items.repeated, coalesce(items.claimed, 0),
        case when items.posts > 0 and items.sent > items.wanted
            then items.sent - items.wanted else 0 end
    from planhat_items items join planhat_rules rules on rules.id = items.rule_id
    left join planhat_actions actions
        on actions.rule_id = items.rule_id and actions.entity = items.entity
"""


def _named(stream: str, entity: Sequence[str]) -> str:
    del stream
    return NAMES[entity[-1]]


def ledger(
    place: Path | str, action_of: Callable[[str, Sequence[str]], str] = _named
) -> dict[Place, Kept]:
    """Read a ledger: its items by the place where they are in Planhat, or are to be.

    It is the file of SQLite, or the URL of PostgreSQL. `action_of` gives the text of those of a
    stream that have never been sent.
    """
    connect: t.Any = psycopg.connect if isinstance(place, str) else sqlite3.connect
    with contextlib.closing(connect(place)) as connection:
        rows = connection.execute(_ITEMS).fetchall()
    found: dict[Place, Kept] = {}
    for fingerprint, subject, action, entity, date, *figures in rows:
        rule = json.loads(fingerprint)
        label = datetime.fromtimestamp(date / 1000, timezone.utc).date().isoformat()
        if rule["kind"] == "metric":
            item: Place = (rule["dimension_id"], rule["model"], subject, label)
        else:
            text = action or action_of(rule["stream"], json.loads(entity))
            item = (subject, text, label)
        found[item] = found.get(item, Kept()).plus(Kept(*figures))
    return found


def assert_once(
    found: Mapping[Place, float], truth: Mapping[Place, float], kept: Mapping[Place, Kept]
) -> None:
    """Planhat has the truth, but for what the ledger has in doubt, in the direction it says."""
    assert found.keys() <= kept.keys()
    assert {place: item.wanted for place, item in kept.items() if item.wanted} == truth
    for place, item in kept.items():
        least = item.sent - item.doubt
        most = item.sent + item.repeated + item.claimed
        assert least <= found.get(place, 0) <= most, (place, item)
