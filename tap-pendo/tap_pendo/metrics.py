"""What one stream has done so far, and its lines in the log: on the way, and at the end.

The lines are text for people; the same facts are fields of the log record, for machines.
"""

from __future__ import annotations

import logging
import threading
import typing as t

from tap_pendo.calendar import to_text

if t.TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import timedelta

    from tap_pendo.calendar import Window


class Traffic:
    """Counts of requests and bytes; safe to use from several threads.

    calls      requests that were sent
    retries    requests that were sent again, because an answer failed or broke off
    throttled  answers 429 among them
    size       decoded bytes of the answers
    nul        how often answers held U+0000 (see `message_writer.without_nul`)
    odd        how often answers held what JSON lacks (see `json_stream`)

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
        """Take what was found in an answer (see `json_stream.blocks`)."""
        if name == "start_time":
            self.start_time = value
        else:
            self.add(**{name: value})


Status = t.Literal["ok", "skipped", "failed"]
EVERY_SECONDS = 30.0
_MINUTE, _HOUR = 60, 3600
_MEGA = 10**6

logger = logging.getLogger("tap-pendo")


class WindowCounts:
    """What one read of a window gave.

    records        records that were made
    num_events     events that they count
    merged         rows that became one with another
    out_of_window  rows of other windows, which Pendo sends too
    without_time   rows without a time, which no window can hold
    """

    def __init__(self) -> None:
        self.records = self.num_events = self.merged = 0
        self.out_of_window = self.without_time = 0

    def add(self, other: WindowCounts) -> None:
        """Add those of another read."""
        self.records += other.records
        self.num_events += other.num_events
        self.merged += other.merged
        self.out_of_window += other.out_of_window
        self.without_time += other.without_time


class Progress:
    """Counts of one stream in this run.

    rows       records that were given out
    windows    windows that were read whole, of event streams
    counts     what those windows gave together
    freshness  age in seconds of what was read: of the end of the last bucket that is covered, or
               0 for what was read whole just now; None if nothing was
    covered    what is covered, in words
    """

    def __init__(self, stream: str, clock: Callable[[], float]) -> None:
        self.stream = stream
        self.traffic = Traffic()
        self.rows = self.windows = 0
        self.counts = WindowCounts()
        self.freshness: float | None = None
        self.covered = ""
        self._clock = clock
        self.start()

    def start(self) -> None:
        """Begin to take the time."""
        self._began = self._told = self._clock()

    @property
    def seconds(self) -> float:
        """Time since the start."""
        return self._clock() - self._began

    def tell(
        self,
        window: Window | None = None,
        done: timedelta | None = None,
        whole: timedelta | None = None,
    ) -> None:
        """Say how far the stream is, at most every 30 seconds.

        Args:
            window: the window in hand.
            done: time that was read of all that is to be read.
            whole: all that is to be read.
        """
        now = self._clock()
        if now - self._told < EVERY_SECONDS:
            return
        self._told = now
        seconds = self.seconds
        share = done / whole if done and whole else 0.0
        remaining = seconds * (1 - share) / share if share else None
        parts = [f"{self.rows:,} rows so far", f"{self.rows / seconds:,.0f} rows/s"]
        fields: dict[str, t.Any] = {
            "rows": self.rows,
            "rows_per_second": round(self.rows / seconds, 1),
            "seconds": round(seconds, 3),
        }
        if window:
            parts.insert(0, f"reading {to_text(window.start)} to {to_text(window.end)}")
            fields["window_start"], fields["window_end"] = (
                to_text(window.start),
                to_text(window.end),
            )
        if whole:
            parts.append(f"{share:.0%} of the time is read")
            fields["share"] = round(share, 4)
        if remaining is not None:
            parts.append(f"about {_duration(remaining)} left")
            fields["remaining_seconds"] = round(remaining)
        self._log(logging.INFO, "; ".join(parts), fields)

    def end(self, status: Status) -> None:
        """Say in one line what the stream did."""
        traffic = self.traffic
        counts = {
            "rows": self.rows,
            "windows": self.windows,
            "calls": traffic.calls,
            "retries": traffic.retries,
            "throttled": traffic.throttled,
            "merged": self.counts.merged,
            "outside": self.counts.out_of_window,
            "timeless": self.counts.without_time,
        }
        parts = [f"{count:,} {name}" for name, count in counts.items() if count or name == "rows"]
        parts += [f"{traffic.size / _MEGA:,.1f} MB", _duration(self.seconds)]
        said = f"{status}; {', '.join(parts)}" + (f"; {self.covered}" if self.covered else "")
        fields = {
            "status": status,
            **counts,
            "bytes": traffic.size,
            "seconds": round(self.seconds, 3),
            "freshness_seconds": None if self.freshness is None else round(self.freshness),
        }
        self._log(logging.INFO, said, fields)

    def _log(self, level: int, said: str, fields: dict[str, t.Any]) -> None:
        logger.log(level, "%s: %s", self.stream, said, extra={"stream_name": self.stream, **fields})


def _duration(seconds: float) -> str:
    """Write 4.1 s, 3 min, 2 h 10 min."""
    if seconds < _MINUTE:
        return f"{seconds:.1f} s"
    if seconds < _HOUR:
        return f"{seconds / _MINUTE:.0f} min"
    minutes = round(seconds / _MINUTE)
    return f"{minutes // 60} h {minutes % 60} min"
