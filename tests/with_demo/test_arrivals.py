"""What arrived: PostgreSQL's rows beside Pendo's."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING

import pytest
from with_demo.arrivals import Arrival, Range, compare, show

if TYPE_CHECKING:
    from conftest import Demo

# COMMAND: runs the SQL of its arguments in the database that its environment names
PSQL = (
    sys.executable,
    "-c",
    """if True:
        import os, sys, psycopg
        parts = dict(dbname="DATABASE", host="HOST", port="PORT", user="USER", password="PASSWORD")
        where = {key: os.environ["TARGET_POSTGRES_" + name] for key, name in parts.items()}
        with psycopg.connect(**where) as connection:
            for statement in sys.argv[1:]:
                connection.execute(statement)
    """,
)
FIRST_LOAD = (
    "create schema tap_pendo",
    "create table tap_pendo.features (id text, _sdc_deleted_at timestamp)",
    "insert into tap_pendo.features values ('a', null), ('b', null), ('c', '2026-01-01')",
    "create table tap_pendo.guides (id text)",
    "insert into tap_pendo.guides values ('g')",
    'create table tap_pendo.feature_events ("visitor id" text)',
    "insert into tap_pendo.feature_events select 'v' from generate_series(1, 1234)",
    "create table tap_pendo.page_events (row_id text)",
    "create table tap_pendo.my_aggregation (n int)",
    "create view tap_pendo.current_features as select * from tap_pendo.features",
    """create table tap_pendo.sync_windows
    (stream text, window_start timestamp, window_end timestamp)""",
    """insert into tap_pendo.sync_windows values
    ('feature_events', '2026-01-01', '2026-01-08'),
    ('feature_events', '2026-01-08', '2026-01-08 13:00')""",
)
TRUTH = json.dumps({"feature": 2, "guide": 3, "featureEvents": 1234, "pageEvents": 5})


def test_rows_new_ones_and_pendos(demo: Demo) -> None:
    first = demo.run(*PSQL, *FIRST_LOAD, STAND_IN_TRUTH=TRUTH)
    second = demo.run(
        *PSQL, "insert into tap_pendo.guides values ('h'), ('i')", STAND_IN_TRUTH=TRUTH
    )

    assert first.returncode == 0
    assert first.stdout == (
        "stream          rows in PostgreSQL  new in this run  rows in Pendo\n"
        "--------------  ------------------  ---------------  -------------  ---------\n"
        "feature_events               1,234           +1,234          1,234  equal\n"
        "features                         2               +2              2  equal\n"
        "guides                           1               +1              3  different\n"
        "my_aggregation                   0               +0\n"
        "page_events                      0               +0              ?  unknown\n"
        "\n"
        "Range of the event streams: 2026-01-01 00:00 to 2026-01-08 13:00 UTC\n"
    )
    assert "guides                           3               +2              3  equal" in (
        second.stdout.splitlines()
    )


def test_nothing_is_said_when_command_loads_elsewhere(demo: Demo) -> None:
    result = demo.run(*PSQL, "create schema other", "create table other.features (id text)")

    assert (result.returncode, result.stdout) == (0, "")


def test_nothing_arrived_though_command_names_the_target(demo: Demo) -> None:
    result = demo.run("sh", "-c", "true", "target-postgres")

    assert result.stdout.startswith("Nothing arrived in PostgreSQL")


def test_nothing_arrived_when_command_failed(demo: Demo) -> None:
    result = demo.run("false", TARGET_POSTGRES_HOST="")  # an empty setting names no database

    assert result.returncode == 1
    assert result.stdout == (
        "Nothing arrived in PostgreSQL: there is no table of a stream in tap_pendo.\n"
    )


def test_a_database_that_command_broke(demo: Demo) -> None:
    pidfile = demo.data / "postgres" / "cluster" / "postmaster.pid"

    result = demo.run("sh", "-c", 'kill -9 $(head -n 1 "$1")', "sh", pidfile)

    assert result.returncode == 0
    assert result.stdout.startswith("What arrived is not known: ")
    assert len(result.stdout.splitlines()) == 1


def test_truth_is_asked_for_the_range_that_was_read() -> None:
    day = Range(0, 86_400_000)

    def truth(kind: str, known: Range | None) -> int:
        return {("app", None): 2, ("trackEvents", day): 7}[kind, known]

    found = compare(
        {"applications": 2}, {"applications": 2, "track_events": 8}, {"track_events": day}, truth
    )

    assert found == [
        Arrival("applications", rows=2, new=0, truth=2),
        Arrival("track_events", rows=8, new=8, truth=7, range=day),
    ]
    assert [each.mark for each in found] == ["equal", "different"]


@pytest.mark.parametrize(
    ("ends", "lines"),
    [
        ((60, 60), ["Range of the event streams: 1970-01-01 00:00 to 1970-01-01 00:01 UTC"]),
        (
            (60, 120),
            [
                "Range of events: 1970-01-01 00:00 to 1970-01-01 00:01 UTC",
                "Range of guide_events: 1970-01-01 00:00 to 1970-01-01 00:02 UTC",
            ],
        ),
        ((), []),
    ],
)
def test_ranges_are_said_once_where_they_agree(ends: tuple[int, ...], lines: list[str]) -> None:
    streams = ("events", "guide_events")
    arrivals = [
        Arrival(stream, 1, 1, 1, Range(0, end * 1000))
        for stream, end in zip(streams, ends, strict=False)
    ] or [Arrival("guides", 1, -1, 1)]

    assert [line for line in show(arrivals).splitlines() if line.startswith("Range")] == lines
