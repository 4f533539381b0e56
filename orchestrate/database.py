"""What is in PostgreSQL: tables, apps, and the sums of the rows that are current."""

from __future__ import annotations

import typing as t

import psycopg
from psycopg import sql

from orchestrate.errors import PieceError
from orchestrate.streams import STREAMS

if t.TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from orchestrate.pieces import Piece


def connect(environment: Mapping[str, str]) -> psycopg.Connection:
    """Connect to the database that the settings of target-postgres name.

    Raises:
        PieceError: it cannot be reached; in one line.
    """

    def setting(name: str) -> str | None:
        return environment.get(f"TARGET_POSTGRES_{name}") or None

    url = setting("SQLALCHEMY_URL")
    try:
        if url:
            return psycopg.connect("postgresql://" + url.partition("://")[2])
        return psycopg.connect(
            host=setting("HOST"),
            port=setting("PORT"),
            user=setting("USER"),
            password=setting("PASSWORD"),
            dbname=setting("DATABASE"),
        )
    except psycopg.Error as error:
        raise PieceError(f"PostgreSQL: {str(error).splitlines()[0]}") from None


def missing(connection: psycopg.Connection, schema: str, tables: Sequence[str]) -> list[str]:
    """Return those of the tables that are not there."""
    found = connection.execute(
        "select table_name::text from information_schema.tables where table_schema = %s", [schema]
    )
    there = {name for (name,) in found}
    return [name for name in tables if name not in there]


def apps(connection: psycopg.Connection, schema: str) -> list[int]:
    """Return the ids of all apps."""
    query = sql.SQL("select id from {} where _sdc_deleted_at is null order by id")
    found = connection.execute(query.format(sql.Identifier(schema, "applications")))
    return [app for (app,) in found]


# Which rows are current: docs/event-streams.md. What the piece's own bounds hold, and no more.
_SUMS = """
select {measure}
from {table} as event
where event.app_id = %(app)s
  and {moment} >= %(start)s and {moment} < %(end)s
  and not exists (
    select
    from {reads} as read
    where read.stream = %(stream)s
      and read.read_at > event.read_at
      and {moment} >= read.window_start and {moment} < read.window_end
      and (read.app_ids = '*' or event.app_id::text = any (string_to_array(read.app_ids, ',')))
  )
"""


def sums(
    connection: psycopg.Connection, schema: str, piece: Piece, streams: Sequence[str]
) -> dict[str, int]:
    """Return, per stream, the events of a piece by the rows that are current."""
    found = {}
    for stream in streams:
        grouped = STREAMS[stream].grouped
        moment = "coalesce(event.hour, event.day)" if grouped else "event.browser_time"
        query = sql.SQL(_SUMS).format(
            measure=sql.SQL("coalesce(sum(event.num_events), 0)" if grouped else "count(*)"),
            moment=sql.SQL(moment),
            table=sql.Identifier(schema, stream),
            reads=sql.Identifier(schema, "sync_windows"),
        )
        values = {
            "app": piece.app_id,
            "stream": stream,
            # the columns have no time zone; they are UTC
            "start": piece.start.replace(tzinfo=None),
            "end": piece.end.replace(tzinfo=None),
        }
        [(total,)] = connection.execute(query, values).fetchall()
        found[stream] = int(total)
    return found
