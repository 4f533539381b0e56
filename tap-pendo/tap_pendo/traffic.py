"""What the requests of a stream, or of one window, amount to."""

from __future__ import annotations

import threading


class Traffic:
    """Counts of requests and bytes; safe to use from several threads.

    calls      requests that were sent
    retries    requests that were sent again, because an answer failed or broke off
    throttled  answers 429 among them
    size       decoded bytes of the answers
    nul        whether an answer held U+0000 (see `shapes.without_nul`)

    What is added is added to `whole` too, if it is given: a window's traffic is its stream's.
    """

    def __init__(self, whole: Traffic | None = None) -> None:
        self._whole = whole
        self._lock = threading.Lock()
        self.calls = self.retries = self.throttled = self.size = 0
        self.nul = False

    def add(
        self,
        *,
        calls: int = 0,
        retries: int = 0,
        throttled: int = 0,
        size: int = 0,
        nul: bool = False,
    ) -> None:
        """Count."""
        with self._lock:
            self.calls += calls
            self.retries += retries
            self.throttled += throttled
            self.size += size
            self.nul = self.nul or nul
        if self._whole:
            self._whole.add(calls=calls, retries=retries, throttled=throttled, size=size, nul=nul)
