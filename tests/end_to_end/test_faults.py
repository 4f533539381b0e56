"""Each difficulty of the emulated Pendo, and what each kind of stream makes of it in PostgreSQL."""

from __future__ import annotations

import contextlib
import logging
import typing as t
from datetime import timedelta

import pytest
from emulation.clock import Clock
from pendo_emulator.server import serve
from pendo_emulator.switches import SWITCHES
from pendo_emulator.world import World
from tap_pendo import json_stream
from tap_pendo import tap as tap_module
from tap_pendo.api import client as tap_client
from tap_pendo.api.client import KEY_REFUSED
from tap_pendo.api.concurrency import Limiter
from tap_pendo.calendar import from_ms
from tap_pendo.catalog import CATALOG
from tap_pendo.catalog.stream_specs import ChildSpec
from tap_pendo.errors import TapError

from tests.conftest import NOW, Output, TapRunner, Warehouse
from tests.outcomes import ENDED, KINDS, REFUSED, SKIPPED, refused, told
from tests.tables import expected, shown

if t.TYPE_CHECKING:
    from collections.abc import Iterator

    from pendo_emulator.server import Emulator
    from with_demo.postgres import Server

    from tests.tables import Rows

# what comes late comes up to six days late
START = (NOW - timedelta(days=7)).replace(minute=0, second=0)
YESTERDAY = (NOW - timedelta(days=2)).replace(hour=0, minute=0, second=0)
USES = {
    "name": "uses",
    "grain": "day",
    "primary_keys": ["feature_id", "window_start"],
    "pipeline": [
        {"source": {"featureEvents": {"appId": 'expandAppIds("*")'}}},
        {"group": {"group": ["featureId"], "fields": {"uses": {"sum": "numEvents"}}}},
        {"select": {"feature_id": "featureId", "uses": "uses"}},
    ],
}
# run → its settings
RUNS: dict[str, dict[str, t.Any]] = {
    "hours": {"start_date": START.isoformat(), "aggregations": [USES]},
    "days": {"start_date": START.isoformat(), "period": "day"},
    "history": {"start_date": YESTERDAY.isoformat()},
}
STREAMS = {
    run: tuple(name for of, names in KINDS.values() if of == run for name in names) for run in RUNS
}
DERIVED = {row.name for row in CATALOG if isinstance(row, ChildSpec)}
# these change what was read before
REWRITING = ("late-events", "retagged")


@contextlib.contextmanager
def product() -> Iterator[Emulator]:
    """Serve a small product, always the same, with its clock at NOW."""
    world = World(events_per_day=40, visitors=60, accounts=20, clock=Clock(NOW.isoformat()))
    with serve(world) as pendo, pytest.MonkeyPatch.context() as patch:
        patch.setattr(tap_client, "FIRST_WAIT", 0.0)
        # so that small answers that break off leave rows, as large ones do
        patch.setattr(json_stream, "_BLOCK", 256)
        patch.setattr(Limiter, "wait", lambda *_: None)
        patch.setattr(tap_module, "utc_now", lambda: from_ms(pendo.clock.now()))
        yield pendo


class Matrix:
    """The three runs that read every kind of stream, each into a schema of its own."""

    def __init__(self, server: Server, switch: str) -> None:
        name = switch.replace("-", "_")
        self.tables = {run: Warehouse(server, f"fault_{run}_{name}") for run in RUNS}
        self.zone = "America/New_York" if switch == "new-york" else "UTC"
        # less than Pendo takes for its slow answers
        self.timeout = 0.5 if switch == "slow-start" else 300
        self.states: dict[str, t.Any] = dict.fromkeys(RUNS)
        self.codes: dict[str, int] = {}

    def read(self, pendo: Emulator) -> None:
        """Run all three from their states, and load what they give."""
        for run, settings in RUNS.items():
            tap = TapRunner(pendo)
            output = Output()
            try:
                output = tap.run(
                    state=self.states[run],
                    select=STREAMS[run],
                    timezone=self.zone,
                    request_timeout=self.timeout,
                    **settings,
                )
                self.codes[run] = tap.exit_code
            except TapError as error:
                error.show()
                self.codes[run] = error.exit_code
            self.tables[run].load(output)
            self.states[run] = output.state or self.states[run]

    def shown(self) -> dict[tuple[str, str], Rows]:
        """What PostgreSQL shows, by run and stream."""
        return {
            (run, name): shown(self.tables[run], name, START)
            for run, names in STREAMS.items()
            for name in names
        }


def truths(pendo: Emulator) -> dict[tuple[str, str], Rows]:
    """What Pendo has, by run and stream."""
    starts = {"hours": START, "days": START, "history": YESTERDAY}
    return {
        (run, name): expected(pendo.world, name, starts[run], RUNS[run].get("period", "hour"))
        for run, names in STREAMS.items()
        for name in names
    }


def assert_same(found: dict[tuple[str, str], Rows], truth: dict[tuple[str, str], Rows]) -> None:
    """Compare; a difference shows the first rows that are too many or too few."""
    wrong = {
        of: (list((found[of] - rows).items())[:3], list((rows - found[of]).items())[:3])
        for of, rows in truth.items()
        if found[of] != rows
    }
    assert wrong == {}


@pytest.mark.some(2)
@pytest.mark.parametrize("number", range(len(SWITCHES)))
def test_each_kind_of_stream_ends_exact_or_says_what_it_lacks(
    number: int, postgres: Server, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING)
    switch = SWITCHES[number]
    matrix = Matrix(postgres, switch.name)
    with product() as pendo:
        pendo.world.zone = type(pendo.world.zone)(matrix.zone)
        if switch.name in REFUSED or switch.name in REWRITING:
            matrix.read(pendo)
            # all is read again, into the same tables
            matrix.states = dict.fromkeys(RUNS)
            pendo.clock.advance(60)
        before = truths(pendo)
        pendo.arm(switch.name)
        now = truths(pendo)
        caplog.clear()
        matrix.read(pendo)

    waiting = {
        (run, name) for kind, (run, _) in KINDS.items() for name in refused(switch.name, kind)
    }
    # what is refused stays as it was
    truth = {of: before[of] if of in waiting else rows for of, rows in now.items()}
    assert all(now.values())
    assert_same(matrix.shown(), truth)
    assert_told(switch.name, waiting, matrix.codes, caplog)
    assert ("ReadTimeout" in caplog.text) == (switch.name == "slow-start")
    if waiting:
        with product() as mended:
            mended.clock.set((NOW + timedelta(hours=26)).isoformat())
            matrix.read(mended)
            assert set(matrix.codes.values()) == {0}
            assert_same(matrix.shown(), truths(mended))


def assert_told(
    switch: str,
    waiting: set[tuple[str, str]],
    codes: dict[str, int],
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Exit codes and the last line of each run that had trouble say what is lacking."""
    word = told(switch)
    lines = [r.getMessage() for r in caplog.records if r.name == "tap-pendo"]
    if word == ENDED:
        assert set(codes.values()) == {1}
        assert lines[-1].startswith(KEY_REFUSED)
        return
    last_lines = []
    for run, names in STREAMS.items():
        # what is derived is told with its parent
        hit = [name for name in names if (run, name) in waiting and name not in DERIVED]
        assert codes[run] == (1 if hit and word != SKIPPED else 0)
        last_lines += [f"Run ended; {word}: {', '.join(hit)}"] if hit else []
    assert [line for line in lines if line.startswith("Run ended")] == last_lines


def test_what_is_fatal_leaves_some_stream_waiting() -> None:
    waiting = {one.name for one in SWITCHES if any(refused(one.name, kind) for kind in KINDS)}
    assert waiting == REFUSED.keys()
    assert {one.name for one in SWITCHES if one.fatal} <= waiting
