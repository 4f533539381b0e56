"""Knows the events that someone put into a world, and how they join the rows of others."""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from pendo_emulator.clock import parse_moment
from pendo_emulator.definitions import ALL_EVENTS, DEFAULT_APP
from pendo_emulator.events import SHARES, origin
from pendo_emulator.periods import HOUR
from pendo_emulator.rows import BUCKETS, ENTITY_FIELDS, MEASURES, Measures, Row
from pendo_emulator.values import fingerprint


@dataclass(frozen=True)
class Injected:
    """One event: the fields of its row, and two times, ms."""

    moment: int
    arrival: int
    fields: Row


class InjectedEvents:
    """The events of one source, found by their hour."""

    def __init__(self) -> None:
        self._by_hour: defaultdict[int, list[Injected]] = defaultdict(list)

    def add(self, event: Injected) -> None:
        """Add an event."""
        self._by_hour[event.moment // HOUR].append(event)

    def earliest(self) -> int | None:
        """Return the moment of the first event, ms, if there is one."""
        if not self._by_hour:
            return None
        return min(one.moment for one in self._by_hour[min(self._by_hour)])

    def between(self, first: int, last: int, now: int) -> list[Injected]:
        """Return the events of [first, last) that had arrived by `now`; times in ms."""
        hours: Iterable[int] = range(first // HOUR, -(-last // HOUR))
        if len(self._by_hour) < (last - first) // HOUR:
            hours = sorted(self._by_hour)
        return [
            one
            for hour in hours
            if hour in self._by_hour
            for one in self._by_hour[hour]
            if first <= one.moment < last and one.arrival <= now
        ]


def read_event(event: dict[str, Any], now: int) -> tuple[str, Injected]:
    """Return the source and the event that someone described, with what a row of it must have.

    Raises:
        ValueError: for an unknown source, or without ts or visitorId.
    """
    fields = {name: value for name, value in event.items() if name not in MEASURES}
    source, moment = str(fields.pop("source", None)), fields.pop("ts", None)
    if source not in SHARES:
        raise ValueError(f"source must be one of {', '.join(SHARES)}")
    if moment is None or not isinstance(fields.get("visitorId"), str):
        raise ValueError("an event needs ts and visitorId")
    moment = parse_moment(moment) if isinstance(moment, str) else int(moment)
    fields = {"appId": DEFAULT_APP, **fields}
    if source in ENTITY_FIELDS:
        fields = {name: value for name, value in fields.items() if name not in BUCKETS}
        if source == "events":
            fields["pageId"] = ALL_EVENTS
    else:
        fields["browserTime"] = moment
    if source in ("guideEvents", "pollEvents"):
        fields |= {"guideTimestamp": moment, "receivedTime": now}
    return source, Injected(moment, now, fields)


def merged(
    described: Iterable[tuple[Row, Measures]], late: Iterable[Injected], start: int
) -> list[tuple[Row, Measures]]:
    """Return the groups with injected events added to the group of equal dimensions."""
    groups = {fingerprint(row): (row, found) for row, found in described}
    for one in late:
        minute = 1 << (one.moment - start) // 60_000
        name = fingerprint(one.fields)
        if name not in groups:
            groups[name] = (one.fields, [0, 0, one.moment, one.moment])
        found = groups[name][1]
        found[0] += 1
        found[1] |= minute
        found[2] = min(found[2], one.moment)
        found[3] = max(found[3], one.moment)
    return list(groups.values())


def single(source: str, one: Injected) -> Row:
    """Return the row of an injected event in a source of single rows."""
    if source == origin(source):
        return one.fields
    row = {name: value for name, value in one.fields.items() if name != "pageId"}
    return {**row, "browserTime": one.moment}
