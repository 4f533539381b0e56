"""A million end users fit: Planhat's side is copied and matched, and never held in memory."""

from __future__ import annotations

import json
import subprocess
import sys
import typing as t
from pathlib import Path

import pytest
from planhat_emulator.server import serve
from planhat_emulator.world import World

from tests.planhat.running import EVENTS, FEATURES, WINDOWS, day, event, window

if t.TYPE_CHECKING:
    from planhat_emulator.server import Emulator

STATUS = Path("/proc/self/status")
EVENTS_OF = 5_000
COMPANIES = 1_000
# the greatest that the process ever was, by the system's own account
MEASURED = """
import pathlib, re, runpy, sys
try:
    runpy.run_module("target_planhat", run_name="__main__")
finally:
    status = pathlib.Path("/proc/self/status").read_text()
    print("peak", re.search(r"VmHWM:\\s+(\\d+)", status).group(1), file=sys.stderr)
"""


def megabytes(planhat: Emulator, folder: Path, users: int) -> float:
    """Send events of end users spread over all that there are; give the peak memory."""
    planhat.renew(World())
    planhat.world.seed(companies=COMPANIES, endusers=users)
    planhat.knobs.rate_limit = planhat.knobs.hard_limit = None
    folder.mkdir()
    config = {
        "tenant_token": planhat.tenant_token,
        "api_token": planhat.api_token,
        "api_url": planhat.url,
        "analytics_url": planhat.analytics_url,
        "ledger_url": f"sqlite:///{folder / 'ledger.db'}",
        "settle_hours": 0,
    }
    (folder / "config.json").write_text(json.dumps(config))
    with (folder / "input").open("w") as file:
        for message in (WINDOWS, *FEATURES, EVENTS):
            file.write(json.dumps(message) + "\n")
        for number in range(1, users + 1, users // EVENTS_OF):
            company = f"company-{(number - 1) % COMPANIES + 1}"
            message = event(day(9, 8), f"enduser-{number}", account=company)
            file.write(json.dumps(message) + "\n")
        file.write(json.dumps(window(day(9), day(10))) + "\n")
    command = [sys.executable, "-c", MEASURED, "--config", str(folder / "config.json")]
    with (folder / "input").open() as file:
        done = subprocess.run(command, stdin=file, stderr=subprocess.PIPE, text=True, check=True)
    assert planhat.world.count("activities") == EVENTS_OF
    assert planhat.world.created == []
    return int(done.stderr.split()[-1]) / 1024


@pytest.mark.skipif(not STATUS.exists(), reason="the system does not say what a process took")
@pytest.mark.whole
def test_memory_does_not_grow_with_the_end_users_that_planhat_has(
    tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    users = 1_000_000 if request.config.getoption("all") else 100_000
    with serve() as planhat:
        few = megabytes(planhat, tmp_path / "few", EVENTS_OF)
        many = megabytes(planhat, tmp_path / "many", users)

    print(f"{few:.0f} MB for {EVENTS_OF} end users, {many:.0f} MB for {users}")  # noqa: T201
    # 64 MB are the ledger's own cache
    assert many - few < 100
    assert many < 250
