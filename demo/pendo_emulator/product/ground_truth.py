"""Knows the truth about a world's events: counts of them by another path than the rows take."""

from collections import Counter
from collections.abc import Iterator
from datetime import datetime, timezone

from pendo_emulator.product.calendar import DAY, Calendar
from pendo_emulator.product.event_store import EventStore
from pendo_emulator.product.events import ENTITY, GUIDES_SEEN, SHARES, VISITOR
from pendo_emulator.product.rows import ENTITY_FIELDS, Selection
from pendo_emulator.product.single_rows import shows_guide

Sums = dict[tuple[int, str, str], int]

SUMMED = (*SHARES, "singleEvents", "rawEvents")
_FIELDS = {
    **ENTITY_FIELDS,
    "guideEvents": "guideId",
    "pollEvents": "pollId",
    "emailEvents": "guideId",
    "agenticEvents": "agentId",
}


def event_sums(
    event_store: EventStore, select: Selection, span: tuple[int, int], calendar: Calendar, now: int
) -> Sums:
    """Return {(appId, entityId, UTC day of the hour bucket): number of events} of a span, ms."""
    first, last = (_ceiling(calendar, moment) for moment in span)
    counts: Counter[tuple[int, str, int]] = Counter()
    entities = event_store.activity.entities[select.origin]
    poll = select.origin == "pollEvents"
    for shard in event_store.activity.shards(select.source):
        for key, moment, _arrival in event_store.wanted(select, first, last, shard, now):
            entity = entities[key >> ENTITY & 0xFFF]
            bucket = calendar.floor("hour", moment) // DAY
            counts[entity.app_id, entity.poll_id if poll else entity.id, bucket] += 1
        for one in event_store.wanted_injected(select, first, last, shard, now):
            entity_id = one.fields.get(_FIELDS[select.origin], "")
            bucket = calendar.floor("hour", one.moment) // DAY
            counts[one.fields["appId"], entity_id, bucket] += 1
    return {
        (app, entity_id, _utc_day(bucket)): count
        for (app, entity_id, bucket), count in counts.items()
    }


def seen_count(event_store: EventStore, select: Selection, first: int, last: int, now: int) -> int:
    """Return how many pairs of visitor and step (or poll) were seen in [first, last), ms."""
    return len(set(_seen(event_store, select, first, last, now)))


def _seen(
    event_store: EventStore, select: Selection, first: int, last: int, now: int
) -> Iterator[tuple[str, str, str]]:
    guides = select.source in GUIDES_SEEN
    activity = event_store.activity
    for shard in activity.shards(select.source):
        for key, _moment, _arrival in event_store.wanted(select, first, last, shard, now):
            if not guides or shows_guide(key):
                entity = activity.entities[select.origin][key >> ENTITY & 0xFFF]
                visitor = activity.visitors[key >> VISITOR].id
                yield visitor, entity.id, entity.step_id if guides else entity.poll_id
        for one in event_store.wanted_injected(select, first, last, shard, now):
            fields = one.fields
            if not guides or str(fields.get("type", "")).endswith("guideSeen"):
                part = fields.get("guideStepId" if guides else "pollId", "")
                yield fields["visitorId"], fields.get("guideId", ""), part


def _ceiling(calendar: Calendar, moment: int) -> int:
    start = calendar.floor("hour", moment)
    return start if start == moment else calendar.next("hour", start)


def _utc_day(number: int) -> str:
    return datetime.fromtimestamp(number * DAY // 1000, timezone.utc).date().isoformat()
