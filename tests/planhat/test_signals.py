"""SIGTERM and Ctrl-C: no new posts, what is settled stays, the exit code, within ten seconds."""

from __future__ import annotations

import contextlib
import json
import signal
import threading
import time
import typing as t

import pytest

from tests.planhat.kills import Process
from tests.planhat.promises import assert_adds_up
from tests.planhat.running import NOW
from tests.planhat.usage import BOTH, Usage, assert_once, held, ledger, settle_in

if t.TYPE_CHECKING:
    from collections.abc import Callable

    from tests.planhat.running import Record, TargetRunner

SIGNALS = pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
MOST_SECONDS = 10


@pytest.fixture(autouse=True)
def _acquainted(target: TargetRunner) -> None:
    settle_in(target.planhat.world)


def text(messages: list[Record]) -> bytes:
    return "".join(json.dumps(m) + "\n" for m in messages).encode()


def on_call(target: TargetRunner, path: str, wanted: int) -> threading.Event:
    """Tell when so many calls of a path have come."""
    reached, note, left = threading.Event(), target.planhat.calls.note, [wanted]

    def noted(entry: t.Any, body: bytes) -> None:
        note(entry, body)
        left[0] -= entry.path == path
        if left[0] == 0:
            reached.set()

    target.planhat.calls.note = noted  # type: ignore[method-assign]
    return reached


def until(true: Callable[[], t.Any]) -> None:
    """Wait for what another process does."""
    end = time.monotonic() + 30
    while not true():
        assert time.monotonic() < end
        threading.Event().wait(0.01)


def ended(target: TargetRunner, running: Process, number: int, code: int) -> Record:
    """Send a signal; give the report that it leaves."""
    begun = time.monotonic()
    running.process.send_signal(number)
    assert running.ended(30) == code
    assert time.monotonic() - begun < MOST_SECONDS
    report: Record = json.loads((target.folder / "reports" / "latest.json").read_text())
    assert report["outcome"] == "stopped"
    assert "asked to end" in running.log
    return report


def finished(target: TargetRunner, usage: Usage) -> None:
    """Run again; afterwards Planhat has the truth."""
    target.planhat.faults.clear()
    target.now = NOW.replace(year=2040)
    target.run(*usage.messages(target.now), **BOTH)
    assert target.error is None
    truth = {**usage.activities, **usage.points}
    assert_once(held(target.planhat.world), truth, ledger(target.folder / "ledger.db"))


@pytest.mark.some(1)
@SIGNALS
def test_while_no_input_comes(number: int, code: int, target: TargetRunner) -> None:
    usage = Usage()
    messages = usage.messages()
    last = max(n for n, m in enumerate(messages) if m["type"] == "STATE")
    running = Process(target, **BOTH)
    running.feed(text(messages[:last]), end=False)
    until(lambda: len(running.states) == 2)

    report = ended(target, running, number, code)
    assert_adds_up(report, messages[:last])
    # the third day came whole, too; its STATE did not
    assert running.states == [{"days": 1}, {"days": 2}]
    assert target.planhat.calls.counts["/analytics/bulk", "POST"] == 0
    assert report["sent"] == 0
    finished(target, usage)


@pytest.mark.some(1)
@SIGNALS
def test_while_input_keeps_coming(number: int, code: int, target: TargetRunner) -> None:
    usage = Usage()
    messages = usage.messages()
    running = Process(target, **BOTH)
    running.feed(text(messages), end=False)
    stop = threading.Event()

    def feed() -> None:
        more = text([m for m in messages if m.get("stream") == "features"])
        # it is closed once the process has ended
        with contextlib.suppress(ValueError):
            while not stop.is_set():
                running.feed(more, end=False)

    feeder = threading.Thread(target=feed)
    until(lambda: len(running.states) == 3)
    feeder.start()
    try:
        report = ended(target, running, number, code)
    finally:
        stop.set()
        feeder.join()
    assert report["records"] >= 3 * len(usage.rows) // 3
    assert target.planhat.calls.counts["/analytics/bulk", "POST"] == 0
    finished(target, usage)


@pytest.mark.some(1)
@pytest.mark.parametrize(
    ("seconds", "number", "code"),
    [(1.0, signal.SIGTERM, 143), (1.0, signal.SIGINT, 130), (60.0, signal.SIGTERM, 143)],
)
def test_while_planhat_is_slow_to_take_posts(
    seconds: float, number: int, code: int, target: TargetRunner
) -> None:
    usage = Usage()
    fault = {"kind": "delay", "seconds": seconds, "path": "/analytics/bulk", "times": None}
    target.planhat.faults.add(fault)
    reached = on_call(target, "/analytics/bulk", 3)
    running = Process(target, batch=3, **BOTH)
    running.feed(text(usage.messages()))
    assert reached.wait(30)

    report = ended(target, running, number, code)
    assert_adds_up(report, usage.messages())
    assert running.states[-1] == {"days": 3}
    assert target.planhat.calls.counts["/analytics/bulk", "POST"] <= 5
    assert report["sent"] > 0 or seconds > MOST_SECONDS
    finished(target, usage)


@pytest.mark.some(2)
@SIGNALS
@pytest.mark.parametrize("path", ["/leancompanies", "/endusers", "/dimensiondata"])
def test_while_planhat_is_slow_to_answer_questions(
    path: str, number: int, code: int, target: TargetRunner
) -> None:
    usage = Usage()
    fault = {"kind": "delay", "seconds": 60.0, "path": path, "times": None, "verb": "GET"}
    target.planhat.faults.add(fault)
    if path == "/dimensiondata":
        # points in question, which are read back
        doubtful = {"kind": "reset", "path": path, "verb": "POST", "after": 1, "times": 3}
        target.planhat.faults.add(doubtful)
        target.run(*usage.messages(), **BOTH)
    reached = on_call(target, path, 1)
    running = Process(target, **BOTH)
    running.feed(text(usage.messages()))
    until(lambda: reached.is_set() and target.planhat.calls.counts[path, "GET"])

    report = ended(target, running, number, code)
    assert_adds_up(report, usage.messages())
    assert running.states[-1] == {"days": 3}
    finished(target, usage)


@pytest.mark.some(1)
@SIGNALS
def test_while_planhat_is_asked_at_the_start(number: int, code: int, target: TargetRunner) -> None:
    fault = {"kind": "delay", "seconds": 60.0, "path": "/users", "times": None}
    target.planhat.faults.add(fault)
    reached = on_call(target, "/users", 1)
    running = Process(target, **BOTH)
    assert reached.wait(30)
    begun = time.monotonic()
    running.process.send_signal(number)
    assert running.ended(30) == code
    assert time.monotonic() - begun < MOST_SECONDS
    assert not (target.folder / "ledger.db").exists()
