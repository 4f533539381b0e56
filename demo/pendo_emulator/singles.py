"""Knows what single events look like in an answer: one row for each of them."""

from collections.abc import Callable
from typing import Any

from pendo_emulator.awkward import TEXTS
from pendo_emulator.definitions import Entity
from pendo_emulator.events import Event, facts
from pendo_emulator.recordings import recording_ids
from pendo_emulator.rows import Describer, tab_fields

Row = dict[str, Any]

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
