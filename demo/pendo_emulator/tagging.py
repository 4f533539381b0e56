"""Knows which events count for another entity than they were made for."""

from collections.abc import Iterable
from dataclasses import dataclass

from pendo_emulator.definitions import Entity
from pendo_emulator.events import ENTITY, Activity, Event
from pendo_emulator.injected import Injected
from pendo_emulator.rows import ENTITY_FIELDS

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
