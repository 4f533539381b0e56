"""Knows the lists whose form nobody has described, and the forms they may have."""

from collections.abc import Iterable
from typing import Any

from pendo_emulator.awkward import TEXTS
from pendo_emulator.definitions import BEGINNING, LIVE_APPS, users
from pendo_emulator.draws import identifier
from pendo_emulator.periods import DAY, HOUR
from pendo_emulator.world import World

Row = dict[str, Any]

EXCLUDED_TYPES = ("visitor", "account", "server", "ip")
_SERVERS = (
    # name, flag, days since it was last heard
    ("app.atlas.example", "production", 0),
    ("eu.atlas.example", "production", 0),
    ("staging.atlas.example", "staging", 3),
    ('odd "name"/path', "", 400),
)


def shaped(rows: Iterable[Row], name: str, shape: str) -> Any:
    """Return rows as objects, as the strings in their field `name`, or as one object by name."""
    if shape == "strings":
        return [str(row[name]) for row in rows]
    if shape == "object":
        return {
            str(row[name]): {field: value for field, value in row.items() if field != name}
            for row in rows
        }
    return list(rows)


def guide_order(world: World) -> list[Row]:
    """Return the guides that show themselves, in the order of their priority."""
    guides = [
        guide
        for guide in world.listed("guide", world.clock.now())
        if guide.get("state") == "public" and guide.get("launchMethod") == "auto"
    ]
    guides.sort(key=lambda guide: guide.get("attributes", {}).get("priority", 0))
    return [
        {"guideId": guide["id"], "order": place, "name": guide.get("name", "")}
        for place, guide in enumerate(guides)
    ]


def guide_history(guide: Row, since: int) -> list[Row]:
    """Return the changes of a guide from `since`, ms, on."""
    moments = [
        ("created", guide.get("createdAt")),
        ("published", guide.get("publishedAt")),
        ("edited", guide.get("lastUpdatedAt")),
    ]
    changes = [(moment, change) for change, moment in moments if moment and moment >= since]
    users = {"created": guide.get("createdByUser"), "edited": guide.get("lastUpdatedByUser")}
    return [
        {
            "versionId": f"{guide['id']}-{moment:020d}",
            "guideId": guide["id"],
            "change": change,
            "modifiedAt": moment,
            **({"modifiedByUser": users[change]} if users.get(change) else {}),
        }
        for moment, change in sorted(changes)
    ]


def exclude_list(world: World) -> list[Row]:
    """Return the entries of the exclude list: visitors, a server and two addresses."""
    visitors = [{"type": "visitor", "value": one} for one in sorted(world.people.excluded)]
    return [
        *({**row, "createdAt": BEGINNING + place * DAY} for place, row in enumerate(visitors)),
        {"type": "server", "value": "staging.atlas.example", "createdAt": BEGINNING},
        {"type": "ip", "value": "203.0.113.7"},
        {"type": "ip", "value": "2001:db8::/32", "description": TEXTS[1]},
    ]


def server_names(world: World) -> list[Row]:
    """Return the servers that events came from, some with a flag."""
    now = world.clock.now()
    hour = now - now % HOUR
    return [
        {
            "name": name,
            "lastSeenAt": hour - days * DAY,
            **({"flag": flag} if flag else {}),
        }
        for name, flag, days in _SERVERS
    ]


def feedback_options() -> list[Row]:
    """Return the settings of Feedback."""
    return [
        {"name": "visibility", "value": "public", "allowed": ["public", "private"]},
        {"name": "votesPerVisitor", "value": 100},
        {"name": "products", "value": [{"id": "4711", "name": 'Atlas "core"'}]},
    ]


def dependencies(world: World) -> list[Row]:
    """Return the metadata fields that guides and reports use, with who uses them."""
    now = world.clock.now()
    guides = [
        {"type": "guide", "id": guide["id"], "name": guide["name"]}
        for guide in world.listed("guide", now)
        if "metadata.agent.role" in str(guide.get("audience"))
    ]
    reports = [
        {"type": "report", "id": report["id"]}
        for report in world.listed("report", now)
        if "metadata.custom.plan" in str(report.get("aggregation"))
    ]
    rows = [("visitor", "agent", "role", guides), ("account", "custom", "plan", reports)]
    rows.append(("visitor", "custom", "nickname", []))
    return [
        {
            "id": f"{kind}.{group}.{field}",
            "kind": kind,
            "group": group,
            "field": field,
            "dependencies": used,
        }
        for kind, group, field, used in rows
    ]


def deletion_jobs() -> list[Row]:
    """Return three jobs of deletion: done, failed, and one that nobody has started."""
    ada, grace, _zoe = users(1)
    asked = {"type": "visitor", "createdAt": BEGINNING + 800 * DAY, "createdByUser": ada}
    done = {"status": "complete", "count": 12, "completedAt": BEGINNING + 801 * DAY}
    failed = {"status": "failed", "count": 0, "error": TEXTS[1], "createdByUser": grace}
    return [
        {"id": identifier("deletion", 0), **asked, **done},
        {"id": identifier("deletion", 1), **asked, **failed, "type": "account"},
        {"id": identifier("deletion", 2), **asked, "status": "queued", "appIds": list(LIVE_APPS)},
    ]
