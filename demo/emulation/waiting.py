"""Knows when a command that serves must stop."""

import signal
import threading


def until_told_to_stop() -> threading.Event:
    """Return an event that SIGTERM and SIGINT set; ask before the server starts."""
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    return stop
