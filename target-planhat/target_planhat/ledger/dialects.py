"""Knows SQLite and PostgreSQL: their URLs, how each is set up, and their errors as one line."""

from __future__ import annotations

import typing as t

import sqlalchemy as sa
from sqlalchemy.exc import ArgumentError, DBAPIError, OperationalError

from target_planhat.errors import TargetError

NETWORK = {
    "keepalives_idle": 30,
    "keepalives_interval": 10,
    "keepalives_count": 3,
    "tcp_user_timeout": 60_000,
}
"""A network that is gone must show before others take the claims of a run for lost."""
_DRIVERS = {
    "sqlite": "sqlite",
    "sqlite+pysqlite": "sqlite",
    "postgresql": "postgresql+psycopg",
    "postgresql+psycopg": "postgresql+psycopg",
}


def parsed(url: str) -> sa.URL:
    """Read `ledger_url`, with the driver that is used.

    Raises:
        TargetError: it is no URL of a database that can hold a ledger.
    """
    try:
        parsed = sa.make_url(url)
    except (ArgumentError, ValueError):
        parsed = sa.URL.create("none")
    driver = _DRIVERS.get(parsed.drivername)
    if driver is None or (driver == "sqlite" and parsed.query):
        raise TargetError(
            "setting `ledger_url` is not valid: allowed is sqlite:///FILE or "
            "postgresql://USER:PASSWORD@HOST/DATABASE"
        )
    return parsed.set(drivername=driver)


def tune(connection: t.Any, record: t.Any) -> None:
    """Take a SQLite file for this process alone, and let SQLAlchemy begin its transactions."""
    del record
    connection.isolation_level = None
    # kept from the first write on; gone with the process, however it ends
    connection.execute("PRAGMA locking_mode = EXCLUSIVE")
    connection.execute("PRAGMA journal_mode = WAL")
    # a claim must be on disk before its post leaves, or a power cut could double it
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute("PRAGMA temp_store = FILE")
    connection.execute("PRAGMA cache_size = -65536")


def begin(connection: sa.Connection) -> None:
    """Let a transaction of SQLite begin as one that writes."""
    connection.exec_driver_sql("BEGIN IMMEDIATE")


def said(shown: str, error: Exception) -> str:
    """Put what the database says on one line, without its URL."""
    if isinstance(error, ModuleNotFoundError):
        return f"{shown} needs {error.name}: install target-planhat[postgresql]"
    if isinstance(error, OSError):
        return f"{shown} cannot be made: {error.strerror}"
    if isinstance(error, OperationalError) and "locked" in str(error.orig):
        return (
            f"{shown} is in use by another run: one at a time (for several, set `ledger_url` to "
            "PostgreSQL)"
        )
    reason = _first_line(error) if isinstance(error, DBAPIError) else "the connection broke"
    return f"{shown} cannot be used: {reason}"


def _first_line(error: DBAPIError) -> str:
    return next(iter(str(error.orig).splitlines()), type(error.orig).__name__)
