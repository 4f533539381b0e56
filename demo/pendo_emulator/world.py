"""Knows the whole made-up product at any moment, and the truth about its events."""

from collections import Counter
from collections.abc import Collection, Iterable, Iterator
from datetime import datetime, timezone
from typing import Any
from zoneinfo import ZoneInfo

from pendo_emulator.areas import held_items
from pendo_emulator.clock import Clock
from pendo_emulator.definitions import (
    DISABLED_APP,
    LIVE_APPS,
    Definition,
    make_definitions,
    make_entities,
)
from pendo_emulator.events import (
    ENTITY,
    LATEST,
    SESSION,
    SHARES,
    VISITOR,
    Activity,
    Event,
    Shard,
    origin,
)
from pendo_emulator.functions import is_anonymous
from pendo_emulator.history import Histories
from pendo_emulator.injected import Injected, merged, read_event, single
from pendo_emulator.knobs import Knobs
from pendo_emulator.people import make_people
from pendo_emulator.periods import DAY, HOUR, Calendar
from pendo_emulator.recordings import recordings
from pendo_emulator.rows import ENTITY_FIELDS, Describer, Row, group, measures
from pendo_emulator.seen import guides_seen, polls_seen
from pendo_emulator.selection import Selection, Wanted
from pendo_emulator.singles import shows_guide, single_row

ALL_APPS = (*LIVE_APPS, DISABLED_APP)
_HISTORY = 730 * DAY
_COUNTABLE = ("page", "feature", "trackType")
_KINDS = {
    "app": "app",
    "page": "page",
    "feature": "feature",
    "tracktype": "trackType",
    "guide": "guide",
    "group": "group",
    "report": "report",
}
_TRUTH_FIELDS = {
    **ENTITY_FIELDS,
    "guideEvents": "guideId",
    "pollEvents": "pollId",
    "emailEvents": "guideId",
    "agenticEvents": "agentId",
}
EVER = ("guidesSeenEver", "pollsSeenEver")
GUIDES_SEEN, POLLS_SEEN = ("guidesSeen", "guidesSeenEver"), ("pollsSeen", "pollsSeenEver")
SUMMED = (*SHARES, "singleEvents", "rawEvents")
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
        self.people = make_people(seed, visitors, accounts, LIVE_APPS)
        entities = make_entities(self.definitions)
        self.activity = Activity(seed, events_per_day, self.people.visitors, entities)
        self._describer = Describer(self.activity)
        self._injected: dict[str, list[Injected]] = {source: [] for source in SHARES}
        start = self.clock.now() - _HISTORY
        self.history_start = start - start % DAY
        self._histories = Histories(
            self.activity, self.people, self._describer, self._injected, self.history_start
        )

    @property
    def calendar(self) -> Calendar:
        """The subscription's calendar, with its hours aligned as the knob says."""
        return Calendar(self.zone, self.knobs.hour_alignment)

    # What the API shows

    def listed(self, kind: str, now: int) -> list[Definition]:
        """Return the definitions of a kind as of `now`, of reports the public ones.

        Kinds are app, page, feature, tracktype, guide, group (product area) and report.
        """
        kind = _KINDS[kind.lower()]
        found = self.definitions[kind]
        if kind == "group":
            return self.groups(items=False)
        if kind == "report":
            return [one for one in found if one.get("shared", True)]
        if kind not in _COUNTABLE:
            return list(found)
        through = now - now % HOUR  # moves hourly without lastUpdatedAt (§2.2)
        held = held_items(self.definitions)
        return [{**one, "validThrough": through, **_area(one, held)} for one in found]

    def groups(self, *, items: bool) -> list[Definition]:
        """Return the product areas (§4.4), with what each holds, or with null instead."""
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
                yield person.row("visitorId", now)

    def accounts(self, now: int) -> Iterator[Row]:
        """Yield the rows of accounts, sorted by id."""
        return (person.row("accountId", now) for person in self.people.accounts)

    def do_not_process(self, kind: str) -> list[Row]:
        """Return the rows of doNotProcessVisitors or doNotProcessAccounts (§3.4)."""
        if kind == "doNotProcessVisitors":
            return [{"visitorId": one.id} for one in self.people.visitors if one.silent()]
        return [{"accountId": one.id} for one in self.people.accounts if one.silent()]

    def select(self, source: str, wanted: Wanted) -> Selection:
        """Return the selection that a request's parameters stand for; make it once a request."""
        return Selection(source, wanted, self.activity, self.people.excluded)

    def earliest(self, source: str) -> int:
        """Return the moment before which nothing has happened, ms."""
        moments = [one.moment for one in self._injected[origin(source)]]
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
            described = merged(described, late, start)
        frustration = source != "trackEvents"
        return [
            {**row, unit: start, **measures(found, frustration=frustration)}
            for row, found in described
        ]

    def single(self, select: Selection, first: int, last: int, shard: Shard, now: int) -> list[Row]:
        """Return one row for each event of [first, last) and one range of visitors."""
        if select.source == "recordingMetadata":
            return self._recordings(select, first, last, shard, now)
        # of guides and polls that were seen, the events by which they were
        source = select.source if select.source in SUMMED else select.origin
        events = self._events(select, first, last, shard, now)
        late = self._late(select, first, last, shard, now)
        rows = [single_row(self._describer, source, event) for event in events]
        return rows + [single(source, one) for one in late]

    def seen(self, select: Selection, first: int, last: int, shard: Shard, now: int) -> list[Row]:
        """Return what a range of visitors saw of guides, or answered to polls, in [first, last)."""
        rows = self.single(select, first, last, shard, now)
        if select.source in GUIDES_SEEN:
            return guides_seen(rows)
        return polls_seen(rows, self.knobs.poll_response)

    def _recordings(
        self, select: Selection, first: int, last: int, shard: Shard, now: int
    ) -> list[Row]:
        rows: list[Row] = []
        for start in range(first - first % SESSION, last, SESSION):
            end = start + SESSION
            # even what has not arrived: a recording is shown when it is whole
            events = self._events(select, start, end, shard, end + LATEST)
            rows += recordings(self._describer, events, now)
        return [row for row in rows if first <= row["startTime"] < last]

    def history(self, visitor_id: str, start: int, now: int) -> list[Row]:
        """Return what a visitor did in the 24 hours from `start`, ms (§2.9).

        Raises:
            KeyError: for an unknown visitor.
        """
        return self._histories.rows(visitor_id, start, now)

    def _events(
        self, select: Selection, first: int, last: int, shard: Shard, now: int
    ) -> list[Event]:
        first = max(first, self.history_start)
        return select.events(self.activity.between(select.origin, first, last, shard, now))

    def _late(
        self, select: Selection, first: int, last: int, shard: Shard, now: int
    ) -> list[Injected]:
        """Return the injected events of a stretch of time and a range of visitors."""
        source = select.origin
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
        for source, injected in [read_event(event, now) for event in events]:
            self._injected[source].append(injected)

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
        calendar, now = self.calendar, self.clock.now()
        first, last = (_ceiling(calendar, moment) for moment in (first, last))
        select = self.select(source, Wanted(apps=app_ids))
        counts: Counter[tuple[int, str, int]] = Counter()
        entities = self.activity.entities[select.origin]
        poll = source == "pollEvents"
        for shard in self.activity.shards(source):
            for key, moment, _arrival in self._events(select, first, last, shard, now):
                entity = entities[key >> ENTITY & 0xFFF]
                bucket = calendar.floor("hour", moment) // DAY
                counts[entity.app_id, entity.poll_id if poll else entity.id, bucket] += 1
            for one in self._late(select, first, last, shard, now):
                entity_id = one.fields.get(_TRUTH_FIELDS[select.origin], "")
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
        if kind in (*GUIDES_SEEN, *POLLS_SEEN):
            return self._count_seen(kind, first, last, now)
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

    def _count_seen(self, kind: str, first: int, last: int, now: int) -> int:
        """Return how many pairs of visitor and step or poll there are, by the raw events."""
        select = self.select(kind, Wanted())
        wanted = shows_guide if kind in GUIDES_SEEN else bool
        found: set[tuple[str, str, str]] = set()
        for shard in self.activity.shards(kind):
            for key, _moment, _arrival in self._events(select, first, last, shard, now):
                if wanted(key):
                    entity = self.activity.entities[select.origin][key >> ENTITY & 0xFFF]
                    visitor = self.people.visitors[key >> VISITOR].id
                    found.add((visitor, entity.id, entity.poll_id or entity.step_id))
        return len(found)

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


def _ceiling(calendar: Calendar, moment: int) -> int:
    start = calendar.floor("hour", moment)
    return start if start == moment else calendar.next("hour", start)


def _utc_day(number: int) -> str:
    return datetime.fromtimestamp(number * DAY // 1000, timezone.utc).date().isoformat()
