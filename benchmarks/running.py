"""Runs programs: servers beside the measured ones, and the measured ones to their end."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import subprocess
import sys
import tempfile
import typing as t
from pathlib import Path

if t.TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

ROOT = Path(__file__).parent.parent
LAUNCHER = str(Path(__file__).with_name("launching.py"))
_CHUNK = 1 << 20


@dataclasses.dataclass(frozen=True)
class Run:
    """What a program took: seconds of wall and of CPU, peak resident MB; the lines it wrote."""

    wall: float
    cpu: float
    peak: float
    lines: int


class FailedError(Exception):
    """A program ended with an error; the message has the last lines that it wrote."""


def program(module: str, *arguments: object) -> list[str]:
    """Give the command that runs a module of Python."""
    return [sys.executable, "-m", module, *map(str, arguments)]


@contextlib.contextmanager
def serving(module: str, *arguments: object) -> Iterator[dict[str, t.Any]]:
    """Run a server beside, in a process of its own; give what its first line says."""
    command = program(module, *arguments)
    with subprocess.Popen(command, stdout=subprocess.PIPE, cwd=ROOT) as process:
        try:
            assert process.stdout
            yield json.loads(process.stdout.readline())
        finally:
            process.terminate()


def measured(
    command: Sequence[str],
    *,
    given: Sequence[str] | None = None,
    kept: Path | None = None,
    folder: Path = ROOT,
    environment: Mapping[str, str] | None = None,
) -> Run:
    """Run a program on what the program `given` writes; its output is counted, and perhaps kept.

    CPU is that of the program and of all programs that it waited for, the peak that of the largest
    of them.

    Raises:
        FailedError: it ended with another code than 0.
    """
    with contextlib.ExitStack() as files:
        source = files.enter_context(_written_by(given)) if given else subprocess.DEVNULL
        copy = files.enter_context(kept.open("wb")) if kept else None
        errors = files.enter_context(tempfile.TemporaryFile())
        usage = files.enter_context(tempfile.TemporaryFile())
        launcher = [sys.executable, "-SE", LAUNCHER, str(usage.fileno())]
        process = files.enter_context(
            subprocess.Popen(
                [*launcher, *command],
                stdin=source,
                stdout=subprocess.PIPE,
                stderr=errors,
                cwd=folder,
                env=environment,
                pass_fds=(usage.fileno(),),
            )
        )
        assert process.stdout
        lines = 0
        while chunk := os.read(process.stdout.fileno(), _CHUNK):
            lines += chunk.count(b"\n")
            if copy:
                copy.write(chunk)
        process.wait()
        took = json.loads(_content(usage))
        if took.pop("code"):
            said = _content(errors)[-2000:].decode(errors="replace")
            raise FailedError(f"{' '.join(command[:4])} failed:\n{said}")
    return Run(lines=lines, **took)


@contextlib.contextmanager
def _written_by(command: Sequence[str]) -> Iterator[t.IO[bytes]]:
    """Run a program beside; its output is the input of another one."""
    with subprocess.Popen(command, stdout=subprocess.PIPE, cwd=ROOT) as process:
        assert process.stdout
        yield process.stdout


def _content(file: t.IO[bytes]) -> bytes:
    file.seek(0)
    return file.read()
