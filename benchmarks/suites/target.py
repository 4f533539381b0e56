"""Rows a second of targets that send feature events to Planhat, near and 150 ms away."""

from __future__ import annotations

import typing as t

from benchmarks.figures import Series, alternating
from benchmarks.suites.planhat import planhat

if t.TYPE_CHECKING:
    from collections.abc import Iterator

    from benchmarks.suites import Options

# rows for a row of `--size`: the SDK's defaults take minutes for a million
SHARE = 0.2
NEAR, FAR, SINGLE = "0 ms", "150 ms", "0 ms, each row an activity"
# seconds before an answer, and rows that are one activity
CASES = {NEAR: (0.0, 3), FAR: (0.15, 3), SINGLE: (0.0, 1)}


def measure(options: Options) -> Iterator[list[Series]]:
    """Measure each case; what arrives is counted."""
    rows = max(1, round(options.size * SHARE))
    for case, (latency, together) in CASES.items():
        with planhat(rows, together=together, latency=latency) as served:
            yield alternating(served.runs(case), rows, options.rounds)
