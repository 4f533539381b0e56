"""What a record takes of target-planhat and of its ledger, in SQLite and in PostgreSQL."""

from __future__ import annotations

import json
import sqlite3
import typing as t
import urllib.request
from pathlib import Path
from tempfile import TemporaryDirectory

from psycopg import sql

from benchmarks import messages
from benchmarks.running import FailedError, measured, program, serving
from benchmarks.watching import cpu_of_parent

if t.TYPE_CHECKING:
    from collections.abc import Callable

    from with_demo.postgres import Server

    Sizes = dict[str, float]
    """Bytes with indexes, by table."""

# a rule that also adds up the minutes, as meltano.yml has it
_RULE = {"stream": "feature_events", "info": {"minutes": "num_minutes"}}
_TOGETHER = 3
# PostgreSQL as the ledger is slow: a fifth of the records shows its costs as well
_FEWER, _FEWEST = 5, 2000
_ITEMS, _TOTALS, _FACTS = "planhat_items", "planhat_totals", "planhat_facts"


def run(database: Server, records: int) -> dict[str, tuple[str, float]]:
    """Fill a new ledger of each kind, then read the same records again."""
    with TemporaryDirectory() as folder, serving("benchmarks.receiving") as served:
        path = Path(folder) / "ledger.db"
        found = _both("SQLite", served, f"sqlite:///{path}", records, lambda: _of_sqlite(path))
        return found | _in_postgres(database, served, max(_FEWEST, records // _FEWER))


def _in_postgres(
    database: Server, served: dict[str, str], records: int
) -> dict[str, tuple[str, float]]:
    url = (
        f"postgresql://{database.user}:{database.password}"
        f"@{database.host}:{database.port}/{database.database}"
    )
    with database.connect() as connection:
        connection.autocommit = True
        connection.execute("drop schema if exists ledger cascade")
        connection.execute("create schema ledger")
        connection.execute("alter role current_user set search_path to ledger, public")
        _run(served, url, 0)
        began = cpu_of_parent(connection.info.backend_pid)
        found = _both("PostgreSQL", served, url, records, lambda: _of_postgres(database))
        spent = cpu_of_parent(connection.info.backend_pid) - began
        # of both reads
        found["record, PostgreSQL with the ledger"] = ("CPU us", spent / (2 * records) * 1e6)
        connection.execute("set statement_timeout = 0")
        connection.execute("vacuum full")
        packed = _sizes("PostgreSQL, vacuumed", _of_postgres(database), records)
        connection.execute("alter role current_user reset search_path")
    return found | packed


def _both(
    kind: str, served: dict[str, str], url: str, records: int, sizes: Callable[[], Sizes]
) -> dict[str, tuple[str, float]]:
    none = _run(served, url, 0)[0]
    first, sent = _run(served, url, records)
    again, more = _run(served, url, records)
    items = messages.activities(records, _TOGETHER)
    if sent["activities"] != items or more["activities"]:
        raise FailedError(f"{sent['activities']} activities arrived instead of {items}")
    # each record has a total of its own, and a figure
    return {
        f"record, target-planhat, {kind}": ("CPU us", (first - none) / records * 1e6),
        f"record read again, target-planhat, {kind}": ("CPU us", (again - none) / records * 1e6),
        "item, in its post": ("bytes", sent["bytes"] / items),
        "post of activities": ("items", items / sent["posts"]),
        **_sizes(kind, sizes(), records),
    }


def _sizes(kind: str, found: Sizes, records: int) -> dict[str, tuple[str, float]]:
    items = messages.activities(records, _TOGETHER)
    return {
        f"item, ledger in {kind}": ("bytes", found[_ITEMS] / items),
        f"total of an hour, ledger in {kind}": ("bytes", found[_TOTALS] / records),
        f"figure of `info`, ledger in {kind}": ("bytes", found[_FACTS] / records),
    }


def _run(served: dict[str, str], url: str, records: int) -> tuple[float, dict[str, int]]:
    """Give CPU seconds, and what has arrived."""
    settings = {
        "analytics_url": served["url"],
        "tenant_token": served["tenant_token"],
        "ledger_url": url,
        "activities": [_RULE],
    }
    with TemporaryDirectory() as folder:
        config = Path(folder) / "config.json"
        config.write_text(json.dumps(settings), encoding="utf-8")
        feeder = program("benchmarks.messages", "--rows", records, "--together", _TOGETHER)
        took = measured(program("target_planhat", "--config", config), given=feeder)
    with urllib.request.urlopen(f"{served['url']}/counts", timeout=60) as answer:  # noqa: S310 - ours
        return took.cpu, json.load(answer)


def _of_sqlite(path: Path) -> Sizes:
    """Ask SQLite; the indexes of a table count with it."""
    with sqlite3.connect(path) as connection:
        try:
            return dict(
                connection.execute(
                    "select tbl_name, sum(pgsize) from dbstat join sqlite_schema using (name) "
                    "group by tbl_name"
                )
            )
        except sqlite3.OperationalError as error:
            raise FailedError(f"this SQLite does not give the sizes of tables: {error}") from None


def _of_postgres(database: Server) -> Sizes:
    names = (_ITEMS, _TOTALS, _FACTS)
    asking = sql.SQL("select pg_total_relation_size({})")
    found = {}
    with database.connect() as connection:
        for name in names:
            row = connection.execute(asking.format(sql.Literal(f"ledger.{name}"))).fetchone()
            found[name] = float(row[0] if row else 0)
    return found
