"""Knows the sources of a pipeline: their parameters, and the rows they give."""

import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any, TypeVar

from pendo_emulator.access import Refused, bad_pipeline
from pendo_emulator.knobs import Knobs
from pendo_emulator.pipeline.table import Chunk, Table, shuffled
from pendo_emulator.pipeline.timeseries import Window
from pendo_emulator.product.calendar import DAY, HOUR
from pendo_emulator.product.definitions import DEFAULT_APP, platform
from pendo_emulator.product.events import EVER, GUIDES_SEEN, POLLS_SEEN, SESSION
from pendo_emulator.product.rows import ENTITY_FIELDS, Wanted
from pendo_emulator.world import ALL_APPS, World

EVERY_APP = 'expandAppIds("*")'
_DEFINITIONS = {
    "apps": "app",
    "pages": "page",
    "features": "feature",
    "trackTypes": "trackType",
    "guides": "guide",
}
Place = TypeVar("Place")

_SILENT = ("doNotProcessVisitors", "doNotProcessAccounts")
_COMMON = {"appId", "blacklist"}
PARAMETERS: dict[str, set[str]] = {
    "visitors": {"identified"},
    "accounts": {"appId"},
    "apps": set(),
    "pages": {"appId"},
    "features": {"appId"},
    "trackTypes": {"appId"},
    "guides": {"appId"},
    "const": set(),
    "events": _COMMON | {"eventClass"},
    "pageEvents": _COMMON | {"pageId"},
    "featureEvents": _COMMON | {"featureId"},
    "trackEvents": _COMMON | {"trackTypeId"},
    "guideEvents": _COMMON | {"guideId", "guideStepId"},
    "pollEvents": _COMMON | {"guideId", "pollId"},
    "singleEvents": _COMMON | {"eventClass"},
    "rawEvents": _COMMON | {"eventClass"},
    "guidesSeen": _COMMON | {"guideId", "guideStepId"},
    "guidesSeenEver": _COMMON | {"guideId", "guideStepId"},
    "pollsSeen": _COMMON | {"guideId", "pollId"},
    "pollsSeenEver": _COMMON | {"guideId", "pollId"},
    "emailEvents": _COMMON | {"guideId"},
    "recordingMetadata": _COMMON,
    "agenticEvents": _COMMON | {"agentId"},
    "groups": {"items"},
    "doNotProcessVisitors": set(),
    "doNotProcessAccounts": set(),
}
EVENT_SOURCES = frozenset(
    name for name, known in PARAMETERS.items() if "blacklist" in known and name not in EVER
)
_RECEIVED = ("guideEvents", "pollEvents")
_LATEST = 7 * DAY  # what arrives later is not looked for by the time when it was received
_POLLS = ("pollEvents", "pollsSeen", "pollsSeenEver")


def check_parameters(source: str, parameters: Any) -> dict[str, Any]:
    """Return a source's parameters, {} for null; for const an object of its `rows`.

    Raises:
        Refused: 400 in Pendo's own words for a parameter that the source does not have.
    """
    if source == "const":
        if not isinstance(parameters, list) or not all(isinstance(one, dict) for one in parameters):
            raise _bad(source, "expected a list of rows")
        return {"rows": parameters}
    if parameters is None:
        parameters = {}
    if not isinstance(parameters, dict) or parameters.keys() - PARAMETERS[source]:
        raise _bad(source, "unexpected parameters")
    if source in _POLLS and ("guideId" in parameters) != ("pollId" in parameters):
        raise _bad(source, "guideId and pollId go together")
    if source == "agenticEvents" and not {"agentId", "appId"} <= parameters.keys():
        raise _bad(source, "agentId and appId are required")
    return parameters


def has_window(source: str, parameters: dict[str, Any], series: Any, knobs: Knobs) -> bool:
    """Return whether a source is to be read within its timeSeries.

    Raises:
        Refused: 400 where the knobs say that the source is not to be had in this way.
    """
    if source == "rawEvents" and knobs.raw_events == "disabled":
        raise bad_pipeline("bad source: source type rawEvents is not enabled")
    one_poll = source == "pollsSeenEver" and knobs.polls_seen_ever == "one_poll"
    if one_poll and "pollId" not in parameters:
        raise _bad(source, "guideId and pollId are required")
    if source == "guidesSeenEver" and knobs.guides_seen_ever != "either":
        if knobs.guides_seen_ever == "no_series" and series is not None:
            raise bad_pipeline("bad source: unexpected timeSeries")
        return knobs.guides_seen_ever == "series"
    return source in EVENT_SOURCES or (source in EVER and series is not None)


def _bad(source: str, reason: str) -> Refused:
    return bad_pipeline(f"bad source: bad parameters for source type {source}: {reason}")


def object_rows(world: World, source: str, parameters: dict[str, Any], now: int) -> Table:
    """Return the rows of a source without a window: people, definitions, what was ever seen.

    Raises:
        Refused: 400 for a parameter of the wrong form.
    """
    if source == "visitors":
        return _visitors(world, parameters, now)
    if source == "accounts":
        return shuffled(lambda: world.accounts(now), ("accountId",))
    if source in EVER:
        return _ever(world, source, parameters, now)
    rows = _few_rows(world, source, parameters, now)
    return shuffled(lambda: rows)


def _few_rows(world: World, source: str, parameters: dict[str, Any], now: int) -> Chunk:
    """Return the rows of a source that has few of them."""
    if source == "const":
        return list(parameters["rows"])
    if source in _SILENT:
        return world.do_not_process(source)
    if source == "groups":
        return world.groups(items=_items(parameters))
    found = world.listed(_DEFINITIONS[source], now)
    apps = None if source == "apps" else _apps(source, parameters)
    return [one for one in found if apps is None or one["appId"] in apps]


def _items(parameters: dict[str, Any]) -> bool:
    items = parameters.get("items", False)
    if not isinstance(items, bool):
        raise _bad("groups", "items must be a boolean")
    return items


def _ever(world: World, source: str, parameters: dict[str, Any], now: int) -> Table:
    """Return what was ever seen, a chunk for each range of visitors."""
    select = world.select(source, _wanted(source, parameters))
    span = world.earliest(source), now + 1
    shards = world.activity.shards(source)
    return _lazy(shards, lambda shard: world.seen(select, *span, shard, now), ())


def _visitors(world: World, parameters: dict[str, Any], now: int) -> Table:
    flag = parameters.get("identified")
    if flag is None:
        flag = world.knobs.identified_null == "identified"
    if not isinstance(flag, bool):
        raise _bad("visitors", "identified must be a boolean")
    return shuffled(lambda: world.visitors(now, identified=flag), ("visitorId",))


def event_rows(
    world: World, source: str, parameters: dict[str, Any], window: Window, now: int
) -> Table:
    """Return the rows of an event source, made chunk by chunk (a bucket, a range of visitors).

    Raises:
        Refused: 400 for a parameter of the wrong form.
    """
    if source in EVER:
        return _ever(world, source, parameters, now)
    select = world.select(source, _wanted(source, parameters))
    shards = world.activity.shards(source)
    window = window.since(world.earliest(source))
    if source in ENTITY_FIELDS:
        return _lazy(
            [(bucket, shard) for bucket in window.buckets() for shard in shards],
            lambda place: world.grouped(select, window.unit, *place, now),
            (window.unit, "visitorId"),
        )
    if source in GUIDES_SEEN or source in POLLS_SEEN:
        ends = [edge for bucket in window.buckets() for edge in bucket] or [0]
        span = ends[0], ends[-1]
        return _lazy(shards, lambda shard: world.seen(select, *span, shard, now), ())
    recorded = source == "recordingMetadata"

    def rows(piece: tuple[int, int]) -> Chunk:
        return [row for shard in shards for row in world.single(select, *piece, shard, now)]

    if source in _RECEIVED and world.knobs.single_events_by == "receivedTime":
        return _received(window, rows)
    pieces = list(_pieces(window, SESSION if recorded else HOUR))
    return _lazy(pieces, rows, ("startTime" if recorded else "browserTime",))


def _received(window: Window, rows: Callable[[tuple[int, int]], Chunk]) -> Table:
    """Return the events that were received in a window, whenever they happened."""
    ends = [edge for bucket in window.buckets() for edge in bucket] or [0]
    earlier = replace(window, first=window.calendar.floor(window.unit, ends[0] - _LATEST))

    def received(piece: tuple[int, int]) -> Chunk:
        return [row for row in rows(piece) if ends[0] <= row["receivedTime"] < ends[-1]]

    return _lazy(list(_pieces(earlier, HOUR)), received, ("browserTime",))


def _pieces(window: Window, length: int) -> Iterator[tuple[int, int]]:
    """Yield (first, last) of pieces of a window, which end where `length`, ms, divides time."""
    for first, last in window.buckets():
        start = first
        while start < last:
            end = min(start - start % length + length, last)
            yield start, end
            start = end


def _lazy(places: Sequence[Place], make: Callable[[Place], Chunk], by: tuple[str, ...]) -> Table:
    """Return the table with a chunk for each place, none of them made before it is read."""

    def chunks() -> Iterator[Chunk]:
        for place in random.sample(places, len(places)):
            chunk = make(place)
            random.shuffle(chunk)
            yield chunk

    return Table(chunks, (lambda: map(make, places)) if by else chunks, by)


def _wanted(source: str, parameters: dict[str, Any]) -> Wanted:
    """Return what the parameters of an event source ask for."""
    ids = {name: value for name, value in parameters.items() if name.endswith("Id")}
    ids.pop("appId", None)
    entities = {name: _ids(source, name, value) for name, value in ids.items()}
    apps = None if entities and "appId" not in parameters else _apps(source, parameters)
    classes = parameters.get("eventClass")
    if classes is not None:
        if not isinstance(classes, list):
            raise _bad(source, "eventClass must be a list")
        apps = {app for app in (ALL_APPS if apps is None else apps) if platform(app) in classes}
    blacklist = parameters.get("blacklist", "apply")
    if blacklist not in ("apply", "ignore", "only"):
        raise _bad(source, "blacklist must be apply, ignore or only")
    return Wanted(apps, entities, blacklist)


def _ids(source: str, name: str, value: Any) -> set[str]:
    ids = value if isinstance(value, list) else [value]
    if not all(isinstance(one, str) for one in ids):
        raise _bad(source, f"{name} must be a string or a list of strings")
    return set(ids)


def _apps(source: str, parameters: dict[str, Any]) -> set[int] | None:
    """Return the apps that appId means: the default one if omitted, None for every app."""
    value = parameters.get("appId", DEFAULT_APP)
    if isinstance(value, str) and value.replace(" ", "").replace("`", '"') == EVERY_APP:
        return None
    apps = value if isinstance(value, list) else [value]
    if not all(isinstance(app, int) and not isinstance(app, bool) for app in apps):
        raise _bad(source, "appId must be an integer, a list of integers or expandAppIds")
    return set(apps)
