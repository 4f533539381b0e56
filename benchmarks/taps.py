"""Suites of taps: a Pendo with so many rows, and each tap's command for them."""

from __future__ import annotations

import contextlib
import functools
import json
import math
import typing as t
from datetime import datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks.figures import BARE, OURS, PLAIN, Options, Series, alternating
from benchmarks.running import FailedError, configured, measured, program, serving

if t.TYPE_CHECKING:
    from collections.abc import Iterator

Command = list[str]
Record = dict[str, t.Any]
EVENTS = "feature_events"
SMALL, LARGE = "a tenth of the rows in one answer", "all rows in one answer"
NEAR, FAR = "0 ms", "150 ms"
_FEATURES, _ROWS = 50, 5000
MANY = f"{_FEATURES} features x {_ROWS // _FEATURES} rows"
# a day of this many rows fits the tap's page of 50,000 rows, and fills windows of a day
_ROWS_A_DAY = 33_334
_WINDOWS = 30
# for visitors, all of which come in one answer
_LARGE_PAGE = 100_000_000
_FEW = 2000
_MODULES = {
    PLAIN: "benchmarks.contenders.plain_tap",
    BARE: "benchmarks.contenders.bare_tap",
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
        if streams == ("visitors",):
            settings["page_size"] = _LARGE_PAGE
        config = configured(self._folder, {**self.settings, **settings})
        catalog = self._folder / f"{config.stem}-catalog.json"
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
        config = configured(self._folder, {**self.settings, "stream": stream})
        return program(_MODULES[contender], "--config", config)

    def commands(self, stream: str) -> dict[str, Command]:
        """Give each contender's command."""
        return {OURS: self.ours(stream)} | {one: self.other(one, stream) for one in _MODULES}

    def compare(self, stream: str, rows: int) -> None:
        """Expect a record of each row, the same ones from all taps.

        Raises:
            FailedError: a tap gives others.
        """
        expected: dict[str, Record] = {}
        for name, command in self.commands(stream).items():
            file = self._folder / "compared.jsonl"
            measured(command, kept=file)
            found = records(file)
            expected = expected or found
            if len(found) != rows or found != expected:
                raise FailedError(f"{name}: {len(found)} records of {rows} rows, or others")


def records(file: Path) -> dict[str, Record]:
    """Read what a tap wrote of its one stream: records by key, without the time of the read."""
    found: dict[str, Record] = {}
    key = ""
    for message in map(json.loads, file.read_bytes().splitlines()):
        if message["type"] == "SCHEMA":
            (key,) = message["key_properties"]
        elif message["type"] == "RECORD":
            record = {name: v for name, v in message["record"].items() if name != "read_at"}
            found[record[key]] = record
    return found


@contextlib.contextmanager
def pendo(rows: int = 0, *, days: int = 0, **others: float) -> Iterator[Pendo]:
    """Serve a Pendo; events are spread over days of at most _ROWS_A_DAY rows, or over `days`."""
    length = days or max(1, math.ceil(rows / _ROWS_A_DAY))
    sizes = {"rows": rows, "days": length, **others}
    arguments = [f"--{name}={value}" for name, value in sizes.items()]
    with serving("benchmarks.product", *arguments) as served, TemporaryDirectory() as folder:
        yield Pendo(served, length, Path(folder))


def _series(case: str, commands: dict[str, Command], rows: int, rounds: int) -> list[Series]:
    runs = {(case, name): functools.partial(measured, one) for name, one in commands.items()}
    return alternating(runs, rows, rounds)


def tap(options: Options) -> Iterator[list[Series]]:
    """Rows per CPU second, once all taps have given the same records for the same rows."""
    for stream, name, share in ((EVENTS, "rows", 1.0), ("visitors", "visitors", 0.2)):
        with pendo(**{name: _FEW}) as few:
            few.compare(stream, _FEW)
        rows = max(1, round(options.size * share))
        with pendo(**{name: rows}) as served:
            yield _series(stream, served.commands(stream), rows, options.rounds)


def memory(options: Options) -> Iterator[list[Series]]:
    """Peak memory when all rows come in one answer; the peers, which do not waver, run once."""
    for case, rows in ((SMALL, max(1, options.size // 10)), (LARGE, options.size)):
        with pendo(rows, days=1) as served:
            ours = {OURS: served.ours(EVENTS, page_size=rows + 1)}
            yield _series(case, ours, rows, options.rounds)
            others = {name: served.other(name, EVENTS) for name in _MODULES}
            yield _series(case, others, rows, 1)


def latency(options: Options) -> Iterator[list[Series]]:
    """Seconds of 30 windows, four at once, beside a tap that reads one after the other."""
    rows = max(_WINDOWS, options.size)
    runs = {}
    with contextlib.ExitStack() as servers:
        for case, seconds in ((NEAR, 0), (FAR, 0.15)):
            served = servers.enter_context(pendo(rows, days=_WINDOWS, latency=seconds))
            # so that a day neither fills a page nor lets windows grow
            ours = served.ours(EVENTS, page_size=2 * rows // _WINDOWS, concurrency=4)
            runs[case, OURS] = functools.partial(measured, ours)
            runs[case, BARE] = functools.partial(measured, served.other(BARE, EVENTS))
        yield alternating(runs, rows, options.rounds)


def many(options: Options) -> Iterator[list[Series]]:
    """Seconds of 50 features, with the list of them: a call for each feature would be 50."""
    with pendo(_ROWS, features=_FEATURES) as served:
        yield _series(MANY, {OURS: served.ours("features", EVENTS)}, _ROWS, options.rounds)
