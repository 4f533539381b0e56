"""What the suites of taps share: a Pendo with so many rows, and each tap's command for them."""

from __future__ import annotations

import contextlib
import functools
import json
import math
import typing as t
from datetime import datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks.figures import BARE, CEILING, OURS, PLAIN
from benchmarks.running import Run, measured, program, serving

if t.TYPE_CHECKING:
    from collections.abc import Callable, Iterator

Command = list[str]
# a day of this many rows fits the tap's page of 50,000 rows, and fills windows of a day
ROWS_A_DAY = 33_334
# for visitors, all of which come in one answer
_LARGE_PAGE = 100_000_000
_MODULES = {
    PLAIN: "benchmarks.contenders.plain_tap",
    BARE: "benchmarks.contenders.bare_tap",
    CEILING: "benchmarks.contenders.read_only",
}


class Pendo:
    """A served Pendo, and a folder for the files of the taps that read it."""

    def __init__(self, served: dict[str, str], days: int, folder: Path) -> None:
        start = datetime.fromisoformat(served["end"]) - timedelta(days=days)
        self._folder = folder
        self.settings = {
            "api_url": served["url"],
            "integration_key": served["key"],
            "start_date": start.isoformat(),
            "end_date": served["end"],
        }

    def ours(self, *streams: str, **settings: object) -> Command:
        """Give the command of tap-pendo for these streams."""
        name = "-".join(streams)
        config = self._file(f"{name}.json", {**self.settings, **settings})
        catalog = self._folder / f"{name}-catalog.json"
        tap = program("tap_pendo", "--config", config)
        measured([*tap, "--discover"], kept=catalog)
        found = json.loads(catalog.read_bytes())
        for stream in found["streams"]:
            root = next(m for m in stream["metadata"] if not m["breadcrumb"])
            root["metadata"]["selected"] = stream["stream"] in streams
        catalog.write_text(json.dumps(found), encoding="utf-8")
        return [*tap, "--catalog", str(catalog)]

    def other(self, contender: str, stream: str) -> Command:
        """Give the command of another tap."""
        config = self._file(f"{stream}-others.json", {**self.settings, "stream": stream})
        return program(_MODULES[contender], "--config", config)

    def runs(self, stream: str) -> dict[tuple[str, str], Callable[[], Run]]:
        """Give each contender's run."""
        return {
            (stream, name): functools.partial(measured, command)
            for name, command in self.commands(stream).items()
        }

    def commands(self, stream: str) -> dict[str, Command]:
        """Give each contender's command, and that of a client that only reads."""
        paged = {} if stream == "feature_events" else {"page_size": _LARGE_PAGE}
        others = {name: self.other(name, stream) for name in _MODULES}
        return {OURS: self.ours(stream, **paged), **others}

    def compare(self, stream: str, rows: int) -> None:
        """Expect a record of each row, the same ones from all taps.

        Raises:
            FailedError: a tap gives others.
        """
        files = []
        for name, command in self.commands(stream).items():
            if name != CEILING:
                files.append(self._folder / f"{stream} of {name}.jsonl")
                measured(command, kept=files[-1])
        measured(program("benchmarks.same", rows, *files))

    def _file(self, name: str, content: dict[str, t.Any]) -> Path:
        file = self._folder / name
        file.write_text(json.dumps(content), encoding="utf-8")
        return file


def days_of(rows: int) -> int:
    """Days over which so many events are spread."""
    return max(1, math.ceil(rows / ROWS_A_DAY))


@contextlib.contextmanager
def pendo(
    rows: int = 0,
    *,
    days: int | None = None,
    visitors: int = 0,
    features: int = 60,
    latency: float = 0,
) -> Iterator[Pendo]:
    """Serve a Pendo; events are spread over days of at most ROWS_A_DAY rows, or over `days`."""
    length = days or days_of(rows)
    asked = {"rows": rows, "days": length, "visitors": visitors, "features": features}
    arguments = [f"--{name}={value}" for name, value in {**asked, "latency": latency}.items()]
    with serving("benchmarks.serving", *arguments) as served, TemporaryDirectory() as folder:
        yield Pendo(served, length, Path(folder))
