"""Keeps calls to Pendo under a rate, over all threads."""

from __future__ import annotations

import threading
import time
import typing as t

if t.TYPE_CHECKING:
    from collections.abc import Callable


class Limiter:
    """At most so many calls a second to each endpoint, over all threads."""

    def __init__(
        self,
        per_second: float,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._gap = 1 / per_second
        self._clock, self._sleep = clock, sleep
        self._next: dict[str, float] = {}
        self._lock = threading.Lock()

    def wait(self, endpoint: str) -> None:
        """Take the endpoint's next free moment and sleep until it comes."""
        with self._lock:
            now = self._clock()
            turn = max(self._next.get(endpoint, now), now)
            self._next[endpoint] = turn + self._gap
        if turn > now:
            self._sleep(turn - now)

    def pause(self, endpoint: str, seconds: float) -> None:
        """Let nobody call the endpoint for a while."""
        with self._lock:
            until = self._clock() + seconds
            self._next[endpoint] = max(self._next.get(endpoint, until), until)
