"""Planhat down at the start, in the middle, or only for reading: what is known stays known."""

from __future__ import annotations

import io
import json
import typing as t
from datetime import datetime, timedelta

import pytest
from target_planhat.delivery import sender
from target_planhat.errors import TargetError
from target_planhat.ledger import outbox as items

from tests.planhat.running import EVENTS, NOW, day, event, record, state
from tests.planhat.usage import ACTIVITIES, BOTH, Usage, assert_once, held, ledger, settle_in

if t.TYPE_CHECKING:
    from tests.planhat.running import Message, Record, TargetRunner

LATER = NOW + timedelta(minutes=30)
DOWN: tuple[Record, ...] = (
    {"kind": "status", "status": 503, "form": "html", "text": "<h1>down</h1>"},
    {"kind": "reset"},
    {"kind": "time_out"},
    {"kind": "status", "status": 429},
)


@pytest.fixture(autouse=True)
def _many_posts(target: TargetRunner, monkeypatch: pytest.MonkeyPatch) -> None:
    settle_in(target.planhat.world)
    monkeypatch.setattr(sender, "BATCH", 3)
    monkeypatch.setattr(sender, "METRIC_BATCH", 3)


class Untouched(io.StringIO):
    """An input that nobody may read."""

    def readline(self, *_: t.Any) -> str:
        """Fail."""
        raise AssertionError("the input was read")


@pytest.mark.parametrize("path", ["/dimensiondata", "/users"])
@pytest.mark.parametrize("fault", DOWN)
def test_with_planhat_down_at_the_start_nothing_is_read(
    fault: Record, path: str, target: TargetRunner
) -> None:
    target.planhat.faults.add({**fault, "path": path, "times": None})

    with pytest.raises(TargetError, match="does not answer"):
        target.target().listen(Untouched())
    assert not (target.folder / "ledger.db").exists()


@pytest.mark.some(5)
@pytest.mark.parametrize("after", [0, 5, 9])
@pytest.mark.parametrize("in_doubt", ["assume_sent", "resend"])
@pytest.mark.parametrize("fault", DOWN)
def test_with_planhat_down_in_the_middle_the_next_run_sends_the_rest(
    fault: Record, in_doubt: str, after: int, target: TargetRunner
) -> None:
    planhat, usage = target.planhat, Usage()
    truth = {**usage.activities, **usage.points}
    for path in ("/analytics/bulk", "/dimensiondata"):
        # the first post of metrics is the question at the start
        first = after + (path == "/dimensiondata")
        planhat.faults.add({**fault, "path": path, "after": first, "times": None})

    report = target.run(*usage.messages(), **BOTH, in_doubt=in_doubt)
    assert report["outcome"] == "failed"
    assert "Planhat does not" in str(target.error)
    assert target.states[-1] == {"days": 3}
    assert report["waiting"] + report["in_doubt"] > 0
    sent = held(planhat.world)
    assert_once(sent, truth, ledger(target.folder / "ledger.db"))

    planhat.faults.clear()
    target.now = LATER
    report = target.run(**BOTH, in_doubt=in_doubt)
    assert report["outcome"] == "done"
    items, found = ledger(target.folder / "ledger.db"), held(planhat.world)
    assert_once(found, truth, items)
    # nothing has had its effect without an answer
    lost = {place: item.doubt for place, item in items.items() if item.doubt}
    assert {p: truth[p] - found.get(p, 0) for p in truth if found.get(p, 0) != truth[p]} == lost
    assert not lost or in_doubt == "assume_sent"


@pytest.mark.some(4)
@pytest.mark.parametrize("path", ["/leancompanies", "/endusers", "/companies"])
@pytest.mark.parametrize("fault", [*DOWN, {"kind": "malformed"}, {"kind": "delay"}])
def test_reading_planhat_is_tried_again(fault: Record, path: str, target: TargetRunner) -> None:
    usage = Usage()
    target.planhat.faults.add({**fault, "path": path, "times": 2})
    if path == "/companies":
        target.planhat.faults.add({"kind": "status", "status": 404, "path": "/leancompanies"})

    target.run(*usage.messages(), **BOTH)
    assert target.error is None
    assert held(target.planhat.world) == {**usage.activities, **usage.points}


@pytest.mark.parametrize("status", [403, 500])
def test_without_planhats_end_users_nothing_is_sent_and_all_waits(
    status: int, target: TargetRunner
) -> None:
    usage = Usage()
    fault = {"kind": "status", "status": status, "path": "/endusers", "times": None}
    target.planhat.faults.add(fault)

    report = target.run(*usage.messages(), **BOTH)
    assert "/endusers" in str(target.error)
    assert report["waiting"] == 3 * len(usage.rows)
    assert target.planhat.world.count("activities") == 0
    assert target.states[-1] == {"days": 3}

    target.planhat.faults.clear()
    target.run(**BOTH)
    assert held(target.planhat.world) == {**usage.activities, **usage.points}


def test_what_is_read_before_an_input_that_breaks_off_is_accounted_for(
    target: TargetRunner,
) -> None:
    *messages, last = Usage().messages()
    text = "".join(json.dumps(m) + "\n" for m in messages) + '{"type": "RECO'
    report = target.run(text=text, **BOTH)

    assert "breaks off" in str(target.error)
    assert report["records"] == sum(m["type"] == "RECORD" for m in messages)
    assert report["waiting"] == 3 * len(Usage().rows)
    assert target.states == [{"days": 1}, {"days": 2}]
    assert target.planhat.world.count("activities") == 0
    assert last["type"] == "STATE"


@pytest.mark.parametrize("windows", [True, False])
def test_rows_of_a_read_that_did_not_end_are_accounted_for(
    windows: bool, target: TargetRunner
) -> None:
    usage = Usage()
    messages = [m for m in usage.messages() if m["type"] != "STATE"]
    if not windows:
        messages = [m for m in messages if m.get("stream") != "sync_windows"]
    extra = [event(day(9, 9), f"u{n}", 1, account="acme") for n in range(3)]
    bad = record("unknown", id=1)
    # a ledger is new until a STATE shows that the tap does not resume
    target.run(EVENTS, state(0), **BOTH)
    report = target.run(*messages, *extra, bad, **BOTH)

    assert "before its SCHEMA" in str(target.error)
    count = 3 if windows else 3 + len(usage.rows)
    assert report["ignored"] == 3 * count
    assert target.planhat.world.count("activities") == 0

    target.run(EVENTS, state(1), **BOTH)
    wanted = {**usage.activities, **usage.points}
    assert held(target.planhat.world) == (wanted if windows else {})


def test_posts_in_flight_are_waited_for_when_another_fails(
    target: TargetRunner, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sender, "GRACE_SECONDS", 0.1)
    usage, path = Usage(), "/analytics/bulk"
    refused = {"kind": "status", "status": 403, "path": path}
    slow = {"kind": "delay", "seconds": 0.5, "path": path, "after": 1, "times": 3}
    target.planhat.faults.add(refused, slow)

    report = target.run(*usage.messages(), **ACTIVITIES)
    assert "`tenant_token`" in str(target.error)
    assert report["sent"] == target.planhat.world.count("activities") > 0
    assert report["in_doubt"] == 0
    assert not any(item.claimed for item in ledger(target.folder / "ledger.db").values())


def test_what_was_refused_is_not_in_doubt_when_reading_fails_too(
    target: TargetRunner, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(items, "_BLOCK", 3)
    planhat, path = target.planhat, "/analytics/bulk"

    def messages(more: int, read: datetime) -> list[Message]:
        # the second block has somebody who is not in Planhat
        schemas, rows = Usage(more).messages(read)[:3], Usage(more).messages(read)[3:]
        return [*schemas, event(day(7, 8), "u2x", read=read), *rows]

    target.run(*messages(0, NOW), **ACTIVITIES)
    planhat.faults.add(
        {"kind": "status", "status": 403, "path": path, "times": None},
        {"kind": "delay", "seconds": 0.2, "path": path, "times": None},
        {"kind": "status", "status": 500, "path": "/endusers", "times": None},
    )

    report = target.run(*messages(1, LATER), **ACTIVITIES)
    assert "/endusers" in str(target.error)
    assert not any(item.claimed for item in ledger(target.folder / "ledger.db").values())
    assert (report["sent"], report["waiting"], report["parked"]) == (0, len(Usage().rows), 1)
    planhat.faults.clear()
    target.run(**ACTIVITIES)
    assert held(planhat.world) == Usage(1).activities
