"""Knows the made-up product's definitions: apps, pages, features, guides, …."""

from collections.abc import Sequence
from dataclasses import dataclass
from random import Random
from typing import Any

from pendo_emulator.product.calendar import DAY
from pendo_emulator.product.content import AREAS, area, make_areas, make_reports, make_segments
from pendo_emulator.product.guides import is_email, make_guides
from pendo_emulator.product.random_values import chances, identifier

Definition = dict[str, Any]

DEFAULT_APP = -323232
SECOND_APP = 5629499534213120
MOBILE_APP = 6031122334455667
DISABLED_APP = 4785074604081152
ALL_EVENTS = "allevents"  # the pageId of the source events
LIVE_APPS = (DEFAULT_APP, SECOND_APP, MOBILE_APP)
# (agentId, appId): no list of them exists, so the user names them
AGENTS = (("agent-atlas-helper", DEFAULT_APP), ("agent-atlas-admin", SECOND_APP))
BEGINNING = 1_640_995_200_000  # 2022-01-01, when the product was first tagged

_APPS = (
    (DEFAULT_APP, "Atlas", "web"),
    (SECOND_APP, "Atlas Admin", "web"),
    (MOBILE_APP, "Atlas Go", "ios"),
    (DISABLED_APP, "Atlas Classic", "web"),
)
_PLATFORMS = {app: kind for app, _name, kind in _APPS}
_PAGES = (
    "Dashboard",
    "Plan list",
    "Plan detail",
    "Report builder",
    "Report viewer",
    "Invoices",
    "Payment methods",
    "Team members",
    "Roles",
    "Settings",
    "Integrations",
    "Search results",
    "Onboarding",
)
_VERBS = ("Create", "Edit", "Delete", "Export", "Share", "Filter")
_NOUNS = ("plan", "report", "invoice", "member", "dashboard", "comment", "file", "tag", "alert")
_ODD_NAMES = ('Say "hello"', "Back\\slash", "},{", "]}", '"results":[', "Größe ändern 🦊")
_TRACK_TYPES = (
    "Plan Approved",
    "Invoice Paid",
    "Report Scheduled",
    "Import Finished",
    "Sync Failed",
    "Seat Added",
    "Trial Started",
)


@dataclass(frozen=True)
class Entity:
    """What an event happened to: a page, feature, track type, agent, a guide's step or poll."""

    id: str
    app_id: int
    step_id: str = ""
    poll_id: str = ""
    poll_type: str = ""


def platform(app_id: int) -> str:
    """Return web or ios; an unknown app counts as web."""
    return _PLATFORMS.get(app_id, "web")


# Pendo itself, which tags pages and suggests features
SYSTEM_USER: Definition = {"id": "-42", "username": "", "first": "", "last": "", "role": 0}


def users(seed: int) -> list[Definition]:
    """Return the few people who made the definitions."""
    first, last = ("Ada", "Grace", "Zoë"), ("Byron", "Hopper", "O'Neil")
    return [
        {
            "id": str(4_500_000_000_000_000 + seed * 10 + number),
            "username": f"{first[number].lower()}@atlas.example",
            "first": first[number],
            "last": last[number],
            "role": 8,
            "userType": "",
            "hasLoggedIn": True,
            "lastLogin": BEGINNING + number * DAY,
            "deletedAt": 0,
            "visitorIds": [] if number else ["ada@atlas.example"],
        }
        for number in range(3)
    ]


def make_definitions(seed: int) -> dict[str, list[Definition]]:
    """Return every definition by kind.

    Kinds are app, page, feature, trackType, guide, segment, group and report.
    """
    people = users(seed)
    pages = _pages(seed, people)
    guides = make_guides(seed, people, pages, LIVE_APPS)
    return {
        "app": _apps(seed, people),
        "page": pages,
        "feature": _features(seed, people, pages),
        "trackType": _track_types(seed, people),
        "guide": guides,
        "segment": make_segments(seed, people),
        "group": make_areas(people, guides),
        "report": make_reports(seed, people, MOBILE_APP),
    }


def make_entities(definitions: dict[str, list[Definition]]) -> dict[str, list[Entity]]:
    """Return what the events of each source happen to; nothing happens in the disabled app."""

    def tagged(kind: str) -> list[Entity]:
        live = (one for one in definitions[kind] if one["appId"] != DISABLED_APP)
        return [Entity(one["id"], one["appId"]) for one in live]

    published = [guide for guide in definitions["guide"] if guide["publishedEver"]]
    guides = [guide for guide in published if not is_email(guide)]
    emails = [guide for guide in published if is_email(guide)]
    return {
        "events": [Entity(ALL_EVENTS, app) for app in LIVE_APPS],
        "pageEvents": tagged("page"),
        "featureEvents": tagged("feature"),
        "trackEvents": tagged("trackType"),
        "guideEvents": _steps(guides),
        "emailEvents": _steps(emails),
        "agenticEvents": [Entity(agent, app) for agent, app in AGENTS],
        "pollEvents": [
            Entity(
                guide["id"], guide["appId"], poll["stepId"], poll["id"], poll["attributes"]["type"]
            )
            for guide in guides
            for poll in _placed_polls(guide)
        ],
    }


def _steps(guides: Sequence[Definition]) -> list[Entity]:
    return [
        Entity(guide["id"], guide["appId"], step["id"])
        for guide in guides
        for step in guide["steps"]
    ]


def _placed_polls(guide: Definition) -> list[Definition]:
    steps = {poll: step["id"] for step in guide["steps"] for poll in step["pollIds"]}
    return [{**poll, "stepId": steps[poll["id"]]} for poll in guide["polls"]]


def _apps(seed: int, people: Sequence[Definition]) -> list[Definition]:
    return [
        {
            "id": app,
            "name": name,
            "displayName": name,
            "platform": kind,
            "description": "",
            "subscriptionId": str(5_000_000_000_000_000 + seed),
            "createdAt": BEGINNING - 30 * DAY,
            "lastUpdatedAt": BEGINNING + number * DAY,
            "createdByUser": people[0],
            "lastUpdatedByUser": people[number % 3],
            "isDeleted": False,
            "integrated": True,
            "samplingRate": 1.0,
            "applicationFlags": {"disabled": app == DISABLED_APP, "guideWidget": False},
            **({"disabledAt": BEGINNING + 400 * DAY} if app == DISABLED_APP else {}),
        }
        for number, (app, name, kind) in enumerate(_APPS)
    ]


def _base(
    chance: Random, kind: str, name: str, app: int, people: Sequence[Definition]
) -> Definition:
    """Return the fields that pages, features and track types share."""
    key = identifier(kind, app, name, chance.random())
    created = BEGINNING + chance.randrange(600) * DAY + chance.randrange(DAY)
    updated = created + chance.randrange(200 * DAY)
    fields: Definition = {
        "id": key,
        "appId": app,
        "kind": kind,
        "name": name,
        "createdAt": created,
        "lastUpdatedAt": updated,
        "createdByUser": chance.choice(people),
        "lastUpdatedByUser": chance.choice(people),
        "rootVersionId": key,
        "stableVersionId": f"{key}-{updated:020d}",
        "color": chance.choice(("auto", "")),
        "dirty": False,
        "isCoreEvent": chance.randrange(5) == 0,
        "isSuggested": False,
        "suggestedName": "",
        "dailyMergeFirst": created - created % DAY,
        "dailyRollupFirst": created - created % DAY,
        "validThrough": created,
    }
    if chance.randrange(5):
        fields["group"] = area(chance.randrange(len(AREAS)), people)
    if chance.randrange(3) == 0:
        fields["description"] = f"{name}, as seen by \\ users"
    return fields


def _pages(seed: int, people: Sequence[Definition]) -> list[Definition]:
    chance = chances(seed, "pages")
    places = [(app, name) for app in (DEFAULT_APP, SECOND_APP) for name in _PAGES[:11]]
    places += [(MOBILE_APP, name) for name in _PAGES[11:]] + [(DISABLED_APP, "Old home")]
    return [
        {
            **_base(chance, "Page", name, app, people),
            "rules": [
                {
                    "rule": f"//*.atlas.example/{name.lower().replace(' ', '-')}/*",
                    "designerHint": f"https://app.atlas.example/{number}",
                    "parsedRule": f"^https?://[^/]*\\.atlas\\.example/{number}/?$",
                }
                for number in range(1 + chance.randrange(3))
            ],
            "appIds": [app],
            # of some users' reports a list, of older ones a text
            "rulesjson": [{"type": "url", "op": "is", "value": f"/{place}"}] if place % 3 else "",
            "excludeRules": [],
            "isAutoTagged": place == 1,
            "suggestedTagRules": None,
            **({"createdByUser": SYSTEM_USER} if place == 1 else {}),
        }
        for place, (app, name) in enumerate(places)
    ]


def _features(
    seed: int, people: Sequence[Definition], pages: Sequence[Definition]
) -> list[Definition]:
    """Return about 60 features; one in ten is app-wide and has no pageId."""
    chance = chances(seed, "features")
    names = [f"{verb} {noun}" for noun in _NOUNS for verb in _VERBS] + list(_ODD_NAMES)
    features = []
    for number, name in enumerate(names):
        app = (DEFAULT_APP, DEFAULT_APP, DEFAULT_APP, SECOND_APP, MOBILE_APP)[number % 5]
        feature = {
            **_base(chance, "Feature", name, app, people),
            "appIds": [app],
            "appWide": number % 10 == 0,
            "elementPathRules": [
                f'button[data-action="{name}"]',
                *([f".menu > li:nth-child({number})"] if number % 3 == 0 else []),
            ],
            "elementInitialTag": "",
            "elementSelectionType": "",
            "createdDesignerVersion": "3.1.0",
            "suggestedMatch": "",
            "eventPropertyConfigurations": _properties(number),
        }
        if not feature["appWide"]:
            own = [page["id"] for page in pages if page["appId"] == app]
            feature["pageId"] = chance.choice(own)
        features.append(feature)
    return features


def _properties(number: int) -> list[Definition]:
    """Return the properties that a feature captures; one in six captures one."""
    if number % 6:
        return []
    place = {"path": "", "pattern": "", "rule": "", "selector": 'input[name="plan"]'}
    return [{"name": "plan", "type": "TEXT", "isActive": True, **place}]


def _track_types(seed: int, people: Sequence[Definition]) -> list[Definition]:
    chance = chances(seed, "trackTypes")
    return [
        {
            **_base(chance, "TrackType", name, app, people),
            "trackTypeName": name,
            "trackTypeRules": [name, *([name.lower()] if number % 2 else [])],
            "eventPropertyNameList": ["plan", "amount"] if number % 3 else None,
        }
        for app in LIVE_APPS
        for number, name in enumerate(_TRACK_TYPES)
    ]
