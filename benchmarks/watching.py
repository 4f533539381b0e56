"""Looks, while programs run, at what each of them takes: CPU by program, memory of all at once."""

from __future__ import annotations

import dataclasses
import os
import subprocess
import tempfile
import time
import typing as t
from pathlib import Path

from benchmarks.running import FailedError

if t.TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_PROC = Path("/proc")
_PAUSE = 0.02
_TICKS, _PAGE = os.sysconf("SC_CLK_TCK"), os.sysconf("SC_PAGE_SIZE")
# places in /proc/PID/stat behind the name: parent, own CPU, CPU of children that ended, pages
_PARENT, _OWN, _ENDED, _PAGES = 1, slice(11, 13), slice(13, 15), 21


@dataclasses.dataclass(frozen=True)
class Watched:
    """What programs took: seconds of wall, CPU seconds by program, MB resident at once.

    The memory is the largest sum over all processes; what they share counts in each of them.
    """

    wall: float
    cpu: dict[str, float]
    memory: float


def watched(
    command: Sequence[str], names: Sequence[str], folder: Path, environment: Mapping[str, str]
) -> Watched:
    """Run a program that starts others; those whose command has one of the names are counted apart.

    Linux only: it reads /proc, often enough that a program lacks its last 20 ms at most.

    Raises:
        FailedError: it ended with another code than 0.
    """
    seen: dict[int, tuple[str, float]] = {}
    memory = 0.0
    with tempfile.TemporaryFile() as said:
        began = time.monotonic()
        process = subprocess.Popen(
            command, stdout=said, stderr=said, cwd=folder, env={**environment}
        )
        while process.poll() is None:
            now = 0
            for pid, stat in _family(process.pid).items():
                seen[pid] = (_name(pid, names) or seen.get(pid, ("",))[0], _seconds(stat[_OWN]))
                now += int(stat[_PAGES]) * _PAGE
            memory = max(memory, now / 2**20)
            time.sleep(_PAUSE)
        wall = time.monotonic() - began
        if process.returncode:
            said.seek(0)
            text = said.read()[-2000:].decode(errors="replace")
            raise FailedError(f"{' '.join(command[:4])} failed:\n{text}")
    cpu = dict.fromkeys(names, 0.0)
    for name, seconds in seen.values():
        if name:
            cpu[name] += seconds
    return Watched(wall, cpu, memory)


def cpu_of_parent(pid: int) -> float:
    """CPU seconds so far of the parent of a process and of all that it has started: a server's."""
    parent = int(_stat(pid)[_PARENT])
    stats = _family(parent)
    ended = stats[parent][_ENDED]
    return _seconds(ended) + sum(_seconds(stat[_OWN]) for stat in stats.values())


def _family(pid: int) -> dict[int, list[str]]:
    """Give a process and what it has started, and what these have, with what is known of each."""
    stats: dict[int, list[str]] = {}
    for entry in _PROC.iterdir():
        if entry.name.isdecimal() and (stat := _stat(int(entry.name))):
            stats[int(entry.name)] = stat
    found, ahead = {}, [pid]
    while ahead:
        one = ahead.pop()
        if one in stats:
            found[one] = stats[one]
            ahead += [child for child, stat in stats.items() if int(stat[_PARENT]) == one]
    return found


def _stat(pid: int) -> list[str]:
    """Read what the kernel knows of a process, behind its name; nothing if it has ended."""
    try:
        return (_PROC / str(pid) / "stat").read_text().rpartition(")")[2].split()
    except OSError:
        return []


def _name(pid: int, names: Sequence[str]) -> str:
    """Find the name that comes last in a command: Meltano's has those of its plugins behind it."""
    try:
        words = (_PROC / str(pid) / "cmdline").read_bytes().split(b"\0")[:2]
    except OSError:
        return ""
    called = [Path(word.decode(errors="replace")).name for word in words]
    return next((word for word in reversed(called) if word in names), "")


def _seconds(ticks: Sequence[str]) -> float:
    return sum(map(int, ticks)) / _TICKS
