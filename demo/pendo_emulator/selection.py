"""Knows which events a request asks for: apps, entities, and the exclude list."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

from pendo_emulator.definitions import Entity
from pendo_emulator.events import ENTITY, VISITOR, Activity, Event, origin
from pendo_emulator.rows import ENTITY_FIELDS, Row


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

    `source` is what was asked for, `origin` the one whose happenings it shows.
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
