"""Rows of a visitor's history: what one visitor did in an hour."""

import re
from collections.abc import Iterator, Mapping
from typing import Any

from pendo_emulator.product.calendar import DAY, HOUR
from pendo_emulator.product.event_store import EventStore, Injected
from pendo_emulator.product.events import VISITOR, Event, facts
from pendo_emulator.product.people import People
from pendo_emulator.product.rows import Measures, group

Row = dict[str, Any]

_BROWSERS = (
    ("Edge", re.compile(r"Edg/([\d.]+)")),
    ("Chrome", re.compile(r"Chrome/([\d.]+)")),
    ("Firefox", re.compile(r"Firefox/([\d.]+)")),
    ("Safari", re.compile(r"Version/([\d.]+).* Safari/")),
)
_SYSTEMS = (
    ("Windows", re.compile(r"Windows")),
    ("iOS", re.compile(r"iPhone|iPad|iOS")),
    ("Mac OS X", re.compile(r"Mac OS X")),
    ("Android", re.compile(r"Android")),
    ("Linux", re.compile(r"Linux")),
)
_OWN = re.compile(r"([^/\s]+)/([\d.]+)")

# source → type of its rows; the ids that rows of the type have
_KINDS = {
    "events": ("untagged", ()),
    "pageEvents": ("page", ("pageId",)),
    "featureEvents": ("feature", ("featureId",)),
    "guideEvents": ("guide", ("guideId", "guideStepId")),
}


class Histories:
    """Finds what single visitors did, and counts it by another path than the rows take."""

    def __init__(self, event_store: EventStore, people: People) -> None:
        self._event_store = event_store
        self._people = people

    def rows(self, visitor_id: str, start: int, now: int) -> list[Row]:
        """Return a row for each thing that a visitor did in an hour, in the day from `start`.

        Raises:
            KeyError: for an unknown visitor.
        """
        rows = [
            self._described(source, key, found)
            for source, hour, events in self._hours(visitor_id, start, now)
            for key, found in group(events, hour).items()
        ]
        rows += [
            _row(source, one.fields, one.moment, one.moment)
            for source, one in self._late(visitor_id, start, now)
        ]
        kept = [row for row in rows if start <= row["ts"] < start + DAY]
        return sorted(kept, key=lambda row: (row["ts"], row["type"]))

    def count(self, visitor_id: str, start: int, now: int) -> int:
        """Return how many rows there are, by the moments at which the raw events began.

        Raises:
            KeyError: for an unknown visitor.
        """
        begun: dict[tuple[str, int, int], int] = {}
        for source, hour, events in self._hours(visitor_id, start, now):
            for key, moment, _arrival in events:
                begun[source, hour, key] = min(moment, begun.get((source, hour, key), moment))
        late = sum(1 for _ in self._late(visitor_id, start, now))
        return late + sum(start <= moment < start + DAY for moment in begun.values())

    def _hours(
        self, visitor_id: str, start: int, now: int
    ) -> Iterator[tuple[str, int, list[Event]]]:
        """Yield source, hour and events of each hour that overlaps the day from `start`."""
        place = self._people.visitor(visitor_id)
        if place is None:
            raise KeyError(visitor_id)
        activity = self._event_store.activity
        begin = max(start - start % HOUR, self._event_store.since)
        for source in _KINDS:
            shard = activity.shards(source)[activity.shard_of(source, visitor_id)]
            for hour in range(begin, min(start + DAY, now + 1), HOUR):
                events = self._event_store.made(source, hour, hour + HOUR, shard, now)
                yield source, hour, [event for event in events if event[0] >> VISITOR == place]

    def _late(self, visitor_id: str, start: int, now: int) -> Iterator[tuple[str, Injected]]:
        for source in _KINDS:
            for one in self._event_store.injected(source, start, start + DAY, now):
                if one.fields["visitorId"] == visitor_id:
                    yield source, one

    def _described(self, source: str, key: int, found: Measures) -> Row:
        visitor, place, _account, device, _tab, _variant, _session = facts(key)
        describer = self._event_store.describer
        entity = describer.entity(source, place)
        fields = {
            "appId": entity.app_id,
            "pageId": entity.id,
            "featureId": entity.id,
            "guideId": entity.id,
            "guideStepId": entity.step_id,
            "uri": f"/p/{place}",
            "userAgent": describer.device(visitor, device, entity)["userAgent"],
        }
        return _row(source, fields, found[2], found[3])


def _row(source: str, fields: Mapping[str, Any], first: int, last: int) -> Row:
    kind, ids = _KINDS[source]
    row: Row = {"type": kind, "ts": first, "lastTs": last, "duration": last - first}
    row |= {name: fields[name] for name in ("appId", "uri", *ids) if name in fields}
    if source == "events":
        row["untaggedUrl"] = f"https://app.atlas.example{row.pop('uri', '/')}"
    agent = fields.get("userAgent")
    if agent:
        row["parsedUserAgent"] = _parsed(agent)
    return row


def _parsed(agent: str) -> Row:
    """Return name, version and os of a browser; of an app no version."""
    parsed = _parsed_agent(agent)
    return parsed if agent.startswith("Mozilla/") else {"name": parsed["name"], "os": parsed["os"]}


def _parsed_agent(text: str) -> dict[str, str]:
    """Return the name and version of the browser (or else of the first product), and the os."""
    known = ((name, pattern.search(text)) for name, pattern in _BROWSERS)
    name, found = next(((name, found) for name, found in known if found), ("", None))
    if not found:
        found = _OWN.match(text)
        name = found[1] if found else "Unknown"
    version = found[found.re.groups] if found else ""
    system = next((system for system, pattern in _SYSTEMS if pattern.search(text)), "Unknown")
    return {"name": name, "version": version, "os": system}
