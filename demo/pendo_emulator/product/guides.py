"""Knows the made-up product's guides, with their steps and polls."""

from collections.abc import Sequence
from typing import Any

from pendo_emulator.product.calendar import DAY
from pendo_emulator.product.random_values import chances, identifier

Definition = dict[str, Any]

_FIRST_PUBLISHED = 1_672_531_200_000  # 2023-01-01
_GUIDES = (
    # name, place of its app, state, launch method, number of steps, kind of polls
    ("Welcome tour", 0, "public", "auto", 2, ""),
    ("How likely are you to recommend Atlas?", 0, "public", "auto", 2, "nps"),
    ("New report builder", 0, "public", "badge", 1, ""),
    ('What is "missing"?', 1, "public", "api", 1, "choice"),
    ("Mobile news 🦊", 2, "public", "auto", 1, ""),
    ("Winter offer", 0, "disabled", "auto", 1, ""),
    ("Billing redesign", 1, "staged", "dom", 2, ""),
    ("Untitled draft", 0, "draft", "launcher", 1, ""),
    ("Weekly digest", 0, "public", "email", 1, ""),
)
_MAIL: Definition = {
    "emailState": "sent",
    "emailConfiguration": {
        "subject": 'Your "week" in Atlas',
        "emailMetadataPropertyName": "agent.email",
    },
}


def make_guides(
    seed: int, users: Sequence[Definition], pages: Sequence[Definition], apps: Sequence[int]
) -> list[Definition]:
    """Return nine guides, public, disabled, staged and draft; one asks for the NPS, one is mail."""
    return [_guide(seed, number, users, pages, apps) for number in range(len(_GUIDES))]


def is_email(guide: Definition) -> bool:
    """Return whether a guide is an e-mail, which nobody sees in an app."""
    return bool(guide.get("attributes", {}).get("email"))


def _guide(
    seed: int,
    number: int,
    users: Sequence[Definition],
    pages: Sequence[Definition],
    apps: Sequence[int],
) -> Definition:
    name, place, state, launch, length, asks = _GUIDES[number]
    chance = chances(seed, "guide", number)
    key = identifier(seed, "guide", number)
    ever = state in ("public", "disabled")
    created = _FIRST_PUBLISHED - (number + 1) * DAY
    updated = _FIRST_PUBLISHED + chance.randrange(300 * DAY)
    polls = _polls(key, asks)
    guide = {
        "id": key,
        "appId": apps[place],
        "appIds": [apps[place]] if number else list(apps[:2]),
        "kind": "Guide",
        "name": name,
        "createdAt": created,
        "lastUpdatedAt": updated,
        "createdByUser": chance.choice(users),
        "lastUpdatedByUser": chance.choice(users),
        "rootVersionId": key,
        "stableVersionId": f"{key}-{updated:020d}",
        "state": state,
        "launchMethod": launch,
        "isMultiStep": length > 1,
        "isTraining": False,
        "isModule": False,
        "isTopLevel": False,
        "publishedAt": _FIRST_PUBLISHED if ever else 0,
        "publishedEver": ever,
        "resetAt": 0,
        "recurrence": 0,
        "redisplay": "",
        "editorType": "visualDesignStudio",
        "emailState": "",
        "autoCreateFeedback": False,
        "validThrough": updated,
        "dependentMetadata": ["visitor.agent.role"],
        "translationStates": {"de-DE": {"state": "translated"}} if ever else {},
        "audience": [
            {"source": {"visitors": {"identified": True}}},
            {"filter": 'metadata.agent.role == "admin"'},
        ],
        "audienceUiHint": {"filters": []},
        "attributes": _attributes(number, launch),
        "steps": _steps(key, length, updated, pages, polls),
        "polls": polls,
    }
    return {**guide, **_MAIL} if launch == "email" else guide


def _attributes(number: int, launch: str) -> Definition:
    badge = None
    if launch == "badge":
        badge = {"position": "inline", "color": "#3c82aa", "offsets": {"top": 0, "right": 4}}
    return {
        "type": "building-block",
        "device": {"type": "desktop"},
        "badge": badge,
        "priority": number,
        "dates": {},
        "isAnnouncement": False,
        **({"email": True} if launch == "email" else {}),
    }


def _steps(
    guide: str,
    length: int,
    updated: int,
    pages: Sequence[Definition],
    polls: Sequence[Definition],
) -> list[Definition]:
    """Return a guide's steps; the first holds the first poll, the last one the others."""
    asked = [[poll["id"] for poll in polls[:1]], [poll["id"] for poll in polls[1:]]]
    asked = asked if length > 1 else [asked[0] + asked[1]]
    return [
        {
            "id": identifier(guide, "step", rank),
            "guideId": guide,
            "templateId": "building-block",
            "name": f"Step {rank + 1}",
            "type": "lightbox",
            "pageId": pages[rank]["id"],
            "elementPathRule": "",
            "contentType": "text/html; charset=utf-8",
            "contentUrl": f"https://content.atlas.example/{guide}/{rank}.dom.json",
            "rank": 10_000_000 * (rank + 1),
            "advanceMethod": "button",
            "attributes": {"height": 400, "width": 500, "autoHeight": True, "css": ""},
            "pollIds": asked[rank],
            "lastUpdatedAt": updated,
            "resetAt": 0,
        }
        for rank in range(length)
    ]


def _polls(guide: str, asks: str) -> list[Definition]:
    """Return no poll, one of choices, or the NPS pair: a rating that names its follow-up."""
    if not asks:
        return []
    first, second = identifier(guide, "poll", 0), identifier(guide, "poll", 1)
    if asks == "choice":
        options = [{"id": "1", "text": 'More "exports"'}, {"id": "2", "text": "Dark mode"}]
        return [_poll(first, "What is missing?", {"type": "MultiSelect"}, idResponses=options)]
    rating = {"type": "NPSRating", "display": "buttons", "followUp": second}
    reason = {"type": "FreeForm", "maxLength": 1024, "placeholder": "Why?"}
    return [
        _poll(first, "How likely are you?", rating, numericResponses=list(range(11))),
        _poll(second, "What is the reason for your score?", reason),
    ]


def _poll(key: str, question: str, attributes: Definition, **answers: Any) -> Definition:
    return {"id": key, "question": question, "resetAt": 0, "attributes": attributes, **answers}
