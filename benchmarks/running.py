"""Runs programs: servers beside the measured ones, and the measured ones to their end."""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import json
import os
import subprocess
import sys
import tempfile
import typing as t
import urllib.request
from pathlib import Path

if t.TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

ROOT = Path(__file__).parent.parent
LAUNCHER = str(Path(__file__).with_name("launching.py"))
_CHUNK = 1 << 20


@dataclasses.dataclass(frozen=True)
class Run:
    """What a program took: seconds by the clock and of CPU, peak resident MB."""

    wall: float
    cpu: float
    peak: float


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


def asked(url: str) -> dict[str, t.Any]:
    """Give what one of these servers answers."""
    with urllib.request.urlopen(url, timeout=60) as answer:  # noqa: S310 - ours
        found: dict[str, t.Any] = json.load(answer)
        return found


def configured(folder: Path, settings: Mapping[str, object]) -> Path:
    """Write settings into a file of a folder, whose name differs with them."""
    text = json.dumps(settings)
    file = folder / f"{hashlib.sha256(text.encode()).hexdigest()[:16]}.json"
    file.write_text(text, encoding="utf-8")
    return file


def measured(
    command: Sequence[str],
    *,
    given: Sequence[str] | None = None,
    kept: Path | None = None,
    folder: Path = ROOT,
    environment: Mapping[str, str] | None = None,
) -> Run:
    """Run a program on what the program `given` writes; its output is read, and perhaps kept.

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
        while chunk := os.read(process.stdout.fileno(), _CHUNK):
            if copy:
                copy.write(chunk)
        process.wait()
        took = json.loads(_content(usage))
        if took.pop("code"):
            said = _content(errors)[-2000:].decode(errors="replace")
            raise FailedError(f"{' '.join(command[:4])} failed:\n{said}")
    # rounded to what they are worth
    return Run(**{name: float(f"{value:.5g}") for name, value in took.items()})


@contextlib.contextmanager
def _written_by(command: Sequence[str]) -> Iterator[t.IO[bytes]]:
    with subprocess.Popen(command, stdout=subprocess.PIPE, cwd=ROOT) as process:
        assert process.stdout
        yield process.stdout


def _content(file: t.IO[bytes]) -> bytes:
    file.seek(0)
    return file.read()
