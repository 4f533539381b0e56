"""Knows what was not stored, and why: what Planhat's own app shows as failed."""

from typing import Any

import msgspec


class Failure(msgspec.Struct, frozen=True, gc=False):
    """One item that was not stored: an activity or a metric, the moment in ms, the reason."""

    kind: str
    item: Any
    reason: str
    received: int
