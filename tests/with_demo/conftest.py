"""Starts with-demo beside a stand-in emulator, and sees what still runs in a folder."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

PATIENCE = 30.0  # seconds until a test gives up waiting
STAND_IN = Path(__file__).with_name("stand_in")
LAUNCHER = (
    "import sys; from with_demo import processes; processes.GRACE = float(sys.argv.pop(1));"
    "from with_demo.__main__ import main; sys.exit(main())"
)


def _is_inside(process: Path, folder: Path) -> bool:
    try:
        return (process / "cwd").readlink().is_relative_to(folder)
    except OSError:
        return False  # it has just ended, is a zombie, or somebody else's


class Demo:
    """with-demo in a folder of its own."""

    elsewhere: ClassVar = {"TARGET_POSTGRES_HOST": "db.invalid"}  # then no PostgreSQL is started

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.data = folder / ".meltano" / "with-demo"
        self.python = [sys.executable]
        self.path = [str(STAND_IN)]
        self.grace = 5.0
        self.user: int | None = None
        self.started: list[subprocess.Popen[str]] = []

    def start(self, *arguments: str | Path, **environment: str) -> subprocess.Popen[str]:
        """Start it as a shell would: leader of its own group."""
        base = {k: v for k, v in os.environ.items() if not k.startswith(("TARGET_", "TAP_"))}
        search = {"PYTHONPATH": os.pathsep.join(self.path), "PYTHONWARNINGS": "error"}
        process = subprocess.Popen(
            [*self.python, "-c", LAUNCHER, str(self.grace), *map(str, arguments)],
            cwd=self.folder,
            env={**base, **search, **environment},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
            user=self.user,
            group=self.user,
            extra_groups=None if self.user is None else [],
        )
        self.started.append(process)
        return process

    def run(
        self, *arguments: str | Path, stdin: str = "", **environment: str
    ) -> subprocess.CompletedProcess[str]:
        """Run it to its end, and see that it left nothing behind."""
        process = self.start(*arguments, **environment)
        return self.finish(process, stdin)

    def finish(
        self, process: subprocess.Popen[str], stdin: str = ""
    ) -> subprocess.CompletedProcess[str]:
        """Wait for its end, and see that it left nothing behind."""
        out, err = process.communicate(stdin, timeout=PATIENCE)
        assert self.running() == []
        assert "Traceback" not in err
        return subprocess.CompletedProcess(process.args, process.returncode, out, err)

    def running(self, where: Path | None = None) -> list[int]:
        """The processes whose current folder is here: all that with-demo started (Linux)."""
        folder = (where or self.folder).resolve()
        return [int(p.name) for p in Path("/proc").glob("[0-9]*") if _is_inside(p, folder)]

    @staticmethod
    def until(true: Callable[[], object], what: str) -> None:
        """Wait for something that other processes make true."""
        deadline = time.monotonic() + PATIENCE
        while not true():
            assert time.monotonic() < deadline, f"waited in vain: {what}"
            time.sleep(0.01)

    def stamp(self, name: str) -> Path:
        """A file by which COMMAND says how far it is."""
        return self.folder / name


@pytest.fixture
def demo(tmp_path: Path) -> Iterator[Demo]:
    """with-demo in an empty folder, whose name has a space."""
    folder = tmp_path / "my folder"
    folder.mkdir()
    demo = Demo(folder)
    yield demo
    for process in demo.started:
        process.kill()
        process.wait()
        for pipe in (process.stdin, process.stdout, process.stderr):
            pipe.close()
    for left in demo.running():
        os.kill(left, signal.SIGKILL)
