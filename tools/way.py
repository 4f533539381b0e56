"""Counts the files and functions that one page of events, or one record, passes in a plugin.

    python tools/way.py tap            a day of feature_events, one page, from invoke to stdout
    python tools/way.py target         a record of feature_events, into an activity that is accepted
    python tools/way.py tap --list     each file with its functions

Runs against the emulators are profiled, with no, one and two pages or records. What a run with one
calls more often than a run with none is the way; with two, more often than with one, each further.
"""

from __future__ import annotations

import argparse
import collections
import contextlib
import io
import json
import sys
import tempfile
import threading
import typing as t
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pendo_emulator.server
import planhat_emulator.server
import tap_pendo.tap
import target_planhat.target

if t.TYPE_CHECKING:
    from collections.abc import Callable
    from types import FrameType

Calls = collections.Counter[tuple[str, str]]
_START = datetime(2026, 3, 10, tzinfo=timezone.utc)
_NOW = (_START + timedelta(days=2)).isoformat()
_REPORT = ("pipeline.py", "report")
_FOLDERS = {
    "tap": Path(tap_pendo.tap.__file__).parent,
    "target": Path(target_planhat.target.__file__).parent,
}


def profiled(folder: Path, run: Callable[[], object], end: tuple[str, str] | None = None) -> Calls:
    """Count the calls of functions in a folder, as (file, function), in all threads of a run.

    What is called after `end`, the file and name of a function, is not counted.
    """
    calls: Calls = collections.Counter()
    root = f"{folder}/"

    def note(frame: FrameType, event: str, _: object) -> None:
        code = frame.f_code
        # neither a module's own code nor a comprehension is a function that somebody looks up
        if event == "call" and code.co_filename.startswith(root) and code.co_name[0] != "<":
            place = code.co_filename[len(root) :], code.co_name
            if place == end:
                sys.setprofile(None)
            calls[place] += 1

    threading.setprofile(note)
    sys.setprofile(note)
    try:
        run()
    finally:
        sys.setprofile(None)
        threading.setprofile(None)
    return calls


def tap(days: int) -> Calls:
    """Run tap-pendo over days of feature events; without any, with no stream but sync_windows."""
    with pendo_emulator.server.serve() as pendo:
        pendo.clock.set(_NOW)
        config = {
            "api_url": pendo.url,
            "integration_key": pendo.key,
            "start_date": _START.isoformat(),
            "end_date": (_START + timedelta(days=days or 1)).isoformat(),
        }
        plugin = tap_pendo.tap.TapPendo(config=config)
        for name, stream in plugin.streams.items():
            stream.selected = name == "sync_windows" or (days > 0 and name == "feature_events")
        plugin.setup_mapper()
        with contextlib.redirect_stdout(io.StringIO()):
            return profiled(_FOLDERS["tap"], plugin.sync)


def target(count: int) -> Calls:
    """Run target-planhat with records of feature events, each of which is an activity."""
    with planhat_emulator.server.serve() as planhat, tempfile.TemporaryDirectory() as folder:
        company = planhat.world.add("companies", {"externalId": "acme", "name": "Acme"})
        for user in range(count):
            planhat.world.add("endusers", {"externalId": f"u{user}", "companyId": company["_id"]})
        config = {
            "tenant_token": planhat.tenant_token,
            "api_token": planhat.api_token,
            "api_url": planhat.url,
            "analytics_url": planhat.analytics_url,
            "ledger_url": f"sqlite:///{folder}/ledger.db",
            "report_path": folder,
            "settle_hours": 0,
        }
        plugin = target_planhat.target.TargetPlanhat(config=config)
        lines = io.StringIO("".join(json.dumps(m) + "\n" for m in _messages(count)))
        with contextlib.redirect_stdout(io.StringIO()):
            calls = profiled(_FOLDERS["target"], lambda: plugin.listen(lines), _REPORT)
        if planhat.world.count("activities") != count:
            raise SystemExit("the records did not become activities")
        return calls


def _messages(count: int) -> t.Iterator[dict[str, t.Any]]:
    """Give a feature's name, and one day's window, read whole, with some rows."""
    row = {"account_id": "acme", "app_id": 1, "feature_id": "f1", "num_events": 3, "read_at": _NOW}
    row["hour"] = _START.isoformat()
    window = {"stream": "feature_events", "app_ids": "*", "read_at": _NOW}
    window["window_start"] = _START.isoformat()
    window["window_end"] = (_START + timedelta(days=1)).isoformat()
    events = [{**row, "visitor_id": f"u{user}"} for user in range(count)]
    sent: list[tuple[str, list[str], list[dict[str, t.Any]]]] = [
        ("features", ["id", "name"], [{"id": "f1", "name": "Export"}]),
        ("feature_events", [*row, "visitor_id"], events),
        ("sync_windows", [*window], [window]),
    ]
    for stream, names, records in sent:
        schema = {"type": "object", "properties": {name: {} for name in names}}
        yield {"type": "SCHEMA", "stream": stream, "schema": schema, "key_properties": []}
        for record in records:
            yield {"type": "RECORD", "stream": stream, "record": record}
        if stream == "features":
            yield {"type": "ACTIVATE_VERSION", "stream": stream, "version": 1}
    yield {"type": "STATE", "value": {}}


def main() -> None:
    """Print the way of a page or of a record."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("plugin", choices=_FOLDERS)
    parser.add_argument("--list", action="store_true", help="each file, with its functions")
    arguments = parser.parse_args()
    run = {"tap": tap, "target": target}[arguments.plugin]
    none, one, two = (run(count) for count in range(3))
    way, further = set(one - none), set(two - one)
    for title, places in (("the run", set(one)), ("the way", way), ("each further", further)):
        files = {file for file, _ in places}
        print(f"{title}: {len(files)} files, {len(places)} functions")
    for file in sorted({file for file, _ in way}):
        functions = sorted(name for each, name in way if each == file)
        print(f"  {file}: {', '.join(functions)}" if arguments.list else f"  {file}")


if __name__ == "__main__":
    main()
