"""Rows that Pendo answers: grouped events, and the selection of events."""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

from pendo_emulator.product.definitions import Entity, platform
from pendo_emulator.product.events import ENTITY, VISITOR, Activity, Event, facts, origin
from pendo_emulator.product.people import Person
from pendo_emulator.product.random_values import TEXTS, chances

Row = dict[str, Any]
# events, minutes (one bit each), first and last moment
Measures = list[int]

ENTITY_FIELDS = {
    "events": "pageId",
    "pageEvents": "pageId",
    "featureEvents": "featureId",
    "trackEvents": "trackTypeId",
}
MEASURES = (
    "numEvents",
    "numMinutes",
    "firstTime",
    "lastTime",
    "rageClickCount",
    "errorClickCount",
    "deadClickCount",
    "uTurnCount",
)

BUCKETS = {"hour", "day", "week", "month"}

_PLACES = (
    ("US", "Ohio", 39.96, -83.0),
    ("DE", "Berlin", 52.52, 13.405),
    ("IN", "Karnataka", 12.97, 77.59),
    ("JP", "Tokyo", 35.68, 139.69),
    ("BR", "São Paulo", -23.55, -46.63),
)
_AGENTS = (
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 Chrome/139.0 Safari/537.36",
    "Mozilla/5.0 (Macintosh; Intel Mac OS X 14_5) AppleWebKit/605.1.15 Version/17.5 Safari/605.1",
    "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0",
)
_MOBILE_AGENT = "AtlasGo/4.2 (iPhone; iOS 18.1) PendoSDK/3.5"
_MIX = 0x9E3779B97F4A7C15
_64_BITS = (1 << 64) - 1


def group(events: Iterable[Event], start: int) -> dict[int, Measures]:
    """Return the measures of each distinct key among the events of the bucket at `start`."""
    groups: dict[int, Measures] = {}
    find = groups.get
    for key, moment, _arrival in events:
        minute = 1 << (moment - start) // 60_000
        found = find(key)
        if found is None:
            groups[key] = [1, minute, moment, moment]
            continue
        found[0] += 1
        found[1] |= minute
        if moment < found[2]:
            found[2] = moment
        elif moment > found[3]:
            found[3] = moment
    return groups


def measures(found: Measures, *, frustration: bool) -> Row:
    """Return the measure fields of a grouped row; clicks that went wrong only where counted."""
    count = found[0]
    fields: Row = {
        "numEvents": count,
        "numMinutes": found[1].bit_count(),
        "firstTime": found[2],
        "lastTime": found[3],
    }
    if frustration:
        fields["rageClickCount"] = count // 4
        fields["errorClickCount"] = 0
        fields["deadClickCount"] = count // 3
        fields["uTurnCount"] = 0
    return fields


class Describer:
    """Turns packed keys into the fields of rows."""

    def __init__(self, activity: Activity) -> None:
        self._visitors = activity.visitors
        self._entities = activity.entities
        self._devices = lru_cache(maxsize=None)(self._make_devices)
        self._variants = {
            source: [_variant(source, number) for number in range(8)] for source in ENTITY_FIELDS
        }

    def grouped(self, source: str, key: int) -> Row:
        """Return the dimension fields of a grouped row, all but the bucket."""
        visitor, place, account, device, tab, variant, session = facts(key)
        person = self._visitors[visitor]
        entity = self._entities[source][place]
        row = {
            "visitorId": person.id,
            "appId": entity.app_id,
            ENTITY_FIELDS[source]: entity.id,
            **self.device(visitor, device, entity),
            **tab_fields(visitor, session, tab),
            **self._variants[source][variant],
        }
        if person.accounts:
            row["accountId"] = person.accounts[account]
        elif visitor & 1:  # "" for some of those without an account, missing for others
            row["accountId"] = ""
        return row

    def entity(self, source: str, place: int) -> Entity:
        """Return what an event of a source happened to."""
        return self._entities[origin(source)][place]

    def person(self, visitor: int) -> Person:
        """Return who caused an event."""
        return self._visitors[visitor]

    def device(self, visitor: int, device: int, entity: Entity) -> Row:
        """Return server, browser, place and address of an event; to be copied before a change."""
        return self._devices(visitor)[device if platform(entity.app_id) == "web" else 2]

    def _make_devices(self, visitor: int) -> tuple[Row, Row, Row]:
        """Return the circumstances of a visitor's two browsers and of the telephone."""
        chance = chances("devices", visitor)
        country, region, latitude, longitude = chance.choice(_PLACES)

        def device(agent: str, server: str, *, logged: bool) -> Row:
            fields = {"server": server, "userAgent": agent, "country": country, "region": region}
            address = f"203.0.113.{chance.randrange(256)}"
            if chance.randrange(8) == 0:
                address = f"2001:db8::{chance.randrange(1 << 16):x}"
            place = {"latitude": latitude, "longitude": longitude}
            return {**fields, **place, **({"remoteIp": address} if logged else {})}

        logged = chance.randrange(20) > 0
        first, second = chance.sample(_AGENTS, 2)
        return (
            device(first, "app.atlas.example", logged=logged),
            device(second, "eu.atlas.example", logged=logged),
            device(_MOBILE_AGENT, "", logged=logged),
        )


def tab_fields(visitor: int, session: int, tab: int) -> Row:
    """Return the ids of the session and of the browser's tab."""
    mixed = (visitor * _MIX + session * 0xD1B54A32D192ED03) & _64_BITS
    return {
        "analyticsSessionId": f"{mixed:016x}",
        "tabId": f"{(mixed ^ _MIX * (tab + 1)) & _64_BITS:016x}",
    }


def _variant(source: str, number: int) -> Row:
    """Return the parameters or properties by which rows of one natural key still differ."""
    if source == "trackEvents":
        nested = {"ok": bool(number % 2), "list": [number]}
        properties = {"plan": TEXTS[number], "amount": number * 10, "nested": nested}
        return {"properties": properties}
    if not number or source == "events":
        return {}
    if source == "pageEvents":
        return {"parameters": {"parameter": TEXTS[number]}}
    return {"properties": {"__utm__": {"channel": "email", "referrer": TEXTS[number]}}}


@dataclass(frozen=True)
class Wanted:
    """What a source's parameters ask for; None means every app.

    `entities` maps id fields (featureId, guideId, pollId, …) to the ids that are wanted.
    `blacklist` is apply, ignore or only.
    """

    apps: Collection[int] | None = None
    entities: Mapping[str, Collection[str]] = field(default_factory=dict)
    blacklist: str = "apply"


class Selection:
    """Decides about events of one source, raw ones or by the fields of a row.

    `source` is what was asked for, `origin` the one whose event_store it shows.
    """

    def __init__(
        self, source: str, wanted: Wanted, activity: Activity, excluded: frozenset[str]
    ) -> None:
        self.source = source
        self.origin = origin(source)
        self._wanted = wanted
        self._excluded = excluded
        self._entities = [
            self._asked(_fields(self.origin, entity)) for entity in activity.entities[self.origin]
        ]
        self._visitors = [self._heard(person.id) for person in activity.visitors]

    def _asked(self, fields: Row) -> bool:
        apps = self._wanted.apps
        if apps is not None and fields["appId"] not in apps:
            return False
        return all(fields.get(name) in ids for name, ids in self._wanted.entities.items())

    def _heard(self, visitor_id: str) -> bool:
        if self._wanted.blacklist == "ignore":
            return True
        return (visitor_id in self._excluded) == (self._wanted.blacklist == "only")

    def events(self, events: list[Event]) -> list[Event]:
        """Return those of the raw events that are wanted."""
        entities, visitors = self._entities, self._visitors
        return [
            event
            for event in events
            if visitors[event[0] >> VISITOR] and entities[event[0] >> ENTITY & 0xFFF]
        ]

    def row(self, fields: Row) -> bool:
        """Return whether an event is wanted, by the fields of its row."""
        return self._asked(fields) and self._heard(fields["visitorId"])


def _fields(source: str, entity: Entity) -> Row:
    if source == "agenticEvents":
        return {"appId": entity.app_id, "agentId": entity.id}
    if source in ENTITY_FIELDS:
        return {"appId": entity.app_id, ENTITY_FIELDS[source]: entity.id}
    return {
        "appId": entity.app_id,
        "guideId": entity.id,
        "guideStepId": entity.step_id,
        "pollId": entity.poll_id,
    }
