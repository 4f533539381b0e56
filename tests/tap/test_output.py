"""What the tap writes: whole lines, marks behind what they cover, an end if nobody takes them."""

from __future__ import annotations

import contextlib
import fcntl
import gzip
import io
import json
import logging
import os
import signal
import struct
import subprocess
import sys
import termios
import threading
import time
import typing as t
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from tap_pendo.calendar import UTC

if t.TYPE_CHECKING:
    from tests.conftest import Message, TapRunner

MOST_SECONDS = 10
_PAGE = 4096
_LOOKS = 50
FULL = Path("/dev/full")
BUFFERING = pytest.mark.parametrize("unbuffered", ["", "1"], ids=["buffered", "unbuffered"])


class Started:
    """A run in a process of its own, whose output goes wherever a test wants it."""

    def __init__(
        self,
        tap: TapRunner,
        folder: Path,
        *entry: str,
        unbuffered: str = "",
        stdout: int | t.IO[t.Any] = subprocess.PIPE,
        **settings: t.Any,
    ) -> None:
        now = datetime.now(UTC)
        tap.pendo.clock.set(now.isoformat())
        self.log = folder / "log"
        config = {**tap.config, "start_date": (now - timedelta(days=40)).isoformat(), **settings}
        (folder / "config.json").write_text(json.dumps(config))
        command = [sys.executable, "-m", "tap_pendo", "--config", str(folder / "config.json")]
        environment = {**os.environ, "PYTHONUNBUFFERED": unbuffered}
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                [*command, *entry], stdout=stdout, stderr=log, env=environment
            )

    def close(self) -> None:
        """End it, if it runs still."""
        self.process.kill()
        self.process.wait()
        if self.process.stdout:
            self.process.stdout.close()

    def read_and_stop(self, stream: str) -> list[bytes]:
        """Read up to the first row of a stream, then wait until the tap waits for its reader."""
        assert self.process.stdout
        pipe = self.process.stdout.fileno()
        fcntl.fcntl(pipe, fcntl.F_SETPIPE_SZ, _PAGE)
        lines: list[bytes] = []
        head = f'{{"type":"RECORD","stream":"{stream}"'.encode()
        while not lines or not lines[-1].startswith(head):
            lines.append(self.process.stdout.readline())
        # full is what takes no more: a line that does not fit waits in front of a page half full
        held, same = 0, 0
        while same < _LOOKS:
            threading.Event().wait(0.01)
            before = held
            (held,) = struct.unpack("i", fcntl.ioctl(pipe, termios.FIONREAD, b"\0" * 4))
            same = same + 1 if held and held == before else 0
        return lines

    @property
    def errors(self) -> list[str]:
        """The lines of its log that tell of errors."""
        said = self.log.read_text()
        assert "Traceback" not in said
        assert "Exception ignored" not in said
        return [line for line in said.splitlines() if "ERROR" in line]


def terminate(started: Started) -> float:
    """Send SIGTERM; give the time by which it must have ended."""
    started.process.send_signal(signal.SIGTERM)
    return time.monotonic() + MOST_SECONDS


@pytest.mark.some(1)
@BUFFERING
def test_a_signal_while_the_pipe_is_full_cuts_no_line(
    unbuffered: str, tap: TapRunner, tmp_path: Path
) -> None:
    with contextlib.closing(Started(tap, tmp_path, unbuffered=unbuffered)) as started:
        lines = started.read_and_stop("feature_events")
        end = terminate(started)
        assert started.process.stdout
        lines += started.process.stdout.readlines()
        assert started.process.wait(end - time.monotonic()) == 128 + signal.SIGTERM
        assert not started.errors
    messages = [json.loads(line) for line in lines]
    assert messages[-1]["type"] == "STATE"
    assert_covers_what_is_written(messages)


def test_a_signal_ends_a_run_that_nobody_reads(tap: TapRunner, tmp_path: Path) -> None:
    with contextlib.closing(Started(tap, tmp_path, unbuffered="1")) as started:
        lines = started.read_and_stop("feature_events")
        end = terminate(started)
        assert started.process.wait(end - time.monotonic()) == 128 + signal.SIGTERM
        assert started.process.stdout
        written = started.process.stdout.read()
    *whole, last = (b"".join(lines) + written).split(b"\n")
    assert_covers_what_is_written([json.loads(line) for line in whole])
    # nothing is behind the line that is cut, if one is
    assert not last or last.startswith(b'{"type":"RECORD"')
    assert last.count(b'{"type":') <= 1


def assert_covers_what_is_written(messages: list[Message]) -> None:
    """No STATE covers a window whose rows, and whose row in sync_windows, are not before it."""
    written: dict[str, list[tuple[str, str]]] = {}
    for message in messages:
        if message["type"] == "RECORD" and message["stream"] == "sync_windows":
            window = message["record"]
            bounds = window["window_start"], window["window_end"]
            written.setdefault(window["stream"], []).append(bounds)
        if message["type"] == "STATE":
            for stream, marks in message["value"]["bookmarks"].items():
                if "covered_from" in marks:
                    covered = sorted(written[stream])
                    assert covered[0][0] <= marks["covered_from"]
                    assert marks["covered_to"] <= covered[-1][1]


@pytest.mark.some(2)
@pytest.mark.skipif(not FULL.exists(), reason="this system has no /dev/full")
@pytest.mark.parametrize(
    ("entry", "unbuffered"),
    [((), ""), ((), "1"), (("--discover",), ""), (("--test",), ""), (("--plan",), "")],
)
def test_a_disk_that_is_full_is_one_line(
    entry: tuple[str, ...], unbuffered: str, tap: TapRunner, tmp_path: Path
) -> None:
    with (
        FULL.open("wb") as full,
        contextlib.closing(
            Started(tap, tmp_path, *entry, unbuffered=unbuffered, stdout=full)
        ) as started,
    ):
        assert started.process.wait(60) == 1
        (error,) = started.errors
    assert "The output cannot be written (No space left on device); the next run resumes" in error


@pytest.mark.some(2)
@BUFFERING
@pytest.mark.parametrize("lines", [0, 1])
def test_a_loader_that_is_gone_is_one_line(
    lines: int, unbuffered: str, tap: TapRunner, tmp_path: Path
) -> None:
    with contextlib.closing(Started(tap, tmp_path, unbuffered=unbuffered)) as started:
        assert started.process.stdout
        for _ in range(lines):
            started.process.stdout.readline()
        started.process.stdout.close()
        assert started.process.wait(60) == 1
        (error,) = started.errors
    assert "The loader closed its input: its log says why; the next run resumes" in error


def test_an_output_that_is_closed_is_one_line(tap: TapRunner, tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(json.dumps(tap.config))
    command = f'"{sys.executable}" -m tap_pendo --config config.json >&-'
    done = subprocess.run(
        command, shell=True, cwd=tmp_path, stderr=subprocess.PIPE, text=True, check=False
    )
    assert done.returncode == 1
    (error,) = (line for line in done.stderr.splitlines() if "ERROR" in line)
    assert "The output cannot be written" in error


class Limited(io.RawIOBase):
    """An unbuffered output that takes a part of what it is given, and at some time no more."""

    def __init__(self, size: int) -> None:
        self.taken, self._size = bytearray(), size

    def writable(self) -> bool:
        """It is."""
        return True

    def write(self, data: t.Any) -> int:
        """Take up to 1,000 bytes."""
        room = min(1000, self._size - len(self.taken))
        if not room:
            raise OSError(28, "No space left on device")
        part = bytes(data)[:room]
        self.taken += part
        return len(part)


def into(size: int, made: t.Any) -> tuple[int, list[bytes]]:
    """Run a tap into an output with room for so many bytes; give the exit code and the lines."""
    output = Limited(size)
    with contextlib.redirect_stdout(io.TextIOWrapper(output, write_through=True)):
        code = made.sync()
    return code, bytes(output.taken).split(b"\n")


@pytest.mark.some(2)
@pytest.mark.parametrize("share", [0.2, 0.5, 0.8, 0.97])
def test_an_output_that_takes_no_more_ends_the_run(
    share: float, tap: TapRunner, caplog: pytest.LogCaptureFixture
) -> None:
    streams = ("features", "visitors", "feature_events", "track_events")
    whole = b"\n".join(into(10**9, tap.tap(select=streams))[1])
    caplog.clear()
    code, (*lines, last) = into(int(share * len(whole)), tap.tap(select=streams))
    assert code == 1
    (error,) = (r.getMessage() for r in caplog.records if r.levelno >= logging.ERROR)
    assert "No space left on device" in error
    assert "failed" not in error
    messages = [json.loads(line) for line in lines]
    assert_covers_what_is_written(messages)
    assert last.count(b'{"type":') <= 1


def test_a_batch_file_that_cannot_be_written_ends_the_run(
    tap: TapRunner,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def full(*_: object) -> t.NoReturn:
        raise OSError(28, "No space left on device")

    batch = {
        "encoding": {"format": "jsonl", "compression": "gzip"},
        "storage": {"root": tmp_path.as_uri()},
    }
    made = tap.tap(select=("visitors", "feature_events"), batch_config=batch)
    monkeypatch.setattr(gzip.GzipFile, "writelines", full)
    output = tap.collect(made)
    assert tap.exit_code == 1
    (error,) = (r.getMessage() for r in caplog.records if r.levelno >= logging.ERROR)
    assert "The BATCH file cannot be written (No space left on device)" in error
    assert not [m for m in output if m["type"] == "BATCH"]
    assert not output.state.get("bookmarks", {}).get("visitors")
