"""Kills workers, and what works for them, with SIGKILL: one process at a time, of each kind."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import typing as t
from pathlib import Path

from orchestrate.leftovers import marked

Kind = t.Literal["run", "step", "meltano", "tap", "target"]
KINDS: tuple[Kind, ...] = ("step", "tap", "run", "meltano", "target")
_PROGRAMS: dict[str, Kind] = {
    "bin/meltano": "meltano",
    "bin/tap-pendo": "tap",
    "bin/target-postgres": "target",
}


class Killer:
    """Kills one process after the other, `most` in all, of kinds in turn; which one is drawn."""

    def __init__(self, seed: int, most: int) -> None:
        self.most = most
        self._random = random.Random(seed)  # noqa: S311 - repeatable, not secret
        self._kinds = self._random.sample(KINDS, len(KINDS))
        self.killed: list[Kind] = []

    def kill(self) -> bool:
        """Kill a process of the kind whose turn it is; whether there was one."""
        kind = self._kinds[len(self.killed) % len(KINDS)]
        found = sorted(_processes(kind))
        if not found:
            return False
        with contextlib.suppress(ProcessLookupError):
            os.kill(self._random.choice(found), signal.SIGKILL)
            self.killed.append(kind)
        return True


def _processes(kind: Kind) -> set[int]:
    found = set()
    ours = f"DAGSTER_HOME={os.environ['DAGSTER_HOME']}".encode()
    for pid, mark in marked():
        with contextlib.suppress(OSError):
            if ours not in Path(f"/proc/{pid}/environ").read_bytes().split(b"\0"):
                continue  # of another Dagster on this machine
            command = Path(f"/proc/{pid}/cmdline").read_text(encoding="utf-8", errors="replace")
            words = command.split("\0")[:2]  # an interpreter, and the script
            programs = {
                each for end, each in _PROGRAMS.items() if any(w.endswith(end) for w in words)
            }
            if kind in programs:
                found.add(pid)
            # only while the tap reads, so that something is under way
            if "tap" in programs and kind in {"step", "run"}:
                owners = [int(owner.partition(":")[0]) for owner in mark.split(",")]
                found.add(owners[0] if kind == "step" else owners[-1])
    return found
