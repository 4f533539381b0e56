"""The demo's default streams, read twice, through a loader; and whether all of it is there."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import re
import shutil
import subprocess
import typing as t
from datetime import datetime
from pathlib import Path
from unittest import mock

from emulation.clock import Clock
from pendo_emulator.server import serve
from pendo_emulator.world import World
from tap_pendo import tap as tap_module
from tap_pendo.api import client as tap_client
from tap_pendo.calendar import UTC, from_ms
from tap_pendo.catalog import CATALOG

from tests.conftest import NOW, Output, TapRunner
from tests.installs.workplace import python_of
from tests.loaders.loaders import LOADERS, SCHEMA, Place
from tests.sink import EVENTS, Sink
from tests.tables import event_sums

if t.TYPE_CHECKING:
    from with_demo.postgres import Server

    from tests.loaders.loaders import Row

ENVIRONMENTS = Path(__file__).parents[2] / ".venv" / "loaders"
STREAMS = tuple(row.name for row in CATALOG if row.by_default)
START = datetime(2026, 3, 8, tzinfo=UTC)
_TIME = re.compile(r"\d{4}-\d\d-\d\d[T ]\d\d:")


class LoaderError(Exception):
    """A loader cannot be installed, or fails; the text is one line."""


@dataclasses.dataclass(frozen=True)
class Inputs:
    """The messages of two runs by `record_format`, what they come to, and what went meanwhile."""

    texts: dict[str, list[str]]
    keys: dict[str, list[str]]
    expected: Sink
    gone: str


@dataclasses.dataclass(frozen=True)
class Result:
    """What one loader made of both runs."""

    missing: tuple[str, ...]
    """Streams whose rows or sums are not those of Pendo, with both."""
    merges: bool
    """Whether a row that comes again replaces the one that is there."""
    marks: bool
    """Whether a feature that is gone in Pendo is marked, or gone."""


def inputs() -> Inputs:
    """Read an emulated Pendo twice; late events and a deleted feature are between."""
    world = World(events_per_day=80, visitors=80, accounts=20, clock=Clock(NOW.isoformat()))
    given: Row = {"select": STREAMS, "start_date": START.isoformat(), "lookback_hours": 96}
    with contextlib.ExitStack() as stack:
        pendo = stack.enter_context(serve(world))
        stack.enter_context(mock.patch.object(tap_client, "FIRST_WAIT", 0.0))
        now = mock.patch.object(tap_module, "utc_now", lambda: from_ms(pendo.clock.now()))  # noqa: PT008 - as the clock moves
        stack.enter_context(now)
        tap = TapRunner(pendo)
        runs: dict[str, list[Output]] = {
            each: [tap.run(record_format=each, **given)] for each in ("nested", "flat")
        }
        gone = runs["nested"][0].records("features")[0]["id"]
        world.remove_definition("feature", gone)
        pendo.arm("late-events")
        pendo.clock.advance(3600)
        for each, outputs in runs.items():
            outputs.append(tap.run(state=outputs[0].state, record_format=each, **given))
        expected = Sink()
        for output in runs["nested"]:
            expected.load(output)
        for row in EVENTS:
            # the truth is Pendo's, not what the tap says of itself
            assert expected.sums(row) == event_sums(world, row.source, START, "hour")
    keys = {m["stream"]: m["key_properties"] for m in runs["nested"][0] if m["type"] == "SCHEMA"}
    texts = {each: [output.text for output in outputs] for each, outputs in runs.items()}
    return Inputs(texts, keys, expected, gone)


def environment(name: str) -> Path:
    """Give the Python of a loader's own environment, made if it is not there.

    Raises:
        LoaderError: it cannot be made here.
    """
    loader = LOADERS[name]
    folder = ENVIRONMENTS / "".join(c if c.isalnum() else "-" for c in name)
    python = folder / "bin" / "python"
    if (folder / "made").exists():
        return python
    shutil.rmtree(folder, ignore_errors=True)
    found = python_of(loader.python)
    if not found:
        raise LoaderError(f"needs Python {loader.python}, which is not here")
    for command in (
        ["uv", "venv", "-q", "--python", found, folder],
        ["uv", "pip", "install", "-q", "--python", python, *loader.needs],
    ):
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            raise LoaderError(f"cannot be installed: {_last(done.stderr)}")
    (folder / "made").touch()
    return python


def tried(name: str, given: Inputs, folder: Path, server: Server) -> Result:
    """Load both runs into a loader, and compare.

    Raises:
        LoaderError: it cannot be installed, or fails.
    """
    loader = LOADERS[name]
    python = environment(name)
    place = Place(folder, server, python)
    with server.connect() as connection:
        connection.autocommit = True
        connection.execute(f"drop schema if exists {SCHEMA} cascade".encode())
    (folder / "config.json").write_text(json.dumps(loader.config(place)))
    command = [python.with_name(loader.command), "--config", folder / "config.json"]
    for text in given.texts[loader.format]:
        done = subprocess.run(
            command, input=text, cwd=folder, capture_output=True, text=True, check=False
        )
        if done.returncode:
            raise LoaderError(f"fails: {_last(done.stderr)}")
    return _compared(given, loader.tables(place))


def _last(text: str) -> str:
    lines = [line for line in text.splitlines() if line.strip()]
    errors = [line for line in lines if "rror" in line] or lines
    return errors[-1].strip()[:200] if errors else "it says nothing"


def _compared(given: Inputs, tables: dict[str, list[Row]]) -> Result:
    """Compare rows by key, the newest of each, and the sums of events."""
    wrong, merges, marks = [], True, True
    for stream, keys in given.keys.items():
        rows = tables.get(stream, [])
        newest = {tuple(_plain(row[key]) for key in keys): row for row in rows}
        there = {key: row for key, row in newest.items() if not row.get("_sdc_deleted_at")}
        merges = merges and len(rows) == len(newest)
        wanted = {
            tuple(map(_plain, key)): row for key, row in given.expected.tables[stream].items()
        }
        # what Pendo no longer has may still be there: that is what `marks` says
        missing = wanted.keys() - there.keys()
        sums = _sum(there.values()), _sum(wanted.values())
        if missing or sums[0] != sums[1]:
            wrong.append(f"{stream}: {len(missing)} of {len(wanted)} rows missing, sums {sums}")
        if stream == "features":
            marks = (given.gone,) not in there
    return Result(tuple(wrong), merges, marks)


def _plain(value: t.Any) -> str:
    """Write a value of a key in the same way, whatever a loader makes of times."""
    text = str(value)
    if not _TIME.match(text):
        return text
    moment = datetime.fromisoformat(text.replace("Z", "+00:00"))
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).astimezone(UTC).isoformat()


def _sum(rows: t.Iterable[Row]) -> int:
    return sum(int(float(row.get("num_events") or 0)) for row in rows)
