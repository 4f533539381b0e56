"""Knows the whole made-up product at any moment, and the truth about its events."""

import json
from collections import Counter
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Any
from zoneinfo import ZoneInfo

from pendo_emulator.clock import Clock, parse_moment
from pendo_emulator.definitions import (
    ALL_EVENTS,
    DEFAULT_APP,
    DISABLED_APP,
    LIVE_APPS,
    Definition,
    make_definitions,
    make_entities,
    users,
)
from pendo_emulator.events import ENTITY, SHARES, Activity, Event, Shard
from pendo_emulator.functions import is_anonymous
from pendo_emulator.knobs import Knobs
from pendo_emulator.people import make_people
from pendo_emulator.periods import DAY, HOUR, Calendar
from pendo_emulator.rows import (
    BUCKETS,
    ENTITY_FIELDS,
    MEASURES,
    Describer,
    Measures,
    Row,
    group,
    measures,
)
from pendo_emulator.segments import make_segments
from pendo_emulator.selection import Selection, Wanted

ALL_APPS = (*LIVE_APPS, DISABLED_APP)
_HISTORY = 730 * DAY
_COUNTABLE = ("page", "feature", "trackType")
_KINDS = {
    "app": "app",
    "page": "page",
    "feature": "feature",
    "tracktype": "trackType",
    "guide": "guide",
    "segment": "segment",
}
_TRUTH_FIELDS = {**ENTITY_FIELDS, "guideEvents": "guideId", "pollEvents": "pollId"}
Sums = dict[tuple[int, str, str], int]


@dataclass(frozen=True)
class Injected:
    """An event that someone put in: the fields of its row, and two times, ms."""

    moment: int
    arrival: int
    fields: Row


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
        visitors: int = 3200,
        accounts: int = 220,
    ) -> None:
        self.clock = clock or Clock()
        self.zone = ZoneInfo(time_zone)
        self.knobs = Knobs()
        self.definitions = make_definitions(seed)
        self.definitions["segment"] = make_segments(seed, users(seed))
        self.people = make_people(seed, visitors, accounts, LIVE_APPS)
        entities = make_entities(self.definitions)
        self.activity = Activity(seed, events_per_day, self.people.visitors, entities)
        self._describer = Describer(self.activity)
        self._injected: dict[str, list[Injected]] = {source: [] for source in SHARES}
        start = self.clock.now() - _HISTORY
        self.history_start = start - start % DAY

    @property
    def calendar(self) -> Calendar:
        """The subscription's calendar, with its hours aligned as the knob says."""
        return Calendar(self.zone, self.knobs.hour_alignment)

    # What the API shows

    def listed(self, kind: str, now: int) -> list[Definition]:
        """Return the definitions of app, page, feature, tracktype, guide or segment, as of `now`.

        Segments are those that everyone may see (§2.1).
        """
        found = self.definitions[_KINDS[kind.lower()]]
        if kind == "segment":
            return [one for one in found if one["shared"]]
        if _KINDS[kind.lower()] not in _COUNTABLE:
            return list(found)
        through = now - now % HOUR  # moves hourly without lastUpdatedAt (§2.2)
        return [{**one, "validThrough": through} for one in found]

    def visitors(self, now: int, *, identified: bool) -> Iterator[Row]:
        """Yield the rows of visitors, sorted by id, with or without the anonymous ones."""
        for person in self.people.visitors:
            if not (identified and is_anonymous(person.id)):
                yield person.row("visitorId", now)

    def accounts(self, now: int) -> Iterator[Row]:
        """Yield the rows of accounts, sorted by id."""
        return (person.row("accountId", now) for person in self.people.accounts)

    def select(self, source: str, wanted: Wanted) -> Selection:
        """Return the selection that a request's parameters stand for; make it once a request."""
        return Selection(source, wanted, self.activity, self.people.excluded)

    def earliest(self, source: str) -> int:
        """Return the moment before which nothing has happened, ms."""
        moments = [one.moment for one in self._injected[source]]
        return min([self.history_start, *moments])

    def grouped(
        self, select: Selection, unit: str, bucket: tuple[int, int], shard: Shard, now: int
    ) -> list[Row]:
        """Return the grouped rows of one bucket and one range of visitors (§4.5)."""
        source = select.source
        start, end = bucket
        groups = group(self._events(select, start, end, shard, now), start)
        described = [(self._describer.grouped(source, key), found) for key, found in groups.items()]
        late = self._late(select, start, end, shard, now)
        if late:
            described = _merged(described, late, start)
        frustration = source != "trackEvents"
        return [
            {**row, unit: start, **measures(found, frustration=frustration)}
            for row, found in described
        ]

    def single(self, select: Selection, first: int, last: int, shard: Shard, now: int) -> list[Row]:
        """Return one row for each event of [first, last) and one range of visitors."""
        events = self._events(select, first, last, shard, now)
        late = self._late(select, first, last, shard, now)
        rows = [self._describer.single(select.source, event) for event in events]
        return rows + [one.fields for one in late]

    def _events(
        self, select: Selection, first: int, last: int, shard: Shard, now: int
    ) -> list[Event]:
        first = max(first, self.history_start)
        return select.events(self.activity.between(select.source, first, last, shard, now))

    def _late(
        self, select: Selection, first: int, last: int, shard: Shard, now: int
    ) -> list[Injected]:
        """Return the injected events of a stretch of time and a range of visitors."""
        source = select.source
        return [
            one
            for one in self._injected[source]
            if first <= one.moment < last
            and one.arrival <= now
            and select.row(one.fields)
            and self.activity.shard_of(source, one.fields["visitorId"]) == shard.number
        ]

    # What tests change

    def inject(self, events: Iterable[dict[str, Any]]) -> None:
        """Add events that arrive now: {source, ts (ms or ISO 8601), visitorId, …fields of a row}.

        A row of an earlier answer may be given back: its bucket and its measures are ignored.

        Raises:
            ValueError: for an unknown source, or without ts or visitorId.
        """
        now = self.clock.now()
        for source, injected in [_read_event(event, now) for event in events]:
            self._injected[source].append(injected)

    def add_definition(self, kind: str, definition: Definition) -> None:
        """Add a definition, of the kinds that `listed` knows; it brings no events."""
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

        entityId is pageId, featureId, trackTypeId, guideId or pollId ("allevents" for events).
        Counts the raw events, by another path than the rows take, whose hour bucket starts in
        [first, last) and which have arrived; visitors on the exclude list do not count.
        """
        calendar, now = self.calendar, self.clock.now()
        first, last = (_ceiling(calendar, moment) for moment in (first, last))
        select = self.select(source, Wanted(apps=app_ids))
        counts: Counter[tuple[int, str, int]] = Counter()
        entities = self.activity.entities[source]
        poll = source == "pollEvents"
        for shard in self.activity.shards(source):
            for key, moment, _arrival in self._events(select, first, last, shard, now):
                entity = entities[key >> ENTITY & 0xFFF]
                bucket = calendar.floor("hour", moment) // DAY
                counts[entity.app_id, entity.poll_id if poll else entity.id, bucket] += 1
            for one in self._late(select, first, last, shard, now):
                entity_id = one.fields.get(_TRUTH_FIELDS[source], "")
                bucket = calendar.floor("hour", one.moment) // DAY
                counts[one.fields["appId"], entity_id, bucket] += 1
        return {
            (app, entity_id, _utc_day(bucket)): count
            for (app, entity_id, bucket), count in counts.items()
        }

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
        """
        now = self.clock.now()
        if kind.lower() in _KINDS:
            return len(self.listed(kind, now))
        if kind == "accounts":
            return len(self.people.accounts)
        if kind == "visitors":
            return sum(1 for _ in self.visitors(now, identified=identified))
        if first is None or last is None:
            raise ValueError(f"{kind} is counted between first and last")
        shards, select = self.activity.shards(kind), self.select(kind, Wanted())
        if kind not in ENTITY_FIELDS:
            return sum(len(self.single(select, first, last, one, now)) for one in shards)
        start = self.calendar.floor(period, first)
        start = start if start == first else self.calendar.next(period, start)
        return sum(
            len(self.grouped(select, period, bucket, shard, now))
            for bucket in self.calendar.buckets(period, start, last)
            for shard in shards
        )


def _read_event(event: dict[str, Any], now: int) -> tuple[str, Injected]:
    """Return the source and the event that someone described, with what a row of it must have."""
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
        fields |= {"browserTime": moment, "guideTimestamp": moment, "receivedTime": now}
    return source, Injected(moment, now, fields)


def _ceiling(calendar: Calendar, moment: int) -> int:
    start = calendar.floor("hour", moment)
    return start if start == moment else calendar.next("hour", start)


def _utc_day(number: int) -> str:
    return datetime.fromtimestamp(number * DAY // 1000, timezone.utc).date().isoformat()


def _merged(
    described: Iterable[tuple[Row, Measures]], late: Iterable[Injected], start: int
) -> list[tuple[Row, Measures]]:
    """Return the groups with injected events added to the group of equal dimensions."""
    merged = {json.dumps(row, sort_keys=True): (row, found) for row, found in described}
    for one in late:
        minute = 1 << (one.moment - start) // 60_000
        name = json.dumps(one.fields, sort_keys=True)
        if name not in merged:
            merged[name] = (one.fields, [0, 0, one.moment, one.moment])
        found = merged[name][1]
        found[0] += 1
        found[1] |= minute
        found[2] = min(found[2], one.moment)
        found[3] = max(found[3], one.moment)
    return list(merged.values())
