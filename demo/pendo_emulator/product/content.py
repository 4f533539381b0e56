"""Product areas, segments and reports of the made-up product."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

from pendo_emulator.product.calendar import DAY
from pendo_emulator.product.random_values import chances, identifier

Definition = dict[str, Any]

AREAS = ("Planning", "Reporting", "Billing", "Team", 'Labs "beta"')
_CREATED = 1_640_995_200_000  # 2022-01-01
_DAY = 86_400_000
_TAGGED = ("page", "feature", "trackType")


def area(number: int, users: Sequence[Definition]) -> Definition:
    """Return an area as definitions embed it; the first is the default one."""
    return {
        "id": identifier("group", number) if number else "_PENDO_DEFAULTGROUP_00_general",
        "name": AREAS[number],
        "description": "",
        "color": f".groupColor{number:02d}",
        "type": "group",
        "length": 0,  # counted when it is shown
        "items": None,
        "createdAt": _CREATED,
        "lastUpdatedAt": _CREATED + number * _DAY,
        "createdByUser": users[0],
        "lastUpdatedByUser": users[0],
    }


def make_areas(users: Sequence[Definition], guides: Sequence[Definition]) -> list[Definition]:
    """Return all areas; their items are the guides, which do not name their area themselves."""
    areas = [{**area(number, users), "items": []} for number in range(len(AREAS))]
    areas[1] |= {"feedbackProductId": "4711", "feedbackVisibility": "private"}
    for number, guide in enumerate(guides):
        if number % 3:
            areas[number % len(AREAS)]["items"].append(_item("guide", guide))
    areas.append(
        {
            "id": identifier("group", "empty"),
            "name": "Retired ideas",
            "color": ".groupColor07",
            "type": "group",
            "createdAt": _CREATED,
            "lastUpdatedAt": _CREATED,
            "createdByUser": users[2],
        }
    )
    return areas


def held_items(definitions: Mapping[str, Sequence[Definition]]) -> dict[str, list[Definition]]:
    """Return {area id: [{itemType, itemId}]} of what there is now."""
    held: defaultdict[str, list[Definition]] = defaultdict(list)
    for kind in _TAGGED:
        for one in definitions[kind]:
            if "group" in one:
                held[one["group"]["id"]].append(_item(kind, one))
    guides = {guide["id"] for guide in definitions["guide"]}
    for one in definitions["group"]:
        held[one["id"]] += [item for item in one.get("items") or () if item["itemId"] in guides]
    return held


def _item(kind: str, definition: Definition) -> Definition:
    return {"itemType": kind, "itemId": definition["id"]}


_BEGINNING = 1_672_531_200_000  # 2023-01-01
_VISITORS = ({"source": {"visitors": None}}, {"identified": "visitorId"})
_ACCOUNTS = (
    {"eval": {"accountId": "metadata.auto.accountids"}},
    {"unwind": {"field": "accountId"}},
    {"bulkExpand": {"account": {"account": "accountId"}}},
)
_VISITOR = {"select": {"visitorId": "visitorId"}}
_PAIR = {"select": {"visitorId": "visitorId", "accountId": "accountId"}}
_SEGMENTS: tuple[tuple[str, tuple[Any, ...], str, bool, bool], ...] = (
    # name, the steps that choose, the metadata that they need, shared, created by API
    (
        "Admins",
        ({"filter": 'metadata.agent.role == "admin"'}, _VISITOR),
        "visitor.agent.role",
        True,
        False,
    ),
    (
        'Strategic "key" accounts',
        (*_ACCOUNTS, {"filter": "account.custom.strategic"}, _PAIR),
        "account.custom.strategic",
        True,
        False,
    ),
    (
        "Beta users of an upload",
        ({"filter": "metadata.custom.beta"}, _VISITOR),
        "visitor.custom.beta",
        True,
        True,
    ),
    (
        "My own Firefox users",
        ({"filter": 'metadata.auto.lastbrowsername == "Firefox"'}, _VISITOR),
        "visitor.auto.lastbrowsername",
        False,
        False,
    ),
)


def make_segments(seed: int, users: Sequence[Definition]) -> list[Definition]:
    """Return four segments, by visitor or account metadata; the last one is private.

    `pipeline` gives the members: visitorId, and accountId where the account decides.
    """
    segments = []
    for number, (name, chosen, needed, shared, by_api) in enumerate(_SEGMENTS):
        key = identifier(seed, "segment", number)
        updated = _BEGINNING + (number + 1) * 30 * DAY
        segments.append(
            {
                "id": key,
                "name": name,
                "kind": "Segment",
                "description": "",
                "createdAt": _BEGINNING + number * DAY,
                "lastUpdatedAt": updated,
                "createdByUser": users[number % len(users)],
                "lastUpdatedByUser": users[0],
                "definition": {"kind": "and", "filters": [{"field": needed}]},
                "pipeline": [*_VISITORS, *chosen],
                "shared": shared,
                "createdByApi": by_api,
                "isFocusGroup": False,
                "dependentMetadata": [needed],
                "rootVersionId": key,
                "stableVersionId": f"{key}-{updated:020d}",
            }
        )
    return segments


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
