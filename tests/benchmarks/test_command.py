"""The whole command of the benchmarks, with few rows: each suite ends, and says what it found."""

from __future__ import annotations

import json
import subprocess
import sys
import typing as t
from pathlib import Path

import pytest

from benchmarks.__main__ import SUITES

ROOT = Path(__file__).parents[2]
QUICK = ("many",)


def bench(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run it."""
    command = [sys.executable, "-m", "benchmarks", *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("suite", SUITES)
def test_a_suite_measures_each_program_and_judges(
    suite: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    if suite not in QUICK and not request.config.getoption("all"):
        pytest.skip("takes long: --all")
    file = tmp_path / "figures.json"

    done = bench("--only", suite, "--size", "1000", "--rounds", "1", "--json", str(file))

    assert done.returncode == 0, done.stderr
    assert "reached" in done.stdout
    found: dict[str, t.Any] = json.loads(file.read_text())
    assert list(found) == [suite]
    assert found[suite]["measured"]["cores"]
    for series in found[suite]["series"]:
        assert all(run["wall"] > 0 and run["cpu"] > 0 and run["peak"] > 5 for run in series["runs"])
        assert series["case"] in done.stdout


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (
            ("--only", "tap,taps"),
            f"argument --only: not a suite: taps; it must be one of {', '.join(SUITES)}",
        ),
        (("--size", "0"), "argument --size: it must be a whole number above 0"),
        (("--rounds", "some"), "argument --rounds: it must be a whole number above 0"),
        (("--json", "no/such.json"), "argument --json: there is no folder no"),
        (("--json", "README.md"), "argument --json: README.md holds something else than figures"),
    ],
)
def test_what_cannot_be_is_refused_in_one_line(arguments: tuple[str, ...], said: str) -> None:
    done = bench(*arguments)

    assert done.returncode == 2
    assert done.stderr.splitlines()[-1] == f"./do dev bench: error: {said}"
