"""What the suites of targets share: a Planhat that counts, and each target's run into it."""

from __future__ import annotations

import contextlib
import functools
import json
import typing as t
import urllib.request
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks import messages
from benchmarks.figures import BARE, CEILING, OURS, PLAIN
from benchmarks.running import FailedError, Run, measured, program, serving

if t.TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_MODULES = {
    OURS: "target_planhat",
    PLAIN: "benchmarks.contenders.plain_target",
    BARE: "benchmarks.contenders.bare_target",
    CEILING: "benchmarks.contenders.post_only",
}


class Planhat:
    """A served Planhat. `together` rows are one activity to a target that adds them up: to ours."""

    def __init__(self, served: dict[str, str], rows: int, together: int) -> None:
        self._url = served["url"]
        self._settings = {"analytics_url": self._url, "tenant_token": served["tenant_token"]}
        self._rows, self._together = rows, together
        self._feeder = program("benchmarks.messages", "--rows", rows, "--together", together)

    def runs(self, case: str) -> dict[tuple[str, str], Callable[[], Run]]:
        """Give each contender's run, and that of a client that only posts."""
        return {(case, name): functools.partial(self.run, name) for name in _MODULES}

    def run(self, contender: str) -> Run:
        """Run a target, ours with a new ledger.

        Raises:
            FailedError: not all has arrived, or more.
        """
        with TemporaryDirectory() as folder:
            config = Path(folder) / "config.json"
            settings: dict[str, t.Any] = dict(self._settings)
            if contender == OURS:
                settings["ledger_url"] = f"sqlite:///{folder}/ledger.db"
            if contender == CEILING:
                settings["rows"] = self._rows
            config.write_text(json.dumps(settings), encoding="utf-8")
            command = program(_MODULES[contender], "--config", config)
            took = measured(command, given=None if contender == CEILING else self._feeder)
        self._check(contender)
        return took

    def _check(self, contender: str) -> None:
        with urllib.request.urlopen(f"{self._url}/counts", timeout=60) as answer:  # noqa: S310 - ours
            found = json.load(answer)
        if contender == CEILING:
            return
        expected = {"activities": self._rows, "events": messages.events(self._rows, self._together)}
        if contender == OURS:
            expected["activities"] = messages.activities(self._rows, self._together)
        for name, wanted in expected.items():
            if found[name] != wanted:
                raise FailedError(f"{contender}: {found[name]} {name} arrived instead of {wanted}")


@contextlib.contextmanager
def planhat(rows: int, *, together: int = 3, latency: float = 0) -> Iterator[Planhat]:
    """Serve a Planhat for so many rows."""
    with serving("benchmarks.receiving", f"--latency={latency}") as served:
        yield Planhat(served, rows, together)
