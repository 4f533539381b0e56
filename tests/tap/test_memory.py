"""Memory does not grow with the rows of a window, sorted by Pendo or here."""

from __future__ import annotations

import json
import subprocess
import sys
import typing as t

import pytest
from pendo_emulator.server import serve
from pendo_emulator.world import World

from tests.conftest import NOW

if t.TYPE_CHECKING:
    from pathlib import Path

DAY = {"start_date": "2026-03-10T00:00Z", "end_date": "2026-03-11T00:00Z"}
# between the test and the tap: a child's figure is never below that of the process it comes from
MEASURE = """
import resource, subprocess, sys
with subprocess.Popen(sys.argv[1:], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as tap:
    lines = sum(chunk.count(10) for chunk in iter(lambda: tap.stdout.read1(1 << 20), b""))
assert tap.returncode == 0
print(lines, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)
"""


def peak(folder: Path, events_per_day: int, *, in_order: bool) -> tuple[int, int]:
    """Give the lines that the tap writes for one window, and the most kilobytes it needs."""
    with serve(World(events_per_day=events_per_day)) as pendo:
        pendo.clock.set(NOW.isoformat())
        pendo.knobs.sort_keys = None if in_order else 1
        config = {"api_url": pendo.url, "integration_key": pendo.key, **DAY}
        (folder / "config.json").write_text(json.dumps(config))
        (folder / "catalog.json").write_text(json.dumps(catalog(folder)))
        files = ("--config", folder / "config.json", "--catalog", folder / "catalog.json")
        tap = [sys.executable, "-m", "tap_pendo", *files]
        measured = subprocess.run(
            [sys.executable, "-c", MEASURE, *tap], check=True, capture_output=True, text=True
        )
        lines, kilobytes = measured.stdout.split()
        return int(lines), int(kilobytes)


def catalog(folder: Path) -> dict[str, t.Any]:
    """Give a catalogue in which feature events alone are selected."""
    command = [sys.executable, "-m", "tap_pendo", "--config", folder / "config.json", "--discover"]
    told = subprocess.run(command, check=True, capture_output=True, text=True)
    found: dict[str, t.Any] = json.loads(told.stdout)
    for stream in found["streams"]:
        root = next(m for m in stream["metadata"] if not m["breadcrumb"])
        root["metadata"]["selected"] = stream["stream"] == "feature_events"
    return found


@pytest.mark.whole
@pytest.mark.parametrize("in_order", [True, False], ids=["sorted by Pendo", "sorted here"])
def test_eight_times_the_rows_of_a_window_need_no_more_memory(
    in_order: bool, tmp_path: Path
) -> None:
    few, memory_of_few = peak(tmp_path, 12_000, in_order=in_order)
    many, memory_of_many = peak(tmp_path, 96_000, in_order=in_order)
    assert many > 7 * few
    assert memory_of_many <= 1.15 * memory_of_few
