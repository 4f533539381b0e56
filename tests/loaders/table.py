"""The loaders, as data: which version, its settings, and how a user reads back what it made."""

from __future__ import annotations

import dataclasses
import typing as t

if t.TYPE_CHECKING:
    from collections.abc import Mapping

Reader = t.Literal["postgres", "duckdb", "sqlite", "jsonl", "csv", "parquet"]

# A loader that merges by key and marks rows that are gone
MARKED = "select * from {stream} where _sdc_deleted_at is null"
# One that merges by key
MERGED = "select * from {stream}"
# One that appends: the newest row of each key
NEWEST = """
select * from (
    select *, row_number() over (partition by {keys} order by {newest} desc) as place from {stream}
) as rows where place = 1
"""
# One that makes a file of each run: of a list, the newest file is the list
NEWEST_FILE = "select * from {stream} where filename = (select max(filename) from {stream})"


@dataclasses.dataclass(frozen=True)
class Loader:
    """A loader from PyPI.

    `settings` may name {folder}, where it writes, {s3}, the address of a bucket server, and
    {host}, {port}, {user}, {password} and {database} of PostgreSQL.
    `events` and `lists` are the SQL for current rows of streams that are read by the window and of
    streams that are read whole; with {stream}, {keys}, and `newest`, what tells the newest row.
    """

    name: str
    version: str
    command: str
    reader: Reader
    settings: Mapping[str, t.Any]
    events: str = MERGED
    lists: str = MERGED
    newest: str = "read_at"
    formats: tuple[str, ...] = ("nested", "flat")
    python: str = "3.11"
    also: tuple[str, ...] = ()
    """Distributions beside it, pinned."""
    overrides: tuple[str, ...] = ()
    """Pins instead of its own, which cannot be installed any more."""
    files: str = "{stream}-*"
    """Where the reader finds the files of a stream, below the folder."""


_POSTGRES = {
    "host": "{host}",
    "port": "{port}",
    "user": "{user}",
    "password": "{password}",
    "default_target_schema": "{schema}",
}
_PIPELINEWISE = {"add_metadata_columns": True, "hard_delete": False}
# old loaders import its pkg_resources, which is not with Python any more
_SETUPTOOLS = ("setuptools==68.0.0",)
_KEYS = {"aws_access_key_id": "test", "aws_secret_access_key": "test"}

# no loader: a server of S3
MOTO = Loader(
    "moto", "5.2.5", "moto_server", "jsonl", {}, also=("moto[s3,server]", "boto3==1.44.8")
)
LOADERS = (
    Loader(
        "meltanolabs-target-postgres",
        "0.8.1",
        "target-postgres",
        "postgres",
        {**_POSTGRES, "database": "{database}", "use_copy": True},
        lists=MARKED,
    ),
    Loader(
        "pipelinewise-target-postgres",
        "2.1.2",
        "target-postgres",
        "postgres",
        {**_POSTGRES, **_PIPELINEWISE, "dbname": "{database}"},
    ),
    Loader(
        "singer-target-postgres",
        "0.2.4",
        "target-postgres",
        "postgres",
        {
            "postgres_host": "{host}",
            "postgres_port": "{port}",
            "postgres_username": "{user}",
            "postgres_password": "{password}",
            "postgres_database": "{database}",
            "postgres_schema": "{schema}",
            "disable_collection": True,
        },
        python="3.8",
        also=_SETUPTOOLS,
    ),
    Loader(
        "target-duckdb",
        "0.8.0",
        "target-duckdb",
        "duckdb",
        {"path": "{folder}/loaded.duckdb", "default_target_schema": "main", **_PIPELINEWISE},
        also=("duckdb==1.1.3",),
    ),
    Loader(
        "target-sqlite",
        "0.2.0",
        "target-sqlite",
        "sqlite",
        {"database": "{folder}/loaded"},
        python="3.9",
    ),
    Loader(
        "target-jsonl",
        "0.1.4",
        "target-jsonl",
        "jsonl",
        {"destination_path": "{folder}", "do_timestamp_file": True},
        events=NEWEST,
        lists=NEWEST_FILE,
        files="{stream}-*.jsonl",
    ),
    Loader(
        "meltanolabs-target-csv",
        "0.5.0",
        "target-csv",
        "csv",
        {
            "output_path": "{folder}",
            "file_naming_scheme": "{{stream_name}}-{{timestamp}}.csv",
        },
        events=NEWEST,
        lists=NEWEST_FILE,
        files="{stream}-*.csv",
    ),
    Loader(
        "target-csv",
        "0.3.0",
        "target-csv",
        "csv",
        {"destination_path": "{folder}", "disable_collection": True},
        events=NEWEST,
        lists=NEWEST_FILE,
        files="{stream}-*.csv",
        python="3.9",
        also=_SETUPTOOLS,
    ),
    Loader(
        "pipelinewise-target-s3-csv",
        "2.0.0",
        "target-s3-csv",
        "csv",
        {**_KEYS, "s3_bucket": "loaded", "aws_endpoint_url": "{s3}"},
        events=NEWEST,
        lists=NEWEST_FILE,
        files="{stream}-*.csv",
    ),
    Loader(
        "plinxore-target-s3",
        "0.1.7",
        "target-s3",
        "jsonl",
        {
            "format": {"format_type": "jsonl"},
            "prefix": "pendo",
            "append_date_to_filename_grain": "second",
            "cloud_provider": {
                "cloud_provider_type": "aws",
                "aws": {
                    **_KEYS,
                    "aws_bucket": "loaded",
                    "aws_region": "us-east-1",
                    "aws_endpoint_override": "{s3}",
                },
            },
        },
        events=NEWEST,
        lists=NEWEST_FILE,
        files="pendo/{stream}/**/*.jsonl*",
    ),
    Loader(
        "target-parquet",
        "0.0.1",
        "target-parquet",
        "parquet",
        {"destination_path": "{folder}", "disable_collection": True},
        events=NEWEST,
        lists=NEWEST_FILE,
        files="{stream}-*.parquet",
        python="3.7",
        also=_SETUPTOOLS,
        overrides=("pandas==1.3.5", "pyarrow==6.0.1"),
    ),
)
