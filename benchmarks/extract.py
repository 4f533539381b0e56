"""Throughput and peak memory of one extraction of feature events, as `./do bench` prints them.

The emulator's own ceiling, a client that only reads the bytes, is measured in the same run.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
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

NOW = datetime(2026, 3, 11, 2, tzinfo=timezone.utc)
DAY = NOW.replace(hour=0) - timedelta(days=1)
MEGA = 1_000_000


class Measured(t.NamedTuple):
    """What a process took: seconds of wall and CPU, peak resident megabytes, lines it wrote."""

    wall: float
    cpu: float
    peak: float
    lines: int


@contextlib.contextmanager
def emulator(events_per_day: int) -> Iterator[dict[str, str]]:
    """Serve a Pendo with so many feature events a day, in a process of its own."""
    command = [sys.executable, "-m", "pendo_emulator", "--now", NOW.isoformat()]
    with subprocess.Popen(
        [*command, "--events-per-day", str(events_per_day)], stdout=subprocess.PIPE
    ) as process:
        try:
            assert process.stdout
            yield json.loads(process.stdout.readline())
        finally:
            process.terminate()


def measure(command: list[str]) -> Measured:
    """Run a command to its end and count the lines that it writes."""
    began = time.monotonic()
    process = subprocess.Popen(command, stdout=subprocess.PIPE)
    assert process.stdout
    lines = sum(chunk.count(b"\n") for chunk in iter(lambda: os.read(fd(process), 1 << 20), b""))
    _, status, usage = os.wait4(process.pid, 0)
    process.stdout.close()
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        sys.exit(f"{command[0]} ended with {process.returncode}")
    cpu = usage.ru_utime + usage.ru_stime
    return Measured(time.monotonic() - began, cpu, usage.ru_maxrss / 1024, lines)


def fd(process: subprocess.Popen[bytes]) -> int:
    """Give the read end of the process's output."""
    assert process.stdout
    return process.stdout.fileno()


def ceiling(pendo: dict[str, str]) -> tuple[float, float]:
    """Seconds and megabytes of one answer with the whole day, read and dropped."""
    source = {
        "featureEvents": {"appId": 'expandAppIds("*")'},
        "timeSeries": {"period": "hourRange", "first": ms(DAY), "last": ms(DAY) + 86_399_999},
    }
    pipeline = [{"source": source}, {"sort": ["hour", "visitorId"]}]
    began, size = time.monotonic(), 0
    with requests.post(
        pendo["url"] + "/api/v1/aggregation",
        json={"response": {}, "request": {"pipeline": pipeline}},
        headers={"x-pendo-integration-key": pendo["key"], "Accept-Encoding": "identity"},
        stream=True,
        timeout=600,
    ) as response:
        response.raise_for_status()
        for chunk in response.iter_content(1 << 20):
            size += len(chunk)
    return time.monotonic() - began, size / MEGA


def ms(moment: datetime) -> int:
    """Epoch milliseconds."""
    return int(moment.timestamp() * 1000)


def tap_command(pendo: dict[str, str], folder: Path, page_size: int) -> list[str]:
    """Write the tap's files, with feature_events selected alone, and give its command."""
    config = {
        "api_url": pendo["url"],
        "integration_key": pendo["key"],
        "start_date": DAY.isoformat(),
        "end_date": (DAY + timedelta(days=1)).isoformat(),
        "page_size": page_size,
    }
    (folder / "config.json").write_text(json.dumps(config))
    tap = [sys.executable, "-m", "tap_pendo", "--config", str(folder / "config.json")]
    catalog = json.loads(subprocess.check_output([*tap, "--discover"], stderr=subprocess.DEVNULL))
    for stream in catalog["streams"]:
        root = next(m for m in stream["metadata"] if not m["breadcrumb"])
        root["metadata"]["selected"] = stream["stream"] == "feature_events"
    (folder / "catalog.json").write_text(json.dumps(catalog))
    return [*tap, "--catalog", str(folder / "catalog.json")]


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--events", type=int, default=MEGA, help="feature events on the day read")
    parser.add_argument("--page-size", type=int, default=50_000)
    options = parser.parse_args()
    with emulator(options.events) as pendo, tempfile.TemporaryDirectory() as name:
        seconds, size = ceiling(pendo)
        command = tap_command(pendo, Path(name), options.page_size)
        tap = measure(command)
    rows = tap.lines
    print(f"rows                 {rows:>12,}")
    print(f"answer               {size:>12,.0f} MB")
    print(f"emulator alone       {rows / seconds:>12,.0f} rows/s")
    print(f"tap                  {rows / tap.wall:>12,.0f} rows/s wall (the emulator included)")
    print(f"tap                  {rows / tap.cpu:>12,.0f} rows per CPU second")
    print(f"tap, peak memory     {tap.peak:>12,.0f} MB")


if __name__ == "__main__":
    main()
