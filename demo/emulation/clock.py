"""Knows what time it is in the emulated world: real time, or a time that someone sets."""

import time
from datetime import datetime, timezone


def parse_moment(text: str) -> int:
    """Return the epoch milliseconds of an ISO 8601 date or date-time (UTC when it names no zone).

    Raises:
        ValueError: when the text is not such a date.
    """
    moment = datetime.fromisoformat(text.strip().replace("Z", "+00:00"))
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=timezone.utc)
    return round(moment.timestamp() * 1000)


def format_moment(moment: int) -> str:
    """Return epoch milliseconds as ISO 8601 in UTC, with milliseconds."""
    text = datetime.fromtimestamp(moment / 1000, timezone.utc).isoformat(timespec="milliseconds")
    return text.replace("+00:00", "Z")


class Clock:
    """Runs with real time until `set`; a set clock stands still until it is moved again."""

    def __init__(self, now: int | str | None = None) -> None:
        self._offset = 0
        self._fixed: int | None = None
        if now is not None:
            self.set(now)

    def now(self) -> int:
        """Return the current moment, epoch milliseconds."""
        if self._fixed is not None:
            return self._fixed
        return time.time_ns() // 1_000_000 + self._offset

    def set(self, now: int | str) -> None:
        """Stop the clock at a moment: epoch milliseconds or ISO 8601."""
        self._fixed = parse_moment(now) if isinstance(now, str) else now

    def run(self) -> None:
        """Go with real time again."""
        self._fixed, self._offset = None, 0

    def advance(self, seconds: float) -> None:
        """Move the clock on; a running one goes on running."""
        step = round(seconds * 1000)
        if self._fixed is None:
            self._offset += step
        else:
            self._fixed += step
