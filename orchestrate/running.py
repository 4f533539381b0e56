"""Commands as child processes that do not outlive their work, and what their log says."""

from __future__ import annotations

import contextlib
import subprocess
import tempfile
import threading
import typing as t
from queue import Empty, Queue

from orchestrate.connections import ROOT
from orchestrate.errors import PieceError
from orchestrate.leftovers import MARK, end_orphans, end_own, owners
from orchestrate.logs import Log

if t.TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

_TICK = 0.5


def run(
    command: Sequence[str], environment: Mapping[str, str], say: Callable[[str], object]
) -> tuple[Log, str]:
    """Run a command to its end; return what its log says and what it wrote to its output.

    What killed workers left behind is ended first, so that no more processes call Pendo than may.

    Args:
        command: a command of `commands`.
        environment: all of its environment.
        say: takes the lines of the log that are worth a look.

    Raises:
        PieceError: it failed or was killed; with the last error that it wrote.
    """
    orphans = end_orphans()
    if orphans:
        say(f"warning: ended {orphans} processes that a killed worker had left behind")
    mark = owners()
    log = Log()
    with tempfile.TemporaryFile("w+", encoding="utf-8") as output:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.PIPE,
            cwd=ROOT,
            env={**environment, MARK: mark},
            encoding="utf-8",
            errors="replace",
            start_new_session=True,
        )
        try:
            for line in _lines(process, mark):
                told = log.take(line)
                if told:
                    say(told)
        finally:
            end_own(mark)
            process.wait()
        output.seek(0)
        written = output.read()
    if process.returncode:
        raise PieceError(_failure(process.returncode, log))
    return log, written


def _lines(process: subprocess.Popen[str], mark: str) -> Iterator[str]:
    """Give the lines of a command's log until it ends, and what it left behind is ended too.

    The pipe alone does not show it: processes that a killed command leaves behind may hold it.
    """
    lines: Queue[str | None] = Queue()

    def read() -> None:
        with contextlib.closing(t.cast("t.TextIO", process.stderr)) as stream:
            for line in stream:
                lines.put(line)
        lines.put(None)

    threading.Thread(target=read, daemon=True).start()
    while True:
        try:
            line = lines.get(timeout=_TICK)
        except Empty:
            if process.poll() is not None:
                end_own(mark)
            continue
        if line is None:
            return
        yield line


def _failure(code: int, log: Log) -> str:
    told = f"killed by signal {-code}" if code < 0 else f"exit code {code}"
    return f"{told}: {log.problem}" if log.problem else told
