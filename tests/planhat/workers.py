"""Runs side by side on one ledger: a step of one while the other is somewhere a test wants it."""

from __future__ import annotations

import contextlib
import json
import typing as t
from concurrent.futures import ThreadPoolExecutor

from target_planhat.rule_model import FATES

from tests.planhat.ledgers import LATER, whole
from tests.planhat.running import day, event

if t.TYPE_CHECKING:
    from collections.abc import Callable

    from target_planhat.pipeline import Run
    from with_demo.postgres import Server

    from tests.planhat.running import Message, Record, TargetRunner

U1 = ("u1", "Export", "2026-03-09")
OF_U1 = event(day(9, 9), "u1")
Call = t.Callable[..., t.Any]


def grown(count: int, *more: Message) -> list[Message]:
    """Input of a later read, in which u2 has this many events."""
    return whole(event(day(9, 8), count=count, read=LATER), *more, read=LATER)


def reported(run: Run, target: TargetRunner) -> Record:
    """Let a run report; the figures of its rule."""
    run.report("done", None)
    [rule] = json.loads((target.folder / "reports" / "latest.json").read_text())["rules"]
    assert rule["received"] == sum(rule[fate] for fate in FATES)
    return t.cast("Record", rule)


def notes(target: TargetRunner) -> list[str]:
    """Give the notes of the latest report."""
    report = json.loads((target.folder / "reports" / "latest.json").read_text())
    return t.cast("list[str]", report["notes"])


def reasons(rule: Record, fate: str) -> list[str]:
    """Give the reasons of a fate."""
    return [each["reason"] for each in rule["reasons"] if each["fate"] == fate]


class Once:
    """Lets something happen once: before, or after, a method is called for the first time."""

    def __init__(self, real: Call, then: Callable[[], t.Any], *, after: bool = False) -> None:
        self._real, self._then, self._after = real, then, after
        self._left = 1

    def __call__(self, *given: t.Any, **more: t.Any) -> t.Any:
        """Call it."""
        now, self._left = self._left, 0
        if now and not self._after:
            self._then()
        found = self._real(*given, **more)
        if now and self._after:
            self._then()
        return found

    def __get__(self, one: t.Any, owner: type) -> Call:
        return lambda *given, **more: self(one, *given, **more)


@contextlib.contextmanager
def beside(step: Callable[[], t.Any], server: Server) -> t.Iterator[Callable[[], bool]]:
    """Run something in a thread; what is given waits until it is over, or waits for a lock."""
    with ThreadPoolExecutor(1) as pool, server.connect() as connection:
        connection.autocommit = True
        started: list[t.Any] = []

        def proceed() -> bool:
            started.append(pool.submit(step))
            while not (
                started[0].done()
                or connection.execute("select 1 from pg_locks where not granted").fetchone()
            ):
                pass
            return bool(started[0].done())

        yield proceed
        for one in started:
            one.result()
