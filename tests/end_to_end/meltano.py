"""Runs commands beside the demo, in a project folder with a space whose plugins are installed."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import typing as t
from datetime import datetime, timedelta, timezone
from pathlib import Path

ROOT = Path(__file__).parents[2]
MELTANO = ("meltano", "--environment=demo")


def project(parent: Path) -> Path:
    """Make a copy of the project whose plugins are those of this environment: no index is asked."""
    copy = parent / "a project"
    copy.mkdir()
    text = (ROOT / "meltano.yml").read_text()
    (copy / "meltano.yml").write_text(re.sub(r"^    pip_url: .*\n", "", text, flags=re.MULTILINE))
    return copy


def run(folder: Path, *command: str, **settings: str) -> subprocess.CompletedProcess[str]:
    """Run a command under with-demo; the tap reads four days, unless the settings say otherwise."""
    bin_folder = Path(sys.executable).parent
    environment = {
        **{k: v for k, v in os.environ.items() if not k.startswith(("TAP_", "TARGET_", "MELTANO"))},
        "HOME": str(folder.parent),
        "PATH": f"{bin_folder}{os.pathsep}{os.environ['PATH']}",
        "TAP_PENDO_START_DATE": (datetime.now(timezone.utc) - timedelta(days=4)).isoformat(),
        **settings,
    }
    return subprocess.run(
        [str(bin_folder / "with-demo"), "--visitors", "400", "--", *command],
        cwd=folder,
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )


def arrived(output: str) -> dict[str, tuple[int, int, str]]:
    """Rows now, new rows and the verdict by stream, from the table that with-demo prints."""
    lines = re.findall(r"^(\w+) +([\d,]+) +\+([\d,]+) +[\d,]+ +(\w+)$", output, re.MULTILINE)
    return {name: (number(now), number(new), verdict) for name, now, new, verdict in lines}


class Delivered(t.NamedTuple):
    """What a company has in Planhat, and how much of it is new."""

    activities: int
    new_activities: int
    points: int
    new_points: int


def delivered(output: str) -> dict[str, Delivered]:
    """What Planhat has by company, from the table that with-demo prints."""
    amount, new = r"([\d,]+)", r"\+([\d,]+)"
    line = rf"^(\S.*?) +{amount} +{new} +{amount} +{amount} +{new}$"
    return {
        name: Delivered(number(activities), number(more), number(points), number(further))
        for name, activities, more, _, points, further in re.findall(line, output, re.MULTILINE)
    }


def number(text: str) -> int:
    """Read 1,234."""
    return int(text.replace(",", ""))
