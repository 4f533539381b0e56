"""Rows of single events, of recordings, and of the guides and polls that a visitor has seen."""

from collections.abc import Callable, Iterable
from itertools import pairwise
from typing import Any

from pendo_emulator.product.definitions import Entity, platform
from pendo_emulator.product.events import Event, facts
from pendo_emulator.product.random_values import TEXTS
from pendo_emulator.product.rows import Describer, tab_fields

Row = dict[str, Any]

_ONE_IN = 4  # sessions are recorded
_QUIET = 60_000  # ms without an event
_BROKEN = 16  # of recordings, one in so many


def recording_ids(key: int, entity: Entity) -> Row:
    """Return recordingId and recordingSessionId of an event; {} where nothing was recorded."""
    visitor, _place, account, device, tab, _variant, session = facts(key)
    if platform(entity.app_id) != "web" or (visitor + session) % _ONE_IN:
        return {}
    ids = tab_fields(visitor, session, tab)
    return {
        "recordingId": f"rec-{ids['tabId']}-{entity.app_id % 997}-{account}{device}",
        "recordingSessionId": f"ses-{ids['analyticsSessionId']}",
    }


def recordings(describer: Describer, events: Iterable[Event], now: int) -> list[Row]:
    """Return the recordings of one session's events; one is shown when all of it has arrived."""
    found: dict[int, list[Event]] = {}
    for event in events:
        found.setdefault(event[0], []).append(event)
    return [
        row
        for key, seen in found.items()
        if max(arrival for _, _, arrival in seen) <= now
        for row in _recording(describer, key, sorted(moment for _, moment, _ in seen))
    ]


def _recording(describer: Describer, key: int, moments: list[int]) -> list[Row]:
    """Return the row of a recording, if there is one."""
    visitor, place, account, _device, tab, _variant, session = facts(key)
    person, entity = describer.person(visitor), describer.entity("recordingMetadata", place)
    ids = recording_ids(key, entity)
    if not ids:
        return []
    row: Row = {
        "visitorId": person.id,
        "accountId": person.accounts[account] if person.accounts else "",
        "appId": entity.app_id,
        "tabId": tab_fields(visitor, session, tab)["tabId"],
        **ids,
        "startTime": moments[0],
        "endTime": moments[-1],
        "minBrowserTime": moments[0],
        "maxBrowserTime": moments[-1],
        "recordingSize": 1000 + 512 * len(moments),
        "recordingRrwebEventCount": 40 * len(moments),
        "isBroken": key % _BROKEN == 0,
        "isSessionStart": not tab,
        "activityTimelineTimestamps": moments,
    }
    if not row["isBroken"]:
        quiet = [(a, b) for a, b in pairwise(moments) if b - a > _QUIET]
        row |= {
            "recordingStartTime": moments[0],
            "recordingEndTime": moments[-1],
            "recordingFirstActiveTs": moments[0],
            "recordingLastActiveTs": moments[-1],
            "recordingInactivityPeriodStartTimes": [start for start, _ in quiet],
            "recordingInactivityPeriodEndTimes": [end for _, end in quiet],
            "recordingLastMobileState": "",
        }
    return [row]


_GUIDE_TYPES = (
    "guideSeen",
    "guideAdvanced",
    "guideDismissed",
    "guideSeen",
    "guideTimeout",
    "guideSnoozed",
    "guideActivity",
    "ui:web:guideSeen",
)
_EMAIL_TYPES = (
    "emailSent",
    "emailDelivered",
    "emailOpened",
    "emailOpened",
    "emailClicked",
    "emailDelivered",
    "emailBounced",
    "emailUnsubscribed",
)
_AGENT_TYPES = ("prompt", "agent_response")
_AGENT_FACTS: tuple[Row, ...] = (
    {"suggestedPrompt": True, "agentFilesUploaded": []},
    {
        "agentModelUsed": "atlas-2",
        "toolsUsed": ["search"],
        "agentSubagentsUsed": [],
        "agentInputTokens": 120,
        "agentOutputTokens": 40,
    },
)
_UI_TYPES = ("click", "load", "click", "focus", "change")


def single_row(describer: Describer, source: str, event: Event) -> Row:
    """Return the row of one event."""
    return _SOURCES[source](describer, source, event)


def shows_guide(key: int) -> bool:
    """Return whether a guide event is one of those by which a guide is seen."""
    return _GUIDE_TYPES[facts(key)[5]].endswith("guideSeen")


def _common(describer: Describer, source: str, event: Event) -> tuple[Row, Entity]:
    """Return the fields that all single events have, and what the event happened to."""
    key, moment, _arrival = event
    visitor, place, account, device, tab, _variant, session = facts(key)
    person, entity = describer.person(visitor), describer.entity(source, place)
    row: Row = {
        "visitorId": person.id,
        "accountId": person.accounts[account] if person.accounts else "",
        "appId": entity.app_id,
        "browserTime": moment,
        **describer.device(visitor, device, entity),
        **tab_fields(visitor, session, tab),
    }
    row["serverName"] = row.pop("server")
    return row, entity


def _of_guide(describer: Describer, source: str, event: Event) -> Row:
    """Return the row of a guide or poll event."""
    key, moment, arrival = event
    row, entity = _common(describer, source, event)
    visitor, place, _account, _device, _tab, variant, _session = facts(key)
    row |= {
        "accountIds": list(describer.person(visitor).accounts),
        "guideId": entity.id,
        "guideStepId": entity.step_id,
        "guideTimestamp": moment,
        "receivedTime": arrival,
        "loadTime": 100 + variant,
        "url": f"https://app.atlas.example/p/{place}?q=%22",
        "title": TEXTS[variant],
        "language": "en_US",
        "eventId": "" if variant & 1 else f"{key ^ moment:x}",
        "elementPath": "",
        "oldVisitorId": "",
    }
    return row | (_answer(entity, variant, moment) if entity.poll_id else _step(variant))


def _step(variant: int) -> Row:
    return {
        "type": _GUIDE_TYPES[variant],
        "guideSeenReason": "auto" if variant & 1 else "badge",
        "uiElementId": "",
        "uiElementType": "",
        "uiElementText": "",
        "uiElementActions": [],
        "destinationStepId": "",
        "guideStepPollTypes": [],
        "properties": {},
    }


def _answer(entity: Entity, variant: int, moment: int) -> Row:
    """Return the fields of an answer: an integer, a text or a list, by the kind of poll."""
    answers = {
        "NPSRating": moment // 1000 % 11,
        "FreeForm": TEXTS[variant],
        "MultiSelect": ["1", "2"][: 1 + variant % 2],
    }
    return {
        "type": "ui:web:pollResponse" if variant & 1 else "pollResponse",
        "pollId": entity.poll_id,
        "pollType": entity.poll_type,
        "pollResponse": answers[entity.poll_type],
        "properties": {},
    }


def _of_interface(describer: Describer, source: str, event: Event) -> Row:
    """Return the row of a click or a page view, tagged or not."""
    key, moment, _arrival = event
    row, entity = _common(describer, source, event)
    kind = _UI_TYPES[moment // 1000 % len(_UI_TYPES)]
    row |= {
        "type": kind,
        "url": f"https://app.atlas.example/p/{moment // 7000 % 40}?q=%22",
        "eventId": f"{key ^ moment:x}" if key & 1 else "",
        "properties": {},
        **recording_ids(key, entity),
    }
    row.pop("recordingId", None)
    if kind != "load":
        row["elementPath"] = f'main > button[data-n="{moment % 9}"]'
    return row


def _unprocessed(describer: Describer, source: str, event: Event) -> Row:
    return {**_of_interface(describer, source, event), "receivedTime": event[2]}


def _of_email(describer: Describer, source: str, event: Event) -> Row:
    """Return the row of an e-mail's event; its schema is a guess."""
    row, entity = _common(describer, source, event)
    kind = _EMAIL_TYPES[facts(event[0])[5]]
    names = ("visitorId", "accountId", "appId", "browserTime")
    mail = {name: row[name] for name in names} | {"guideId": entity.id, "type": kind}
    if kind in ("emailOpened", "emailClicked"):
        mail |= {"guideStepId": entity.step_id, "userAgent": row["userAgent"]}
    return mail


def _of_agent(describer: Describer, source: str, event: Event) -> Row:
    """Return the row of an exchange with an AI agent; no two have the same eventId."""
    row, entity = _common(describer, source, event)
    variant = facts(event[0])[5]
    names = ("visitorId", "accountId", "appId", "browserTime")
    return {name: row[name] for name in names} | {
        "agentId": entity.id,
        "eventId": f"{event[0]:x}-{event[1]:x}",
        "type": _AGENT_TYPES[variant & 1],
        **({"content": TEXTS[variant]} if variant < 6 else {}),  # noqa: PLR2004 -- most have one
        "conversationId": f"talk-{event[0]:x}",
        "messageId": f"message-{event[1]:x}",
        **_AGENT_FACTS[variant & 1],
    }


_SOURCES: dict[str, Callable[[Describer, str, Event], Row]] = {
    "guideEvents": _of_guide,
    "pollEvents": _of_guide,
    "singleEvents": _of_interface,
    "rawEvents": _unprocessed,
    "emailEvents": _of_email,
    "agenticEvents": _of_agent,
}


_STATES = {
    "guideSeen": "active",
    "guideAdvanced": "advanced",
    "guideDismissed": "dismissed",
    "guideSnoozed": "snoozed",
    "guideTimeout": "timeout",
}
_TIMES = {
    "guideAdvanced": "lastAdvancedAutoAt",
    "guideDismissed": "lastDismissedAutoAt",
    "guideTimeout": "lastTimeoutAt",
}


def guides_seen(events: Iterable[Row]) -> list[Row]:
    """Return a row for each visitor and step that guide events say was seen."""
    found: dict[tuple[str, ...], Row] = {}
    for event in sorted(events, key=lambda row: (row["browserTime"], str(row.get("type")))):
        kind = str(event.get("type", "")).removeprefix("ui:web:")
        if kind not in _STATES:
            continue
        names = ("visitorId", "guideId", "guideStepId")
        key = {name: event.get(name, "") for name in names}
        row = found.setdefault(tuple(key.values()), {**key, "lastAdvancedAutoAt": 0})
        moment = event["browserTime"]
        row["lastState"] = _STATES[kind]
        if kind in _TIMES:
            row[_TIMES[kind]] = moment
        if kind == "guideSeen":
            row.setdefault("firstSeenAt", moment)
            row["lastSeenAt"] = moment
            row["seenCount"] = row.get("seenCount", 0) + 1
    return [row for row in found.values() if "seenCount" in row]


def polls_seen(events: Iterable[Row], field: str) -> list[Row]:
    """Return the last answer of each visitor to each poll; `field` is what the answer is called."""
    found: dict[tuple[str, ...], Row] = {}
    for event in sorted(events, key=lambda row: (row["browserTime"], str(row.get("pollResponse")))):
        names = ("visitorId", "guideId", "pollId")
        key = {name: event.get(name, "") for name in names}
        found[tuple(key.values())] = {
            **key,
            "accountId": event.get("accountId", ""),
            "time": event["browserTime"],
            field: event.get("pollResponse"),
        }
    return list(found.values())
