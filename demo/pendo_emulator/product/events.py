"""Knows every raw event: a pure function of seed, source, hour and range of visitors."""

import hashlib
import struct
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

from pendo_emulator.product.calendar import DAY, HOUR
from pendo_emulator.product.definitions import Entity, platform
from pendo_emulator.product.people import Person

# How many events of each source there are for one feature event.
SHARES = {
    "events": 1.5,
    "pageEvents": 1.0,
    "featureEvents": 1.0,
    "trackEvents": 0.3,
    "guideEvents": 0.15,
    "pollEvents": 0.03,
    "emailEvents": 0.02,
    "agenticEvents": 0.02,
}
# Sources that show the event_store of another one.
ORIGINS = {
    "singleEvents": "events",
    "rawEvents": "events",
    "recordingMetadata": "events",
    "guidesSeen": "guideEvents",
    "guidesSeenEver": "guideEvents",
    "pollsSeen": "pollEvents",
    "pollsSeenEver": "pollEvents",
}
EVER = ("guidesSeenEver", "pollsSeenEver")
GUIDES_SEEN, POLLS_SEEN = ("guidesSeen", "guidesSeenEver"), ("pollsSeen", "pollsSeenEver")
LATEST = 8 * HOUR  # no event arrives later than this after it happened
SESSION = 8 * HOUR

# (key, moment, arrival): the packed facts about an event (see `facts`) and two times, ms
Event = tuple[int, int, int]

_DRAWS_PER_SHARD = 600
_DRAW = struct.Struct("<IIHHHBB")
_MORE = (0,) * 160 + (1,) * 60 + (2,) * 24 + (3,) * 12  # further events of one draw, by one byte
_MEAN_BURST = 1 + sum(_MORE) / len(_MORE)
_LAST_START = HOUR - 60_000  # the last moment of an hour at which a burst may begin
_STEP = 13_000
_TWINS = 255  # the burst whose events happen in one moment: single rows that are all alike
_MINUTES, _HOURS = 10 * 60_000, 2 * HOUR
_SOON, _LATE = 230, 251  # of 256: 90 % arrive within minutes, 8 % within 2 h, 2 % within 8 h
_TICKETS = {1: 6, 2: 4, 3: 3, 5: 2}
# A working week, UTC; every hour has some traffic.
_BY_HOUR = (8, 8, 8, 8, 8, 9, 11, 15, 22, 26, 26, 24, 22, 25, 27, 26, 24, 20, 15, 12, 10, 9, 8, 8)
_BY_WEEKDAY = (20, 18, 10, 10, 20, 20, 20)  # from Thursday on, as 1970 began
_MEAN_SHAPE = sum(_BY_HOUR) * sum(_BY_WEEKDAY) / (24 * 7)

VISITOR, ENTITY, _SESSION_BITS = 48, 36, 30  # how far left they stand in a key
_ACCOUNT, _DEVICE, _TAB, _VARIANT = 1 << 35, 1 << 34, 1 << 33, 7 << _SESSION_BITS
_EVERYTHING = _ACCOUNT | _DEVICE | _TAB | _VARIANT
_SESSION = (1 << _SESSION_BITS) - 1
_VARYING = SHARES.keys() - {"events"}
_UNLIKE = {"agenticEvents"}  # each event has an id of its own, so no two are alike


def origin(source: str) -> str:
    """Return the source whose event_store a source shows: most often its own."""
    return ORIGINS.get(source, source)


def facts(key: int) -> tuple[int, int, int, int, int, int, int]:
    """Return what a key says: visitor and entity (places in their tables), then circumstances.

    These are account, device and tab (0 or 1), variant (0 to 7) and the number of the session.
    """
    return (
        key >> VISITOR,
        key >> ENTITY & 0xFFF,
        1 if key & _ACCOUNT else 0,
        1 if key & _DEVICE else 0,
        1 if key & _TAB else 0,
        key >> _SESSION_BITS & 7,
        key & _SESSION,
    )


@dataclass(frozen=True)
class Shard:
    """A range of visitors in the order of their ids; `tickets` repeats the busy ones."""

    number: int
    first_id: str
    tickets: tuple[int, ...]


class Activity:
    """Makes the events of one world: any hour, any range of visitors, any time."""

    def __init__(
        self,
        seed: int,
        events_per_day: float,
        visitors: Sequence[Person],
        entities: dict[str, list[Entity]],
    ) -> None:
        self.visitors = visitors
        self.entities = entities
        self._seed = seed
        self._draws_per_hour = {
            source: events_per_day * share / 24 / _MEAN_BURST for source, share in SHARES.items()
        }
        parts = {source: self._parts(rate) for source, rate in self._draws_per_hour.items()}
        cut = {count: self._cut(count) for count in set(parts.values())}
        self._shards = {source: cut[count] for source, count in parts.items()}
        self._starts = {
            source: [shard.first_id for shard in known] for source, known in self._shards.items()
        }
        # Two keys must never stand for the same row, so a key keeps only what its row shows.
        self._visitor_masks = [
            _EVERYTHING if len(person.accounts) > 1 else _EVERYTHING & ~_ACCOUNT
            for person in visitors
        ]
        self._entity_masks = {
            source: [_entity_mask(source, entity) for entity in known]
            for source, known in entities.items()
        }

    def _parts(self, draws_per_hour: float) -> int:
        """Return how many ranges: so many that an hour of one of them stays small at any rate."""
        return max(1, min(len(self.visitors) // 8, round(draws_per_hour / _DRAWS_PER_SHARD)))

    def _cut(self, count: int) -> list[Shard]:
        """Return so many ranges of visitors."""
        people = len(self.visitors)
        edges = [people * number // count for number in range(count + 1)]
        return [
            Shard(number, self.visitors[first].id, tuple(self._tickets(first, last)))
            for number, (first, last) in enumerate(pairwise(edges))
        ]

    def _tickets(self, first: int, last: int) -> Iterator[int]:
        for place in range(first, last):
            person = self.visitors[place]
            if person.auto is not None:  # whoever must not be processed leaves no events
                yield from [place] * _TICKETS.get(person.every, 1)

    def shards(self, source: str) -> list[Shard]:
        """Return the ranges of visitors that a source is made by, in the order of their ids."""
        return self._shards[origin(source)]

    def shard_of(self, source: str, visitor_id: str) -> int:
        """Return the number of the range that an id, known or not, belongs to."""
        return max(bisect_right(self._starts[origin(source)], visitor_id) - 1, 0)

    def place(self, source: str, entity: Entity) -> int:
        """Return the place of an entity (by its id) among those of a source.

        One that is new is added; no event is made for it.
        """
        known = self.entities[source]
        for place, one in enumerate(known):
            if one.id == entity.id:
                return place
        known.append(entity)
        return len(known) - 1

    def moved(self, source: str, key: int, place: int) -> int:
        """Return the key of an event that happened to another entity, of that place."""
        mask = _entity_mask(source, self.entities[source][place])
        fixed = key & ~(_EVERYTHING | 0xFFF << ENTITY)
        return fixed | place << ENTITY | key & _EVERYTHING & mask

    def between(self, source: str, first: int, last: int, shard: Shard, now: int) -> list[Event]:
        """Return the events of [first, last) that had arrived by `now`; times in ms."""
        source = origin(source)
        events: list[Event] = []
        for hour in range(first - first % HOUR, min(last, now + 1), HOUR):
            made = self._hour(source, hour, shard)
            if hour < first or hour + HOUR > last:
                made = [event for event in made if first <= event[1] < last]
            if hour + HOUR + LATEST > now:
                made = [event for event in made if event[2] <= now]
            events += made
        return events

    def _hour(self, source: str, start: int, shard: Shard) -> list[Event]:
        """Return all events that one range of visitors causes in the UTC hour at `start`."""
        lots = hashlib.shake_128(f"{self._seed}/{source}/{start}/{shard.number}".encode())
        shape = _BY_HOUR[start // HOUR % 24] * _BY_WEEKDAY[start // DAY % 7] / _MEAN_SHAPE
        expected = self._draws_per_hour[source] * shape / len(self._shards[source])
        count = int(expected + int.from_bytes(lots.digest(4), "big") / (1 << 32))
        if not count:
            return []
        return self._draw(source, start, shard.tickets, lots.digest(4 + count * _DRAW.size)[4:])

    def _draw(self, source: str, start: int, tickets: tuple[int, ...], lots: bytes) -> list[Event]:
        """Return the events that lots stand for, 16 bytes for each burst of one to five events."""
        visitor_masks, entity_masks = self._visitor_masks, self._entity_masks[source]
        people, kinds = len(tickets), len(entity_masks)
        session = start // SESSION
        twins = -1 if source in _UNLIKE else _TWINS
        events: list[Event] = []
        add = events.append
        for offset, wait, lot, kind, flags, burst, lateness in _DRAW.iter_unpack(lots):
            visitor = tickets[lot % people]
            entity = (kind * kind >> 16) * kinds >> 16
            mask = visitor_masks[visitor] & entity_masks[entity]
            chosen = (flags & 7) << _SESSION_BITS | (flags & 0x18) << _SESSION_BITS + 1
            if flags & 0x700 == 0:
                chosen |= _TAB
            fixed = visitor << VISITOR | entity << ENTITY | session
            key = fixed | (chosen & mask)
            moment = start + (offset * _LAST_START >> 32)
            if lateness < _SOON:
                delay = wait % _MINUTES
            else:
                delay = wait % (_HOURS if lateness < _LATE else LATEST)
            add((key, moment, moment + delay))
            step = 0 if burst == twins else _STEP
            for _ in range(_MORE[burst]):
                moment += step
                add((key, moment, moment + delay))
            if flags & 0xF800 == 0:  # the same again, but for parameters or properties
                add((fixed | ((chosen ^ _VARIANT) & mask), moment, moment + delay))
        return events


def _entity_mask(source: str, entity: Entity) -> int:
    mask = _EVERYTHING
    if platform(entity.app_id) != "web":
        mask &= ~_DEVICE
    return mask if source in _VARYING else mask & ~_VARIANT
