"""Peak memory of taps when all rows come in one answer, and when ten times as many do."""

from __future__ import annotations

import functools
import typing as t

from benchmarks.figures import BARE, OURS, PLAIN, Series, alternating
from benchmarks.running import measured
from benchmarks.suites.pendo import pendo

if t.TYPE_CHECKING:
    from collections.abc import Iterator

    from benchmarks.suites import Options

SMALL, LARGE = "a tenth of the rows in one answer", "all rows in one answer"
_STREAM = "feature_events"


def measure(options: Options) -> Iterator[list[Series]]:
    """Measure ours in each round; the peers, whose memory does not waver, once."""
    for case, rows in ((SMALL, max(1, options.size // 10)), (LARGE, options.size)):
        with pendo(rows, days=1) as served:
            ours = served.ours(_STREAM, page_size=rows + 1)
            runs = {(case, OURS): functools.partial(measured, ours)}
            found = alternating(runs, rows, options.rounds)
            for name in (PLAIN, BARE):
                other = functools.partial(measured, served.other(name, _STREAM))
                found += alternating({(case, name): other}, rows, 1)
            yield found
