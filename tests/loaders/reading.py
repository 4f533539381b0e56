"""Reads back what loaders made, by SQL."""

from __future__ import annotations

import json
import sqlite3
import subprocess
import typing as t
from pathlib import Path

import psycopg

if t.TYPE_CHECKING:
    from collections.abc import Mapping

    from tests.loaders.table import Loader

ENVIRONMENTS = Path(__file__).parents[2] / ".venv" / "loaders"
Questions = tuple[str, str, str]
Answer = str | tuple[list[t.Any], ...]

# DuckDB is in the environment of a loader, as nothing else needs it
_DUCKDB = """
import duckdb, json, sys
database, views, questions = json.load(sys.stdin)
connection = duckdb.connect(database)
answers = {}
for name, (rows, current, columns) in questions.items():
    try:
        if name in views:
            connection.execute(f"create view {name} as select * from {views[name]}")
        answers[name] = (
            list(connection.execute(rows).fetchone()),
            list(connection.execute(current).fetchone()),
            [column[0] for column in connection.execute(columns).description],
        )
    except duckdb.Error as error:
        answers[name] = f"{name}: {error}".splitlines()[0]
print(json.dumps(answers, default=int))
"""
_FILES = {
    "jsonl": "read_json('{}', format='newline_delimited', union_by_name=true, filename=true)",
    "csv": "read_csv('{}', header=true, all_varchar=true, quote='\"', escape='\"', "
    "union_by_name=true, filename=true)",
    "parquet": "read_parquet('{}', union_by_name=true, filename=true)",
}
_BUCKET = """
import boto3, pathlib, sys
client = boto3.client("s3", endpoint_url=sys.argv[1], region_name="us-east-1",
    aws_access_key_id="test", aws_secret_access_key="test")
for page in client.get_paginator("list_objects_v2").paginate(Bucket="loaded"):
    for found in page.get("Contents", ()):
        path = pathlib.Path(sys.argv[2], found["Key"])
        path.parent.mkdir(parents=True, exist_ok=True)
        client.download_file("loaded", found["Key"], str(path))
        client.delete_object(Bucket="loaded", Key=found["Key"])
"""


def ask(
    loader: Loader, folder: Path, services: Mapping[str, str], questions: Mapping[str, Questions]
) -> dict[str, t.Any]:
    """Answer the questions of each stream: a row, a row, names of columns; or what went wrong."""
    if loader.reader == "postgres":
        return {name: _postgres(services, each) for name, each in questions.items()}
    if loader.reader == "sqlite":
        [file] = folder.glob("loaded*")
        return {name: _sqlite(file, each) for name, each in questions.items()}
    views, database = {}, ":memory:"
    if loader.reader == "duckdb":
        database = str(folder / "loaded.duckdb")
    else:
        form = _FILES[loader.reader]
        files = {n: f"{folder}/{loader.files.format(stream=n)}" for n in questions}
        views = {name: form.format(path) for name, path in files.items()}
    python = ENVIRONMENTS / "target-duckdb" / "bin" / "python"
    done = subprocess.run(
        (python, "-c", _DUCKDB),
        input=json.dumps([database, views, questions]),
        capture_output=True,
        text=True,
        check=True,
    )
    found: dict[str, t.Any] = json.loads(done.stdout)
    return found


def _postgres(services: Mapping[str, str], questions: Questions) -> t.Any:
    names = ("host", "port", "user", "password")
    dsn = " ".join(f"{name}={services[name]}" for name in names)
    with psycopg.connect(f"{dsn} dbname={services['database']}") as connection:
        try:
            connection.execute(f'set search_path to "{services["schema"]}"'.encode())
            answers = [connection.execute(question.encode()) for question in questions]
            columns = [column.name for column in answers[2].description or ()]
            return answers[0].fetchone(), answers[1].fetchone(), columns
        except psycopg.Error as error:
            return str(error).splitlines()[0]


def _sqlite(file: Path, questions: Questions) -> t.Any:
    connection = sqlite3.connect(file)
    try:
        answers = [connection.execute(question) for question in questions]
        columns = [column[0] for column in answers[2].description]
        return answers[0].fetchone(), answers[1].fetchone(), columns
    except sqlite3.Error as error:
        return str(error)
    finally:
        connection.close()


def fetch_bucket(address: str, folder: Path) -> None:
    """Move what is in the bucket into a folder."""
    python = ENVIRONMENTS / "moto" / "bin" / "python"
    subprocess.run((python, "-c", _BUCKET, address, folder), check=True)
