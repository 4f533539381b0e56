"""The loaders: what is installed, how it is configured, and how its rows are read again."""

from __future__ import annotations

import csv
import dataclasses
import json
import sqlite3
import subprocess
import typing as t

import psycopg

if t.TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from with_demo.postgres import Server

Row = dict[str, t.Any]
Tables = dict[str, list[Row]]
SCHEMA = "loaded"
# cells of a CSV file may be long
csv.field_size_limit(10_000_000)


@dataclasses.dataclass(frozen=True)
class Place:
    """Where one loader puts what it is given: a folder, and a PostgreSQL; and its own Python."""

    folder: Path
    server: Server
    python: Path


@dataclasses.dataclass(frozen=True)
class Loader:
    """One loader.

    needs     distributions with their versions
    python    version of Python that it runs on
    format    `record_format` of tap-pendo
    config    its settings
    tables    the rows that are there, by stream, oldest first; texts where it has no types
    """

    needs: tuple[str, ...]
    command: str
    config: Callable[[Place], Row]
    tables: Callable[[Place], Tables]
    format: str = "nested"
    python: str = "3.11"


def _database(place: Place) -> Row:
    server = place.server
    return {
        "host": server.host,
        "port": server.port,
        "user": server.user,
        "password": server.password,
    }


def _postgres(place: Place) -> Row:
    return {
        **_database(place),
        "database": place.server.database,
        "default_target_schema": SCHEMA,
        "dialect+driver": "postgresql+psycopg",
        "use_copy": True,
    }


def _pipelinewise_postgres(place: Place) -> Row:
    names = {"dbname": place.server.database, "default_target_schema": SCHEMA}
    return {**_database(place), **names, "add_metadata_columns": True}


def _of_postgres(place: Place) -> Tables:
    with place.server.connect() as connection:
        cursor = connection.cursor(row_factory=psycopg.rows.dict_row)
        names = "select table_name as name from information_schema.tables where table_schema = %s"
        found = [row["name"] for row in cursor.execute(names, [SCHEMA])]
        return {
            name: cursor.execute(f'select * from "{SCHEMA}"."{name}"'.encode()).fetchall()
            for name in found
        }


def _of_duckdb(place: Place) -> Tables:
    """Ask in the loader's own environment, which has DuckDB."""
    code = f"""
import duckdb, json
found = duckdb.connect({str(place.folder / "d.duckdb")!r})
names = found.sql("select table_name from information_schema.tables").fetchall()
tables = {{}}
for (name,) in names:
    rows = found.sql(f'select * from "{SCHEMA}"."{{name}}"')
    tables[name] = [dict(zip(rows.columns, row)) for row in rows.fetchall()]
print(json.dumps(tables, default=str))
"""
    said = subprocess.run([place.python, "-c", code], check=True, capture_output=True, text=True)
    return t.cast("Tables", json.loads(said.stdout))


def _of_sqlite(place: Place) -> Tables:
    with sqlite3.connect(place.folder / "s.db") as found:
        found.row_factory = sqlite3.Row
        names = found.execute("select name from sqlite_master where type = 'table'").fetchall()
        return {
            name: [dict(row) for row in found.execute(f'select * from "{name}"')]
            for (name,) in names
        }


def _of_files(pattern: str, read: Callable[[t.TextIO], Iterator[Row]]) -> Callable[[Place], Tables]:
    def tables(place: Place) -> Tables:
        found: Tables = {}
        for path in sorted(place.folder.glob(pattern), key=lambda path: path.stat().st_mtime_ns):
            # a file for each run, or one for all: tables are named before the first - or .
            name = path.name.partition(".")[0].partition("-")[0]
            with path.open(newline="", encoding="utf-8") as file:
                found.setdefault(name, []).extend(read(file))
        return found

    return tables


def _json_lines(file: t.TextIO) -> Iterator[Row]:
    return (json.loads(line) for line in file)


LOADERS = {
    "target-postgres (MeltanoLabs)": Loader(
        needs=("meltanolabs-target-postgres==0.8.1",),
        command="target-postgres",
        config=_postgres,
        tables=_of_postgres,
    ),
    "target-postgres (pipelinewise)": Loader(
        needs=("pipelinewise-target-postgres==2.1.2", "setuptools<80"),
        command="target-postgres",
        config=_pipelinewise_postgres,
        tables=_of_postgres,
        python="3.10",
    ),
    "target-duckdb": Loader(
        needs=("target-duckdb==0.8.0", "duckdb==1.1.3"),
        command="target-duckdb",
        config=lambda place: {
            "filepath": str(place.folder / "d.duckdb"),
            "default_target_schema": SCHEMA,
        },
        tables=_of_duckdb,
    ),
    "target-sqlite": Loader(
        needs=("target-sqlite==0.2.0", "setuptools<80"),
        command="target-sqlite",
        config=lambda place: {"database": str(place.folder / "s")},
        tables=_of_sqlite,
        format="flat",
        python="3.9",
    ),
    "target-jsonl": Loader(
        needs=("target-jsonl==0.1.4",),
        command="target-jsonl",
        config=lambda place: {
            "destination_path": str(place.folder),
            "do_timestamp_file": False,
        },
        tables=_of_files("*.jsonl", _json_lines),
        python="3.10",
    ),
    "target-csv (MeltanoLabs)": Loader(
        needs=("meltanolabs-target-csv==0.5.0",),
        command="target-csv",
        config=lambda place: {
            "output_path": str(place.folder),
            "file_naming_scheme": "{stream_name}-{timestamp}.csv",
        },
        tables=_of_files("*.csv", csv.DictReader),
        format="flat",
    ),
    "target-csv (singer-io)": Loader(
        needs=("target-csv==0.3.0", "setuptools<80"),
        command="target-csv",
        config=lambda place: {"destination_path": str(place.folder), "delimiter": ","},
        tables=_of_files("*.csv", csv.DictReader),
        format="flat",
        python="3.9",
    ),
}
