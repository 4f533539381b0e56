"""Knows the made-up product's reports: which are public, and what they ask for."""

from collections.abc import Sequence
from typing import Any

from pendo_emulator.draws import chances, identifier
from pendo_emulator.periods import DAY

Definition = dict[str, Any]

_FIRST = 1_680_307_200_000  # 2023-04-01
_EVERY_APP = {"appId": 'expandAppIds("*")'}


def _since(days: int) -> Definition:
    return {"period": "dayRange", "first": "now()", "count": -days}


_FEATURE_USE = [
    {"source": {"featureEvents": _EVERY_APP, "timeSeries": _since(7)}},
    {
        "group": {
            "group": ["visitorId", "featureId"],
            "fields": [{"uses": {"sum": "numEvents"}}, {"lastUsed": {"max": "lastTime"}}],
        }
    },
    {"sort": ["visitorId", "featureId"]},
    {"select": {name: name for name in ("visitorId", "featureId", "uses", "lastUsed")}},
]
_PLANS = [
    {"source": {"accounts": None}},
    {"sort": ["accountId"]},
    {
        "select": {
            "accountId": "accountId",
            "plan": "metadata.custom.plan",
            "seats": "metadata.custom.seats",
            "arr": "metadata.custom.arr",
            "lastVisit": "metadata.auto.lastvisit",
        }
    },
]
_PAGE_VIEWS = [
    {"source": {"pageEvents": _EVERY_APP, "timeSeries": _since(14)}},
    {
        "group": {
            "group": ["day", "appId"],
            "fields": {"views": {"sum": "numEvents"}, "visitors": {"count": "visitorId"}},
        }
    },
    {"sort": ["day", "appId"]},
    {"select": {name: name for name in ("day", "appId", "views", "visitors")}},
]
_NOBODY = [
    {"source": {"visitors": {"identified": True}}},
    {"filter": 'metadata.agent.role == "nobody has this role"'},
    {"select": {"visitorId": "visitorId", "role": "metadata.agent.role"}},
]
_REPORTS: tuple[tuple[str, str, bool, Any], ...] = (
    # name, type, shared, pipeline (None: results.json does not do it)
    ("Feature use by visitor", "Visitor Report", True, _FEATURE_USE),
    ('Accounts and their "plans"', "Account Report", True, _PLANS),
    ("Page views by day", "Page Report", True, _PAGE_VIEWS),
    ("Nobody yet", "Visitor Report", True, _NOBODY),
    ("From trial to plan", "Funnel", True, None),
    ("Board figures 🦊", "Account Report", False, _PLANS),
)


def make_reports(seed: int, users: Sequence[Definition], app_id: int) -> list[Definition]:
    """Return seven reports: one private, one funnel, one without rows, the last of an app."""
    known = (*_REPORTS, ("Taps on telephones", "Feature Report", True, _taps(app_id)))
    reports = [_report((seed, number), *known[number], users) for number in range(len(known))]
    reports[-1]["appId"] = app_id  # so only `expand=*` shows it
    return reports


def columns(report: Definition) -> list[str]:
    """Return the names of a report's columns, which its last select gives."""
    return list(report["aggregation"]["pipeline"][-1]["select"])


def _taps(app_id: int) -> list[Definition]:
    names = ("day", "visitorId", "featureId", "numEvents")
    return [
        {"source": {"featureEvents": {"appId": app_id}, "timeSeries": _since(7)}},
        {"sort": [*names, "firstTime"]},
        {"select": {name: name for name in names}},
    ]


def _report(  # noqa: PLR0913, PLR0917 -- they are what reports differ in
    place: tuple[int, int],
    name: str,
    kind: str,
    shared: bool,  # noqa: FBT001 -- a column of the table
    pipeline: list[Definition] | None,
    users: Sequence[Definition],
) -> Definition:
    seed, number = place
    chance = chances(seed, "report", number)
    key = identifier(seed, "report", number)
    created = _FIRST + number * DAY
    updated = created + chance.randrange(300 * DAY)
    deleted = {"id": users[0]["id"][:-1] + "9", "deletedAt": updated}  # somebody who has left
    few = {name: users[1][name] for name in ("id", "username")}
    report: Definition = {
        "id": key,
        "name": name,
        "kind": "Report",
        "type": kind,
        "level": "subscription",
        "scope": "public" if shared else "private",
        "share": "everyone" if shared else "",
        "shared": shared,
        "target": "",
        "rootVersionId": key,
        "stableVersionId": f"{key}-{updated:020d}",
        "createdAt": created,
        "lastUpdatedAt": updated,
        "createdByUser": (users[0], few, deleted)[number % 3],
        "ownedByUser": users[number % 3],
        "definition": {
            "type": kind,
            "kind": "Report",
            "config": {"columns": list(pipeline[-1]["select"]) if pipeline else []},
            "segments": [],
        },
    }
    if number % 2:
        report["lastUpdatedByUser"] = {**users[2], "username": "", "visitorIds": None}
        report["description"] = f"{name}\nand more"
    if pipeline:
        fields = [{"field": field} for field in pipeline[-1]["select"]]
        report["aggregation"] = {"pipeline": pipeline, "fields": fields}
        report["lastRunAt"] = report["lastSuccessRunAt"] = updated + DAY
        report["lastSuccessRunObj"] = f"{key}/{updated}"
    else:
        report["aggregationList"] = [{"name": "step 1"}, {"name": "step 2"}]
    return report
