"""Keeps calls under Planhat's quota, and reads from its headers how long to wait."""

from __future__ import annotations

import email.utils
import threading
import time
import typing as t
from collections import deque
from datetime import datetime, timezone

if t.TYPE_CHECKING:
    from collections.abc import Callable, Mapping

MINUTE = 60.0
LONGEST_ASKED = 900.0
# A reset beyond this is no duration but a moment, in seconds since 1970
_MOMENT = 1_000_000_000


class Limiter:
    """At most `most` calls in any minute, over all threads; None: as many as one likes."""

    def __init__(
        self,
        most: int | None,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._most = most
        self._clock, self._sleep = clock, sleep
        self._turns: deque[float] = deque(maxlen=most or 0)
        self._open = 0.0
        self._lock = threading.Lock()

    def wait(self) -> None:
        """Take the next free moment and sleep until it comes."""
        with self._lock:
            now = self._clock()
            turn = max(now, self._open)
            if len(self._turns) == self._most:
                turn = max(turn, self._turns[0] + MINUTE)
            self._turns.append(turn)
        if turn > now:
            self._sleep(turn - now)

    def pause(self, seconds: float) -> float:
        """Let nobody call for a while; give the seconds until all pauses are over."""
        with self._lock:
            now = self._clock()
            self._open = max(self._open, now + seconds)
            return self._open - now


def asked_wait(headers: Mapping[str, str], status: int) -> float:
    """Seconds that Planhat asks to wait before the next call, at most `LONGEST_ASKED`.

    `Retry-After` says so, as a number or an HTTP date; else the reset of an exhausted quota, in
    either spelling of its headers (planhat-api §5). 0 if neither does.

    Args:
        headers: of the answer; names in any case.
        status: of the answer; a 429 means that the quota is exhausted.
    """
    seconds = _seconds(headers.get("Retry-After", ""))
    if seconds is None and (status == 429 or _limit(headers, "remaining") == "0"):  # noqa: PLR2004
        seconds = _seconds(_limit(headers, "reset"))
        if seconds is not None and seconds > _MOMENT:
            seconds -= time.time()
    return min(max(0.0, seconds or 0.0), LONGEST_ASKED)


def _limit(headers: Mapping[str, str], name: str) -> str:
    return headers.get(f"X-RateLimit-{name}") or headers.get(f"X-Rate-Limit-{name}") or ""


def _seconds(text: str) -> float | None:
    """Read a number of seconds, or an HTTP date; None where it is neither."""
    try:
        seconds = float(text)
    except ValueError:
        try:
            moment = email.utils.parsedate_to_datetime(text)
        except ValueError:
            return None
        # a date of the zone "-0000" comes without one
        moment = moment.replace(tzinfo=moment.tzinfo or timezone.utc)
        return (moment - datetime.now(timezone.utc)).total_seconds()
    return seconds if seconds == seconds else None  # noqa: PLR0124 - NaN
