"""Seconds that 30 windows take when each answer of Pendo comes 150 ms later, against none."""

from __future__ import annotations

import contextlib
import functools
import typing as t

from benchmarks.figures import BARE, OURS, Series, alternating
from benchmarks.running import measured
from benchmarks.suites.pendo import pendo

if t.TYPE_CHECKING:
    from collections.abc import Iterator

    from benchmarks.suites import Options

NEAR, FAR = "0 ms", "150 ms"
_SECONDS = {NEAR: 0.0, FAR: 0.15}
_WINDOWS = 30
_STREAM = "feature_events"


def measure(options: Options) -> Iterator[list[Series]]:
    """Measure ours, four windows at once, beside a tap that reads one after the other."""
    rows = max(_WINDOWS, options.size)
    # so that a day neither fills a page nor lets windows grow
    page_size = 2 * rows // _WINDOWS
    runs = {}
    with contextlib.ExitStack() as servers:
        for case, latency in _SECONDS.items():
            served = servers.enter_context(pendo(rows, days=_WINDOWS, latency=latency))
            ours = served.ours(_STREAM, page_size=page_size, concurrency=4)
            runs[case, OURS] = functools.partial(measured, ours)
            runs[case, BARE] = functools.partial(measured, served.other(BARE, _STREAM))
        yield alternating(runs, rows, options.rounds)
