"""Figures as tables: for the terminal, and in Markdown for the documents."""

from __future__ import annotations

import statistics
import typing as t

from benchmarks.figures import BARE, CEILING, PLAIN, Series, Suite, spread
from benchmarks.verdicts import verdicts

if t.TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from benchmarks.figures import Amount, Suites
    from benchmarks.running import Run


class Table(t.NamedTuple):
    """A table: its titles, and its lines."""

    titles: tuple[str, ...]
    lines: Sequence[tuple[str, ...]]


_CLOCK: dict[str, Callable[[Run], float]] = {"by the clock": lambda run: run.wall}
_CPU: dict[str, Callable[[Run], float]] = {"by CPU": lambda run: run.cpu}
# the clock counts where there is waiting, and CPU elsewhere
_MEASURES = {"latency": _CLOCK, "target": _CLOCK | _CPU, "pipe": _CLOCK}
# from here on digits behind the point say nothing
_MANY = 20
_RATES = ("with", "program", "rows", "rows per CPU s", "rows per s", "peak MB")
_GROWTH = ("plugin", "rows", "s", "CPU s", "us per row", "CPU us per row", "peak MB")
_AMOUNTS = ("one", "takes", "unit")
_VERDICTS = ("what", "measured", "wanted", "")


def of_suite(name: str, suite: Suite) -> Table:
    """Give a suite's table, with the machine's noise: the slowest and the fastest run."""
    if name == "units":
        return Table(_AMOUNTS, [_amount(one) for one in suite.amounts])
    return _growth(suite) if name == "growth" else _rates(suite, _MEASURES.get(name, _CPU))


def _amount(one: Amount) -> tuple[str, ...]:
    digits = 0 if one.value >= _MANY else 2
    return one.what, f"{one.value:,.{digits}f}{_noise(one.values)}", one.unit


def of_verdicts(suites: Suites) -> Table:
    """Give what is wanted, and whether it is reached."""
    lines = [
        (one.what, one.measured, one.wanted, "reached" if one.reached else "not reached")
        for one in verdicts(suites)
    ]
    return Table(_VERDICTS, lines)


def _rates(suite: Suite, measures: Mapping[str, Callable[[Run], float]]) -> Table:
    peers = [p for p in (PLAIN, BARE) if any(one.contender == p for one in suite.series)]
    ratios = [(peer, unit) for unit in measures for peer in peers]
    titles = (*_RATES, *(f"x {peer}, {unit}" for peer, unit in ratios))
    lines = [
        (
            one.case,
            one.contender,
            f"{one.rows:,}",
            _rate(one, lambda run: run.cpu),
            _rate(one, lambda run: run.wall),
            f"{one.peak:,.0f}",
            *(_against(suite.find(one.case, peer), one, measures[unit]) for peer, unit in ratios),
        )
        for one in suite.series
    ]
    return Table(titles, lines)


def _growth(suite: Suite) -> Table:
    lines = [
        (
            one.case,
            f"{one.rows:,}",
            f"{one.wall:.1f}",
            f"{one.cpu:.1f}",
            f"{suite.per_row(one, clock=True):.1f}" if one.rows else "",
            f"{suite.per_row(one):.1f}" if one.rows else "",
            f"{one.peak:,.0f}",
        )
        for one in sorted(suite.series, key=lambda one: (one.case, one.rows))
    ]
    return Table(_GROWTH, lines)


def _rate(one: Series, seconds: Callable[[Run], float]) -> str:
    rates = [one.rows / seconds(run) for run in one.runs]
    return f"{statistics.median(rates):,.0f}{_noise(rates)}"


def _noise(values: Sequence[float]) -> str:
    """Say how far the slowest and the fastest run are from the median."""
    if len(values) == 1 or not statistics.median(values):
        return ""
    below, above = spread(values)
    return f" ({below:+.0%} {above:+.0%})"


def _against(other: Series | None, one: Series, seconds: Callable[[Run], float]) -> str:
    """How many times as many rows a second as another contender has."""
    if other is None or other is one or one.contender == CEILING:
        return ""
    theirs, own = (statistics.median(map(seconds, each.runs)) for each in (other, one))
    return f"{theirs / own:.2f}"


def text(table: Table) -> str:
    """Write a table for the terminal; figures are aligned to the right."""
    rows = [table.titles, *table.lines]
    widths = [max(len(row[at]) for row in rows) for at in range(len(table.titles))]
    head, *body = (
        "  ".join(_cell(*pair) for pair in zip(row, widths, strict=True)).rstrip() for row in rows
    )
    return "\n".join([head, "  ".join("-" * width for width in widths), *body])


def _cell(content: str, width: int) -> str:
    is_figure = content[:1].isdigit() and content[-1:] in "0123456789)"
    return content.rjust(width) if is_figure else content.ljust(width)


def markdown(table: Table) -> str:
    """Write a table in Markdown."""
    rows = [table.titles, ("---",) * len(table.titles), *table.lines]
    return "".join(_line(row) for row in rows)


def _line(row: Sequence[str]) -> str:
    return f"| {' | '.join(row)} |\n"
