"""Rows a second of targets that send feature events to Planhat, near and 150 ms away."""

from __future__ import annotations

import typing as t

from benchmarks.figures import OURS, Series, alternating
from benchmarks.suites.planhat import planhat

if t.TYPE_CHECKING:
    from collections.abc import Iterator

    from benchmarks.suites import Options

# rows for a row of `--size`: the SDK's defaults take minutes for a million
SHARE = 0.2
NEAR, FAR = "0 ms", "150 ms"
SINGLE = ", each row an activity"
# seconds before an answer, and rows that are one activity
CASES = {NEAR: (0.0, 3), FAR: (0.15, 3), NEAR + SINGLE: (0.0, 1), FAR + SINGLE: (0.15, 1)}
# ours alone takes as many rows as a tap gives
ALONE = {f"{NEAR}, five times the rows": 0.0, f"{FAR}, five times the rows": 0.15}


def measure(options: Options) -> Iterator[list[Series]]:
    """Measure each case, then ours with more rows; what arrives is counted."""
    rows = max(1, round(options.size * SHARE))
    for case, (latency, together) in CASES.items():
        with planhat(rows, together=together, latency=latency) as served:
            yield alternating(served.runs(case), rows, options.rounds)
    for case, latency in ALONE.items():
        with planhat(options.size, latency=latency) as served:
            ours = {key: run for key, run in served.runs(case).items() if key[1] == OURS}
            yield alternating(ours, options.size, options.rounds)
