"""Knows the events and metadata that are odd but possible, and puts them into a world."""

from collections.abc import Callable, Iterator
from typing import Any

import msgspec

from pendo_emulator.product.calendar import HOUR
from pendo_emulator.product.event_store import TAGGED
from pendo_emulator.product.events import SHARES
from pendo_emulator.product.metadata import ABSENT, Row
from pendo_emulator.product.random_values import ACCOUNT_IDS, TEXTS, VISITOR_IDS, identifier
from pendo_emulator.product.rows import ENTITY_FIELDS
from pendo_emulator.world import World

FLOOD = 60_000  # rows: more than the largest page that a client is known to ask for
_OWN_NAMES = ("visitor_id", "account_id", "row_id", "extra", "metadata", "read_at", "hour")
_TYPES = {
    "guideEvents": "guideSeen",
    "pollEvents": "pollResponse",
    "emailEvents": "emailOpened",
    "agenticEvents": "prompt",
}
_ANONYMOUS = ("_PENDO_T_", "_PENDO_T_a/b\\c", '_PENDO_T_"quoted"', "_PENDO_T_日本語🦊")
_MANY_LINES = ('line\n"two"\r\nthree', "a/b\\c\"d'e`f🦊", "\u2028\u0085\u200b")
_MEGABYTE = '},{"results":[\\ü🦊' * 60_000
_BEYOND = tuple(
    msgspec.Raw(text) for text in (b"123456789012345678901234567890", b"-9223372036854775809")
)
_MIXED: tuple[Any, ...] = (7, "7", 7.5, True, None, "", [7, "7"], {"seven": 7})


def _hour(world: World, ago: int) -> int:
    """Return the start of the hour so many hours ago, ms."""
    now = world.clock.now()
    return now - now % HOUR - ago * HOUR


def _event(world: World, source: str, moment: int, visitor: str, fields: Row) -> Row:
    """Return an event to inject, with the fields that any row of its source has."""
    entity = world.activity.entities[source][0]
    row = {"source": source, "ts": moment, "visitorId": visitor, "appId": entity.app_id}
    if source in ENTITY_FIELDS:
        row |= {ENTITY_FIELDS[source]: entity.id, "server": "app.atlas.example"}
    elif source == "agenticEvents":
        row |= {"agentId": entity.id, "eventId": identifier(moment, visitor, fields)}
    else:
        row |= {"guideId": entity.id, "guideStepId": entity.step_id}
    if entity.poll_id:
        row |= {"pollId": entity.poll_id, "pollType": entity.poll_type, "pollResponse": 7}
    if source in _TYPES:
        row["type"] = _TYPES[source]
    return {**row, "accountId": ACCOUNT_IDS[0], **fields}


def flood(world: World, source: str, rows: int = FLOOD) -> None:
    """Put many rows into one hour, three quarters of them one visitor's.

    All share their bucket; single rows (guideEvents, pollEvents) share their browserTime too.
    """
    moment = _hour(world, 30) + 1_800_000

    def events() -> Iterator[Row]:
        for number in range(rows):
            visitor = "flood@atlas.example" if number % 4 else f"flood-{number:06d}@atlas.example"
            yield _event(world, source, moment, visitor, {"tabId": f"{number:016x}"})

    world.inject(events())


def awkward_ids(world: World) -> None:
    """Put events of visitors, accounts and entities into one hour whose ids need escaping."""
    moment = _hour(world, 29)
    ids = (*VISITOR_IDS, *_MANY_LINES)
    for source in SHARES:
        world.inject(
            _event(world, source, moment + n, one, {"accountId": ACCOUNT_IDS[n % len(ACCOUNT_IDS)]})
            for n, one in enumerate(ids)
        )
    for source, kind in TAGGED.items():
        for key in _MANY_LINES:
            original = world.definitions[kind][0]
            world.add_definition(kind, {**original, "id": key, "rootVersionId": key})
            fields = {"appId": original["appId"], ENTITY_FIELDS[source]: key}
            world.inject([_event(world, source, moment, ids[0], fields)])


def anonymous_visitors(world: World) -> None:
    """Put events of visitors who never identified themselves, with and without accounts."""
    moment = _hour(world, 28)
    accounts: tuple[Row, ...] = ({"accountId": ""}, {"accountId": None}, {})
    for source in SHARES:
        world.inject(
            _event(world, source, moment, visitor, account)
            for visitor in _ANONYMOUS
            for account in accounts
        )


def late_events(world: World) -> None:
    """Let events arrive now that happened yesterday, and six days ago."""
    for ago in (30, 144):
        moment = _hour(world, ago)
        for source in SHARES:
            world.inject([_event(world, source, moment + 1, "late@atlas.example", {})])


def _free_values(world: World, moment: int, visitor: str, value: Any) -> Iterator[Row]:
    """Yield one event of each source that has a field of any type, with the value in it."""
    inside = {"properties": {"value": value, "deep": {"list": [value]}}}
    yield _event(world, "trackEvents", moment, visitor, inside)
    yield _event(world, "featureEvents", moment, visitor, inside)
    yield _event(world, "pageEvents", moment, visitor, {"parameters": {"parameter": value}})
    yield _event(world, "pollEvents", moment, visitor, {"pollResponse": value})


def _put_values(world: World, moment: int, values: tuple[Any, ...]) -> None:
    for number, value in enumerate(values):
        world.inject(_free_values(world, moment, f"values{number}@atlas.example", value))


def mixed_types(world: World) -> None:
    """Put every type of value into pollResponse, properties and parameters."""
    moment = _hour(world, 27)
    _put_values(world, moment, _MIXED)
    for number, value in enumerate((*_MIXED, TEXTS[1])):
        whole = {"properties": value, "parameters": value}
        visitor = f"whole{number}@atlas.example"
        world.inject([_event(world, source, moment, visitor, whole) for source in TAGGED])


def huge_integers(world: World) -> None:
    """Put whole numbers beyond 64 bits into events and metadata."""
    _put_values(world, _hour(world, 26), (*_BEYOND, 2**64 - 1, 2**63, -(2**63)))
    for kind in ("visitor", "account"):
        world.overrides.add_field(kind, "custom", "serial", "integer", [*_BEYOND, 2**63, 1])


def not_numbers(world: World) -> None:
    """Put NaN and Infinity, which are not JSON, into one event each."""
    tokens = tuple(msgspec.Raw(text) for text in (b"NaN", b"Infinity", b"-Infinity"))
    _put_values(world, _hour(world, 26), tokens)


def huge_rows(world: World) -> None:
    """Put rows of more than a megabyte, full of what looks like the end of a row."""
    _put_values(world, _hour(world, 25), (_MEGABYTE,))


def mixed_metadata(world: World) -> None:
    """Give people metadata whose values differ from the type that the schema names."""
    for kind in ("visitor", "account"):
        for type_ in ("string", "integer", "float", "boolean", "time", "list"):
            values = [*_MIXED, ABSENT, "2024-01-01", 1_700_000_000_000]
            world.overrides.add_field(kind, "custom", f"mixed_{type_}", type_, values)


def unknown_metadata_types(world: World) -> None:
    """Give people metadata of types that nobody has heard of."""
    for kind in ("visitor", "account"):
        for number, type_ in enumerate(("", "duration", "Integer", "list<string>")):
            values = [*_MIXED, ABSENT]
            world.overrides.add_field(kind, "custom", f"unknown_{number}", type_, values)


def names_of_ours(world: World) -> None:
    """Give people metadata, and events properties, named as a client might name its columns."""
    for kind in ("visitor", "account"):
        for name in _OWN_NAMES:
            values = [f"not {name}", ABSENT]
            world.overrides.add_field(kind, "custom", name, "string", values)
            world.overrides.add_field(kind, name, "field", "string", values)
    _put_values(world, _hour(world, 24), ({name: name for name in _OWN_NAMES},))


def people_without_auto(world: World) -> None:
    """Take `metadata.auto` from every third visitor and account."""
    for kind in ("visitor", "account"):
        world.overrides.override(kind, _sometimes(kind, _without_auto))


def people_never_updated(world: World) -> None:
    """Set `metadata.auto.lastupdated` of every third visitor and account to null."""
    for kind in ("visitor", "account"):
        world.overrides.override(kind, _sometimes(kind, _never_updated))


def _sometimes(kind: str, change: Callable[[Row], Row]) -> Callable[[Row], Row]:
    return lambda row: change(row) if sum(row[f"{kind}Id"].encode()) % 3 == 0 else row


def _without_auto(row: Row) -> Row:
    kept = {name: group for name, group in row["metadata"].items() if not name.startswith("auto")}
    return {**row, "metadata": kept}


def _never_updated(row: Row) -> Row:
    metadata = row["metadata"]
    if "auto" not in metadata:
        return row
    return {**row, "metadata": {**metadata, "auto": {**metadata["auto"], "lastupdated": None}}}


def retag_yesterday(world: World) -> None:
    """Count two days of the busiest page, feature and track type for others, and one for none."""
    first, last = _hour(world, 72), _hour(world, 24)
    for source in TAGGED:
        busy, other, gone = (one.id for one in world.activity.entities[source][:3])
        world.retag(source, busy, other, first, last)
        world.retag(source, gone, None, first, last)
