"""Knows which sessions are recorded for replay, and what a recording's row says."""

from collections.abc import Iterable
from itertools import pairwise
from typing import Any

from pendo_emulator.definitions import Entity, platform
from pendo_emulator.events import Event, facts
from pendo_emulator.rows import Describer, tab_fields

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
