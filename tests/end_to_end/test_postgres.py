"""From Pendo into a real PostgreSQL: what can be summed there equals what Pendo counts."""

from __future__ import annotations

import re
import typing as t
from datetime import datetime
from pathlib import Path

from tap_pendo.calendar import UTC, to_ms
from tap_pendo.catalog import CATALOG
from tap_pendo.catalog.stream_specs import EventSpec

if t.TYPE_CHECKING:
    from tests.conftest import TapRunner, Warehouse

EVENTS = [row for row in CATALOG if isinstance(row, EventSpec) and row.by_default]
START = datetime(2026, 3, 8, 7, tzinfo=UTC)
SETTINGS = {"start_date": START.isoformat()}
STREAMS = tuple(row.name for row in EVENTS)
NEXT_DAY = 24 * 3600


def sums(warehouse: Warehouse, row: EventSpec) -> dict[tuple[t.Any, ...], int]:
    """Events per app, entity and UTC day in a table."""
    entity = "poll_id" if row.name == "poll_events" else row.identity[3].name
    events = "num_events" if row.grouped else "1"
    found = warehouse.rows(
        f"""
        select app_id, {entity}, to_char({row.clock("hour").name}, 'YYYY-MM-DD'), sum({events})
        from {row.name} group by 1, 2, 3
        """
    )
    return {(app, what, day): int(count) for app, what, day, count in found}


def assert_all_equal(warehouse: Warehouse, tap: TapRunner) -> None:
    now = tap.pendo.clock.now()
    for row in EVENTS:
        truth = tap.pendo.world.sums(row.source, to_ms(START), now - now % 3_600_000)
        assert sums(warehouse, row) == dict(truth)


def late_events(ts: datetime) -> list[dict[str, t.Any]]:
    visitor = {"visitorId": 'o\'hara "quoted" \\ / 🦊\n', "ts": to_ms(ts)}
    return [
        {**visitor, "source": row.source, row.identity[3].pendo: "late", "pollId": "late-poll"}
        if row.name == "poll_events"
        else {**visitor, "source": row.source, row.identity[3].pendo: "late"}
        for row in EVENTS
        for _ in range(2)
    ]


def test_sums_equal_after_every_kind_of_run(tap: TapRunner, warehouse: Warehouse) -> None:
    first = tap.run(select=STREAMS, **SETTINGS)
    warehouse.load(first)
    assert_all_equal(warehouse, tap)
    before = warehouse.rows("select count(*) from feature_events")

    tap.pendo.clock.advance(2 * 3600)
    second = tap.run(state=first.state, select=STREAMS, **SETTINGS)
    assert len(second.records("feature_events")) < len(first.records("feature_events")) / 2
    warehouse.load(second)
    assert_all_equal(warehouse, tap)
    assert warehouse.rows("select count(*) from feature_events") > before

    tap.pendo.world.inject(late_events(datetime(2026, 3, 9, 10, 30, tzinfo=UTC)))
    tap.pendo.clock.advance(NEXT_DAY)
    third = tap.run(state=second.state, select=STREAMS, **SETTINGS)
    warehouse.load(third)
    assert_all_equal(warehouse, tap)

    tap.pendo.clock.advance(3600)
    warehouse.load(tap.run(select=STREAMS, backfill_order="oldest_first", **SETTINGS))
    assert_all_equal(warehouse, tap)


def test_a_run_that_changes_nothing_changes_nothing(tap: TapRunner, warehouse: Warehouse) -> None:
    first = tap.run(**SETTINGS)
    warehouse.load(first, validate=True)
    schemas = [m["stream"] for m in first if m["type"] == "SCHEMA"]
    tables = [name for name in schemas if name != "sync_windows"]
    counts = {name: warehouse.rows(f"select count(*) from {name}") for name in tables}
    empty = {name for name, count in counts.items() if count == [(0,)]}
    assert empty == {"metadata_parent_accounts"}
    warehouse.load(tap.run(state=first.state, **SETTINGS))
    assert {name: warehouse.rows(f"select count(*) from {name}") for name in tables} == counts


def test_what_pendo_no_longer_has_is_marked_and_never_by_a_failed_read(
    tap: TapRunner, warehouse: Warehouse
) -> None:
    def deleted() -> list[str]:
        return [
            key
            for (key,) in warehouse.rows(
                "select id from features where _sdc_deleted_at is not null order by 1"
            )
        ]

    select = ("features", "pages")
    warehouse.load(tap.run(select=select))
    gone = warehouse.rows("select id from features order by id limit 1")[0][0]
    tap.pendo.world.remove_definition("feature", gone)
    tap.pendo.faults.add(
        {"kind": "truncate", "bytes": 900, "times": None, "path": "/api/v1/feature"}
    )
    tap.pendo.clock.advance(3600)
    warehouse.load(tap.run(select=select))
    assert tap.exit_code == 1
    assert deleted() == []
    tap.pendo.faults.clear()
    warehouse.load(tap.run(select=select, app_ids=[-323232]))
    assert deleted() == []
    warehouse.load(tap.run(select=select))
    assert deleted() == [gone]


def test_values_of_any_type_load(tap: TapRunner, warehouse: Warehouse) -> None:
    answers: list[t.Any] = [9, "04", "free text", ["a", "b"], {"id": 1}, 4.5, True]
    tap.pendo.world.inject(
        {
            "source": "pollEvents",
            "ts": to_ms(datetime(2026, 3, 11, 3, n, tzinfo=UTC)),
            "visitorId": f"v{n}",
            "pollId": "any",
            "pollResponse": answer,
        }
        for n, answer in enumerate(answers)
    )
    select = ("poll_events", "visitors")
    warehouse.load(tap.run(select=select, start_date="2026-03-11"), validate=True)
    found = warehouse.rows(
        "select poll_response from poll_events where poll_id = 'any' order by browser_time"
    )
    assert [answer for (answer,) in found] == [
        *("9", "04", "free text", '["a","b"]', '{"id":1}', "4.5", "true")
    ]
    types = warehouse.rows(
        """
        select distinct jsonb_typeof(metadata -> 'custom' -> 'level') from visitors
        union select distinct jsonb_typeof(extra -> 'metadata.custom.level') from visitors
        """
    )
    assert {kind for (kind,) in types} >= {"number", "string", "array"}


def test_a_custom_field_that_is_new_between_runs_loads(
    tap: TapRunner, warehouse: Warehouse
) -> None:
    """Meltano keeps the catalogue of an earlier discovery, which does not know the field."""
    select = ("accounts",)
    catalog = tap.tap(select=select).catalog_dict
    warehouse.load(tap.run(select=select))
    for stream in catalog["streams"]:
        custom = stream["schema"]["properties"].get("metadata", {}).get("properties", {})
        custom.get("custom", {}).get("properties", {}).pop("plan", None)
    made = type(tap.tap())(config=tap.config, catalog=catalog)
    made.streams["accounts"].selected = True
    output = tap.collect(made)
    warehouse.load(output)
    plans = warehouse.rows("select distinct metadata -> 'custom' ->> 'plan' from accounts")
    assert len(plans) > 2


def test_times_are_utc(tap: TapRunner, warehouse: Warehouse) -> None:
    warehouse.load(tap.run(select=("feature_events",), start_date="2026-03-11"))
    ((first, last),) = warehouse.rows("select min(hour), max(last_time) from feature_events")
    assert first == datetime(2026, 3, 11)  # noqa: DTZ001 - target-postgres' own type
    assert last < datetime(2026, 3, 11, 12)  # noqa: DTZ001 - as above


def test_the_view_shows_the_rows_of_the_newest_reads(tap: TapRunner, warehouse: Warehouse) -> None:
    """The same days read by the hour, then by the day into the same tables: each counts once."""
    select = ("feature_events",)
    warehouse.load(tap.run(select=select, start_date="2026-03-08"))
    tap.pendo.clock.advance(1)
    days = tap.run(select=select, start_date="2026-03-08", end_date="2026-03-11", period="day")
    warehouse.load(days)
    text = (Path(__file__).parents[2] / "docs" / "event-streams.md").read_text()
    view = re.search(r"```sql\n(.*?)```", text, re.DOTALL)
    assert view
    warehouse.execute(view[1].replace("tap_pendo", warehouse.schema))
    everything = warehouse.rows("select sum(num_events) from feature_events")
    ((current, by_day),) = warehouse.rows(
        "select sum(num_events), count(day) from current_feature_events"
    )
    now = tap.pendo.clock.now()
    start = to_ms(datetime(2026, 3, 8, tzinfo=UTC))
    truth = tap.pendo.world.sums("featureEvents", start, now - now % 3_600_000)
    assert current == sum(truth.values())
    assert by_day == len(days.records("feature_events"))
    assert everything > [(current,)]
