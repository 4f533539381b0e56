"""Input of one day, and runs that are fed by hand, for what a ledger promises."""

from __future__ import annotations

import contextlib
import threading
import typing as t
from datetime import timedelta

import msgspec
from target_planhat.config import settings as target_settings
from target_planhat.pipeline import Run

from tests.planhat.running import EVENTS, FEATURES, NOW, WINDOWS, day, state, window

if t.TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.planhat.running import Message, TargetRunner

U2 = ("u2", "Export", "2026-03-09")
LATER = NOW + timedelta(hours=1)


def whole(*events: Message, read: t.Any = NOW) -> list[Message]:
    """Input with these events of March 9th, read whole."""
    return [WINDOWS, *FEATURES, EVENTS, *events, window(day(9), day(10), read), state({"at": 1})]


@contextlib.contextmanager
def opened(target: TargetRunner, **settings: t.Any) -> Iterator[Run]:
    """Open a run that is fed by hand."""
    run = Run(
        target_settings.parsed(target.target(**settings).config),
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
            run.record(message["stream"], msgspec.Raw(msgspec.json.encode(message["record"])))
        elif message["type"] == "STATE":
            run.state(message["value"])
        else:
            run.activate(message["stream"])
