"""Suites of targets: a Planhat that counts, and each target's run into it."""

from __future__ import annotations

import contextlib
import functools
import shutil
import sys
import typing as t
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks import messages
from benchmarks.figures import BARE, OURS, PLAIN, Options, Series, alternating
from benchmarks.running import FailedError, Run, asked, configured, measured, program, serving

if t.TYPE_CHECKING:
    from collections.abc import Iterator

# rows for a row of `--size`: the SDK's defaults take minutes for a million
_SHARE = 0.2
NEAR, FAR = "0 ms", "150 ms"
SINGLE = ", each row an activity"
# seconds before an answer, and rows that are one activity
CASES = {NEAR: (0.0, 3), FAR: (0.15, 3), NEAR + SINGLE: (0.0, 1), FAR + SINGLE: (0.15, 1)}
# ours alone takes as many rows as a tap gives
_ALONE = {f"{NEAR}, five times the rows": 0.0, f"{FAR}, five times the rows": 0.15}
EMPTY, FULL = "an empty ledger", "a full ledger"
# what an hourly run reads
_RECORDS = 1000
# so many of the visitors are in Planhat; the items of the others are parked
_KNOWN = 0.9
_ITEMS_OF_A_VISITOR = 3
_MODULES = {
    OURS: "target_planhat",
    PLAIN: "benchmarks.contenders.plain_target",
    BARE: "benchmarks.contenders.bare_target",
}


class Planhat:
    """A served Planhat, and further settings of the targets that send to it."""

    def __init__(self, served: dict[str, str], **settings: str) -> None:
        self._url = served["url"]
        own = {"analytics_url": self._url, "tenant_token": served["tenant_token"]}
        self._settings = {**own, **settings}

    def run(
        self, rows: int, together: int = 3, contender: str = OURS, *, ledger: Path | None = None
    ) -> Run:
        """Run a target, ours with a new ledger; `together` rows are one activity to ours.

        Args:
            rows: of feature events.
            together: rows of a visitor, feature and day, which only ours adds up.
            contender: which target.
            ledger: one to begin with a copy of; the rows are then of a day later.

        Raises:
            FailedError: not all has arrived, or more.
        """
        expected = messages.counts(rows, together)
        if contender != OURS:
            expected["activities"] = rows
        took = self._run(rows, together, contender, ledger)
        found = self.arrived()
        if found != expected:
            raise FailedError(f"{contender}: {found} arrived instead of {expected}")
        return took

    def _run(self, rows: int, together: int, contender: str, ledger: Path | None) -> Run:
        with TemporaryDirectory() as folder:
            settings = dict(self._settings)
            if contender == OURS:
                mine = Path(folder) / "ledger.db"
                if ledger:
                    shutil.copyfile(ledger, mine)
                settings["ledger_url"] = f"sqlite:///{mine}"
            feeder = ("--rows", rows, "--together", together, "--later", int(bool(ledger)))
            command = program(_MODULES[contender], "--config", configured(Path(folder), settings))
            return measured(command, given=program("benchmarks.messages", *feeder))

    def fill(self, ledger: Path, rows: int) -> int:
        """Fill a new ledger with an item for each row; give how many of them were sent."""
        settings = {**self._settings, "ledger_url": f"sqlite:///{ledger}"}
        command = program("target_planhat", "--config", configured(ledger.parent, settings))
        measured(command, given=program("benchmarks.messages", "--rows", rows, "--together", 1))
        return self.arrived()["activities"]

    def arrived(self) -> dict[str, int]:
        """Give the activities and events that came since this was last asked."""
        return asked(f"{self._url}/counts")


@contextlib.contextmanager
def planhat(latency: float = 0) -> Iterator[Planhat]:
    """Serve a Planhat."""
    with serving("benchmarks.receiving", f"--latency={latency}") as served:
        yield Planhat(served)


def target(options: Options) -> Iterator[list[Series]]:
    """Rows a second, near and 150 ms away, then ours with more rows; what arrives is counted."""
    rows = max(1, round(options.size * _SHARE))
    for case, (latency, together) in CASES.items():
        with planhat(latency) as served:
            runs = {
                (case, name): functools.partial(served.run, rows, together, name)
                for name in _MODULES
            }
            yield alternating(runs, rows, options.rounds)
    for case, latency in _ALONE.items():
        with planhat(latency) as served:
            ours = {(case, OURS): functools.partial(served.run, options.size)}
            yield alternating(ours, options.size, options.rounds)


def hourly(options: Options) -> Iterator[list[Series]]:
    """Runs of 1,000 records that no ledger knows: into a new ledger, and into copies of a full one.

    The full one has an item for each row of `--size`; a tenth of them are parked.
    """
    visitors = min(options.size, messages.ROWS_A_DAY) // _ITEMS_OF_A_VISITOR
    known = max(_RECORDS, round(visitors * _KNOWN))
    seeds = ("--companies", 100, "--endusers", known, "--knob", "rate_limit=null")
    with (
        serving("benchmarks.receiving") as receiving,
        serving("planhat_emulator", "--port", 0, *seeds) as rest,
        TemporaryDirectory() as folder,
    ):
        api = {"api_token": rest["key"], "api_url": rest["url"]}
        served = Planhat(receiving, **api, report_path=f"{folder}/reports")
        full = Path(folder) / "full.db"
        parked = options.size - served.fill(full, options.size)
        print(f"hourly: {options.size:,} items, {parked:,} of them parked", file=sys.stderr)
        runs = {
            (EMPTY, OURS): functools.partial(served.run, _RECORDS, 1),
            (FULL, OURS): functools.partial(served.run, _RECORDS, 1, ledger=full),
        }
        yield alternating(runs, _RECORDS, options.rounds)
