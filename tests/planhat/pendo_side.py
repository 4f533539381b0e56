"""The emulated Pendo beside Planhat: who is in both, and what Planhat should have of it."""

from __future__ import annotations

import typing as t
from collections import Counter

from tests.sink import EVENTS, Sink

if t.TYPE_CHECKING:
    from collections.abc import Sequence

    from pendo_emulator.world import World as Pendo
    from planhat_emulator.world import World as Planhat

    from tests.planhat.running import Record

Place = tuple[str, ...]
STREAMS = ("features", "track_types", "guides", "feature_events", "track_events", "guide_events")
ACTIVE: Record = {
    "name": "active_visitors",
    "grain": "day",
    "primary_keys": ["account_id", "window_start"],
    "pipeline": [
        {"source": {"events": {"appId": 'expandAppIds("*")'}}},
        {"identified": "visitorId"},
        {"filter": "!isEmpty(accountId)"},
        {"group": {"group": ["accountId"], "fields": {"active_visitors": {"count": "visitorId"}}}},
        {"select": {"account_id": "accountId", "active_visitors": "active_visitors"}},
    ],
}
RULES: Record = {
    "activities": [
        {"stream": "feature_events", "action": "Used {feature_name}"},
        {"stream": "track_events", "action": "Did {track_type_name}"},
        {"stream": "guide_events", "action": "{type} of {guide_name}"},
    ],
    "metrics": [
        {
            "name": "uses",
            "stream": "feature_events",
            "dimension_id": "uses",
            "value": "num_events",
            "aggregate": "sum",
        },
        {
            "stream": "active_visitors",
            "dimension_id": "active_visitors",
            "match": {"field": "account_id", "by": "externalId"},
            "value": "active_visitors",
            "date": "window_start",
            "on_change": "resend",
        },
    ],
}
_ENTITIES = {
    "feature_events": ("feature_id", "features", "Used {}"),
    "track_events": ("track_type_id", "track_types", "Did {}"),
    "guide_events": ("guide_id", "guides", "{type} of {}"),
}


def acquaint(pendo: Pendo, planhat: Planhat, without: int = 0) -> list[Record]:
    """Bring Pendo's accounts and known visitors to Planhat; give those that are left out."""
    accounts = [one.id for one in pendo.people.accounts]
    planhat.seed(companies=[{"externalId": key, "name": key} for key in (*accounts, "home")])
    people = [
        {"externalId": one.id, "companyId": f"extid-{(*one.accounts, 'home')[0]}"}
        for one in pendo.people.visitors
        if is_known(one.id)
    ]
    planhat.seed(endusers=people[without:])
    return people[:without]


def is_known(visitor: str) -> bool:
    """Whether an id is somebody's: not empty, not anonymous, and without NUL."""
    return bool(visitor.strip()) and "\0" not in visitor and not visitor.startswith("_PENDO_T_")


def activities(sink: Sink) -> Counter[Place]:
    """What end users did, by the newest complete reads: {(visitor, action, UTC day): count}."""
    counts: Counter[Place] = Counter()
    for row in EVENTS:
        if row.name not in _ENTITIES:
            continue
        field = _ENTITIES[row.name][0]
        for record in sink.current(row):
            visitor = record.get("visitor_id") or ""
            if not is_known(visitor):
                continue
            entity = (record.get("type", ""), record[field])
            text = action_of(sink, row.name, entity)
            moment = record.get("hour") or record["browser_time"]
            counts[visitor, text, moment[:10]] += record.get("num_events", 1)
    return counts


def action_of(sink: Sink, stream: str, entity: Sequence[str]) -> str:
    """What an activity is called; the id of its feature, … comes last in `entity`."""
    _, definitions, action = _ENTITIES[stream]
    known = sink.tables[definitions].get((entity[-1],))
    return action.format(known["name"].strip() if known else entity[-1], type=entity[0])


def points(sink: Sink) -> Counter[Place]:
    """What companies did: {(dimensionId, model, account, UTC day): value}."""
    counts: Counter[Place] = Counter()
    (row,) = (row for row in EVENTS if row.name == "feature_events")
    for record in sink.current(row):
        account, day = record.get("account_id") or "", record["hour"][:10]
        if account.strip():
            counts["uses", "Company", account, day] += record["num_events"]
    return counts


def active(sink: Sink) -> dict[Place, float]:
    """Visitors of each account and day: {(dimensionId, model, account, UTC day): value}."""
    return {
        ("active_visitors", "Company", row["account_id"], row["window_start"][:10]): row[
            "active_visitors"
        ]
        for row in sink.tables["active_visitors"].values()
    }
