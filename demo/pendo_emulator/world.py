"""Knows the whole made-up product at any moment, and the truth about its events."""

from collections import Counter
from collections.abc import Collection, Iterable, Iterator
from datetime import datetime, timezone
from typing import Any
from zoneinfo import ZoneInfo

from pendo_emulator.alterations import Alterations
from pendo_emulator.clock import Clock
from pendo_emulator.definitions import (
    DISABLED_APP,
    LIVE_APPS,
    Definition,
    Entity,
    make_definitions,
    make_entities,
    users,
)
from pendo_emulator.events import ENTITY, SHARES, Activity, Event, Shard
from pendo_emulator.functions import is_anonymous
from pendo_emulator.injected import Injected, InjectedEvents, merged, read_event
from pendo_emulator.knobs import Knobs
from pendo_emulator.metadata import Schema
from pendo_emulator.people import make_people
from pendo_emulator.periods import DAY, HOUR, Calendar
from pendo_emulator.rows import (
    ENTITY_FIELDS,
    Describer,
    Row,
    group,
    measures,
)
from pendo_emulator.segments import make_segments
from pendo_emulator.selection import Selection, Wanted
from pendo_emulator.tagging import TAGGED, Retag, Tagging

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
        self.alterations = Alterations()
        self._tagging = Tagging(self.activity)
        self._injected = {source: InjectedEvents() for source in SHARES}
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
                yield self.alterations.row("visitor", person.row("visitorId", now))

    def accounts(self, now: int) -> Iterator[Row]:
        """Yield the rows of accounts, sorted by id."""
        for person in self.people.accounts:
            yield self.alterations.row("account", person.row("accountId", now))

    def metadata_schema(self, kind: str) -> Schema:
        """Return the metadata schema of visitor or account (§2.8)."""
        return self.alterations.schema(kind, ALL_APPS)

    def select(self, source: str, wanted: Wanted) -> Selection:
        """Return the selection that a request's parameters stand for; make it once a request."""
        return Selection(source, wanted, self.activity, self.people.excluded)

    def earliest(self, source: str) -> int:
        """Return the moment before which nothing has happened, ms."""
        earliest = self._injected[source].earliest()
        return self.history_start if earliest is None else min(self.history_start, earliest)

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
            described = merged(described, late, start)
        frustration = source != "trackEvents"
        rows = [
            {**row, unit: start, **measures(found, frustration=frustration)}
            for row, found in described
        ]
        return [part for row in rows for part in _split(row)] if self.knobs.split_rows else rows

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
        events = self.activity.between(select.source, first, last, shard, now)
        return select.events(self._tagging.events(select.source, events))

    def _late(
        self, select: Selection, first: int, last: int, shard: Shard, now: int
    ) -> list[Injected]:
        """Return the injected events of a stretch of time and a range of visitors."""
        source = select.source
        found = self._injected[source].between(first, last, now)
        return [
            one
            for one in self._tagging.injected(source, found)
            if select.row(one.fields)
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
        for source, injected in [read_event(event, now) for event in events]:
            self._injected[source].add(injected)

    def retag(
        self, source: str, entity_from: str, entity_to: str | None, first: int, last: int
    ) -> None:
        """From now on count the events of an entity in [first, last), ms, for another one.

        Rows and `sums` alike change, as when Pendo reprocesses its history (§5.4). `source` is
        pageEvents, featureEvents or trackEvents; `entity_to` None: they count for nothing.

        Raises:
            ValueError: for another source, or an entity_to that is no definition of its kind.
        """
        if source not in TAGGED:
            raise ValueError(f"source must be one of {', '.join(TAGGED)}")
        new = None
        if entity_to is not None:
            known = {one["id"]: one["appId"] for one in self.definitions[TAGGED[source]]}
            if entity_to not in known:
                raise ValueError(f"no {TAGGED[source]} has the id {entity_to}")
            new = Entity(entity_to, known[entity_to])
        self._tagging.add(source, Retag(entity_from, new, first, last))

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


def _ceiling(calendar: Calendar, moment: int) -> int:
    start = calendar.floor("hour", moment)
    return start if start == moment else calendar.next("hour", start)


def _utc_day(number: int) -> str:
    return datetime.fromtimestamp(number * DAY // 1000, timezone.utc).date().isoformat()


def _split(row: Row) -> list[Row]:
    """Return a grouped row as two of equal dimensions that add up to it, if it can be."""
    if row["numEvents"] == 1:
        return [row]
    one = {"numEvents": 1, "numMinutes": 1, "lastTime": row["firstTime"]}
    one |= {name: 0 for name in row if name.endswith("Count")}
    minutes = max(row["numMinutes"] - 1, 1)
    return [{**row, **one}, {**row, "numEvents": row["numEvents"] - 1, "numMinutes": minutes}]
