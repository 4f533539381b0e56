"""`meltano run tap-pendo target-postgres` beside the demo, in a project folder with a space."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import typing as t
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Make a copy of the project whose plugins are those of this environment: no index is asked."""
    copy = tmp_path / "a project"
    copy.mkdir()
    text = (ROOT / "meltano.yml").read_text()
    (copy / "meltano.yml").write_text(re.sub(r"^    pip_url: .*\n", "", text, flags=re.MULTILINE))
    return copy


def run(folder: Path, *command: str, **settings: str) -> subprocess.CompletedProcess[str]:
    bin_folder = Path(sys.executable).parent
    environment = {
        **{k: v for k, v in os.environ.items() if not k.startswith(("TAP_", "TARGET_", "MELTANO"))},
        "HOME": str(folder.parent),
        "PATH": f"{bin_folder}{os.pathsep}{os.environ['PATH']}",
        "TAP_PENDO_START_DATE": (datetime.now(timezone.utc) - timedelta(days=4)).isoformat(),
        **settings,
    }
    return subprocess.run(
        [str(bin_folder / "with-demo"), "--", *command],
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
    number = t.cast("t.Callable[[str], int]", lambda text: int(text.replace(",", "")))
    return {name: (number(now), number(new), verdict) for name, now, new, verdict in lines}


def test_first_run_second_run_and_checks(folder: Path) -> None:
    meltano = ("meltano", "--environment=demo")
    pipe = (*meltano, "run", "tap-pendo", "target-postgres")
    first = run(folder, *pipe)
    assert first.returncode == 0, first.stdout + first.stderr
    rows = arrived(first.stdout)
    assert len(rows) == 18
    assert {verdict for _, _, verdict in rows.values()} == {"equal"}
    assert all(now == new > 0 for now, new, _ in rows.values())

    second = run(folder, *pipe)
    assert second.returncode == 0
    again = arrived(second.stdout)
    assert {verdict for _, _, verdict in again.values()} == {"equal"}
    # at most the events of an hour that has ended in between
    assert all(new <= rows[name][0] / 10 for name, (_, new, _) in again.items())

    tested = run(folder, *meltano, "config", "test", "tap-pendo")
    assert "Plugin configuration is valid" in tested.stdout + tested.stderr
    checked = run(folder, *meltano, "invoke", "tap-pendo", "--test")
    assert "Aggregation is allowed." in checked.stdout
    refused = run(folder, *pipe, TAP_PENDO_TIMEZONE="Mars/xyzzy")
    assert refused.returncode == 1
    told = refused.stdout + refused.stderr
    assert "setting `timezone` is not known: allowed is an IANA name" in told
    assert "xyzzy" not in told
