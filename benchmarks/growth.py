"""Time per row and peak memory of both plugins, from a hundredth of the rows to ten times."""

from __future__ import annotations

import functools
import typing as t

from benchmarks.figures import OURS, Options, Series, alternating
from benchmarks.running import measured
from benchmarks.taps import EVENTS, pendo
from benchmarks.targets import planhat

if t.TYPE_CHECKING:
    from collections.abc import Iterator

TAP, TARGET = "tap-pendo", "target-planhat"
# sizes are run twice at most: the larger ones take minutes
_ROUNDS = 2


def growth(options: Options) -> Iterator[list[Series]]:
    """Measure starts, without any rows, and each size."""
    sizes = [0, *(max(1, options.size // part) for part in (100, 10, 1))]
    for rows in [*sizes, *([options.size * 10] if options.full else [])]:
        rounds = 1 if rows > options.size else min(_ROUNDS, options.rounds)
        with pendo(rows) as served, planhat() as receiving:
            tap = functools.partial(measured, served.ours(EVENTS))
            target = functools.partial(receiving.run, rows)
            yield alternating({(TAP, OURS): tap, (TARGET, OURS): target}, rows, rounds)
