"""Dagster and its pieces, in Dagster's own environment: figures, checks, and workers killed."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import typing as t
from pathlib import Path

import pytest

from tests.documents import blocks
from tests.end_to_end.meltano import ROOT, delivered, project, run

if t.TYPE_CHECKING:
    from pendo_emulator.server import Emulator
    from with_demo.postgres import Server

    from tests.conftest import Warehouse

PYTHON = ROOT / ".venv" / "orchestrate" / "bin" / "python"
SCRIPT = Path(__file__).with_name("in_dagster.py")
MONTH = "-323232|2026-02"
EMPTY = "4785074604081152|2026-02"  # an app that is switched off
pytestmark = pytest.mark.skipif(
    not PYTHON.exists(), reason="Dagster is not installed: ./do dev orchestrate installs it"
)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Give a project folder of its own."""
    return project(tmp_path)


@pytest.fixture
def around(folder: Path, pendo: Emulator, postgres: Server, warehouse: Warehouse) -> dict[str, str]:
    """Give the environment of one tenant, with a file of connections."""
    home = folder / "dagster"
    home.mkdir()
    shutil.copy(ROOT / "orchestrate" / "dagster.yaml", home)
    tenant = {
        "name": "acme",
        "schema": warehouse.schema,
        "pendo": {"settings": {"api_url": pendo.url}, "secrets": {"integration_key": "ACME_KEY"}},
        "history": {"from": "2026-02-01", "to": "2026-03-01"},
        "increments": {"schedule": "15 * * * *"},
    }
    file = folder / "connections.yml"
    file.write_text(json.dumps({"tenants": [tenant]}))
    return {
        **{k: v for k, v in os.environ.items() if not k.startswith(("TAP_", "TARGET_", "MELTANO"))},
        **postgres.environment(),
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "PYTHONPATH": str(ROOT),
        "DAGSTER_HOME": str(home),
        "MELTANO_PROJECT_ROOT": str(folder),
        "PENDO_CONNECTIONS": str(file),
        "ACME_KEY": pendo.key,
    }


def in_dagster(around: dict[str, str], *arguments: str) -> list[dict[str, t.Any]]:
    done = subprocess.run(
        [str(PYTHON), str(SCRIPT), *arguments],
        env=around,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    found: list[dict[str, t.Any]] = json.loads(done.stdout.splitlines()[-1])
    return found


def test_a_piece_has_figures_and_its_check_sees_what_is_lost(
    around: dict[str, str], warehouse: Warehouse
) -> None:
    [loaded] = in_dagster(around, "load", MONTH)
    assert loaded["passed"], loaded
    figures = loaded["metadata"]
    [(rows,)] = warehouse.rows("select sum(row_count) from sync_windows where app_ids = '-323232'")
    assert figures["rows"] == rows > 1000
    assert figures["windows"] >= 6
    assert figures["calls"] >= figures["windows"]
    assert figures["bytes"] > rows
    assert figures["freshness_seconds"].keys() >= {"events", "poll_events"}

    # the increments have loaded lists, people and, from the month before now, events
    [(people, since)] = warehouse.rows(
        "select (select count(*) from visitors), min(window_start) from sync_windows "
        "where app_ids = '*' and window_start > '2026-04-01'"
    )
    assert people > 100
    assert (since.day, since.hour) == (1, 0)

    warehouse.execute(
        f'delete from "{warehouse.schema}".page_events where row_id in '
        f'(select min(row_id) from "{warehouse.schema}".page_events)'
    )
    [tampered, empty] = in_dagster(around, "check", MONTH, EMPTY)
    assert not tampered["passed"]
    assert tampered["description"].startswith("page_events: ")
    assert tampered["metadata"] == {}
    assert empty["passed"]


def test_a_pool_of_more_slots_than_share_the_limit_is_refused(around: dict[str, str]) -> None:
    [refused] = in_dagster(around, "crowd")
    assert refused["failed"] == (
        "pool pendo_acme has a limit of 5, acme has 4 workers: run python -m orchestrate pools"
    )


def test_a_mistake_in_the_file_is_one_line_and_exit_code_1(around: dict[str, str]) -> None:
    file = Path(around["PENDO_CONNECTIONS"])
    file.write_text(file.read_text().replace('"schema"', '"scheme"'))
    done = subprocess.run(
        [str(PYTHON), "-m", "orchestrate", "check"],
        env=around,
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    [line] = done.stderr.splitlines()
    unknown = f"{file}: tenant acme: scheme is not known"
    assert line.startswith(f"{unknown}; it must be one of name, pendo, ")


def test_dagster_takes_the_commands_that_the_page_shows(around: dict[str, str]) -> None:
    [shown] = blocks("docs/orchestrate.md", "Setting up", "sh")
    pools, serving = (line.removeprefix("./do dev orchestrate ") for line in shown.splitlines())
    # what `dagster dev` would serve
    served = serving.replace("dagster dev", "-m dagster definitions validate")
    for command in (pools.removeprefix("python "), served):
        done = subprocess.run(
            [str(PYTHON), *command.split()],
            env=around,
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr[-3000:]
    assert "Validation successful" in done.stdout + done.stderr


def test_a_schedule_fires_and_fills_planhat(folder: Path, request: pytest.FixtureRequest) -> None:
    if not request.config.getoption("all", default=False):
        pytest.skip("takes minutes: --all")
    done = run(
        folder,
        str(PYTHON),
        str(SCRIPT.with_name("firing.py")),
        str(folder / "dagster"),
        PYTHONPATH=str(ROOT),
        MELTANO_PROJECT_ROOT=str(folder),
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    [line] = [line for line in done.stdout.splitlines() if line.startswith('{"started"')]
    found = json.loads(line)
    assert found["started"]["__typename"] == "ScheduleStateResult"
    assert found["status"] == ["SUCCESS"]
    assert delivered(done.stdout)["all companies"].activities > 0


def test_a_back_fill_whose_workers_are_killed_ends_by_itself(
    folder: Path, request: pytest.FixtureRequest
) -> None:
    if not request.config.getoption("all", default=False):
        pytest.skip("takes minutes: --all")
    file = folder.parent / "figures.json"
    options = ("--months", "1", "--apps", "2", "--workers", "2", "--kills", "1", "--seed", "7")
    done = run(
        folder,
        str(PYTHON),
        "-m",
        "orchestrate.trial",
        *options,
        f"--json={file}",
        PYTHONPATH=str(ROOT),
        MELTANO_PROJECT_ROOT=str(folder),
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    [figures] = json.loads(file.read_text())
    assert figures["killed"] == {"run": 1}
    assert figures["run_retries"] == 1
    assert figures["checks_passed"] >= figures["pieces"] == 2
    assert figures["events"] > 1000
    assert 0 < figures["most_calls_per_second"] <= 25
