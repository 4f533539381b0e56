"""SQLite and PostgreSQL: URLs, how each is set up and copied, and errors as one line."""

from __future__ import annotations

import contextlib
import sqlite3
import typing as t

import sqlalchemy as sa
from sqlalchemy.exc import ArgumentError, DBAPIError, OperationalError

from target_planhat.errors import TargetError
from target_planhat.ledger import schema as tables
from target_planhat.ledger.migrations import MIGRATIONS
from target_planhat.ledger.schema import items, metadata, rules, tenants

if t.TYPE_CHECKING:
    from pathlib import Path

NETWORK = {
    "keepalives_idle": 30,
    "keepalives_interval": 10,
    "keepalives_count": 3,
    "tcp_user_timeout": 60_000,
}
"""A network that is gone must show here before the server ends the session, and another run
takes what this one posts to be in doubt."""
_SERVER = "tcp_keepalives_idle", "tcp_keepalives_interval", "tcp_keepalives_count"
_OLDEST_SQLITE = (3, 35)
_DRIVERS = {
    "sqlite": "sqlite",
    "sqlite+pysqlite": "sqlite",
    "postgresql": "postgresql+psycopg",
    "postgresql+psycopg": "postgresql+psycopg",
}


def parsed(url: str) -> sa.URL:
    """Parse `ledger_url`, and set the driver.

    Raises:
        TargetError: it is not the URL of a database that can hold a ledger.
    """
    try:
        parsed = sa.make_url(url)
    except (ArgumentError, ValueError):
        parsed = sa.URL.create("none")
    driver = _DRIVERS.get(parsed.drivername)
    if driver is None or (driver == "sqlite" and parsed.query):
        raise TargetError(
            "setting `ledger_url` is not valid: it must be sqlite:///FILE or "
            "postgresql://USER:PASSWORD@HOST/DATABASE"
        )
    if any("@" in (part or "") for part in (parsed.host, parsed.database)) and driver != "sqlite":
        # the end of a password would be taken for the host, which messages show
        raise TargetError(
            "setting `ledger_url` is not valid: in the user and the password, `@` must be written "
            "as %40 and `/` as %2F"
        )
    return parsed.set(drivername=driver)


def check_sqlite() -> None:
    """Require a SQLite that has RETURNING and DROP COLUMN.

    Raises:
        TargetError: it is older.
    """
    if sqlite3.sqlite_version_info < _OLDEST_SQLITE:
        raise TargetError(
            f"the ledger needs SQLite {'.'.join(map(str, _OLDEST_SQLITE))} or newer, and this "
            f"Python has {sqlite3.sqlite_version}: use another Python, or set `ledger_url` to "
            "PostgreSQL"
        )


def tune(connection: t.Any, record: t.Any) -> None:
    """Open a SQLite file for this process alone; SQLAlchemy begins its transactions."""
    del record
    connection.isolation_level = None
    # of a new file: rows come in thousands, and lie together by day
    connection.execute("PRAGMA page_size = 16384")
    # kept from the first write on; gone with the process, however it ends
    connection.execute("PRAGMA locking_mode = EXCLUSIVE")
    connection.execute("PRAGMA journal_mode = WAL")
    # a claim must be on disk before its post leaves, or a power cut could double it
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute("PRAGMA temp_store = FILE")
    connection.execute("PRAGMA cache_size = -65536")
    # pages are written to the file after each 32 MB: posts change the same ones again and again
    connection.execute("PRAGMA wal_autocheckpoint = 2048")


def keep_alive(connection: t.Any, record: t.Any) -> None:
    """Let PostgreSQL end the session, and so free its locks, soon after this machine is gone."""
    del record
    for name, value in zip(_SERVER, ("60", "20", "3"), strict=True):
        connection.execute("SELECT set_config(%s, %s, false)", (name, value))
    connection.commit()


def look(connection: t.Any, record: t.Any) -> None:
    """Open a SQLite file to read it, as others may; SQLAlchemy begins its transactions."""
    del record
    connection.isolation_level = None


def one_line(shown: str, error: Exception) -> str:
    """Write a database's error as one line, without its URL."""
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


def of_file(path: Path | None) -> sqlite3.Connection:
    """Copy a SQLite file, if there is one, into a file without a name."""
    # its pages are kept in the folder of temporary files once they do not fit into the cache
    copy = sqlite3.connect("", isolation_level=None)
    if path:
        with contextlib.closing(sqlite3.connect(path, timeout=0)) as source:
            source.backup(copy)
    return copy


def of_tables(connection: sa.Connection, version: int | None, token_hash: str) -> None:
    """Copy a tenant's rows in PostgreSQL into temporary tables, which hide those of the ledger.

    They are of this version of the ledger, whatever `version` is; None: there is no ledger.
    """
    found = set(sa.inspect(connection).get_table_names())
    schema = connection.dialect.default_schema_name
    copy, source = sa.MetaData(), sa.MetaData()
    for table in metadata.sorted_tables:
        table.to_metadata(copy, schema="pg_temp")
    copy.create_all(connection, checkfirst=False)
    connection.execute(tables.version.insert().values(version=tables.VERSION))
    if version is None:
        return
    # those first by which the rows of the others are chosen
    order = dict.fromkeys((tenants, rules, items, *metadata.sorted_tables))
    for table in order:
        if table.name in found and table is not tables.version:
            there = sa.Table(table.name, source, schema=schema, autoload_with=connection)
            names = [column.name for column in table.c if column.name in there.c]
            chosen = sa.select(*(there.c[name] for name in names)).where(_of(there, token_hash))
            connection.execute(table.insert().from_select(names, chosen))
            _number_on(connection, table)
    for old in range(version, tables.VERSION):
        MIGRATIONS[old].rows(connection)
    connection.exec_driver_sql("ANALYZE")


def _of(table: sa.Table, token_hash: str) -> sa.ColumnElement[bool]:
    """Rows of a tenant, by those of its tables that are copied already."""
    if "token_hash" in table.c:
        return table.c.token_hash == token_hash
    if "tenant_id" in table.c:
        return table.c.tenant_id.in_(sa.select(tenants.c.id))
    if "rule_id" in table.c:
        return table.c.rule_id.in_(sa.select(rules.c.id))
    return table.c.item_id.in_(sa.select(items.c.id))


def _number_on(connection: sa.Connection, table: sa.Table) -> None:
    """Let new rows be numbered behind those that were copied."""
    if table.primary_key.columns.keys() == ["id"]:
        last = sa.func.coalesce(sa.func.max(table.c.id), 0) + 1
        sequence = sa.func.pg_get_serial_sequence(f"pg_temp.{table.name}", "id")
        connection.execute(sa.select(sa.func.setval(sequence, last, sa.false())).select_from(table))
