"""What copies of Planhat's end users and companies, by which items are matched, take of a run."""

from __future__ import annotations

import json
import typing as t
import urllib.request
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks.running import FailedError, measured, program, serving

# few enough for one activity each
_RECORDS, _FEW = 300, 100
_LISTS = ("/leancompanies", "/companies", "/endusers")


def run(end_users: int) -> dict[str, tuple[str, float]]:
    """Run target-planhat where there are few end users, and where there are many."""
    few, _ = _run(_FEW)
    many, calls = _run(end_users)
    return {
        "end user copied, target-planhat": ("CPU us", (many - few) / (end_users - _FEW) * 1e6),
        f"REST calls of a run, {end_users:,} end users": ("calls", calls),
    }


def _run(end_users: int) -> tuple[float, int]:
    """Give CPU seconds, and calls of REST."""
    seeds = ["--companies", "99", "--endusers", end_users]
    with (
        serving("planhat_emulator", "--port", "0", *seeds) as planhat,
        TemporaryDirectory() as folder,
    ):
        settings = {
            "api_url": planhat["url"],
            "analytics_url": planhat["analytics_url"],
            "api_token": planhat["key"],
            "tenant_token": planhat["tenant_token"],
            "ledger_url": f"sqlite:///{folder}/ledger.db",
        }
        config = Path(folder) / "config.json"
        config.write_text(json.dumps(settings), encoding="utf-8")
        feeder = program("benchmarks.messages", "--rows", _RECORDS, "--together", 3)
        took = measured(program("target_planhat", "--config", config), given=feeder)
        calls = f"{planhat['url']}/_emulator/calls"
        with urllib.request.urlopen(calls, timeout=60) as answer:  # noqa: S310 - ours
            said: dict[str, t.Any] = json.load(answer)
    found = sum(one["path"].startswith(_LISTS) for one in said["log"])
    if not found:
        raise FailedError("no list of Planhat's was read")
    return took.cpu, found
