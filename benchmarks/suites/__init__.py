"""What is measured: one module for each value of `--only`."""

from __future__ import annotations

import dataclasses


@dataclasses.dataclass(frozen=True)
class Options:
    """How much is measured: rows, and rounds of alternating runs."""

    size: int
    rounds: int
