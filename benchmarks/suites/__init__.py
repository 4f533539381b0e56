"""What is measured: one module for each value of `--only`."""

from __future__ import annotations

import dataclasses


@dataclasses.dataclass(frozen=True)
class Options:
    """How much is measured: rows of feature events, and rounds of alternating runs."""

    size: int
    rounds: int
    full: bool = False
    """Whether ten times the size is measured too, which takes long."""
