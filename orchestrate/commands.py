"""The commands that are run for a tenant, and their environment: the two plugins, through Meltano.

`meltano el` has a folder of its own for each run, which `meltano run` has not: two at once would
disturb each other.
"""

from __future__ import annotations

import json
import os
import shutil
import typing as t

from orchestrate.connections import ROOT
from orchestrate.errors import ConnectionsError, PieceError
from orchestrate.rates import share

if t.TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime
    from pathlib import Path

    from orchestrate.connections import Plugin, Tenant
    from orchestrate.pieces import Piece

_PLUGINS = ("TAP_PENDO_", "TARGET_PLANHAT_")
# of Dagster's own environment, which is not Meltano's
_OURS = ("VIRTUAL_ENV", "PYTHONPATH", "PYTHONHOME", "__PYVENV_LAUNCHER__")


def meltano() -> str:
    """Return the path of Meltano: of the project's environment, or wherever it is found.

    Raises:
        PieceError: there is none.
    """
    own = ROOT / ".venv" / "bin" / "meltano"
    found = str(own) if own.exists() else shutil.which("meltano")
    if not found:
        raise PieceError("meltano is not found: install it beside Dagster's environment, on PATH")
    return found


def load(
    state_id: str, *, again: bool, tap: str = "tap-pendo", target: str = "target-postgres"
) -> list[str]:
    """Load from Pendo into a target; `again` reads all of the time as if nothing had been.

    `--force`, since a run that was killed counts as running for minutes; Dagster sees to it that
    there is no other.
    """
    refresh = ["--full-refresh"] if again else []
    options = [*refresh, "--force", f"--state-id={state_id}"]
    return [meltano(), "--log-format=json", "el", *options, tap, target]


def plan() -> list[str]:
    """Ask the tap what a run would read."""
    return [meltano(), "--log-format=json", "invoke", "tap-pendo", "--plan", "--format=json"]


def read(catalog: Path) -> list[str]:
    """Read the streams of a catalog, as Singer messages."""
    return [meltano(), "--log-format=json", "invoke", "tap-pendo", f"--catalog={catalog}"]


def settings(tenant: Tenant, base: Mapping[str, str]) -> dict[str, str]:
    """Make the environment of a tenant's commands out of that of this process.

    Of a tenant with a file, no setting of the plugins comes from elsewhere.

    Raises:
        ConnectionsError: a variable that the file names is not set.
    """
    made = {
        name: value
        for name, value in base.items()
        if name not in _OURS and (tenant.alone or not name.startswith(_PLUGINS))
    }
    for plugin in (tenant.pendo, tenant.planhat):
        if plugin:
            made |= {**plugin.values, **_secrets(tenant, plugin, base)}
    own_bin = str(ROOT / ".venv" / "bin")
    return made | {
        "MELTANO_PROJECT_ROOT": str(ROOT),
        "PATH": os.pathsep.join([own_bin, base.get("PATH", os.defpath)]),
        "TARGET_POSTGRES_DEFAULT_TARGET_SCHEMA": tenant.schema,
        "TAP_PENDO_MAX_CALLS_PER_SECOND": f"{share(tenant.max_calls_per_second, tenant.workers):g}",
    }


def _secrets(tenant: Tenant, plugin: Plugin, base: Mapping[str, str]) -> dict[str, str]:
    for setting, variable in plugin.secrets.items():
        if not base.get(variable):
            told = f"tenant {tenant.name}: the environment variable {variable}, for {setting}"
            raise ConnectionsError(f"{told}, is not set")
    return {setting: base[variable] for setting, variable in plugin.secrets.items()}


def of_piece(tenant: Tenant, piece: Piece) -> dict[str, str]:
    """Return the settings that make a run of the tap a function of its partition."""
    return {
        **_time(piece.start, piece.end),
        "TAP_PENDO_APP_IDS": json.dumps([piece.app_id]),
        **select(["sync_windows", *tenant.streams]),
    }


def of_tables(tenant: Tenant) -> dict[str, str]:
    """Return the settings of a run that makes the tables, reads the apps and no event."""
    return {
        # Pendo has nothing before
        "TAP_PENDO_START_DATE": "2012-12-31",
        "TAP_PENDO_END_DATE": "2013-01-01",
        **_apps(tenant),
        **select(["sync_windows", "applications", *tenant.streams]),
    }


def of_plan(tenant: Tenant) -> dict[str, str]:
    """Return the settings of the plan of the whole history."""
    history = tenant.history
    bounds = {"TAP_PENDO_START_DATE": history.start, "TAP_PENDO_END_DATE": history.to}
    days = {name: day.isoformat() for name, day in bounds.items() if day}
    return {**days, **_apps(tenant), **select(tenant.streams)}


def of_increments(tenant: Tenant, start: datetime) -> dict[str, str]:
    """Return the settings of the regular runs; what to read is as in meltano.yml."""
    return {"TAP_PENDO_START_DATE": start.isoformat(), **_apps(tenant)}


def select(streams: Sequence[str]) -> dict[str, str]:
    """Return the selection of these streams and no other."""
    return {"TAP_PENDO__SELECT": json.dumps([f"{name}.*" for name in streams])}


def _time(start: datetime, end: datetime) -> dict[str, str]:
    return {"TAP_PENDO_START_DATE": start.isoformat(), "TAP_PENDO_END_DATE": end.isoformat()}


def _apps(tenant: Tenant) -> dict[str, str]:
    return {"TAP_PENDO_APP_IDS": json.dumps(list(tenant.apps))} if tenant.apps else {}
