"""Throughput and peak memory of target-planhat on feature events, as `./do bench-planhat` prints.

Each latency of Planhat is measured in the same run, with a ledger of its own; then the same input
again, of which nothing is sent.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import random
import subprocess
import sys
import tempfile
import time
import typing as t
from datetime import datetime, timedelta, timezone
from pathlib import Path

import requests

if t.TYPE_CHECKING:
    from collections.abc import Iterator

FIRST_DAY = datetime(2026, 2, 1, tzinfo=timezone.utc)
DAYS = 10
COMPANIES, FEATURES = 500, 60
MEGA = 1_000_000
STREAMS = {
    "sync_windows": ("stream", "window_start", "window_end", "app_ids", "read_at"),
    "features": ("id", "name"),
    "feature_events": (
        *("visitor_id", "account_id", "app_id", "feature_id", "hour", "day"),
        *("num_events", "read_at"),
    ),
}


class Measured(t.NamedTuple):
    """What a process took: seconds of wall and CPU, peak resident megabytes."""

    wall: float
    cpu: float
    peak: float


@contextlib.contextmanager
def emulator(end_users: int) -> Iterator[dict[str, str]]:
    """Serve a Planhat with so many end users, in a process of its own."""
    command = [sys.executable, "-m", "planhat_emulator", "--port", "0"]
    seeds = ["--companies", str(COMPANIES), "--endusers", str(end_users)]
    with subprocess.Popen([*command, *seeds], stdout=subprocess.PIPE) as process:
        try:
            assert process.stdout
            yield json.loads(process.stdout.readline())
        finally:
            process.terminate()


def write_input(file: Path, records: int, visitors: int) -> None:
    """Write what tap-pendo would: windows of a day, each with its rows, complete."""
    draw = random.Random(1)  # noqa: S311 - the same input at each run
    per_day = records // DAYS
    with file.open("w") as out:

        def say(message: dict[str, t.Any]) -> None:
            out.write(json.dumps(message) + "\n")

        for stream, names in STREAMS.items():
            properties: dict[str, t.Any] = {name: {} for name in names}
            say({"type": "SCHEMA", "stream": stream, "schema": {"properties": properties}})
        for n in range(FEATURES):
            named = {"id": f"feature-{n}", "name": f"Feature {n}"}
            say({"type": "RECORD", "stream": "features", "record": named})
        for number in range(DAYS):
            start = FIRST_DAY + timedelta(days=number)
            read_at = iso(FIRST_DAY + timedelta(days=DAYS, seconds=number))
            for row in range(per_day):
                # sorted by the hour, as the tap gives them; three sessions of an hour add up
                fields = fields_of(start, row // 3, per_day // 3, visitors, draw)
                told = {**fields, "tab_id": f"tab-{row}", "read_at": read_at}
                say({"type": "RECORD", "stream": "feature_events", "record": told})
            window = {
                "stream": "feature_events",
                "window_start": iso(start),
                "window_end": iso(start + timedelta(days=1)),
                "app_ids": "*",
                "read_at": read_at,
            }
            say({"type": "RECORD", "stream": "sync_windows", "record": window})
            say({"type": "STATE", "value": {"day": number}})


def fields_of(
    start: datetime, group: int, groups: int, visitors: int, draw: random.Random
) -> dict[str, t.Any]:
    """Make a row's fields: the visitor follows from the group, the rest is as long as in life."""
    visitor = group * 7919 % visitors + 1
    return {
        "row_id": f"{draw.getrandbits(128):032x}",
        "visitor_id": f"enduser-{visitor}",
        "account_id": f"company-{(visitor - 1) % COMPANIES + 1}",
        "app_id": -323232,
        "feature_id": f"feature-{group * 31 % FEATURES}",
        "server": "app.atlas.example",
        "user_agent": "Mozilla/5.0 (Macintosh; Intel Mac OS X 14_5) Version/17.5 Safari/605.1",
        "country": "US",
        "region": "Ohio",
        "analytics_session_id": f"{draw.getrandbits(64):016x}",
        "hour": iso(start + timedelta(hours=group * 24 // max(1, groups) % 24)),
        "num_events": 1 + group % 5,
        "num_minutes": 1,
    }


def iso(moment: datetime) -> str:
    """Write a moment as the tap does."""
    return moment.strftime("%Y-%m-%dT%H:%M:%S.000Z")


def delay(planhat: dict[str, str], seconds: float) -> None:
    """Let each post to Planhat's analytics host take so long."""
    fault = {"kind": "delay", "seconds": seconds, "path": "/analytics/bulk", "times": None}
    requests.post(f"{planhat['url']}/_emulator/faults", json=[fault], timeout=10).raise_for_status()


def count(planhat: dict[str, str]) -> int:
    """Give the number of activities that Planhat has."""
    answer = requests.get(f"{planhat['url']}/_emulator/truth/count?kind=activities", timeout=60)
    answer.raise_for_status()
    return int(answer.json()["rows"])


def measure(planhat: dict[str, str], folder: Path, file: Path) -> Measured:
    """Run the target on the input, and expect it to succeed."""
    config = {
        "tenant_token": planhat["tenant_token"],
        "api_token": planhat["key"],
        "api_url": planhat["url"],
        "analytics_url": planhat["analytics_url"],
        "ledger_url": f"sqlite:///{folder / 'ledger.db'}",
    }
    (folder / "config.json").write_text(json.dumps(config))
    command = [sys.executable, "-m", "target_planhat", "--config", str(folder / "config.json")]
    began = time.monotonic()
    with file.open("rb") as lines:
        process = subprocess.Popen(command, stdin=lines, stdout=subprocess.DEVNULL)
        _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        sys.exit(f"target-planhat ended with {process.returncode}")
    cpu = usage.ru_utime + usage.ru_stime
    return Measured(time.monotonic() - began, cpu, usage.ru_maxrss / 1024)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--records", type=int, default=MEGA)
    parser.add_argument("--end-users", type=int, default=20_000)
    parser.add_argument("--latencies", type=float, nargs="*", default=[0, 0.15])
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        file = Path(name) / "input.jsonl"
        write_input(file, options.records, options.end_users)
        print(f"{options.records:,} records, {file.stat().st_size / MEGA:,.0f} MB")
        for latency in options.latencies:
            folder = Path(name) / f"{latency}"
            folder.mkdir()
            with emulator(options.end_users) as planhat:
                delay(planhat, latency)
                runs = [("first", measure(planhat, folder, file))]
                sent = count(planhat)
                runs.append(("again", measure(planhat, folder, file)))
                if count(planhat) != sent:
                    sys.exit("the second run sent something")
            for label, run in runs:
                print(
                    f"{latency * 1000:3.0f} ms, {label}: "
                    f"{options.records / run.wall:9,.0f} records/s wall, "
                    f"{options.records / run.cpu:9,.0f} per CPU second, peak {run.peak:5.0f} MB"
                )
            ledger = (folder / "ledger.db").stat().st_size / MEGA
            print(f"        {sent:,} activities posted; the ledger has {ledger:,.0f} MB")


if __name__ == "__main__":
    main()
