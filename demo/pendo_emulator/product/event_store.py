"""All events of a world, generated or injected, under their present tags; and their rows."""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from emulation.clock import parse_moment

from pendo_emulator.product.calendar import HOUR
from pendo_emulator.product.definitions import ALL_EVENTS, DEFAULT_APP, Entity
from pendo_emulator.product.events import (
    ENTITY,
    GUIDES_SEEN,
    LATEST,
    POLLS_SEEN,
    SESSION,
    SHARES,
    Activity,
    Event,
    Shard,
    origin,
)
from pendo_emulator.product.rows import (
    BUCKETS,
    ENTITY_FIELDS,
    MEASURES,
    Describer,
    Measures,
    Row,
    Selection,
    group,
    measures,
)
from pendo_emulator.product.single_rows import guides_seen, polls_seen, recordings, single_row
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


# The kind of definition that an event of a source may be tagged with.
TAGGED = {"pageEvents": "page", "featureEvents": "feature", "trackEvents": "trackType"}


@dataclass(frozen=True)
class Retag:
    """From now on the events of one entity in [first, last), ms, count for another, or for none."""

    old: str
    new: Entity | None
    first: int
    last: int


class Tagging:
    """The retags of a world, in the order in which they were made."""

    def __init__(self, activity: Activity) -> None:
        self._activity = activity
        self._retags: dict[str, list[Retag]] = {source: [] for source in TAGGED}

    def add(self, source: str, retag: Retag) -> None:
        """Add a retag of a source in TAGGED; an entity without events gets its place now."""
        for entity in (Entity(retag.old, 0), retag.new):
            if entity is not None:
                self._activity.place(source, entity)
        self._retags[source].append(retag)

    def events(self, source: str, events: list[Event]) -> list[Event]:
        """Return raw events as they count now."""
        for retag in self._retags.get(source, ()):
            events = list(self._retagged(source, retag, events))
        return events

    def _retagged(self, source: str, retag: Retag, events: list[Event]) -> Iterable[Event]:
        old = self._activity.place(source, Entity(retag.old, 0))
        new = None if retag.new is None else self._activity.place(source, retag.new)
        for event in events:
            key, moment, arrival = event
            if key >> ENTITY & 0xFFF != old or not retag.first <= moment < retag.last:
                yield event
            elif new is not None:
                yield self._activity.moved(source, key, new), moment, arrival

    def injected(self, source: str, events: list[Injected]) -> list[Injected]:
        """Return injected events as they count now."""
        for retag in self._retags.get(source, ()):
            field = ENTITY_FIELDS[source]
            kept = []
            for one in events:
                hit = one.fields.get(field) == retag.old and retag.first <= one.moment < retag.last
                if not hit:
                    kept.append(one)
                elif retag.new is not None:
                    fields = {**one.fields, field: retag.new.id, "appId": retag.new.app_id}
                    kept.append(Injected(one.moment, one.arrival, fields))
            events = kept
        return events


class EventStore:
    """The events of a world and the rows that they give; all times are ms.

    `since` is the moment at which the made events begin; injected ones may be older.
    """

    def __init__(self, activity: Activity, since: int) -> None:
        self.activity = activity
        self.describer = Describer(activity)
        self.since = since
        self._tagging = Tagging(activity)
        self._injected = {source: InjectedEvents() for source in SHARES}

    def inject(self, source: str, event: Injected) -> None:
        """Add an event to a source of SHARES."""
        self._injected[source].add(event)

    def retag(self, source: str, retag: Retag) -> None:
        """Let events of a source of TAGGED count for another entity from now on."""
        self._tagging.add(source, retag)

    def earliest(self, source: str) -> int:
        """Return the moment before which nothing has happened."""
        earliest = self._injected[origin(source)].earliest()
        return self.since if earliest is None else min(self.since, earliest)

    # Events

    def made(self, source: str, first: int, last: int, shard: Shard, now: int) -> list[Event]:
        """Return the made events of [first, last) and a range of visitors, as they count now."""
        events = self.activity.between(source, max(first, self.since), last, shard, now)
        return self._tagging.events(source, events)

    def injected(self, source: str, first: int, last: int, now: int) -> list[Injected]:
        """Return the injected events of [first, last), as they count now."""
        return self._tagging.injected(source, self._injected[source].between(first, last, now))

    def wanted(
        self, select: Selection, first: int, last: int, shard: Shard, now: int
    ) -> list[Event]:
        """Return the made events that are selected."""
        return select.events(self.made(select.origin, first, last, shard, now))

    def wanted_injected(
        self, select: Selection, first: int, last: int, shard: Shard, now: int
    ) -> list[Injected]:
        """Return the injected events that are selected."""
        shard_of = self.activity.shard_of
        return [
            one
            for one in self.injected(select.origin, first, last, now)
            if select.row(one.fields)
            and shard_of(select.origin, one.fields["visitorId"]) == shard.number
        ]

    # Rows

    def grouped(
        self, select: Selection, unit: str, bucket: tuple[int, int], shard: Shard, now: int
    ) -> list[Row]:
        """Return the grouped rows of one bucket and one range of visitors."""
        source = select.source
        start, end = bucket
        groups = group(self.wanted(select, start, end, shard, now), start)
        described = [(self.describer.grouped(source, key), found) for key, found in groups.items()]
        late = self.wanted_injected(select, start, end, shard, now)
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
        seen = select.source in (*GUIDES_SEEN, *POLLS_SEEN)
        source = select.origin if seen else select.source  # the events by which it was seen
        events = self.wanted(select, first, last, shard, now)
        late = self.wanted_injected(select, first, last, shard, now)
        rows = [single_row(self.describer, source, event) for event in events]
        return rows + [single(source, one) for one in late]

    def seen(
        self, select: Selection, span: tuple[int, int], shard: Shard, now: int, answer: str
    ) -> list[Row]:
        """Return what a range of visitors saw of guides, or answered to polls, within a span.

        `answer` is what the rows of polls call the answer.
        """
        rows = self.single(select, *span, shard, now)
        return guides_seen(rows) if select.source in GUIDES_SEEN else polls_seen(rows, answer)

    def _recordings(
        self, select: Selection, first: int, last: int, shard: Shard, now: int
    ) -> list[Row]:
        """Return the recordings of made events; an injected event belongs to no session."""
        rows: list[Row] = []
        for start in range(first - first % SESSION, last, SESSION):
            end = start + SESSION
            # even what has not arrived: a recording is shown when it is whole
            events = self.wanted(select, start, end, shard, end + LATEST)
            rows += recordings(self.describer, events, now)
        return [row for row in rows if first <= row["startTime"] < last]
