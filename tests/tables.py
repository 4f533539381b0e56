"""What the tables of a warehouse show of each stream, and what Pendo has of it."""

from __future__ import annotations

import contextlib
import re
import typing as t
from collections import Counter
from pathlib import Path

from tap_pendo.calendar import UTC, from_ms, to_ms
from tap_pendo.catalog import CATALOG
from tap_pendo.catalog.stream_specs import EventSpec

if t.TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from datetime import datetime

    from pendo_emulator.world import World

    from tests.conftest import Warehouse

Rows = Counter[tuple[t.Any, ...]]
Raw = dict[str, t.Any]
HOUR_MS = 3_600_000
DAY_MS = 24 * HOUR_MS
EVENTS = {row.name: row for row in CATALOG if isinstance(row, EventSpec)}
_DOC = Path(__file__).parents[1] / "docs" / "event-streams.md"
_BUCKET = "coalesce(event.hour, event.day)"
_OF_APPS = re.compile(r"and \(\s*read\.app_ids.*?\n      \)", re.DOTALL)
# the time of rows that are neither grouped nor single events, and have no app to ask for
_TIMES = {"visitor_history": "ts", "uses": "window_start"}


# What the warehouse shows


def make_view(warehouse: Warehouse, stream: str) -> None:
    """Make the view of current rows as docs/event-streams.md has it, changed as it says there."""
    found = re.search(r"```sql\n(.*?)```", _DOC.read_text(), re.DOTALL)
    assert found
    sql = found[1].replace("feature_events", stream).replace("tap_pendo", warehouse.schema)
    row = EVENTS.get(stream)
    if row is None:
        sql = _OF_APPS.sub("", sql).replace(_BUCKET, f"event.{_TIMES[stream]}")
    elif row.time:
        sql = sql.replace(_BUCKET, f"event.{row.time.name}")
    warehouse.execute(sql)


def shown(warehouse: Warehouse, stream: str, since: datetime) -> Rows:
    """Current rows of a stream, as `expected` counts them; events since a moment."""
    if stream in _KEYS:
        names = ", ".join(_KEYS[stream])
        sql = f"select {names}, 1 from {stream} where _sdc_deleted_at is null"
    else:
        make_view(warehouse, stream)
        sql = _events_sql(stream, since)
    return _counted(warehouse.rows(sql))


def _events_sql(stream: str, since: datetime) -> str:
    view = f"current_{stream}"
    row = EVENTS.get(stream)
    if stream == "uses":
        return f"select feature_id, {_text('window_start')}, uses from {view}"
    if row is None:
        return f"select visitor_id, {_text('ts', 'YYYY-MM-DD')}, 1 from {view}"
    entity = "poll_id" if stream == "poll_events" else row.identity[3].name
    time = row.time.name if row.time else "coalesce(day, hour)"
    bucket = f"coalesce({_text('day')}, {_text('hour', 'YYYY-MM-DD')})"
    what = _text(time, "YYYY-MM-DD") if row.time else bucket
    count = "num_events" if row.grouped else "1"
    return f"""
        select app_id, {entity}, {what}, {count} from {view}
        where {time} >= '{since.astimezone(UTC):%Y-%m-%d %H:%M}'
    """


def _text(column: str, form: str = "YYYY-MM-DD HH24:MI") -> str:
    return f"to_char({column}, '{form}')"


def _counted(rows: list[tuple[t.Any, ...]]) -> Rows:
    """Add up the last column by the others."""
    counts: Rows = Counter()
    for *key, count in rows:
        counts[tuple(key)] += int(count)
    return counts


# What Pendo has


def expected(world: World, stream: str, since: datetime, period: str = "hour") -> Rows:
    """Rows or events of a stream by its keys; events of the buckets that begin since a moment."""
    now = world.clock.now()
    if stream in _KEYS:
        return Counter(set(_LISTED[stream](world, now)))
    if stream == "visitor_history":
        return _histories(world, to_ms(since), now)
    if stream == "uses":
        by_day: Rows = Counter()
        for (_app, entity, day), count in event_sums(world, "featureEvents", since, "day").items():
            by_day[entity, day] += count
        return by_day
    row = EVENTS[stream]
    return event_sums(world, row.source, since, period if row.grouped else "hour")


def event_sums(world: World, source: str, since: datetime, period: str) -> Rows:
    """Events per app, entity and day of the closed buckets that begin since a moment.

    The day is one of UTC for hours, else the start of a day of the subscription.
    """
    sums: Rows = Counter()
    now = world.clock.now()
    if period == "hour":
        offset = world.calendar.local(now).utcoffset()
        odd = offset is not None and offset.total_seconds() % 3600
        end = now - now % HOUR_MS - (HOUR_MS if odd else 0)
        sums.update(world.sums(source, to_ms(since), end))
        return sums
    with _hours_within_days(world):
        for start, end in closed_days(world, to_ms(since)):
            label = f"{from_ms(start):%Y-%m-%d %H:%M}"
            for (app, entity, _day), count in world.sums(source, start, end).items():
                sums[app, entity, label] += count
    return sums


@contextlib.contextmanager
def _hours_within_days(world: World) -> Iterator[None]:
    """Let the world count by hours that days consist of, also where they begin at half past."""
    aligned = world.knobs.hour_alignment
    world.knobs.hour_alignment = "local"
    try:
        yield
    finally:
        world.knobs.hour_alignment = aligned


def closed_days(world: World, since: int) -> Iterator[tuple[int, int]]:
    """Days of the subscription that begin since a moment, ms, and began 25 hours ago or more."""
    calendar = world.calendar
    start = calendar.floor("day", since)
    first = start if start == since else calendar.next("day", start)
    return calendar.buckets("day", first, world.clock.now() - 25 * HOUR_MS + 1)


def _histories(world: World, since: int, now: int) -> Rows:
    visitors = [row["visitorId"] for row in world.visitors(now, identified=True)]
    days = range(-(-since // DAY_MS) * DAY_MS, now - 25 * HOUR_MS + 1, DAY_MS)
    return +Counter(
        {
            (visitor, f"{from_ms(day):%Y-%m-%d}"): world.history_count(visitor, day)
            for visitor in visitors
            for day in days
        }
    )


def _features(world: World, now: int) -> Iterator[tuple[t.Any, ...]]:
    return ((one["id"],) for one in world.listed("feature", now))


def _rules(world: World, now: int) -> Iterator[tuple[t.Any, ...]]:
    for one in world.listed("feature", now):
        yield from ((one["id"], n) for n in range(len(one["elementPathRules"])))


def _guides(world: World, now: int) -> Iterator[tuple[t.Any, ...]]:
    return ((one["id"],) for one in world.listed("guide", now))


def _parts(name: str) -> Callable[[World, int], Iterator[tuple[t.Any, ...]]]:
    def found(world: World, now: int) -> Iterator[tuple[t.Any, ...]]:
        for guide in world.listed("guide", now):
            yield from ((guide["id"], part["id"]) for part in guide.get(name) or ())

    return found


def _step_polls(world: World, now: int) -> Iterator[tuple[t.Any, ...]]:
    for guide in world.listed("guide", now):
        for step in guide["steps"]:
            yield from ((guide["id"], step["id"], poll) for poll in step.get("pollIds") or ())


def _auto(row: Raw) -> Raw:
    found: Raw = row["metadata"].get("auto") or {}
    return found


def _people(kind: str, key: str) -> Callable[[World, int], Iterator[tuple[t.Any, ...]]]:
    def found(world: World, now: int) -> Iterator[tuple[t.Any, ...]]:
        rows = world.accounts(now) if kind == "account" else world.visitors(now, identified=True)
        for row in rows:
            updated = _auto(row).get("lastupdated")
            yield row[key], None if updated is None else updated // 1000

    return found


def _visitor_accounts(world: World, now: int) -> Iterator[tuple[t.Any, ...]]:
    for row in world.visitors(now, identified=True):
        yield from ((row["visitorId"], account) for account in _auto(row).get("accountids") or ())


def _account_apps(world: World, now: int) -> Iterator[tuple[t.Any, ...]]:
    for row in world.accounts(now):
        for name in row["metadata"]:
            if re.fullmatch(r"auto_+\d+", name):
                yield row["accountId"], int(name.removeprefix("auto_").replace("_", "-"))


_UPDATED = "extract(epoch from date_trunc('second', last_updated_at))::bigint"
# the columns that are compared
_KEYS = {
    "features": ("id",),
    "feature_element_path_rules": ("feature_id", "position"),
    "guides": ("id",),
    "guide_steps": ("guide_id", "id"),
    "polls": ("guide_id", "id"),
    "guide_step_polls": ("guide_id", "guide_step_id", "poll_id"),
    "visitors": ("visitor_id", _UPDATED),
    "visitor_accounts": ("visitor_id", "account_id"),
    "accounts": ("account_id", _UPDATED),
    "account_applications": ("account_id", "app_id"),
}
_LISTED: dict[str, Callable[[World, int], Iterator[tuple[t.Any, ...]]]] = {
    "features": _features,
    "feature_element_path_rules": _rules,
    "guides": _guides,
    "guide_steps": _parts("steps"),
    "polls": _parts("polls"),
    "guide_step_polls": _step_polls,
    "visitors": _people("visitor", "visitorId"),
    "visitor_accounts": _visitor_accounts,
    "accounts": _people("account", "accountId"),
    "account_applications": _account_apps,
}
