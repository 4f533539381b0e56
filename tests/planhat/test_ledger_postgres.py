"""A ledger in PostgreSQL: several runs at once, lost connections, and what SQLite would allow."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
import threading
import typing as t
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import psycopg
import pytest
import sqlalchemy as sa
from target_planhat import settings as target_settings
from target_planhat.errors import TargetError
from target_planhat.ledger.database import Database
from target_planhat.run import Run

from tests.planhat.running import (
    EVENTS,
    FEATURES,
    NOW,
    WINDOWS,
    day,
    event,
    record,
    schema,
    state,
    window,
)

if t.TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.planhat.running import Message, TargetRunner

U2 = ("u2", "Export", "2026-03-09")
LATER = NOW + timedelta(hours=1)


def whole(*events: Message, read: t.Any = NOW) -> list[Message]:
    """Input with these events of March 9th, read whole."""
    return [WINDOWS, *FEATURES, EVENTS, *events, window(day(9), day(10), read), state({"at": 1})]


@pytest.fixture
def shared(target: TargetRunner, ledger_in_postgres: str) -> TargetRunner:
    """Give the target with its ledger in PostgreSQL."""
    target.config["ledger_url"] = ledger_in_postgres
    return target


@contextlib.contextmanager
def opened(target: TargetRunner) -> Iterator[Run]:
    """Open a run that is fed by hand; reports would be of several runs."""
    config = target.target(report_path=None, rejects_path=None).config
    run = Run(
        target_settings.parsed(config),
        now=lambda: int(target.now.timestamp() * 1000),
        stop=threading.Event(),
        say=target.states.append,
    )
    try:
        run.open()
        yield run
    finally:
        run.close()


def feed(run: Run, messages: list[Message]) -> None:
    """Hand messages to a run."""
    for message in messages:
        if message["type"] == "SCHEMA":
            run.schema(message["stream"], message["schema"]["properties"])
        elif message["type"] == "RECORD":
            run.record(message["stream"], message["record"])
        elif message["type"] == "STATE":
            run.state(message["value"])
        else:
            run.activate(message["stream"])


def ask(url: str, sql: str) -> list[t.Any]:
    """Ask the ledger's schema something, on a connection of its own."""
    engine = sa.create_engine(url.replace("postgresql:", "postgresql+psycopg:"))
    with engine.connect() as connection:
        rows = list(connection.execute(sa.text(sql)))
        connection.commit()
    engine.dispose()
    return rows


def test_two_runs_at_once_keep_what_both_bring_and_one_of_them_delivers(
    shared: TargetRunner,
) -> None:
    with opened(shared) as one, opened(shared) as other:
        # in steps: neither holds up the other while it waits for its input
        for a, b in zip(
            whole(event(day(9, 8), count=2), event(day(9, 9), "u1")),
            whole(event(day(9, 9), "u1"), event(day(9, 8), count=2)),
            strict=True,
        ):
            feed(one, [a])
            feed(other, [b])
        one.finish()
        feed(other, whole(event(day(9, 8), "u2", 3, feature="f2", read=LATER), read=LATER))
        other.finish()
        assert "Another run delivers" in other.report("done", None) or other._notes  # noqa: SLF001
        assert shared.sums[U2] == 2

    shared.run()
    assert shared.sums == {
        U2: 2,
        ("u1", "Export", "2026-03-09"): 1,
        ("u2", "Search", "2026-03-09"): 3,
    }


def test_what_another_run_brings_while_a_post_is_under_way_is_sent_by_the_next(
    shared: TargetRunner, monkeypatch: pytest.MonkeyPatch
) -> None:
    with opened(shared) as one, opened(shared) as other:
        feed(one, whole(event(day(9, 8), count=2)))
        post = one.client.post_activities

        def meanwhile(bodies: list[t.Any]) -> list[t.Any]:
            feed(other, whole(event(day(9, 8), count=5, read=LATER), read=LATER))
            other.finish()
            return post(bodies)

        monkeypatch.setattr(one.client, "post_activities", meanwhile)
        one.finish()
        assert shared.sums == {U2: 2}

    shared.run()
    assert shared.sums == {U2: 5}
