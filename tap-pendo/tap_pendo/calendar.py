"""Time, cut up: buckets, windows of whole buckets, and which windows a run has to read."""

from __future__ import annotations

import dataclasses
import functools
import re
import typing as t
from datetime import datetime, time, timedelta, timezone

if t.TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from zoneinfo import ZoneInfo

UTC = timezone.utc
HOUR = timedelta(hours=1)
DAY = timedelta(days=1)
# The longest day has 25 hours (the clock is put back); only then is a day surely over.
DAY_CLOSES_AFTER = 25 * HOUR
# Lengths of windows; those under a day divide it
LENGTHS = (
    HOUR,
    3 * HOUR,
    6 * HOUR,
    12 * HOUR,
    DAY,
    2 * DAY,
    4 * DAY,
    8 * DAY,
    16 * DAY,
    30 * DAY,
)
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

Period = t.Literal["hour", "day"]
Order = t.Literal["newest_first", "oldest_first"]


def utc_now() -> datetime:
    """Read the clock."""
    return datetime.now(UTC)


def to_ms(moment: datetime) -> int:
    """Epoch milliseconds, Pendo's unit of time."""
    return (moment - EPOCH) // timedelta(milliseconds=1)


def from_ms(ms: int) -> datetime:
    """Aware UTC moment of epoch milliseconds."""
    return EPOCH + timedelta(milliseconds=ms)


def to_text(moment: datetime) -> str:
    """ISO 8601 in UTC with milliseconds: 2026-01-31T13:00:00.000Z."""
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


# The parts of a moment's text, since to put them together is the fastest way to write it
_MINUTES = [f"T{n // 60:02}:{n % 60:02}:" for n in range(1440)]
_SECONDS = [f"{n:02}." for n in range(60)]
_MILLISECONDS = [f"{n:03}Z" for n in range(1000)]


def ms_text(ms: int) -> str:
    """Write epoch milliseconds as `to_text` does."""
    minutes, rest = divmod(ms, 60_000)
    day, minute = divmod(minutes, 1440)
    second, millisecond = divmod(rest, 1000)
    return _date(day) + _MINUTES[minute] + _SECONDS[second] + _MILLISECONDS[millisecond]


@functools.lru_cache(maxsize=10_000)
def _date(day: int) -> str:
    return (EPOCH + day * DAY).date().isoformat()


def from_text(text: str) -> datetime:
    """Read an ISO 8601 date or date-time; one without an offset is UTC.

    Raises:
        ValueError: not ISO 8601.
    """
    # not by fromisoformat: each version of Python reads other texts by it
    found = _WRITTEN.fullmatch(text.strip())
    if not found:
        raise ValueError("not an ISO 8601 date or date-time")
    year, month, day, hour, minute, second = (int(part or 0) for part in found.groups()[:6])
    fraction, offset = found[7] or "", found[8] or "Z"
    micro = int(fraction[:6].ljust(6, "0"))
    moment = datetime(year, month, day, hour, minute, second, micro, tzinfo=_zone(offset))
    return moment.astimezone(UTC)


_WRITTEN = re.compile(
    r"(\d{4})-(\d\d)-(\d\d)"
    r"(?:[Tt ](\d\d)(?::(\d\d)(?::(\d\d)(?:\.(\d+))?)?)?([Zz]|[+-]\d\d(?::?\d\d)?)?)?",
    re.ASCII,
)


def _zone(offset: str) -> timezone:
    if offset in "Zz":
        return UTC
    away = timedelta(hours=int(offset[1:3]), minutes=int(offset[3:].strip(":") or 0))
    return timezone(-away if offset[0] == "-" else away)


def months_before(moment: datetime, months: int) -> datetime:
    """Go back by calendar months; a day that the month lacks becomes the month's last day."""
    year, month = divmod(moment.year * 12 + moment.month - 1 - months, 12)
    for day in range(moment.day, 0, -1):
        try:
            return moment.replace(year=year, month=month + 1, day=day)
        except ValueError:
            continue
    raise ValueError(moment)  # unreachable: every month has a first day


@dataclasses.dataclass(frozen=True)
class Window:
    """The time [start, end), both aware UTC, of whole buckets."""

    start: datetime
    end: datetime

    def __contains__(self, moment: datetime) -> bool:
        return self.start <= moment < self.end


@dataclasses.dataclass(frozen=True)
class Grid:
    """The buckets of a stream: UTC hours, or days of the subscription's time zone."""

    period: Period
    zone: ZoneInfo

    def floor(self, moment: datetime) -> datetime:
        """Start of the bucket that holds the moment."""
        if self.period == "hour":
            return moment.replace(minute=0, second=0, microsecond=0)
        return self._midnight(moment)

    def ceil(self, moment: datetime) -> datetime:
        """Start of the first bucket that does not start before the moment."""
        start = self.floor(moment)
        return start if start == moment else self.after(start)

    def after(self, start: datetime) -> datetime:
        """Start of the next bucket."""
        if self.period == "hour":
            return start + HOUR
        # 36 hours on is within the next day, whether this one has 23, 24 or 25 hours
        return self._midnight(start + 1.5 * DAY)

    def before(self, start: datetime) -> datetime:
        """Start of the bucket that ends at the start of another."""
        return self.floor(start - timedelta(microseconds=1))

    def closed(self, now: datetime) -> datetime:
        """End of the last bucket that has surely ended by `now`, whatever Pendo's own grid.

        In zones such as Asia/Kolkata Pendo's hours may begin at half past:
        there one hour more must pass.
        """
        if self.period == "hour":
            offset = now.astimezone(self.zone).utcoffset() or timedelta()
            return self.floor(now) - (HOUR if offset % HOUR else timedelta())
        return self._midnight(self.floor(now - DAY_CLOSES_AFTER) + 1.5 * DAY)

    def middle(self, window: Window) -> datetime | None:
        """A bound of buckets about half-way through a window; None if it is one bucket."""
        middle = self.floor(window.start + (window.end - window.start) / 2)
        if middle <= window.start:
            middle = self.after(window.start)
        return middle if middle < window.end else None

    def windows(
        self, whole: Window, length: Callable[[], timedelta], *, newest_first: bool = False
    ) -> Iterator[Window]:
        """Cut a stretch of time, a window at a time, each as long as is said when it is asked for.

        Cuts are at midnights (of UTC for hours), or at whole parts of a UTC day.
        """
        start, end = whole.start, whole.end
        while start < end:
            if newest_first:
                cut = max(start, self._below(end, length()))
                yield Window(cut, end)
                end = cut
            else:
                cut = min(end, self._above(start, length()))
                yield Window(start, cut)
                start = cut

    def _above(self, start: datetime, length: timedelta) -> datetime:
        if self.period == "day":
            return self._midnight(start + length + DAY / 2)
        day = _utc_midnight(start)
        return day + length if length >= DAY else start - (start - day) % length + length

    def _below(self, end: datetime, length: timedelta) -> datetime:
        if self.period == "day":
            return self._midnight(end - length + DAY / 2)
        day = _utc_midnight(end)
        if length >= DAY:
            return (day if day == end else day + DAY) - length
        return end - ((end - day) % length or length)

    def _midnight(self, moment: datetime) -> datetime:
        date = moment.astimezone(self.zone).date()
        return datetime.combine(date, time(), self.zone).astimezone(UTC)


def _utc_midnight(moment: datetime) -> datetime:
    return moment.replace(hour=0, minute=0, second=0, microsecond=0)


@dataclasses.dataclass(frozen=True)
class Marks:
    """What has been read without a gap: [covered_from, covered_to)."""

    covered_from: datetime
    covered_to: datetime

    def with_window(self, window: Window) -> Marks:
        """Widen by a window that touches or overlaps the covered time."""
        return Marks(min(self.covered_from, window.start), max(self.covered_to, window.end))


class Length:
    """How long the next window of a stream is: a day, then what the windows before it suggest."""

    def __init__(self, period: Period, longest: timedelta = LENGTHS[-1]) -> None:
        shortest = DAY if period == "day" else HOUR
        self._lengths = [n for n in LENGTHS if shortest <= n <= longest] or [shortest]
        self._at = sum(n < DAY for n in self._lengths[:-1])

    @property
    def now(self) -> timedelta:
        """Length of the window that is cut next."""
        return self._lengths[self._at]

    def learn(self, asked: timedelta, *, small: bool, large: bool) -> None:
        """Grow after a window that held little, shrink after one that held much.

        Windows that were cut before the last change, since they are read ahead, say nothing new.
        """
        if asked == self.now:
            step = -1 if large else 1 if small else 0
            self._at = min(max(self._at + step, 0), len(self._lengths) - 1)


@dataclasses.dataclass(frozen=True)
class Plan:
    """What one run reads: two stretches of time, in this order, and the marks that they add to."""

    grid: Grid
    marks: Marks | None
    forward: Window  # look-back and news, oldest first
    backfill: Window
    newest_first: bool

    @property
    def time(self) -> timedelta:
        """All time that is to be read."""
        return sum((w.end - w.start for w in (self.forward, self.backfill)), timedelta())

    def windows(self, length: Callable[[], timedelta]) -> Iterator[Window]:
        """Cut the windows one after the other; each touches what is covered when it is its turn."""
        yield from self.grid.windows(self.forward, length)
        yield from self.grid.windows(self.backfill, length, newest_first=self.newest_first)


def plan(  # noqa: PLR0913 - each is one of the settings that decide
    grid: Grid,
    marks: Marks | None,
    *,
    start: datetime,
    end: datetime,
    lookback: timedelta,
    order: Order,
) -> Plan:
    """Decide what a run reads of [start, end): look-back and news first, then the back-fill.

    With marks, the hole below them is filled downwards in either order, because what is covered
    must stay one piece. Marks that [start, end) does not touch are given up: all is read again.
    """
    if marks and (start > marks.covered_to or end < marks.covered_from):
        marks = None
    if marks is None:
        nothing, everything = _stretch(start, start), _stretch(start, end)
        return Plan(grid, None, nothing, everything, order == "newest_first")
    again = grid.floor(marks.covered_to - lookback) if lookback else marks.covered_to
    forward = _stretch(max(again, start, marks.covered_from), end)
    return Plan(grid, marks, forward, _stretch(start, marks.covered_from), newest_first=True)


def _stretch(start: datetime, end: datetime) -> Window:
    return Window(start, max(start, end))
