"""The pictures of docs/event-streams.md, played through against the emulated Pendo."""

from __future__ import annotations

import re
import typing as t
from datetime import datetime, timedelta, timezone

from tap_pendo.calendar import to_ms

from tests.documents import blocks
from tests.tables import make_view

if t.TYPE_CHECKING:
    from tests.conftest import TapRunner, Warehouse

PAGE = "docs/event-streams.md"
[WINDOWS] = blocks(PAGE, "What a run reads", "mermaid")
[ROWS] = blocks(PAGE, "Which rows are current", "mermaid")
DAY = datetime(2026, 3, 11, tzinfo=timezone.utc)


def test_windows_are_those_of_the_picture(tap: TapRunner) -> None:
    drawn = [
        re.findall(r"^ +\d+ :(.+), (.+)$", section, re.MULTILINE)
        for section in WINDOWS.split("section ")[1:]
    ]
    moments = re.findall(r"section (\d+) March (\d+)h(\d+), ", WINDOWS)

    found, state = [], None
    for day, hour, minute in moments:
        tap.pendo.clock.set(f"2026-03-{day}T{hour}:{minute}:00Z")
        output = tap.run(select=("feature_events",), start_date="2026-03-01", state=state)
        state = output.state
        found.append(
            [
                tuple(row[name][:16].replace("T", " ") for name in ("window_start", "window_end"))
                for row in output.records("sync_windows")
            ]
        )

    assert found == drawn


def test_rows_of_two_reads_are_those_of_the_picture(tap: TapRunner, warehouse: Warehouse) -> None:
    world = tap.pendo.world
    feature = world.activity.entities["featureEvents"][0]

    def use(visitor: str, *minutes: int) -> None:
        world.inject(
            {
                "source": "featureEvents",
                "visitorId": visitor,
                "accountId": "acme",
                "appId": feature.app_id,
                "featureId": feature.id,
                "ts": to_ms(DAY + timedelta(hours=10, minutes=minute)),
            }
            for minute in minutes
        )

    select = ("feature_events",)
    tap.pendo.clock.set("2026-03-11T11:34:00Z")
    use("ann", 1, 2)
    use("bob", 30)
    first = tap.run(select=select, start_date="2026-03-11")
    use("ann", 3)
    use("cy", 50, 51, 52, 53)
    clicked = DAY + timedelta(hours=10, minutes=30)
    world.retag(
        "featureEvents", feature.id, None, to_ms(clicked), to_ms(clicked + timedelta(minutes=1))
    )
    tap.pendo.clock.set("2026-03-11T12:34:00Z")
    second = tap.run(select=select, start_date="2026-03-11", state=first.state)
    for output in (first, second):
        warehouse.load(output)
    make_view(warehouse, "feature_events")
    in_table = warehouse.rows(
        """
        select visitor_id, num_events, to_char(read_at, 'HH24:MI'),
            row_id in (select row_id from current_feature_events)
        from feature_events where visitor_id in ('ann', 'bob', 'cy') order by visitor_id
        """
    )

    for place, output in (("first", first), ("second", second)):
        assert drawn(place) == [
            (row["visitor_id"], row["num_events"])
            for row in sorted(output.records("feature_events"), key=lambda row: row["visitor_id"])
            if row["visitor_id"] in {"ann", "bob", "cy"}
        ]
    assert drawn("table") == [row[:2] for row in in_table]
    assert re.findall(r"read_at (\S+), (not )?current", ROWS) == [
        (read_at, "" if current else "not ") for *_, read_at, current in in_table
    ]


def drawn(place: str) -> list[tuple[str, int]]:
    """Who has how many events in a box of the picture."""
    box = ROWS.split(f"subgraph {place}[")[1].split("    end")[0]
    return [(who, int(count)) for who, count in re.findall(r'\["(\w+): (\d+) event', box)]
