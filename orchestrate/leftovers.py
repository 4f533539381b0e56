"""Processes of a piece whose worker is gone: found by a mark in their environment, and ended.

A worker that is killed leaves Meltano, the tap and the target behind, which continue to call Pendo.
Linux only; elsewhere nothing is found. It is not needed where each worker has its own container.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
import time
import typing as t
from pathlib import Path

if t.TYPE_CHECKING:
    from collections.abc import Callable, Iterator

MARK = "PENDO_PIECE_OWNERS"
_TICK = 0.05
_GRACE = 15.0  # seconds; the tap takes up to 10 to stop


def owners() -> str:
    """Name this process and, if it is the step of a run, the run's: without both, nobody waits."""
    parent = multiprocessing.parent_process()
    pids = [os.getpid(), *([parent.pid] if parent and parent.pid else [])]
    return ",".join(f"{pid}:{born(pid)}" for pid in pids)


def end_orphans() -> int:
    """End what killed workers have left behind; how many processes that were."""
    return _end(lambda mark: not all(_alive(owner) for owner in mark.split(",")), grace=0)


def end_own(mark: str) -> None:
    """Ask what one piece has running to end, and kill it when it does not within its grace."""
    _end(lambda found: found == mark, grace=_GRACE)


def _end(wanted: Callable[[str], bool], grace: float) -> int:
    began, seen, asked = time.monotonic(), set[int](), set[int]()
    while True:
        left = {pid for pid, mark in marked() if wanted(mark)}
        if not left:
            return len(seen)
        seen |= left
        patient = time.monotonic() - began < grace
        for pid in left - asked if patient else left:
            asked.add(pid)
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(pid, signal.SIGTERM if patient else signal.SIGKILL)
        time.sleep(_TICK)


def marked() -> Iterator[tuple[int, str]]:
    """Give the living processes of this user that have the mark, with it."""
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            variables = (folder / "environ").read_bytes().split(b"\0")
        except OSError:
            continue  # gone, or somebody else's
        for variable in variables:
            name, _, value = variable.partition(b"=")
            if name == MARK.encode():
                yield int(folder.name), value.decode(errors="replace")


def _alive(owner: str) -> bool:
    pid, _, since = owner.partition(":")
    return born(int(pid)) == since != ""


def born(pid: int) -> str:
    """When a process began, in ticks since the machine did; empty if it is gone or a zombie."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
    # the name, in parentheses, may hold anything; behind it come state and 18 numbers
    fields = text.rpartition(")")[2].split()
    return "" if fields[0] in "ZX" else fields[19]
