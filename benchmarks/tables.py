"""Figures as tables: for the terminal, and in Markdown for the documents."""

from __future__ import annotations

import typing as t

from benchmarks.figures import BARE, CEILING, OURS, PLAIN, Series, Suite, spread

if t.TYPE_CHECKING:
    from collections.abc import Callable, Sequence

Lines = list[tuple[str, ...]]
TITLES = ("with", "program", "rows", "rows/CPU s", "rows/s", "peak MB", "x defaults", "x bare")


def lines_of(suite: Suite) -> Lines:
    """One line for each contender in each case.

    Ratios are of rows per CPU second, or of rows per second where the case says "wall".
    """
    return [
        (
            one.case,
            one.contender,
            f"{one.rows:,}",
            _rate(one, lambda run: run.cpu),
            _rate(one, lambda run: run.wall),
            f"{one.peak:,.0f}",
            _against(suite, one, PLAIN),
            _against(suite, one, BARE),
        )
        for one in suite.series
    ]


def _rate(one: Series, seconds: Callable[[t.Any], float]) -> str:
    """Rows a second, with the machine's noise: the slowest and the fastest run."""
    if not one.rows:
        return ""
    rates = [one.rows / seconds(run) for run in one.runs]
    below, above = spread(rates)
    noise = f" ({below:+.0%} {above:+.0%})" if len(rates) > 1 else ""
    return f"{sorted(rates)[len(rates) // 2]:,.0f}{noise}"


def _against(suite: Suite, one: Series, contender: str) -> str:
    """How many times as many rows per CPU second as another contender has."""
    other = suite.of(one.case, contender)
    if other is None or one.contender in {contender, CEILING} or one.contender != OURS:
        return ""
    return f"{other.cpu / one.cpu:.2f}"


def text(titles: Sequence[str], lines: Lines) -> str:
    """Write a table for the terminal; figures stand to the right."""
    rows = [tuple(titles), *lines]
    widths = [max(len(row[at]) for row in rows) for at in range(len(titles))]
    marks = tuple("-" * width for width in widths)
    written = ("  ".join(_cell(*pair) for pair in zip(row, widths, strict=True)) for row in rows)
    head, *body = written
    return "\n".join([head.rstrip(), "  ".join(marks), *(line.rstrip() for line in body)])


def _cell(content: str, width: int) -> str:
    return content.rjust(width) if content[:1].isdigit() else content.ljust(width)


def markdown(titles: Sequence[str], lines: Lines) -> str:
    """Write a table in Markdown."""
    rows = [tuple(titles), ("---",) * len(titles), *lines]
    return "".join(f"| {' | '.join(row)} |\n" for row in rows)
