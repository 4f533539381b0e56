"""Knows what is kept of a visitor's guides and polls: how often seen, what was answered."""

from collections.abc import Iterable
from typing import Any

Row = dict[str, Any]

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
