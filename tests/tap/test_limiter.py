"""The rate limit: per endpoint, over threads, with pauses that all keep."""

from __future__ import annotations

from tap_pendo.api.concurrency import Limiter


class Time:
    """A clock that only sleeping moves."""

    def __init__(self) -> None:
        self.now = 100.0

    def clock(self) -> float:
        """Give the time."""
        return self.now

    def sleep(self, seconds: float) -> None:
        """Let time pass."""
        self.now += seconds


def test_calls_are_spread() -> None:
    time = Time()
    limiter = Limiter(10, time.clock, time.sleep)
    moments = []
    for _ in range(5):
        limiter.wait("/a")
        moments.append(round(time.now - 100, 6))
    assert moments == [0, 0.1, 0.2, 0.3, 0.4]
    limiter.wait("/b")
    assert round(time.now - 100, 6) == 0.4


def test_a_pause_holds_for_everybody_on_the_endpoint() -> None:
    time = Time()
    limiter = Limiter(10, time.clock, time.sleep)
    limiter.wait("/a")
    limiter.pause("/a", 30)
    limiter.wait("/b")
    assert time.now == 100
    limiter.wait("/a")
    assert time.now == 130
    limiter.pause("/a", 0)
    limiter.wait("/a")
    assert round(time.now, 6) == 130.1
