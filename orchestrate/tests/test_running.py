"""Commands of pieces: what their log says, and that nothing of them outlives its worker."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import textwrap

import pytest

from orchestrate import leftovers
from orchestrate.errors import PieceError
from orchestrate.logs import Log
from orchestrate.running import run

END = {
    "stream_name": "events",
    "status": "ok",
    "rows": 7,
    "windows": 2,
    "calls": 3,
    "retries": 1,
    "throttled": 0,
    "bytes": 100,
    "seconds": 1.5,
    "freshness_seconds": 60,
    "event": "events: ok; 7 rows",
    "level": "info",
}
linux = pytest.mark.skipif(sys.platform != "linux", reason="finds processes in /proc")


def test_the_log_becomes_figures_by_stream() -> None:
    log = Log()
    assert log.take(json.dumps(END)) == "events: ok; 7 rows"
    assert log.take(json.dumps({"event": "late", "level": "warning"})) == "warning: late"
    assert log.take(json.dumps({"event": "METRIC", "level": "info"})) is None
    log.take(json.dumps({**END, "stream_name": "page_events", "rows": 5}))
    assert log.streams["events"]["freshness_seconds"] == 60
    assert (log.total("rows"), log.total("calls"), log.problem) == (12, 6, "")


def test_the_error_of_the_tap_is_found_in_that_of_meltano() -> None:
    log = Log()
    told = json.dumps({"level": "error", "message": "setting `app_ids`: 1 of 1 ids name no app"})
    log.take(json.dumps({"event": f"discovery failed: stderr:\n {told}\n", "level": "error"}))
    assert log.problem == "setting `app_ids`: 1 of 1 ids name no app"


def python(program: str) -> list[str]:
    return [sys.executable, "-c", textwrap.dedent(program)]


def test_a_command_that_fails_tells_its_last_error() -> None:
    program = """
        import json, sys
        print("output")
        print(json.dumps({"event": "it broke", "level": "error"}), file=sys.stderr)
        print("a trace", file=sys.stderr)
        sys.exit(3)
    """
    with pytest.raises(PieceError, match=r"^exit code 3: it broke$"):
        run(python(program), os.environ, print)
    assert run(python("print('output')"), os.environ, print)[1] == "output\n"


@linux
def test_what_a_killed_command_leaves_behind_is_ended() -> None:
    # as Meltano, which is killed while the tap and the target run
    program = """
        import os, signal, subprocess, sys
        child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
        print(child.pid, flush=True)
        print(child.pid, file=sys.stderr, flush=True)
        os.kill(os.getpid(), signal.SIGKILL)
    """
    with pytest.raises(PieceError, match="killed by signal 9") as raised:
        run(python(program), os.environ, print)
    pid = str(raised.value).rpartition(" ")[2]
    assert not is_running(int(pid))


@linux
def test_what_a_killed_worker_leaves_behind_is_ended_before_the_next_begins() -> None:
    worker = """
        import os, subprocess, sys
        from orchestrate.leftovers import MARK, owners
        child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"],
                                 env={**os.environ, MARK: owners()})
        print(child.pid, flush=True)
        sys.stdin.read()
    """
    with subprocess.Popen(
        python(worker), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout
        left = int(process.stdout.readline())
        # as long as its worker lives, it is left alone
        told: list[str] = []
        run(python(""), os.environ, told.append)
        assert is_running(left)
        process.kill()
        process.wait()
        run(python(""), os.environ, told.append)
    assert not is_running(left)
    assert told == ["warning: ended 1 processes that a killed worker had left behind"]


def is_running(pid: int) -> bool:
    return bool(leftovers.born(pid))
