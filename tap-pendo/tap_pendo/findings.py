"""What the windows of one stream find out about Pendo, for those that are read after them."""

from __future__ import annotations

import logging
import threading

logger = logging.getLogger("tap-pendo.reading")


class Findings:
    """Shared by the threads that read one stream.

    `paged` is whether Pendo sorts the stream's rows as asked, so that they can be read in pages.
    """

    def __init__(self, stream: str) -> None:
        self.stream = stream
        self.paged = True
        self._said: set[str] = set()
        self._lock = threading.Lock()

    def once(self, about: str, message: str, *args: object) -> None:
        """Log a warning, the first time that the stream has one of this kind."""
        with self._lock:
            if about in self._said:
                return
            self._said.add(about)
        logger.warning("%s: %s", self.stream, message % args)
