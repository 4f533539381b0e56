"""Knows how child processes are started, waited for and ended, so that none is left behind."""

from __future__ import annotations

import ctypes
import fcntl
import functools
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from types import FrameType

T = TypeVar("T")

TICK = 0.02  # seconds between two looks at a child
GRACE = 5.0  # seconds between asking a process to end and killing it
_LOCK_PATIENCE = 2.0  # seconds that a killed run's server may take to end
_STOPPING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_PR_SET_CHILD_SUBREAPER = 36  # linux/prctl.h
_TROUBLE = re.compile(r"FATAL|PANIC|error", re.IGNORECASE)


class StartError(Exception):
    """A server cannot be started; the message is one line, for the user."""


class Interrupted(Exception):  # noqa: N818  (not an error: somebody asked us to stop)
    """A signal asked to stop before COMMAND was started."""

    def __init__(self, signum: int) -> None:
        super().__init__(f"stopped by {signal.Signals(signum).name}")
        self.signum = signum


class Signals:
    """The signals to stop that have come so far; they are noted and interrupt nothing."""

    def __init__(self) -> None:
        self.received: list[int] = []

    def note(self, signum: int, _: FrameType | None = None) -> None:
        """Take note of a signal."""
        self.received.append(signum)

    def check(self) -> None:
        """Raise Interrupted if a signal has come."""
        if self.received:
            raise Interrupted(self.received[0])


@contextmanager
def noted_signals() -> Iterator[Signals]:
    """Note SIGINT, SIGTERM and SIGHUP inside, so that no clean-up is ever cut short.

    A signal that was already ignored (nohup, a shell's background job) stays ignored.
    """
    signals = Signals()
    before = {each: signal.getsignal(each) for each in _STOPPING}
    for each, handler in before.items():
        if handler is not signal.SIG_IGN:
            signal.signal(each, signals.note)
    try:
        yield signals
    finally:
        for each, handler in before.items():
            signal.signal(each, handler)


class User(NamedTuple):
    """Whom a server runs as, where that is not the caller."""

    uid: int
    gid: int


@contextmanager
def sole_use(data_dir: Path, check: Callable[[], None]) -> Iterator[int]:
    """The folder's lock, as a descriptor; the server inherits it, so it outlives a killed run.

    Raises StartError when another run has it, and what `check` raises.
    """
    lock = os.open(data_dir / "lock", os.O_RDWR | os.O_CREAT, 0o600)
    try:
        deadline = time.monotonic() + _LOCK_PATIENCE
        while not _locked(lock):
            check()
            if time.monotonic() > deadline:
                raise StartError(f"another run is using {data_dir}: wait for it, or take --data")
            time.sleep(TICK)
        yield lock
    finally:
        os.close(lock)


def _locked(lock: int) -> bool:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def start_server(  # noqa: PLR0913  (a process has this many properties)
    command: Sequence[str],
    *,
    log: Path,
    stop_signal: signal.Signals,
    env: Mapping[str, str] | None = None,
    user: User | None = None,
    keep: Sequence[int] = (),
) -> subprocess.Popen[bytes]:
    """Start a server in a session of its own, where Ctrl-C does not reach it.

    Its output replaces what was in `log`; `keep` are descriptors that it inherits. Where the system
    can, it gets `stop_signal` when this process is killed. Raises StartError.
    """
    writing = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_APPEND
    output = os.open(log, writing, 0o600)
    try:
        return subprocess.Popen(
            [*_ends_with_us(stop_signal), *command],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            cwd=log.parent,  # where no module of the caller's folder is imported by accident
            env=env,
            pass_fds=keep,
            start_new_session=True,
            user=user and user.uid,
            group=user and user.gid,
            extra_groups=[] if user else None,
        )
    except OSError as error:
        raise StartError(f"cannot start {command[0]}: {error.strerror}") from error
    finally:
        os.close(output)


def wait_until(  # noqa: PLR0913  (one loop for all servers)
    ready: Callable[[], T | None],
    server: subprocess.Popen[bytes],
    *,
    name: str,
    log: Path,
    patience: float,
    check: Callable[[], None],
) -> T:
    """What `ready` gives as soon as it is not None.

    Raises StartError when the server ends or `patience` seconds pass, and what `check` raises.
    """
    deadline = time.monotonic() + patience
    while True:
        check()
        ended = server.poll() is not None  # asked first: its last words may make it ready
        found = ready()
        if found is not None and not ended:
            return found
        if ended:
            raise StartError(f"{name} did not start: {telling_line(log)} (see {log})")
        if time.monotonic() > deadline:
            line = telling_line(log)
            raise StartError(f"{name} is not ready after {patience:g} s: {line} (see {log})")
        time.sleep(TICK)


def telling_line(log: Path) -> str:
    """The last line of a log that speaks of an error, else its last line."""
    lines = [line.strip() for line in log.read_text(errors="replace").splitlines() if line.strip()]
    telling = [line for line in lines if _TROUBLE.search(line)]
    return (telling or lines or ["it wrote nothing"])[-1]


def stop(server: subprocess.Popen[bytes], signum: signal.Signals, patience: float = GRACE) -> None:
    """Ask a server to end, wait for `patience` seconds, then kill what is left of its group."""
    if server.poll() is None:
        server.send_signal(signum)
        with suppress(subprocess.TimeoutExpired):
            server.wait(patience)
    _send(-server.pid, signal.SIGKILL)
    server.wait()


def run_command(command: Sequence[str], environment: Mapping[str, str], signals: Signals) -> int:
    """Run COMMAND to its end and end what it left behind; its exit code, 128+N for signal N.

    The signals that arrive are forwarded to its whole group; from the second one on it has a grace
    to end before it is killed. Raises OSError when it cannot be started.
    """
    _adopt_orphans()
    ours = _children()
    child = subprocess.Popen(command, env=environment, start_new_session=True)
    code = _wait(child, signals)
    _end_leftovers(child.pid, ours)
    return code if code >= 0 else 128 - code


def _wait(child: subprocess.Popen[bytes], signals: Signals) -> int:
    forwarded = 0
    kill_at = float("inf")
    while (code := child.poll()) is None:
        for signum in signals.received[forwarded:]:
            forwarded += 1
            if forwarded > 1:
                kill_at = min(kill_at, time.monotonic() + GRACE)
            _send(-child.pid, signum)
        if time.monotonic() > kill_at:
            _send(-child.pid, signal.SIGKILL)
        time.sleep(TICK)
    return code


def _end_leftovers(group: int, ours: set[int]) -> None:
    """End what COMMAND left running: a SIGTERM each, after the grace a SIGKILL."""
    start = time.monotonic()
    told: set[tuple[int, int]] = set()
    while leftovers := _leftovers(group, ours):
        waited = time.monotonic() - start
        if waited > 2 * GRACE:
            return  # somebody else's process, or one that the kernel does not let go
        signum = signal.SIGTERM if waited < GRACE else signal.SIGKILL
        for target in leftovers - {each for each, sent in told if sent == signum}:
            told.add((target, signum))
            _send(target, signum)
        time.sleep(TICK)


def _leftovers(group: int, ours: set[int]) -> set[int]:
    """The orphans that we adopted, and COMMAND's group (as kill names it), while they live."""
    alive = {pid for pid in _children() - ours if os.waitpid(pid, os.WNOHANG) == (0, 0)}
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(group, 0)
        alive.add(-group)
    return alive


def _send(target: int, signum: int) -> None:
    """As os.kill (a negative target is a group), for one that may be gone or somebody else's."""
    with suppress(ProcessLookupError, PermissionError):
        os.kill(target, signum)


def _children() -> set[int]:
    """Our children as Linux lists them; empty elsewhere, where only COMMAND's group is known."""
    lists = Path("/proc/self/task").glob("*/children")
    return {int(pid) for each in lists for pid in each.read_text().split()}


def _adopt_orphans() -> None:
    """Let COMMAND's orphans become our children, also those that left its session (Linux)."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


@functools.cache
def _ends_with_us(signum: signal.Signals) -> tuple[str, ...]:
    """What to put before a command so that the kernel signals it when we die; may be nothing."""
    found = shutil.which("setpriv") if sys.platform == "linux" else None
    if found is None:
        return ()
    prefix = (found, "--pdeathsig", signum.name.removeprefix("SIG"), "--")
    return prefix if runs([*prefix, "true"]) else ()  # some systems' setpriv lacks the option


def runs(command: Sequence[str], user: User | None = None) -> bool:
    """Whether a short command can be run and succeeds."""
    try:
        done = subprocess.run(
            command,
            check=False,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            cwd="/",
            user=user and user.uid,
            group=user and user.gid,
            extra_groups=[] if user else None,
        )
    except OSError:
        return False
    return done.returncode == 0
