"""Columns that every loader takes: one type each, no reserved name; and flat records."""

from __future__ import annotations

import gzip
import json
import logging
import re
import typing as t
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from singer_sdk.helpers._typing import conform_record_data_types
from singer_sdk.helpers.conform import TypeConformanceLevel
from tap_pendo.calendar import UTC, to_ms
from tap_pendo.catalog import CATALOG
from tap_pendo.records.fields import types_of

from tests.conftest import NOW

if t.TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.conftest import Message, Output, TapRunner

GOLDEN = Path(__file__).parents[1] / "golden" / "catalog.json"
# reserved as a column's name by PostgreSQL, Snowflake, BigQuery, Redshift or DuckDB
RESERVED = set(
    re.findall(
        r"\w+",
        """
    all alter analyse analyze and any array as asc assert_rows_modified asymmetric at authorization
    between binary both by case cast check collate column connect connection constraint contains
    create cross cube current current_date current_time current_timestamp current_user database
    default deferrable define delete desc describe distinct do drop else end enum escape except
    exclude exists extract false fetch following for foreign freeze from full grant group grouping
    groups gscluster hash having if ignore ilike in increment initially inner insert intersect
    interval into is isnull issue join lambda lateral leading left like limit localtime
    localtimestamp lookup merge minus natural new no not notnull null nulls of off offset on only
    open or order organization outer over overlaps partition permissions pivot pivot_longer
    pivot_wider placing preceding primary proto qualify range raw recursive references regexp
    respect returning revoke right rlike rollup row rows sample schema select session_user set show
    similar snapshot some start struct summarize symmetric sysdate system table tablesample then to
    top trailing treat trigger true try_cast unbounded union unique unnest unpivot update user using
    values variadic verbose view when whenever where window with within without
    """,
    )
)
STREAMS = tuple(row.name for row in CATALOG if row.by_default)
START = {"start_date": (NOW - timedelta(days=1)).isoformat()}


def columns() -> Iterator[tuple[str, str, Message]]:
    """Stream, path and schema of each column, and of what is inside objects and lists."""
    for stream in json.loads(GOLDEN.read_text())["streams"]:
        for path, schema in inside("", stream["schema"]):
            yield stream["tap_stream_id"], path, schema


def inside(path: str, schema: Message) -> Iterator[tuple[str, Message]]:
    for name, each in schema.get("properties", {}).items():
        yield f"{path}{name}", each
        yield from inside(f"{path}{name}.", each)
    if schema.get("items"):
        yield f"{path}[]", schema["items"]
        yield from inside(f"{path}[].", schema["items"])


def test_each_column_has_one_type() -> None:
    several = [
        f"{stream}.{path}"
        for stream, path, schema in columns()
        if len({*schema["type"]} - {"null"}) > 1 and isinstance(schema["type"], list)
    ]

    assert several == []


def test_no_column_and_no_stream_has_a_reserved_name() -> None:
    names = {path for _, path, _ in columns() if "." not in path and "[" not in path}

    assert {stream for stream, _, _ in columns()} & RESERVED == set()
    assert names & RESERVED == set()


def test_the_sdk_writes_each_record_into_a_file_as_it_is(tap: TapRunner) -> None:
    """As target-snowflake does, which conforms records down to the items of their lists."""
    output = tap.run(select=STREAMS, **START)
    schemas = {m["stream"]: m["schema"] for m in output if m["type"] == "SCHEMA"}

    for stream, schema in schemas.items():
        for record in output.records(stream):
            found = conform_record_data_types(
                stream, record, schema, TypeConformanceLevel.RECURSIVE, logging.getLogger()
            )
            assert found == record


def plain(value: t.Any) -> t.Any:
    return json.loads(value) if isinstance(value, str) and value[:1] in ("{", "[") else value


def assert_same_but_flat(nested: Output, flat: Output) -> None:
    """The same rows, each with all columns of its stream; objects and lists as JSON text."""
    schemas = {m["stream"]: m["schema"]["properties"] for m in flat if m["type"] == "SCHEMA"}
    lists = {m["stream"]: m["schema"]["properties"] for m in nested if m["type"] == "SCHEMA"}
    assert schemas.keys() == lists.keys()
    for stream, properties in schemas.items():
        rows, flattened = nested.records(stream), flat.records(stream)
        assert len(rows) == len(flattened)
        types = {kind for schema in properties.values() for kind in types_of(schema)}
        assert types <= {"string", "integer", "number", "boolean"}
        texts = {
            name for name, schema in lists[stream].items() if {"object", "array"} & types_of(schema)
        }
        assert all(record.keys() == properties.keys() for record in flattened)
        found = [{n: plain(v) if n in texts else v for n, v in r.items()} for r in flattened]
        assert ordered(found) == ordered([{**dict.fromkeys(properties), **row} for row in rows])


def ordered(rows: list[Message]) -> list[str]:
    """The rows in an order of their own; when they were read is left out."""
    return sorted(json.dumps({**row, "read_at": ""}, sort_keys=True) for row in rows)


def test_flat_records_say_the_same_in_scalars(tap: TapRunner) -> None:
    nested = tap.run(select=STREAMS, **START)
    flat = tap.run(select=STREAMS, record_format="flat", **START)

    assert tap.exit_code == 0
    assert_same_but_flat(nested, flat)
    assert any(record["metadata"] for record in flat.records("visitors"))


def test_flat_records_by_the_ways_of_the_sdk(tap: TapRunner, tmp_path: Path) -> None:
    select = ("feature_events", "pages")
    flat = tap.run(select=select, record_format="flat", **START)
    mapped = tap.run(
        select=select, record_format="flat", stream_maps={"pages": {"name": "name"}}, **START
    )
    storage = {"encoding": {"format": "jsonl", "compression": "gzip"}}
    storage["storage"] = {"root": tmp_path.as_uri()}
    batch = tap.run(select=select, record_format="flat", batch_config=storage, **START)

    for stream in select:
        expected = ordered(flat.records(stream))
        assert expected
        assert ordered(mapped.records(stream)) == expected
        files = [
            Path(file.removeprefix("file://"))
            for message in batch
            if message["type"] == "BATCH" and message["stream"] == stream
            for file in message["manifest"]
        ]
        lines = [line for file in files for line in gzip.decompress(file.read_bytes()).split(b"\n")]
        assert ordered([*batch.records(stream), *map(json.loads, filter(None, lines))]) == expected


def test_columns_of_an_own_aggregation_are_found_again_in_a_flat_catalogue(tap: TapRunner) -> None:
    own = {
        "name": "shapes",
        "primary_keys": ["id"],
        "pipeline": [
            {
                "source": {
                    "const": [
                        {"id": "a", "list": [1], "object": {"b": 2}, "mixed": 1},
                        {"id": "b", "list": [], "object": {}, "mixed": ["x"]},
                    ]
                }
            }
        ],
    }
    given: Message = {"aggregations": [own], "record_format": "flat"}
    made = tap.tap(select=("shapes",), **given)
    again = type(made)(config=dict(made.config), catalog=made.catalog_dict)
    again.streams["shapes"].selected = True
    output = tap.collect(again)

    assert ordered(output.records("shapes")) == ordered(
        [
            {
                "id": "a",
                "list": "[1]",
                "object": '{"b":2}',
                "mixed": "1",
                "read_at": "",
                "extra": None,
            },
            {
                "id": "b",
                "list": "[]",
                "object": "{}",
                "mixed": '["x"]',
                "read_at": "",
                "extra": None,
            },
        ]
    )


@pytest.mark.parametrize("value", ["", None])
def test_an_empty_id_is_none_and_the_row_keeps_its_identity(
    value: str | None, tap: TapRunner
) -> None:
    event = {
        "visitorId": "v",
        "accountId": value,
        "ts": to_ms(datetime(2026, 3, 11, 3, tzinfo=UTC)),
    }
    entity = tap.pendo.world.activity.entities["featureEvents"][0]
    ids = {"appId": entity.app_id, "featureId": entity.id}
    tap.pendo.world.inject([{"source": "featureEvents", **event, **ids}])
    tap.pendo.world.inject(
        [{"source": "guideEvents", **event, "guideId": "g", "guideStepId": value}]
    )

    output = tap.run(select=("feature_events", "guide_events"), start_date="2026-03-11")

    [use] = [row for row in output.records("feature_events") if row["visitor_id"] == "v"]
    [seen] = [row for row in output.records("guide_events") if row["visitor_id"] == "v"]
    assert use.get("account_id") is seen.get("account_id") is seen.get("guide_step_id") is None
    assert use["row_id"] == "56ca10d26ee13362e1256a41177792d3"
    assert seen["row_id"] == "e9673f609fea48405ed6329480b7fc58"


def test_an_answer_to_a_poll_is_text(tap: TapRunner) -> None:
    answers = {9: "9", "04": "04", "free text": "free text", 4.5: "4.5", True: "true"}
    given = [*answers, ["a", 1], {"id": 1}]
    tap.pendo.world.inject(
        {
            "source": "pollEvents",
            "ts": to_ms(datetime(2026, 3, 11, 3, n, tzinfo=UTC)),
            "visitorId": f"v{n}",
            "pollId": "any",
            "pollResponse": answer,
        }
        for n, answer in enumerate(given)
    )
    rows = [
        r for r in tap.run(select=("poll_events",)).records("poll_events") if r["poll_id"] == "any"
    ]

    found = [row["poll_response"] for row in sorted(rows, key=lambda row: row["browser_time"])]
    assert found == [*answers.values(), '["a",1]', '{"id":1}']
    assert not any("extra" in row for row in rows)
