"""What the requests of a stream, or of one window, amount to."""

from __future__ import annotations

import threading


class Traffic:
    """Counts of requests and bytes; safe to use from several threads.

    calls      requests that were sent
    retries    requests that were sent again, because an answer failed or broke off
    throttled  answers 429 among them
    size       decoded bytes of the answers
    nul        how often answers held U+0000 (see `shapes.without_nul`)
    odd        how often answers held what JSON lacks (see `mending`)

    start_time is the last that an answer named as the start of its time series, in epoch ms.

    What is added is added to `whole` too, if it is given: a window's traffic is its stream's.
    """

    def __init__(self, whole: Traffic | None = None) -> None:
        self._whole = whole
        self._lock = threading.Lock()
        self.start_time: int | None = None
        self.calls = self.retries = self.throttled = self.size = self.nul = self.odd = 0

    def add(self, **counts: int) -> None:
        """Count, by the names above."""
        with self._lock:
            for name, count in counts.items():
                setattr(self, name, getattr(self, name) + count)
        if self._whole:
            self._whole.add(**counts)

    def note(self, name: str, value: int) -> None:
        """Take what was found in an answer (see `decoding.blocks`)."""
        if name == "start_time":
            self.start_time = value
        else:
            self.add(**{name: value})
