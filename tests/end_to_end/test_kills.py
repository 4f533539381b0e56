"""Runs that are killed at any point: the next run makes them good, and reads little twice."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
import typing as t
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from pendo_emulator.server import serve
from pendo_emulator.world import World
from tap_pendo import tap as tap_module
from tap_pendo.api import client as tap_client
from tap_pendo.calendar import UTC, Grid, Window, from_text

from tests.conftest import Output, TapRunner, costly
from tests.sink import EVENTS, Sink
from tests.tables import event_sums

if t.TYPE_CHECKING:
    import random
    from collections.abc import Iterator
    from pathlib import Path

STREAMS = ("features", "visitors", "visitor_accounts", *(row.name for row in EVENTS))
PIECEWISE = ("uses", "visitor_history")
USES = {
    "name": "uses",
    "grain": "hour",
    "primary_keys": ["feature_id", "window_start"],
    "pipeline": [
        {"source": {"featureEvents": {"appId": 'expandAppIds("*")'}}},
        {"group": {"group": ["featureId"], "fields": {"uses": {"sum": "numEvents"}}}},
        {"select": {"feature_id": "featureId", "uses": "uses"}},
    ],
}
WORKERS = 3
DAYS = 6
DAYS_OF_UTC = Grid("day", ZoneInfo("UTC"))


class Killable:
    """A tap on a small world that stands still, and what a whole run of it writes.

    It reads up to the end of `time`: the clock of a killed process goes on, and may pass the hour.
    """

    def __init__(
        self, tap: TapRunner, folder: Path, time: Window, streams: tuple[str, ...]
    ) -> None:
        self.tap, self.start, self.streams = tap, time.start, streams
        settings = {
            **tap.config,
            "start_date": time.start.isoformat(),
            "end_date": time.end.isoformat(),
            "aggregations": [USES],
            "lookback_days": 0,
            "lookback_hours": 0,
            "concurrency": WORKERS,
            "costly_streams": costly(streams),
        }
        tap.config = settings
        self.command = [sys.executable, "-m", "tap_pendo"]
        for name, content in (
            ("config", settings),
            ("catalog", tap.tap(select=streams).catalog_dict),
        ):
            (folder / f"{name}.json").write_text(json.dumps(content))
            self.command += [f"--{name}", str(folder / f"{name}.json")]
        self.whole = tap.run(select=streams)
        self.size = len(self.whole.text)

    def killed(self, after: int) -> Output:
        """Run it as a process and kill that when it has written so many bytes; its whole lines."""
        with subprocess.Popen(
            self.command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
        ) as process:
            assert process.stdout
            text = process.stdout.read(after)
            process.kill()
            # what was in the pipe reaches a target too
            text += process.stdout.read()
        return Output(json.loads(line) for line in text.split(b"\n")[:-1])


@pytest.fixture(scope="module")
def killable(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Killable]:
    """Serve the world for all kills: none of them changes it."""
    now = datetime.now(UTC).replace(microsecond=0)
    with serve(World(events_per_day=100, visitors=80, accounts=20)) as pendo, _at(now):
        pendo.clock.set(now.isoformat())
        time = Window(_midnight(now) - timedelta(days=DAYS), now.replace(minute=0, second=0))
        yield Killable(TapRunner(pendo), tmp_path_factory.mktemp("kills"), time, STREAMS)


@pytest.fixture(scope="module")
def piecewise(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Killable]:
    """Serve a smaller world, for streams that take a call for each hour, or visitor and day."""
    now = datetime.now(UTC).replace(microsecond=0)
    with serve(World(events_per_day=50, visitors=40, accounts=10)) as pendo, _at(now):
        pendo.clock.set(now.isoformat())
        time = Window(_midnight(now) - timedelta(days=2), DAYS_OF_UTC.closed(now))
        yield Killable(TapRunner(pendo), tmp_path_factory.mktemp("pieces"), time, PIECEWISE)


def _midnight(moment: datetime) -> datetime:
    return moment.replace(hour=0, minute=0, second=0)


@contextlib.contextmanager
def _at(now: datetime) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tap_client, "FIRST_WAIT", 0.0)
        # as for the process that is killed: a clock that goes on
        patch.setattr(tap_module, "utc_now", lambda: max(now, datetime.now(UTC)))
        yield


@pytest.mark.some(2)
@pytest.mark.parametrize("draw", range(50), indirect=True)
def test_a_killed_run_is_made_good_by_the_next(draw: random.Random, killable: Killable) -> None:
    world, tap = killable.tap.pendo.world, killable.tap
    after = draw.randrange(killable.size)
    tap.pendo.calls.clear()
    first = killable.killed(after)
    calls = dict(tap.pendo.calls.counts)
    state = first.state
    second = tap.run(select=STREAMS, state=state)
    assert tap.exit_code == 0

    sink = Sink()
    sink.load([*first, *second])
    for row in EVENTS:
        assert sink.sums(row) == event_sums(world, row.source, killable.start, "hour")
    for stream in ("features", "visitors", "visitor_accounts"):
        keys = tap.tap().streams[stream].primary_keys
        expected = {tuple(r[k] for k in keys) for r in killable.whole.records(stream)}
        assert sink.tables[stream].keys() == expected

    # what was covered is not read again; what was read in vain is at most a window for each worker
    for row in EVENTS:
        marks = state.get("bookmarks", {}).get(row.name, {})
        finished = [w for w in first.records("sync_windows") if w["stream"] == row.name]
        if marks.get("covered_to"):
            again = [w for w in second.records("sync_windows") if w["stream"] == row.name]
            covered = from_text(marks["covered_from"]), from_text(marks["covered_to"])
            for window in again:
                start, end = from_text(window["window_start"]), from_text(window["window_end"])
                assert end <= covered[0] or start >= covered[1]
        asked = sum(n for (_, source), n in calls.items() if source == row.source)
        assert asked <= len(finished) + WORKERS + 1


@pytest.mark.some(1)
@pytest.mark.parametrize("draw", range(24), indirect=True)
def test_a_killed_run_of_many_small_reads_is_made_good_by_the_next(
    draw: random.Random, piecewise: Killable
) -> None:
    tap = piecewise.tap
    first = piecewise.killed(draw.randrange(piecewise.size))
    second = tap.run(select=PIECEWISE, state=first.state)
    assert tap.exit_code == 0
    sink, whole = Sink(), Sink()
    sink.load([*first, *second])
    whole.load(piecewise.whole)
    for stream in PIECEWISE:
        found, expected = (
            {key: {**row, "read_at": ""} for key, row in held.tables[stream].items()}
            for held in (sink, whole)
        )
        assert found == expected
        assert found
    # a window that was finished is not read again
    windows = [r["window_start"] for r in first.records("sync_windows") if r["stream"] == "uses"]
    again = {r["window_start"] for r in second.records("sync_windows") if r["stream"] == "uses"}
    covered = first.state.get("bookmarks", {}).get("uses", {}).get("covered_from", "9")
    assert not again & {start for start in windows if start >= covered}
