"""Knows the whole made-up product at any moment: its objects, its people and their events."""

import json
from collections.abc import Collection, Iterable, Iterator
from typing import Any
from zoneinfo import ZoneInfo

from emulation.clock import Clock

from pendo_emulator.knobs import Knobs
from pendo_emulator.product.calendar import DAY, HOUR, Calendar
from pendo_emulator.product.content import held_items
from pendo_emulator.product.definitions import (
    DISABLED_APP,
    LIVE_APPS,
    Definition,
    Entity,
    make_definitions,
    make_entities,
)
from pendo_emulator.product.event_store import TAGGED, EventStore, Retag, read_event
from pendo_emulator.product.events import EVER, GUIDES_SEEN, POLLS_SEEN, Activity, Shard
from pendo_emulator.product.ground_truth import SUMMED, Sums, event_sums, seen_count
from pendo_emulator.product.history import Histories
from pendo_emulator.product.metadata import Overrides, Schema
from pendo_emulator.product.people import is_anonymous, make_people
from pendo_emulator.product.rows import ENTITY_FIELDS, Row, Selection, Wanted

ALL_APPS = (*LIVE_APPS, DISABLED_APP)
VISITORS, ACCOUNTS = 3200, 220  # of a world of the default size
_HISTORY = 730 * DAY
_COUNTABLE = ("page", "feature", "trackType")
_KINDS = {
    "app": "app",
    "page": "page",
    "feature": "feature",
    "tracktype": "trackType",
    "guide": "guide",
    "segment": "segment",
    "group": "group",
    "report": "report",
}


class World:
    """A product, its people and their events: a function of seed, size and clock.

    Its events begin 730 days before the moment at which it was made. Everything else about it
    was there in 2022 to 2024, so its clock should show a later time.
    """

    def __init__(  # noqa: PLR0913 -- each sets one independent thing
        self,
        *,
        seed: int = 1,
        events_per_day: float = 250,
        time_zone: str = "UTC",
        clock: Clock | None = None,
        visitors: int = VISITORS,
        accounts: int = ACCOUNTS,
    ) -> None:
        self.clock = clock or Clock()
        self.zone = ZoneInfo(time_zone)
        self.knobs = Knobs()
        self.definitions = make_definitions(seed)
        self.people = make_people(seed, visitors, accounts, LIVE_APPS)
        entities = make_entities(self.definitions)
        self.activity = Activity(seed, events_per_day, self.people.visitors, entities)
        self.overrides = Overrides()
        start = self.clock.now() - _HISTORY
        self._event_store = EventStore(self.activity, start - start % DAY)
        self._histories = Histories(self._event_store, self.people)

    @property
    def calendar(self) -> Calendar:
        """The subscription's calendar, with its hours aligned as the knob says."""
        return Calendar(self.zone, self.knobs.hour_alignment)

    @property
    def history_start(self) -> int:
        """The moment at which its events begin, ms."""
        return self._event_store.since

    # What the API shows

    def listed(self, kind: str, now: int) -> list[Definition]:
        """Return the definitions of a kind as of `now`.

        Kinds are app, page, feature, tracktype, guide, segment, group (product area) and report;
        of segments and reports those that everyone may see.
        """
        kind = _KINDS[kind.lower()]
        found = self.definitions[kind]
        if kind == "group":
            return self.groups(items=False)
        if kind in ("segment", "report"):
            return [one for one in found if one.get("shared", True)]
        if kind not in _COUNTABLE:
            return list(found)
        through = now - now % HOUR  # moves hourly without lastUpdatedAt
        held = held_items(self.definitions)
        return [{**one, "validThrough": through, **_area(one, held)} for one in found]

    def groups(self, *, items: bool) -> list[Definition]:
        """Return the product areas, with what each holds, or with null instead."""
        held = held_items(self.definitions)
        return [
            {
                **one,
                "length": len(held[one["id"]]),
                "items": held[one["id"]] if items else None,
            }
            for one in self.definitions["group"]
        ]

    def visitors(self, now: int, *, identified: bool) -> Iterator[Row]:
        """Yield the rows of visitors, sorted by id, with or without the anonymous ones."""
        for person in self.people.visitors:
            if not (identified and is_anonymous(person.id)):
                yield self.overrides.row("visitor", person.row("visitorId", now))

    def accounts(self, now: int) -> Iterator[Row]:
        """Yield the rows of accounts, sorted by id."""
        for person in self.people.accounts:
            yield self.overrides.row("account", person.row("accountId", now))

    def metadata_schema(self, kind: str) -> Schema:
        """Return the metadata schema of visitor, account or parentAccount."""
        return self.overrides.schema(kind, ALL_APPS)

    def do_not_process(self, kind: str) -> list[Row]:
        """Return the rows of doNotProcessVisitors or doNotProcessAccounts."""
        if kind == "doNotProcessVisitors":
            return [{"visitorId": one.id} for one in self.people.visitors if one.silent()]
        return [{"accountId": one.id} for one in self.people.accounts if one.silent()]

    def select(self, source: str, wanted: Wanted) -> Selection:
        """Return the selection that a request's parameters stand for; make it once a request."""
        return Selection(source, wanted, self.activity, self.people.excluded)

    def earliest(self, source: str) -> int:
        """Return the moment before which nothing has happened, ms."""
        return self._event_store.earliest(source)

    def grouped(
        self, select: Selection, unit: str, bucket: tuple[int, int], shard: Shard, now: int
    ) -> list[Row]:
        """Return the grouped rows of one bucket and one range of visitors."""
        rows = self._event_store.grouped(select, unit, bucket, shard, now)
        return [part for row in rows for part in _split(row)] if self.knobs.split_rows else rows

    def single(self, select: Selection, first: int, last: int, shard: Shard, now: int) -> list[Row]:
        """Return one row for each event of [first, last) and one range of visitors."""
        rows = self._event_store.single(select, first, last, shard, now)
        if select.source == "singleEvents" and self.knobs.single_event_rows == "hours":
            return _by_hour(rows, self.calendar)
        if select.source == "agenticEvents" and self.knobs.agentic_rows == "without_ids":
            ids = ("agentId", "appId")
            return [{name: row[name] for name in row if name not in ids} for row in rows]
        return rows

    def seen(self, select: Selection, first: int, last: int, shard: Shard, now: int) -> list[Row]:
        """Return what a range of visitors saw of guides, or answered to polls, in [first, last)."""
        answer = self.knobs.poll_response
        return self._event_store.seen(select, (first, last), shard, now, answer)

    def history(self, visitor_id: str, start: int, now: int) -> list[Row]:
        """Return what a visitor did in the 24 hours from `start`, ms.

        Raises:
            KeyError: for an unknown visitor.
        """
        return self._histories.rows(visitor_id, start, now)

    # What tests change

    def inject(self, events: Iterable[dict[str, Any]]) -> None:
        """Add events that arrive now: {source, ts (ms or ISO 8601), visitorId, …fields of a row}.

        A row of an earlier answer may be given back: its bucket and its measures are ignored.

        Raises:
            ValueError: for an unknown source, or without ts or visitorId.
        """
        now = self.clock.now()
        for source, injected in [read_event(event, now) for event in events]:
            self._event_store.inject(source, injected)

    def retag(
        self, source: str, entity_from: str, entity_to: str | None, first: int, last: int
    ) -> None:
        """From now on count the events of an entity in [first, last), ms, for another one.

        Rows, `sums` and histories alike change, as when Pendo reprocesses its history.
        `source` is pageEvents, featureEvents or trackEvents; `entity_to` None: they count for
        nothing.

        Raises:
            ValueError: for another source, or an entity_to that is not a definition of its kind.
        """
        if source not in TAGGED:
            raise ValueError(f"source must be one of {', '.join(TAGGED)}")
        new = None
        if entity_to is not None:
            known = {one["id"]: one["appId"] for one in self.definitions[TAGGED[source]]}
            if entity_to not in known:
                raise ValueError(f"no {TAGGED[source]} has the id {entity_to}")
            new = Entity(entity_to, known[entity_to])
        self._event_store.retag(source, Retag(entity_from, new, first, last))

    def add_definition(self, kind: str, definition: Definition) -> None:
        """Add a definition of a kind that is `listed`; it brings no events."""
        self.definitions[_KINDS[kind.lower()]].append(definition)

    def remove_definition(self, kind: str, key: str) -> bool:
        """Remove a definition by id, and say whether it was there; its events stay."""
        known = self.definitions[_KINDS[kind.lower()]]
        kept = [one for one in known if str(one["id"]) != key]
        self.definitions[_KINDS[kind.lower()]] = kept
        return len(kept) < len(known)

    # The truth

    def sums(
        self, source: str, first: int, last: int, app_ids: Collection[int] | None = None
    ) -> Sums:
        """Return {(appId, entityId, UTC day of the hour bucket): number of events}.

        entityId is pageId, featureId, trackTypeId, agentId, guideId (of e-mails too) or pollId,
        "allevents" for events, singleEvents and rawEvents.
        Counts the raw events, by another path than the rows take, whose hour bucket starts in
        [first, last) and which have arrived; visitors on the exclude list do not count.

        Raises:
            ValueError: for a source whose rows are no events.
        """
        if source not in SUMMED:
            raise ValueError(f"{source} has no sums; those that have: {', '.join(SUMMED)}")
        select = self.select(source, Wanted(apps=app_ids))
        span = first, last
        return event_sums(self._event_store, select, span, self.calendar, self.clock.now())

    def count(
        self,
        kind: str,
        first: int | None = None,
        last: int | None = None,
        period: str = "hour",
        *,
        identified: bool = True,
    ) -> int:
        """Return how many rows the API answers for a kind of definition, people or a source.

        Definitions count over all apps. Event sources need [first, last), ms: grouped ones
        count the rows of the hours or days (`period`) that start in it, single ones the events.
        guidesSeenEver and pollsSeenEver need none.
        """
        there = self._count_there(kind, identified=identified)
        if there is not None:
            return there
        now = self.clock.now()
        if kind in EVER:
            first, last = self.earliest(kind), now + 1
        if first is None or last is None:
            raise ValueError(f"{kind} is counted between first and last")
        shards, select = self.activity.shards(kind), self.select(kind, Wanted())
        if kind in (*GUIDES_SEEN, *POLLS_SEEN):
            return seen_count(self._event_store, select, first, last, now)
        if kind not in ENTITY_FIELDS:
            return sum(len(self.single(select, first, last, one, now)) for one in shards)
        start = self.calendar.floor(period, first)
        start = start if start == first else self.calendar.next(period, start)
        return sum(
            len(self.grouped(select, period, bucket, shard, now))
            for bucket in self.calendar.buckets(period, start, last)
            for shard in shards
        )

    def _count_there(self, kind: str, *, identified: bool) -> int | None:
        """Return how many definitions or people there are; None for a kind of events."""
        now = self.clock.now()
        if kind.lower() in _KINDS:
            return len(self.listed(kind, now))
        if kind in ("doNotProcessVisitors", "doNotProcessAccounts"):
            return len(self.do_not_process(kind))
        if kind == "accounts":
            return len(self.people.accounts)
        if kind == "visitors":
            return sum(1 for _ in self.visitors(now, identified=identified))
        return None

    def history_count(self, visitor_id: str, start: int) -> int:
        """Return how many rows the visitor's history has in the 24 hours from `start`, ms.

        Raises:
            KeyError: for an unknown visitor.
        """
        return self._histories.count(visitor_id, start, self.clock.now())


def _area(one: Definition, held: dict[str, list[Definition]]) -> Definition:
    """Return the `group` of a definition with its true length; {} where it has none."""
    if "group" not in one:
        return {}
    return {"group": {**one["group"], "length": len(held[one["group"]["id"]])}}


def _by_hour(rows: list[Row], calendar: Calendar) -> list[Row]:
    """Return rows of single events as counts by hour: without type and moment."""
    found: dict[str, Row] = {}
    for row in rows:
        moment = row["browserTime"]
        hour, day = calendar.floor("hour", moment), calendar.floor("day", moment)
        kept = {name: row[name] for name in row.keys() - {"browserTime", "type", "eventId"}}
        kept |= {"hour": hour, "day": day}
        key = json.dumps(kept, sort_keys=True)
        same = found.setdefault(key, {**kept, "numEvents": 0, "numMinutes": 1})
        same["numEvents"] += 1
    return list(found.values())


def _split(row: Row) -> list[Row]:
    """Return a grouped row as two of equal dimensions that add up to it, if it can be."""
    if row["numEvents"] == 1:
        return [row]
    one = {"numEvents": 1, "numMinutes": 1, "lastTime": row["firstTime"]}
    one |= {name: 0 for name in row if name.endswith("Count")}
    minutes = max(row["numMinutes"] - 1, 1)
    return [{**row, **one}, {**row, "numEvents": row["numEvents"] - 1, "numMinutes": minutes}]
