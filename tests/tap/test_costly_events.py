"""The event streams that are off by default: many rows, or rows that nobody has described."""

from __future__ import annotations

import typing as t
from datetime import timedelta

import pytest
from pendo_emulator.product import definitions
from tap_pendo.calendar import from_text, to_ms
from tap_pendo.catalog import CATALOG
from tap_pendo.records.identity import row_id

from tests.conftest import NOW
from tests.sink import Sink
from tests.tables import event_sums

if t.TYPE_CHECKING:
    from tap_pendo.catalog.stream_specs import EventSpec

    from tests.conftest import TapRunner

ROWS = t.cast("dict[str, EventSpec]", {row.name: row for row in CATALOG})
START = NOW.replace(hour=0, minute=0, second=0) - timedelta(days=5)
SUMMED = ("single_events", "email_events")


def span(tap: TapRunner) -> tuple[int, int]:
    now = tap.pendo.clock.now()
    return to_ms(START), now - now % 3_600_000


@pytest.mark.some(1)
@pytest.mark.parametrize("name", ["single_events", "session_recordings", "email_events"])
def test_every_row_arrives_once(name: str, tap: TapRunner) -> None:
    output = tap.run(select=(name,), start_date=START.isoformat())
    assert tap.exit_code == 0
    records = output.records(name)
    assert len(records) == tap.pendo.world.count(ROWS[name].source, *span(tap)) > 1
    assert len({r["row_id"] for r in records}) == len(records)


@pytest.mark.some(1)
@pytest.mark.parametrize("page_size", [50_000, 7])
def test_single_events_that_only_tell_their_hour_are_kept(
    page_size: int, tap: TapRunner, caplog: pytest.LogCaptureFixture
) -> None:
    tap.pendo.knobs.single_event_rows = "hours"
    settings = {"select": ("single_events",), "start_date": START.isoformat()}
    output = tap.run(**settings, page_size=page_size)
    assert tap.exit_code == 0
    assert "left out" not in caplog.text
    complete = {w["read_at"] for w in output.records("sync_windows")}
    records = [r for r in output.records("single_events") if r["read_at"] in complete]
    assert len(records) == len({r["row_id"] for r in records})
    assert len(records) == tap.pendo.world.count("singleEvents", *span(tap)) > 5
    counted = sum(r["num_events"] for r in records)
    assert counted == sum(tap.pendo.world.sums("singleEvents", *span(tap)).values())
    assert counted == sum(w["num_events"] for w in output.records("sync_windows"))
    assert all(r["browser_time"] == r["hour"] and r["day"] <= r["hour"] for r in records)
    again = tap.run(**settings, page_size=50_000)
    assert {r["row_id"] for r in again.records("single_events")} == {r["row_id"] for r in records}


def test_identities_of_single_events_are_those_of_before(tap: TapRunner) -> None:
    (event,) = [
        {"ts": to_ms(START) + 5, "visitorId": "v", "accountId": "a", "type": "click", "tabId": "t"}
    ]
    tap.pendo.world.inject([{**event, "source": "events", "eventId": "e"}])
    records = tap.run(select=("single_events",), start_date=START.isoformat())
    (record,) = [r for r in records.records("single_events") if r["visitor_id"] == "v"]
    values = ["hour", record["browser_time"], "v", "a", -323232, "click", "t", "e"]
    assert record["row_id"] == row_id("single_events", values)


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


AGENTS = [agent for agent, _ in definitions.AGENTS]


def agentic(tap: TapRunner) -> int:
    return sum(tap.pendo.world.sums("agenticEvents", *span(tap)).values())


@pytest.mark.parametrize("rows", ["with_ids", "without_ids"])
@pytest.mark.parametrize("page_size", [50_000, 3])
def test_agents_are_read_in_each_app(rows: str, page_size: int, tap: TapRunner) -> None:
    tap.pendo.knobs.agentic_rows = rows  # type: ignore[assignment]
    settings = {"select": ("agentic_events",), "start_date": START.isoformat()}
    output = tap.run(**settings, agent_ids=AGENTS, page_size=page_size)
    assert tap.exit_code == 0
    records = output.records("agentic_events")
    assert len(records) == len({r["row_id"] for r in records}) == agentic(tap) > 5
    assert {(r["agent_id"], r["app_id"]) for r in records} == set(definitions.AGENTS)
    assert {key for r in records for key in r.get("extra", ())} == {
        "agentInputTokens",
        "agentOutputTokens",
    }
    assert {r["suggested_prompt"] for r in records if r.get("type") == "prompt"} == {True}


def test_one_agent_of_some_apps_is_asked_for_alone(tap: TapRunner) -> None:
    settings = {"select": ("agentic_events",), "start_date": START.isoformat()}
    one = tap.run(**settings, agent_ids=AGENTS[:1], app_ids=[-323232])
    assert tap.exit_code == 0
    assert {r["agent_id"] for r in one.records("agentic_events")} == {AGENTS[0]}
    # what is new among them was not read before
    every = tap.run(**settings, agent_ids=AGENTS, state=one.state, lookback_hours=0)
    assert len(every.records("agentic_events")) == agentic(tap)


def test_agents_have_to_be_named(tap: TapRunner, caplog: pytest.LogCaptureFixture) -> None:
    output = tap.run(select=("agentic_events", "poll_events"), start_date=START.isoformat())
    assert tap.exit_code == 1
    assert output.records("sync_windows")
    (line,) = (r.getMessage() for r in caplog.records if "agentic_events failed" in r.getMessage())
    assert "agentId and appId are required: name the agents in `agent_ids`" in line
