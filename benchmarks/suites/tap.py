"""Rows per CPU second of taps: events, visitors with nested metadata, definitions."""

from __future__ import annotations

import typing as t

from benchmarks.figures import Series, alternating
from benchmarks.suites.pendo import Pendo, pendo

if t.TYPE_CHECKING:
    from collections.abc import Iterator

    from benchmarks.suites import Options

# rows of each stream for a row of `--size`: what one answer holds must fit any tap's memory
SHARES = {"feature_events": 1.0, "visitors": 0.2, "features": 0.005}
_FEW = 2_000


def measure(options: Options) -> Iterator[list[Series]]:
    """Measure each stream, once all taps have given the same records for the same rows."""
    for stream, share in SHARES.items():
        with _served(stream, _FEW) as few:
            few.compare(stream, _FEW)
        rows = max(1, round(options.size * share))
        with _served(stream, rows) as many:
            yield alternating(many.runs(stream), rows, options.rounds)


def _served(stream: str, rows: int) -> t.ContextManager[Pendo]:
    if stream == "feature_events":
        return pendo(rows)
    return pendo(visitors=rows) if stream == "visitors" else pendo(features=rows)
