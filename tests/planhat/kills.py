"""The target as a process of its own, which is fed, and killed, by a test."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
import typing as t

import pytest

from tests.planhat.promises import assert_shows_nobody, parsed

if t.TYPE_CHECKING:
    import random
    from pathlib import Path

    from tests.planhat.running import Record, TargetRunner

# about as many as a whole run needs
_CALLS = 80
# as `python -m target_planhat`, but with so few items in a post that there are many
_CODE = """
from target_planhat import target
from target_planhat.delivery import sender
from target_planhat.planhat import http
sender.BATCH, sender.METRIC_BATCH, http.FIRST_WAIT = {batch}, {batch}, 0.0
if {now}:
    target.now = lambda: {now}
target.TargetPlanhat.cli()
"""


class Process:
    """A run in a process; what it writes goes to files, so that it never waits for a reader.

    Of several at once, each has a `name`, which PostgreSQL knows too. `now`: its clock stands
    still, at these epoch ms.
    """

    def __init__(
        self,
        target: TargetRunner,
        *,
        batch: int = 5,
        name: str = "process",
        now: int = 0,
        **settings: t.Any,
    ) -> None:
        self._folder, self._given, self.name = target.folder, b"", name
        self._secrets = [target.planhat.tenant_token, target.planhat.api_token]
        config = {**target.config, **settings}
        file = self._file("json")
        file.write_text(json.dumps({k: v for k, v in config.items() if v is not None}))
        command = [sys.executable, "-c", _CODE.format(batch=batch, now=now), "--config", str(file)]
        environment = {**os.environ, "PGAPPNAME": name}
        with self._file("out").open("wb") as out, self._file("err").open("wb") as err:
            self.process = subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=out,
                stderr=err,
                cwd=self._folder,
                env=environment,
            )

    def _file(self, kind: str) -> Path:
        return self._folder / f"{self.name}.{kind}"

    def feed(self, text: bytes, *, end: bool = True) -> None:
        """Give it input; it may be dead already."""
        assert self.process.stdin
        self._given += text
        with contextlib.suppress(BrokenPipeError):
            self.process.stdin.write(text)
            self.process.stdin.flush()
            if end:
                self.process.stdin.close()

    def ended(self, seconds: float = 60) -> int:
        """Wait for its end, which must show nobody; give the exit code."""
        code = self.process.wait(seconds)
        assert self.process.stdin
        with contextlib.suppress(BrokenPipeError):
            self.process.stdin.close()
        assert "Traceback" not in self.log
        assert_shows_nobody([self.log], self._secrets, parsed(self._given.decode(errors="ignore")))
        return code

    @property
    def states(self) -> list[Record]:
        """The values of the STATE lines that it handed out whole."""
        lines = self._file("out").read_bytes().split(b"\n")[:-1]
        return [json.loads(line) for line in lines]

    @property
    def log(self) -> str:
        """What it wrote to stderr."""
        return self._file("err").read_text()


def killed(
    target: TargetRunner, text: bytes, draw: random.Random, **settings: t.Any
) -> Record | None:
    """Run it as a process and kill that in its calls or in its input; the last STATE."""
    running = Process(target, **settings)
    in_calls = draw.random() < 0.6
    if in_calls and not _killed_in_calls(running, target, text, draw):
        # it came to its end before so many calls
        running, in_calls = Process(target, **settings), False
    if not in_calls:
        running.feed(text[: draw.randrange(len(text))], end=False)
        running.process.kill()
    assert running.ended() == -signal.SIGKILL
    target.planhat.faults.clear()
    return running.states[-1] if running.states else None


def _killed_in_calls(
    running: Process, target: TargetRunner, text: bytes, draw: random.Random
) -> bool:
    planhat = target.planhat
    note, left = planhat.calls.note, [draw.randrange(1, _CALLS)]
    late = draw.choice((0.0, 0.0, draw.uniform(0, 0.05)))

    def noted(*given: t.Any) -> None:
        note(*given)
        left[0] -= 1
        if left[0] == 0:
            # before its effect, or after it: whoever is dead reads no answer
            if draw.random() < 0.5:
                planhat.faults.add({"kind": "reset"})
            threading.Timer(late, running.process.kill).start()

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(planhat.calls, "note", noted)
        running.feed(text)
        return running.ended() == -signal.SIGKILL
