"""Knows what arrived in PostgreSQL, what it should be compared with, and how to show both."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING, NamedTuple

from psycopg import sql

from with_demo.tables import table

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    import psycopg

SCHEMA = "tap_pendo"  # target-postgres names it after the tap
WINDOWS = "sync_windows"  # the tap's own record of the windows that it has read
KINDS = {  # table → what the emulator's truth calls the same thing
    "accounts": "accounts",
    "applications": "app",
    "do_not_process_accounts": "doNotProcessAccounts",
    "do_not_process_visitors": "doNotProcessVisitors",
    "events": "events",
    "features": "feature",
    "feature_events": "featureEvents",
    "guides": "guide",
    "guide_events": "guideEvents",
    "pages": "page",
    "page_events": "pageEvents",
    "poll_events": "pollEvents",
    "product_areas": "group",
    "reports": "report",
    "segments": "segment",
    "track_events": "trackEvents",
    "track_types": "tracktype",
    "visitors": "visitors",
}
_EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)


class Range(NamedTuple):
    """A half-open range of time, in milliseconds since the epoch."""

    start: int
    end: int

    def __str__(self) -> str:
        first, last = (_EPOCH + timedelta(milliseconds=each) for each in self)
        return f"{first:%Y-%m-%d %H:%M} to {last:%Y-%m-%d %H:%M} UTC"


class Arrival(NamedTuple):
    """One stream: rows in PostgreSQL, new ones of this run, and Pendo's (None: not known)."""

    stream: str
    rows: int
    new: int
    truth: int | None
    range: Range | None = None

    @property
    def mark(self) -> str:
        """How the two figures compare."""
        if self.stream not in KINDS:
            return ""
        if self.truth is None:
            return "unknown"
        return "equal" if self.rows == self.truth else "different"


def count_rows(connection: psycopg.Connection) -> dict[str, int]:
    """The rows of each stream's table that exists; rows marked as deleted do not count."""
    return {
        name: connection.execute(_counting(name, soft_deletes=soft_deletes)).fetchall()[0][0]
        for name, soft_deletes in sorted(_tables(connection).items())
        if name != WINDOWS
    }


def read_ranges(connection: psycopg.Connection) -> dict[str, Range]:
    """Per event stream, from the first to the last moment that the tap says it has read."""
    if WINDOWS not in _tables(connection):
        return {}
    query = sql.SQL(
        "select stream, (extract(epoch from min(window_start)) * 1000)::bigint,"
        " (extract(epoch from max(window_end)) * 1000)::bigint from {} group by stream"
    ).format(sql.Identifier(SCHEMA, WINDOWS))
    return {stream: Range(start, end) for stream, start, end in connection.execute(query)}


def compare(
    before: Mapping[str, int],
    after: Mapping[str, int],
    ranges: Mapping[str, Range],
    truth: Callable[[str, Range | None], int | None],
) -> list[Arrival]:
    """A row per stream; `truth` says how many rows Pendo has of a kind, in a range if one is given.

    Event streams without a range have no truth: nothing says what should be there. Nor have
    tables whose rows the emulated Pendo does not count, such as those made of other rows.
    """
    arrivals = []
    for stream, rows in after.items():
        known = ranges.get(stream)
        kind = KINDS.get(stream)
        missing = kind is None or (known is None and stream.endswith("events"))
        there = None if missing else truth(str(kind), known)
        arrivals.append(Arrival(stream, rows, rows - before.get(stream, 0), there, known))
    return arrivals


def show(arrivals: Sequence[Arrival]) -> str:
    """The arrivals as text: a table and the ranges of its event streams."""
    if not arrivals:
        return f"Nothing arrived in PostgreSQL: there is no table of a stream in {SCHEMA}."
    titles = ("stream", "rows in PostgreSQL", "new in this run", "rows in Pendo", "")
    lines = [
        (
            each.stream,
            f"{each.rows:,}",
            f"{each.new:+,}",
            _number(each.truth) if each.mark else "",
            each.mark,
        )
        for each in arrivals
    ]
    return "\n".join([*table(titles, lines), "", *_ranges(arrivals)]).rstrip()


def _tables(connection: psycopg.Connection) -> dict[str, bool]:
    """Each table of the schema, and whether target-postgres marks deleted rows in it; no views."""
    query = (
        "select table_name::text, bool_or(column_name = '_sdc_deleted_at')"
        " from information_schema.columns join information_schema.tables"
        " using (table_schema, table_name)"
        " where table_schema = %s and table_type = 'BASE TABLE' group by table_name"
    )
    return dict(connection.execute(query, [SCHEMA]).fetchall())


def _counting(name: str, *, soft_deletes: bool) -> sql.Composed:
    query = sql.SQL("select count(*) from {}").format(sql.Identifier(SCHEMA, name))
    return query + sql.SQL(" where _sdc_deleted_at is null") if soft_deletes else query


def _number(number: int | None) -> str:
    return "?" if number is None else f"{number:,}"


def _ranges(arrivals: Iterable[Arrival]) -> list[str]:
    found = {each.stream: each.range for each in arrivals if each.range}
    if len(set(found.values())) == 1:
        return [f"Range of the event streams: {next(iter(found.values()))}"]
    return [f"Range of {stream}: {known}" for stream, known in found.items()]
