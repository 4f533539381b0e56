"""What the target writes: whole lines, one clear line if nobody takes them, nothing lost."""

from __future__ import annotations

import contextlib
import fcntl
import io
import json
import os
import re
import signal
import struct
import subprocess
import sys
import termios
import threading
import time
import typing as t
from pathlib import Path

import pytest
from target_planhat.errors import TargetError

from tests.planhat.command import Command
from tests.planhat.running import EVENTS, FEATURES, WINDOWS, day, event, state, window
from tests.planhat.usage import BOTH, Usage, assert_once, held, ledger, settle_in

if t.TYPE_CHECKING:
    from tests.planhat.running import Message, TargetRunner

FULL = Path("/dev/full")
BUFFERING = pytest.mark.parametrize("unbuffered", ["", "1"], ids=["buffered", "unbuffered"])
SOMEBODY = "somebody@acme.example"
BOM = "\ufeff"


class Started:
    """A run in a process of its own, whose output goes wherever a test wants it."""

    def __init__(
        self,
        target: TargetRunner,
        messages: list[Message],
        *,
        unbuffered: str = "",
        stdout: int | t.IO[t.Any] = subprocess.PIPE,
        **settings: t.Any,
    ) -> None:
        folder = target.folder
        self.log = folder / "log"
        (folder / "config.json").write_text(json.dumps({**target.config, **settings}))
        (folder / "input").write_text("".join(json.dumps(m) + "\n" for m in messages))
        command = [sys.executable, "-m", "target_planhat", "--config", str(folder / "config.json")]
        environment = {**os.environ, "PYTHONUNBUFFERED": unbuffered}
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                [*command, "--input", str(folder / "input")],
                stdout=stdout,
                stderr=log,
                env=environment,
            )

    def close(self) -> None:
        """End it, if it runs still."""
        self.process.kill()
        self.process.wait()
        if self.process.stdout:
            self.process.stdout.close()

    @property
    def errors(self) -> list[str]:
        """The lines of its log that tell of errors."""
        said = self.log.read_text()
        assert "Traceback" not in said
        assert "Exception ignored" not in said
        return [line for line in said.splitlines() if "ERROR" in line]


def assert_the_next_run_makes_it_good(target: TargetRunner, usage: Usage) -> None:
    target.run(*usage.messages(), **BOTH)
    assert target.error is None
    truth = {**usage.activities, **usage.points}
    assert_once(held(target.planhat.world), truth, ledger(target.folder / "ledger.db"))


@pytest.mark.some(1)
@BUFFERING
@pytest.mark.skipif(not FULL.exists(), reason="this system has no /dev/full")
def test_a_disk_that_is_full_is_one_line(unbuffered: str, target: TargetRunner) -> None:
    settle_in(target.planhat.world)
    usage = Usage()
    with FULL.open("wb") as full:
        started = Started(target, usage.messages(), unbuffered=unbuffered, stdout=full, **BOTH)
        with contextlib.closing(started):
            assert started.process.wait(60) == 1
            (error,) = started.errors
    assert "The output cannot be written (No space left on device). What is not sent is" in error
    assert_the_next_run_makes_it_good(target, usage)


@pytest.mark.some(1)
@BUFFERING
def test_a_pipe_that_is_closed_is_one_line(unbuffered: str, target: TargetRunner) -> None:
    settle_in(target.planhat.world)
    usage = Usage()
    started = Started(target, usage.messages(), unbuffered=unbuffered, **BOTH)
    with contextlib.closing(started):
        assert started.process.stdout
        started.process.stdout.close()
        assert started.process.wait(60) == 1
        (error,) = started.errors
    assert "Nobody reads the output any more: the pipe is closed. What is not sent is" in error
    assert_the_next_run_makes_it_good(target, usage)


@pytest.mark.some(1)
@BUFFERING
def test_a_signal_while_the_pipe_is_full_cuts_no_line(
    unbuffered: str, target: TargetRunner
) -> None:
    long = [state({"n": n, "padding": "x" * 200_000}) for n in range(3)]
    started = Started(target, [WINDOWS, *FEATURES, EVENTS, *long], unbuffered=unbuffered)
    with contextlib.closing(started):
        assert started.process.stdout
        pipe = started.process.stdout.fileno()
        held_now, end = 0, time.monotonic() + 60
        while held_now < fcntl.fcntl(pipe, fcntl.F_GETPIPE_SZ):
            assert time.monotonic() < end
            threading.Event().wait(0.01)
            (held_now,) = struct.unpack("i", fcntl.ioctl(pipe, termios.FIONREAD, b"\0" * 4))
        started.process.send_signal(signal.SIGTERM)
        lines = started.process.stdout.readlines()
        assert started.process.wait(10) == 128 + signal.SIGTERM
        assert not started.errors
    assert [json.loads(line)["n"] for line in lines] == list(range(len(lines)))
    assert lines


class Limited(io.RawIOBase):
    """An unbuffered output that takes a part of what it is given, and at some time no more."""

    def __init__(self, size: int) -> None:
        self.taken, self._size = bytearray(), size

    def writable(self) -> bool:
        """It is."""
        return True

    def write(self, data: t.Any) -> int:
        """Take up to 7 bytes."""
        room = min(7, self._size - len(self.taken))
        if not room:
            raise OSError(28, "No space left on device")
        part = bytes(data)[:room]
        self.taken += part
        return len(part)


@pytest.mark.parametrize("size", [1000, 30])
def test_an_output_that_takes_a_part_gets_the_rest(size: int, target: TargetRunner) -> None:
    rows = [event(day(9, 8)), window(day(9), day(10)), state({"at": "x" * 50})]
    lines = "".join(json.dumps(m) + "\n" for m in [WINDOWS, *FEATURES, EVENTS, *rows])
    output = Limited(size)
    ended: contextlib.AbstractContextManager[t.Any] = contextlib.nullcontext()
    if size == 30:
        ended = pytest.raises(TargetError, match="The output cannot be written")
    with contextlib.redirect_stdout(io.TextIOWrapper(output, write_through=True)), ended:
        target.target().listen(io.StringIO(lines))
    whole = json.dumps({"at": "x" * 50}).encode() + b"\n"
    assert bytes(output.taken) == whole[:size]


@pytest.mark.parametrize("place", ["target_planhat.intake.record_mapper.Mapper.__init__"])
def test_what_nobody_expected_is_told_with_its_place(
    place: str,
    target: TargetRunner,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def broken(*_: object, **__: object) -> t.NoReturn:
        raise KeyError(SOMEBODY)

    command = Command(target, caplog)
    monkeypatch.setattr(place, broken)
    said = command.run(*FEATURES)
    assert said.code == 1
    (line,) = said.errors
    assert re.fullmatch(r"The run failed: unexpected KeyError at pipeline\.py:\d+", line)
    assert SOMEBODY not in said.log + said.out


def test_what_nobody_expected_on_the_way_is_in_the_report(
    target: TargetRunner, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object, **__: object) -> t.NoReturn:
        raise KeyError(SOMEBODY)

    command = Command(target, caplog)
    monkeypatch.setattr("target_planhat.delivery.sender.Delivery.deliver", broken)
    said = command.run(WINDOWS, *FEATURES, EVENTS, event(day(9, 8)), window(day(9), day(10)))
    assert said.code == 1
    (line,) = said.errors
    assert re.fullmatch(r"The run failed: unexpected KeyError at pipeline\.py:\d+", line)
    assert command.report["outcome"] == "failed"
    problem = command.report["problem"]
    assert re.match(r"unexpected KeyError at pipeline\.py:\d+: what is not", problem)
    assert SOMEBODY not in said.log + said.out


@pytest.mark.parametrize("mark", ["", BOM], ids=["plain", "with_bom"])
def test_files_may_begin_with_a_byte_order_mark(
    mark: str, target: TargetRunner, caplog: pytest.LogCaptureFixture
) -> None:
    command, folder = Command(target, caplog), target.folder
    (folder / "config.json").write_text(mark + json.dumps(target.config), encoding="utf-8")
    rows = [WINDOWS, *FEATURES, EVENTS, event(day(9, 8)), window(day(9), day(10)), state({"n": 1})]
    lines = mark + "".join(json.dumps(m) + "\n" for m in rows)
    said = command.call("--config", str(folder / "config.json"), lines=lines)
    assert said.code == 0
    assert said.states == [{"n": 1}]
