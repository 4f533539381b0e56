"""The figures of all runs, their medians, and the file that holds them."""

from __future__ import annotations

import dataclasses
import os
import platform
import statistics
import typing as t
from datetime import datetime, timezone
from importlib import metadata

import msgspec

from benchmarks.running import Run  # noqa: TC001 - msgspec reads the annotations

if t.TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    Runs = Mapping[tuple[str, str], Callable[[], Run]]
    """By case and contender."""

OURS, PLAIN, BARE = "ours", "SDK's defaults", "no framework"
_DISTRIBUTIONS = ("singer-sdk", "msgspec", "requests", "meltano", "meltanolabs-target-postgres")


@dataclasses.dataclass(frozen=True)
class Options:
    """How much is measured: rows of feature events, and rounds of alternating runs."""

    size: int
    rounds: int
    full: bool = False
    """Whether ten times the size is measured too, which takes long."""


@dataclasses.dataclass(frozen=True)
class Series:
    """The runs of one contender with so many rows; `case` says with what."""

    case: str
    contender: str
    rows: int
    runs: list[Run]

    @property
    def wall(self) -> float:
        """Median of the seconds."""
        return statistics.median(run.wall for run in self.runs)

    @property
    def cpu(self) -> float:
        """Median of the CPU seconds."""
        return statistics.median(run.cpu for run in self.runs)

    @property
    def peak(self) -> float:
        """Median of the peak memory, in MB."""
        return statistics.median(run.peak for run in self.runs)


class Suite(msgspec.Struct, frozen=True):
    """What one suite found, when and on what machine."""

    measured: dict[str, str]
    series: list[Series]

    def find(self, case: str, contender: str) -> Series | None:
        """Give the runs of a contender, if there are any."""
        found = (s for s in self.series if (s.case, s.contender) == (case, contender))
        return next(found, None)

    def of(self, case: str, contender: str = OURS) -> Series:
        """Give the runs of a contender.

        Raises:
            KeyError: there are none.
        """
        found = self.find(case, contender)
        if found is None:
            raise KeyError(case, contender)
        return found

    def per_row(self, one: Series) -> float:
        """Microseconds of CPU of each row, without the start: the same case without rows."""
        (start,) = (each for each in self.series if each.case == one.case and not each.rows)
        return (one.cpu - start.cpu) / one.rows * 1e6


Suites = dict[str, Suite]


def alternating(runs: Runs, rows: int, rounds: int) -> list[Series]:
    """Run each case and contender in turn, A B C A B C: a change of the machine meets all."""
    found: dict[tuple[str, str], list[Run]] = {name: [] for name in runs}
    for _ in range(rounds):
        for name, run in runs.items():
            found[name].append(run())
    return [Series(case, contender, rows, of) for (case, contender), of in found.items()]


def machine() -> dict[str, str]:
    """Say when and where is measured, and with which versions."""
    pages, size = os.sysconf("SC_PHYS_PAGES"), os.sysconf("SC_PAGE_SIZE")
    return {
        "date": datetime.now(timezone.utc).date().isoformat(),
        "cores": str(os.cpu_count()),
        "memory": f"{pages * size / 2**30:.0f} GiB",
        "Python": platform.python_version(),
        **{name: metadata.version(name) for name in _DISTRIBUTIONS},
    }


def read(file: Path) -> Suites:
    """Read the figures of a file; there are none if it does not exist."""
    return msgspec.json.decode(file.read_bytes(), type=Suites) if file.exists() else {}


def write(file: Path, suites: Suites) -> None:
    """Write figures."""
    file.write_bytes(msgspec.json.format(msgspec.json.encode(suites), indent=1) + b"\n")
