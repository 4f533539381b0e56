"""Calls target-planhat's command line in this process, as a shell does, and keeps what it said."""

from __future__ import annotations

import dataclasses
import json
import logging
import typing as t

from click.testing import CliRunner
from target_planhat.target import TargetPlanhat

if t.TYPE_CHECKING:
    import pytest

    from tests.planhat.running import Message, Record, TargetRunner


@dataclasses.dataclass(frozen=True)
class Said:
    """How a call ended: its code, its output, its log, and the lines of errors among that."""

    code: int
    out: str
    log: str
    errors: list[str]

    @property
    def states(self) -> list[t.Any]:
        """The STATEs that were handed on."""
        return [json.loads(line) for line in self.out.splitlines()]


class Command:
    """The command line, ready for the tenant of a runner; `config` are its settings."""

    def __init__(self, target: TargetRunner, caplog: pytest.LogCaptureFixture) -> None:
        self.target, self.config = target, dict(target.config)
        self._log = caplog
        caplog.set_level(logging.DEBUG, logger="target-planhat")

    def run(self, *messages: Message, **settings: t.Any) -> Said:
        """Feed messages; a setting that is None is left out."""
        return self.feed("".join(json.dumps(m) + "\n" for m in messages), **settings)

    def feed(self, lines: str | bytes, **settings: t.Any) -> Said:
        """Feed lines as they are."""
        config = {k: v for k, v in {**self.config, **settings}.items() if v is not None}
        file = self.target.folder / "config.json"
        file.write_text(json.dumps(config))
        return self.call("--config", str(file), lines=lines)

    def call(self, *arguments: str, lines: str | bytes = "") -> Said:
        """Call it with arguments of one's own."""
        self._log.clear()
        latest = self.target.folder / "reports" / "latest.json"
        latest.unlink(missing_ok=True)
        result = CliRunner().invoke(TargetPlanhat.cli, arguments, input=lines)
        # a traceback that click caught is a bug of ours, whatever the exit code
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        if latest.exists():
            self.target.report = json.loads(latest.read_text())
        errors = [r.getMessage() for r in self._log.records if r.levelno >= logging.ERROR]
        # click says itself what is wrong with arguments
        errors += [line for line in result.stderr.splitlines() if line.startswith("Error: ")]
        return Said(result.exit_code, result.stdout, self._log.text + result.stderr, errors)

    @property
    def report(self) -> Record:
        """The report of the last run."""
        return self.target.report
