"""The emulated Pendo and Planhat that each installed pair of plugins works between."""

from __future__ import annotations

import os
import subprocess
import typing as t
from contextlib import contextmanager
from datetime import datetime, timedelta, timezone

from emulation.clock import Clock
from pendo_emulator.server import serve as serve_pendo
from pendo_emulator.world import World as Pendo
from planhat_emulator.server import serve as serve_planhat
from planhat_emulator.world import World as Planhat

from tests.planhat.pendo_side import acquaint

if t.TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from pendo_emulator.server import Emulator as PendoEmulator
    from planhat_emulator.server import Emulator as PlanhatEmulator


class InstallError(Exception):
    """A way to install does not work; the message says where it ended."""


class Services:
    """Both services; `expected` is what the plugins of the working tree send."""

    def __init__(self, pendo: PendoEmulator, planhat: PlanhatEmulator) -> None:
        self.pendo, self.planhat = pendo, planhat
        self.end = datetime.now(timezone.utc).replace(minute=0, second=0, microsecond=0)
        self.expected: dict[tuple[str, str | None, str], float] = {}

    def environment(self) -> dict[str, str]:
        """The settings of both plugins, for one day of Pendo and a Planhat that knows everybody."""
        return {
            "TAP_PENDO_API_URL": self.pendo.url,
            "TAP_PENDO_INTEGRATION_KEY": self.pendo.key,
            "TAP_PENDO_START_DATE": (self.end - timedelta(days=1)).isoformat(),
            "TAP_PENDO_END_DATE": self.end.isoformat(),
            "TARGET_PLANHAT_API_URL": self.planhat.url,
            "TARGET_PLANHAT_ANALYTICS_URL": self.planhat.analytics_url,
            "TARGET_PLANHAT_TENANT_TOKEN": self.planhat.tenant_token,
            "TARGET_PLANHAT_API_TOKEN": self.planhat.api_token,
            "TARGET_PLANHAT_SETTLE_HOURS": "0",
        }

    def renew(self) -> None:
        """Empty Planhat of activities."""
        world = Planhat()
        acquaint(self.pendo.world, world)
        self.planhat.renew(world)

    def check(self) -> None:
        """See that Planhat has what it should have; raise InstallError if not."""
        sums = self.planhat.world.activity_sums()
        if not sums or sums != self.expected:
            raise InstallError(
                f"Planhat has {sum(sums.values()):.0f} uses, not {sum(self.expected.values()):.0f}"
            )


@contextmanager
def services(scripts: Path, folder: Path) -> Iterator[Services]:
    """Serve both; `scripts` has the plugins of the working tree, `folder` is for their files."""
    # its clock stands still: later on late events would have arrived
    now = datetime.now(timezone.utc).isoformat()
    world = Pendo(events_per_day=400, visitors=200, accounts=20, clock=Clock(now))
    with serve_pendo(world) as pendo, serve_planhat() as planhat:
        found = Services(pendo, planhat)
        found.renew()
        environment = {**os.environ, **found.environment()}
        pipe([scripts / "tap-pendo"], [scripts / "target-planhat"], folder, environment)
        found.expected = planhat.world.activity_sums()
        yield found


def pipe(
    tap: Sequence[str | Path],
    target: Sequence[str | Path],
    folder: Path,
    environment: Mapping[str, str],
) -> None:
    """Run `tap-pendo --config ENV | target-planhat --config ENV`; raise InstallError."""
    command: dict[str, t.Any] = {"cwd": folder, "env": environment, "text": True}
    with (folder / "tap.log").open("w+") as log:
        reading = subprocess.Popen(
            [*tap, "--config", "ENV"], stdout=subprocess.PIPE, stderr=log, **command
        )
        done = subprocess.run(
            [*target, "--config", "ENV"],
            stdin=reading.stdout,
            capture_output=True,
            check=False,
            **command,
        )
        if reading.stdout:
            reading.stdout.close()
        code = reading.wait()
        log.seek(0)
        said = log.read()
    for name, ended, text in (("tap", code, said), ("target", done.returncode, done.stderr)):
        if ended:
            raise InstallError(f"the {name} ended with {ended}: {last_lines(text)}")


def last_lines(text: str) -> str:
    """The last lines of some output, on one line."""
    return " / ".join(line.strip() for line in text.splitlines()[-6:] if line.strip())
