"""Figures as tables: for the terminal, and in Markdown for docs/performance.md."""

from __future__ import annotations

import statistics
import typing as t

from benchmarks import start
from benchmarks.figures import BARE, PLAIN, Series, Suite
from benchmarks.running import ROOT
from benchmarks.wanted import JUDGES, verdicts

if t.TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from benchmarks.figures import Suites
    from benchmarks.running import Run

KEPT = ROOT / "docs" / "benchmarks.json"
NOTHING = "\nNot measured yet.\n"


class Table(t.NamedTuple):
    """A table: its titles, and its lines."""

    titles: tuple[str, ...]
    lines: Sequence[tuple[str, ...]]


_CLOCK: dict[str, Callable[[Run], float]] = {"by the clock": lambda run: run.wall}
_CPU: dict[str, Callable[[Run], float]] = {"by CPU": lambda run: run.cpu}
# the clock counts where there is waiting, and CPU elsewhere
_MEASURES = {"latency": _CLOCK, "target": _CLOCK | _CPU, "pipe": _CLOCK}
_RATES = ("with", "program", "rows", "rows per CPU s", "rows per s", "peak MB")
_GROWTH = ("plugin", "rows", "s", "CPU s", "CPU us per row", "peak MB")
_STARTS = ("start", "program", "CPU s", "s", "peak MB", "x import singer_sdk, by CPU")


def of_suite(name: str, suite: Suite) -> Table:
    """Give a suite's table, with the machine's noise: the slowest and the fastest run."""
    if name == "growth":
        return Table(_GROWTH, _growth(suite))
    return Table(_STARTS, _starts(suite)) if name == "start" else _rates(name, suite)


def of_verdicts(suites: Suites) -> Table:
    """Give what is wanted, and whether it is reached."""
    lines = [
        (one.what, one.measured, one.wanted, "reached" if one.reached else "not reached")
        for one in verdicts(suites)
    ]
    return Table(("what", "measured", "wanted", ""), lines)


def _rates(name: str, suite: Suite) -> Table:
    measures = _MEASURES.get(name, _CPU)
    peers = [p for p in (PLAIN, BARE) if any(one.contender == p for one in suite.series)]
    ratios = [(peer, unit) for unit in measures for peer in peers]
    lines = [
        (
            one.case,
            one.contender,
            f"{one.rows:,}",
            _noisy([one.rows / run.cpu for run in one.runs], 0),
            _noisy([one.rows / run.wall for run in one.runs], 0),
            f"{one.peak:,.0f}",
            *(_against(suite.find(one.case, peer), one, measures[unit]) for peer, unit in ratios),
        )
        for one in suite.series
    ]
    return Table((*_RATES, *(f"x {peer}, {unit}" for peer, unit in ratios)), lines)


def _growth(suite: Suite) -> list[tuple[str, ...]]:
    return [
        (
            one.case,
            f"{one.rows:,}",
            f"{one.wall:.1f}",
            f"{one.cpu:.1f}",
            f"{suite.per_row(one):.1f}" if one.rows else "",
            f"{one.peak:,.0f}",
        )
        for one in sorted(suite.series, key=lambda one: (one.case, one.rows))
    ]


def _starts(suite: Suite) -> list[tuple[str, ...]]:
    least = suite.of(start.IMPORT, start.SDK).cpu
    return [
        (
            one.case,
            one.contender,
            _noisy([run.cpu for run in one.runs], 2),
            _noisy([run.wall for run in one.runs], 2),
            f"{one.peak:,.0f}",
            f"{one.cpu / least:.2f}",
        )
        for one in suite.series
    ]


def _noisy(values: Sequence[float], digits: int) -> str:
    """Give the median, and how far the lowest and the highest are from it."""
    middle = statistics.median(values)
    text = f"{middle:,.{digits}f}"
    if len(values) == 1 or not middle:
        return text
    return f"{text} ({min(values) / middle - 1:+.0%} {max(values) / middle - 1:+.0%})"


def _against(other: Series | None, one: Series, seconds: Callable[[Run], float]) -> str:
    """How many times as many rows a second as another contender has."""
    if other is None or other is one:
        return ""
    theirs, own = (statistics.median(map(seconds, each.runs)) for each in (other, one))
    return f"{theirs / own:.2f}"


def text(table: Table) -> str:
    """Write a table for the terminal."""
    rows = [table.titles, *table.lines]
    widths = [max(len(row[at]) for row in rows) for at in range(len(table.titles))]
    rows.insert(1, tuple("-" * width for width in widths))
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    )


def markdown(table: Table) -> str:
    """Write a table in Markdown."""
    rows = [table.titles, ("---",) * len(table.titles), *table.lines]
    return "".join(f"| {' | '.join(row)} |\n" for row in rows)


def parts(suites: Suites) -> dict[str, str]:
    """Give each generated part of docs/performance.md by its name."""
    found = {
        f"benchmark {name}": "\n" + markdown(of_suite(name, suites[name]))
        if name in suites
        else NOTHING
        for name in JUDGES
    }
    by_machine: dict[str, list[str]] = {}
    for name, suite in suites.items():
        said = ", ".join(f"{what} {value}" for what, value in suite.measured.items())
        by_machine.setdefault(said, []).append(name)
    lines = (f"- {', '.join(names)}: {said}\n" for said, names in by_machine.items())
    return found | {
        "wanted": "\n" + markdown(of_verdicts(suites)),
        "machine": "\n" + "".join(lines),
    }
