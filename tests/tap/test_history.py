"""The history of each visitor: whole, in base64 where ids need it, and resumable within a day."""

from __future__ import annotations

import json
import typing as t
from datetime import timedelta

import pytest
from pendo_emulator.world import World
from tap_pendo.api.client import PendoClient
from tap_pendo.calendar import from_text, to_ms
from tap_pendo.errors import RefusedError
from tap_pendo.streams import visitor_history

from tests.conftest import NOW, TapRunner

if t.TYPE_CHECKING:
    from pendo_emulator.server import Emulator
    from tap_pendo.streams.visitor_history import VisitorHistoryStream

    from tests.conftest import Output, Place

SELECT = ("visitor_history",)
PATH = "/api/v1/visitor/{id}/history"
START = NOW.replace(hour=0, minute=0, second=0) - timedelta(days=3)


@pytest.fixture
def pendo(_place: Place) -> Emulator:
    """Serve few visitors: each costs a call a day."""
    return _place.pendo(World(events_per_day=150, visitors=50, accounts=20))


def truth(pendo: Emulator, days: int = 3) -> int:
    """Rows of all visitors, of the days that are closed."""
    visitors = [v["visitorId"] for v in pendo.world.visitors(pendo.clock.now(), identified=True)]
    starts = [to_ms(START + timedelta(days=n)) for n in range(days)]
    return sum(pendo.world.history_count(v, start) for v in visitors for start in starts)


def run(tap: TapRunner, **more: t.Any) -> Output:
    return tap.run(**{"select": SELECT, "start_date": START.isoformat(), **more})


def places(output: Output) -> dict[str, t.Any]:
    """How far the days have been read that are read in part; those read whole are null."""
    begun = output.state["bookmarks"]["visitor_history"]["begun"]
    return {day: place for day, place in begun.items() if place}


def test_every_visitor_of_every_closed_day(tap: TapRunner) -> None:
    output = run(tap)
    assert tap.exit_code == 0
    records = output.records("visitor_history")
    assert len(records) == truth(tap.pendo) > 20
    assert len({r["row_id"] for r in records}) == len(records)
    odd = {r["visitor_id"] for r in records if not r["visitor_id"].isascii()}
    assert odd
    days = output.records("sync_windows")
    assert [d["window_start"][:10] for d in days] == ["2026-03-10", "2026-03-09", "2026-03-08"]
    assert sum(d["row_count"] for d in days) == len(records)
    assert places(output) == {}


def test_the_same_rows_at_every_read(tap: TapRunner) -> None:
    once, again = run(tap, concurrency=1), run(tap, concurrency=6)
    ids = {r["row_id"] for r in once.records("visitor_history")}
    assert ids == {r["row_id"] for r in again.records("visitor_history")}


def test_calls_run_side_by_side(tap: TapRunner) -> None:
    fault = {"kind": "delay", "seconds": 0.05, "path": "/api/v1/visitor/{id}/history"}
    tap.pendo.faults.add({**fault, "times": 60})
    run(tap, concurrency=4)
    assert tap.pendo.calls.most_at_once == 4


def test_a_day_that_is_broken_off_goes_on_behind_its_last_visitor(
    tap: TapRunner, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(visitor_history, "STRETCH", 5)
    fault = {"kind": "status", "status": 400, "path": "/api/v1/visitor/{id}/history"}
    tap.pendo.faults.add({**fault, "times": None, "after": 30})
    first = run(tap, concurrency=1)
    assert tap.exit_code == 1
    ((day_begun, begun),) = places(first).items()
    assert begun["rows"] > 0
    tap.pendo.faults.clear()
    tap.pendo.calls.clear()
    tap.pendo.clock.advance(1)
    second = run(tap, state=first.state)
    assert tap.exit_code == 0
    path = "/api/v1/visitor/{id}/history"
    asked = sum(n for (p, _), n in tap.pendo.calls.counts.items() if p == path)
    ids = [r["row_id"] for out in (first, second) for r in out.records("visitor_history")]
    assert len(set(ids)) == truth(tap.pendo)
    whole = TapRunner(tap.pendo)
    tap.pendo.calls.clear()
    whole.run(select=SELECT, start_date=START.isoformat())
    all_of_it = sum(n for (p, _), n in tap.pendo.calls.counts.items() if p == path)
    assert asked < all_of_it
    # the day has one read_at, of its first part, so that its row in sync_windows fits all rows
    (day,) = [w for w in second.records("sync_windows") if w["window_start"] == day_begun]
    assert day["read_at"] == begun["read_at"]
    of_day = {
        r["row_id"]
        for out in (first, second)
        for r in out.records("visitor_history")
        if r["read_at"] == day["read_at"] and r["ts"][:10] == day["window_start"][:10]
    }
    assert day["row_count"] == len(of_day)


def broken_off(tap: TapRunner, after: int, **more: t.Any) -> Output:
    """Run until Pendo refuses, after so many histories."""
    fault = {"kind": "status", "status": 422, "path": PATH, "times": None, "after": after}
    tap.pendo.faults.add(fault)
    output = run(tap, concurrency=1, **more)
    tap.pendo.faults.clear()
    assert tap.exit_code == 1
    return output


def calls(tap: TapRunner) -> int:
    """Give the calls for histories since the last time."""
    count = sum(n for (path, _), n in tap.pendo.calls.counts.items() if path == PATH)
    tap.pendo.calls.clear()
    return count


def test_a_day_keeps_its_place_while_the_look_back_reads_others(
    tap: TapRunner, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(visitor_history, "STRETCH", 5)
    run(tap, start_date="2026-03-10")
    of_newest = calls(tap)
    first = broken_off(tap, of_newest + 42)
    (begun,) = places(first)
    assert begun.startswith("2026-03-09")
    calls(tap)
    # another day: the look-back reads the newest day again, in two goes
    tap.pendo.clock.set((NOW + timedelta(days=1)).isoformat())
    run(tap, end_date="2026-03-11")
    at_once = calls(tap)
    second = broken_off(tap, 22, state=first.state, lookback_days=1, end_date="2026-03-11")
    days = places(second)
    assert [day[:10] for day in sorted(days)] == ["2026-03-09", "2026-03-10"]
    calls(tap)
    third = run(tap, state=second.state, lookback_days=1, end_date="2026-03-11")
    assert tap.exit_code == 0
    assert places(third) == {}
    # what was out before is not asked for again: 20 of the newest day, 40 of the one before
    assert calls(tap) == at_once - 20 - 40
    outputs = (first, second, third)
    ids = {r["row_id"] for out in outputs for r in out.records("visitor_history")}
    assert len(ids) == truth(tap.pendo)
    for window in third.records("sync_windows"):
        rows = {
            r["row_id"]
            for out in outputs
            for r in out.records("visitor_history")
            if r["read_at"] == window["read_at"] and r["ts"][:10] == window["window_start"][:10]
        }
        assert window["row_count"] == len(rows)


@pytest.mark.whole
def test_a_place_without_anonymous_visitors_does_not_serve_for_all(
    tap: TapRunner, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(visitor_history, "STRETCH", 5)
    first = run(tap)
    # all is read again with the anonymous, and broken off within the first day
    second = broken_off(tap, 22, state=first.state, include_anonymous_visitors=True)
    assert places(second)
    third = run(tap, state=second.state, include_anonymous_visitors=True)
    later = {r["row_id"] for out in (second, third) for r in out.records("visitor_history")}
    whole = run(tap, include_anonymous_visitors=True)
    assert later == {r["row_id"] for r in whole.records("visitor_history")}


@pytest.mark.parametrize(
    "found",
    [
        {"2026-03-10T00:00:00.000Z": {"read_at": "soon"}},
        {"2026-03-10T00:00:00.000Z": {"read_at": 5, "visitor_id": "v", "rows": 1}},
    ],
)
def test_a_place_that_is_not_one_is_refused(
    found: dict[str, t.Any], tap: TapRunner, caplog: pytest.LogCaptureFixture
) -> None:
    run(tap, state={"bookmarks": {"visitor_history": {"begun": found}}})
    assert tap.exit_code == 1
    assert "state: `begun` of visitor_history is not valid" in caplog.text


@pytest.mark.parametrize("found", [None, {"window_start": "x", "rows": 1}, {"soon": {}}])
def test_a_place_of_no_day_is_passed_over(found: t.Any, tap: TapRunner) -> None:
    state = {"bookmarks": {"visitor_history": {"begun": found}}}
    run(tap, start_date="2026-03-10", state=state)
    assert tap.exit_code == 0


def test_no_further_back_than_pendo_keeps_it(tap: TapRunner) -> None:
    tap.pendo.knobs.old_history = 400
    made = tap.tap(select=SELECT, start_date="2020-01-01")
    stream = made.streams["visitor_history"]
    earliest = stream.earliest(NOW)  # type: ignore[attr-defined]
    assert NOW - timedelta(days=180) <= earliest < NOW - timedelta(days=179)
    tap.run(select=SELECT, start_date="2020-01-01", end_date=(earliest + timedelta(1)).isoformat())
    assert tap.exit_code == 0


def test_a_visitor_who_was_deleted_meanwhile_has_no_rows(tap: TapRunner) -> None:
    fault = {"kind": "status", "status": 404, "path": "/api/v1/visitor/{id}/history"}
    tap.pendo.faults.add({**fault, "times": 3})
    output = run(tap)
    assert tap.exit_code == 0
    assert output.records("visitor_history")


def test_ids_are_in_no_message(tap: TapRunner, caplog: pytest.LogCaptureFixture) -> None:
    fault = {"kind": "status", "status": 500, "path": "/api/v1/visitor/{id}/history"}
    tap.pendo.faults.add({**fault, "times": 20})
    run(tap)
    ids = [v["visitorId"] for v in tap.pendo.world.visitors(tap.pendo.clock.now(), identified=True)]
    said = caplog.text
    assert "/api/v1/visitor/{id}/history: 500" in said
    assert not [i for i in ids if len(i) > 6 and i in said]


@pytest.mark.parametrize("visitor", ["visitor-of-acme", "visitor/of acme", 'visitor "ä"', ".."])
def test_an_id_that_pendo_quotes_is_masked(tap: TapRunner, visitor: str) -> None:
    text = f"no such visitor: {visitor} {json.dumps(visitor)}"
    tap.pendo.faults.add({"kind": "status", "status": 422, "text": text})
    client = PendoClient(tap.pendo.url, tap.pendo.key)
    with pytest.raises(RefusedError) as raised:
        client.get("/api/v1/visitor/{id}/history", ids={"id": visitor})
    client.close()
    said = str(raised.value)
    assert said.startswith("/api/v1/visitor/{id}/history: 422 no such visitor: …")
    assert visitor not in said
    assert json.dumps(visitor)[1:-1] not in said


def test_an_id_of_dots_is_no_folder(tap: TapRunner) -> None:
    client = PendoClient(tap.pendo.url, tap.pendo.key)
    with pytest.raises(RefusedError):
        client.get("/api/v1/visitor/{id}/history", {"starttime": "0"}, ids={"id": ".."})
    client.close()
    assert tap.pendo.calls.counts["/api/v1/visitor/{id}/history", ""] == 1


def test_rows_of_one_identity_keep_their_numbers_in_any_order(tap: TapRunner) -> None:
    stream = t.cast("VisitorHistoryStream", tap.tap(select=SELECT).streams["visitor_history"])
    rows = [{"type": "pageView", "ts": 1, "duration": n} for n in (3, 1, 2)]
    once, again = (
        {r["row_id"]: r["duration"] for r in stream.records("v", order, "")}
        for order in (rows, rows[::-1])
    )
    assert once == again
    assert len(once) == len(rows)


def test_a_visitor_without_history_may_be_null(
    tap: TapRunner, monkeypatch: pytest.MonkeyPatch
) -> None:
    get = PendoClient.get

    def without(self: PendoClient, path: str, *more: t.Any, **named: t.Any) -> t.Any:
        return None if path.endswith("/history") else get(self, path, *more, **named)

    monkeypatch.setattr(PendoClient, "get", without)
    assert not run(tap).records("visitor_history")
    assert tap.exit_code == 0


def test_anonymous_visitors_who_join_later_get_their_history(tap: TapRunner) -> None:
    first = run(tap)
    later = run(tap, state=first.state, include_anonymous_visitors=True)
    anonymous = run(tap, include_anonymous_visitors=True)
    ids = {r["row_id"] for r in later.records("visitor_history")}
    assert ids == {r["row_id"] for r in anonymous.records("visitor_history")}
    assert any(r["visitor_id"].startswith("_PENDO_T_") for r in later.records("visitor_history"))
    again = run(tap, state=later.state, include_anonymous_visitors=True, lookback_hours=0)
    assert not again.records("visitor_history")


def test_the_latest_day_is_one_that_is_over(tap: TapRunner) -> None:
    output = run(tap)
    marks = output.state["bookmarks"]["visitor_history"]
    assert from_text(marks["covered_to"]) == NOW.replace(hour=0, minute=0, second=0)
