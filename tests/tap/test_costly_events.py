"""The event streams that are off by default: many rows, or rows that nobody has described."""

from __future__ import annotations

import typing as t
from datetime import timedelta

import pytest
from tap_pendo.catalog import CATALOG
from tap_pendo.windows import from_text, to_ms

from tests.conftest import NOW
from tests.sink import Sink
from tests.tables import event_sums

if t.TYPE_CHECKING:
    from tap_pendo.objects import Events

    from tests.conftest import TapRunner

ROWS = t.cast("dict[str, Events]", {row.name: row for row in CATALOG})
START = NOW.replace(hour=0, minute=0, second=0) - timedelta(days=2)
SUMMED = ("single_events", "email_events")


def span(tap: TapRunner) -> tuple[int, int]:
    now = tap.pendo.clock.now()
    return to_ms(START), now - now % 3_600_000


@pytest.mark.parametrize("name", ["single_events", "session_recordings", "email_events"])
def test_every_row_arrives_once(name: str, tap: TapRunner) -> None:
    output = tap.run(select=(name,), start_date=START.isoformat())
    assert tap.exit_code == 0
    records = output.records(name)
    assert len(records) == tap.pendo.world.count(ROWS[name].source, *span(tap)) > 5
    assert len({r["row_id"] for r in records}) == len(records)


def test_single_events_are_asked_for_by_the_hour(tap: TapRunner) -> None:
    output = tap.run(select=("single_events",), start_date=START.isoformat())
    windows = [
        from_text(w["window_end"]) - from_text(w["window_start"])
        for w in output.records("sync_windows")
    ]
    assert set(windows) == {timedelta(hours=1)}


@pytest.mark.parametrize("name", SUMMED)
def test_later_runs_bring_what_was_late(name: str, tap: TapRunner) -> None:
    sink, source = Sink(), {"single_events": "events"}.get(name, ROWS[name].source)
    first = tap.run(select=(name,), start_date=START.isoformat())
    late = {"source": source, "ts": to_ms(NOW - timedelta(hours=5)), "visitorId": "late 🦊"}
    tap.pendo.world.inject([late, late])
    tap.pendo.clock.advance(3 * 3600)
    second = tap.run(select=(name,), start_date=START.isoformat(), state=first.state)
    sink.load([*first, *second])
    expected = event_sums(tap.pendo.world, ROWS[name].source, START, "hour")
    assert len(sink.current(ROWS[name])) == expected.total()
    assert len([r for r in second.records(name) if r["visitor_id"] == "late 🦊"]) == 2


def test_rows_that_say_their_time_elsewhere_are_kept(tap: TapRunner) -> None:
    tap.pendo.faults.add(
        {
            "kind": "extra_fields",
            "fields": {"browserTime": None, "sentAt": 5},
            "times": None,
            "source": "emailEvents",
        }
    )
    output = tap.run(select=("email_events",), start_date=START.isoformat())
    records = output.records("email_events")
    assert len(records) == tap.pendo.world.count("emailEvents", *span(tap))
    assert {r["extra"]["sentAt"] for r in records} == {5}


def test_agents_have_to_be_named(tap: TapRunner, caplog: pytest.LogCaptureFixture) -> None:
    output = tap.run(select=("agentic_events", "poll_events"), start_date=START.isoformat())
    assert tap.exit_code == 1
    assert "agentic_events failed" in caplog.text
    assert "agentId and appId are required" in caplog.text
    entry = {
        "name": "agent_conversations",
        "primary_keys": ["eventId", "window_start"],
        "grain": "day",
        "pipeline": [
            {"source": {"agenticEvents": {"agentId": "agent-atlas-helper", "appId": -323232}}},
            {"sort": ["browserTime"]},
        ],
    }
    assert output.records("sync_windows")
    output = tap.run(
        select=("agent_conversations",), aggregations=[entry], start_date=START.isoformat()
    )
    assert tap.exit_code == 0
    assert output.records("agent_conversations")
