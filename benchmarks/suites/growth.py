"""Time per row and peak memory of both plugins, from a hundredth of the rows to ten times."""

from __future__ import annotations

import functools
import typing as t

from benchmarks.figures import OURS, Series, alternating
from benchmarks.running import measured
from benchmarks.suites.pendo import pendo
from benchmarks.suites.planhat import planhat

if t.TYPE_CHECKING:
    from collections.abc import Iterator

    from benchmarks.suites import Options

TAP, TARGET = "tap-pendo", "target-planhat"
# sizes are run twice at most: the larger ones take minutes
_ROUNDS = 2


def measure(options: Options) -> Iterator[list[Series]]:
    """Measure starts, without any rows, and each size."""
    sizes = [0, *(max(1, options.size // part) for part in (100, 10, 1))]
    for rows in [*sizes, *([options.size * 10] if options.full else [])]:
        rounds = 1 if rows > options.size else min(_ROUNDS, options.rounds)
        with pendo(rows) as served:
            ours = functools.partial(measured, served.ours("feature_events"))
            found = alternating({(TAP, OURS): ours}, rows, rounds)
        with planhat(rows) as served_planhat:
            ours = functools.partial(served_planhat.run, OURS)
            yield [*found, *alternating({(TARGET, OURS): ours}, rows, rounds)]
