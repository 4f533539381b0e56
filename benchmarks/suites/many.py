"""Seconds that 50 features with 100 rows each take, start included: a call each would be 50."""

from __future__ import annotations

import functools
import typing as t

from benchmarks.figures import OURS, Series, alternating
from benchmarks.running import measured
from benchmarks.suites.pendo import pendo

if t.TYPE_CHECKING:
    from collections.abc import Iterator

    from benchmarks.suites import Options

FEATURES, ROWS = 50, 5_000
CASE = f"{FEATURES} features x {ROWS // FEATURES} rows"
# seconds of singer-io/tap-pendo 1.3.1 for the same, measured once on 2026-11-22 on another machine
QUOTED = 103


def measure(options: Options) -> Iterator[list[Series]]:
    """Measure ours, with the list of features, which a tap that asks for each needs too."""
    with pendo(ROWS, features=FEATURES) as served:
        ours = served.ours("features", "feature_events")
        yield alternating({(CASE, OURS): functools.partial(measured, ours)}, ROWS, options.rounds)
