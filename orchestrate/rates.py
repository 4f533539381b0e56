"""How the calls a second that a subscription allows are shared by its workers."""

from __future__ import annotations

_SMALL = 2  # calls a second and worker


def share(limit: float, workers: int) -> float:
    """Calls a second that each of so many workers may make, so that all never make more.

    A worker that calls every 1/r seconds makes up to floor(r) + 1 calls in a second that begins
    with one of them: r is so much below its part that this one more is part of the limit.

    Args:
        limit: most calls a second of all workers, to one endpoint; not less than `workers`.
        workers: how many there are.
    """
    part = limit / workers
    return part / 2 if part < _SMALL else part - 1
