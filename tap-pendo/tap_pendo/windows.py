"""Time, cut up: buckets, windows of whole buckets, and which windows a run has to read."""

from __future__ import annotations

import dataclasses
import typing as t
from datetime import datetime, time, timedelta, timezone

if t.TYPE_CHECKING:
    from collections.abc import Iterator
    from zoneinfo import ZoneInfo

UTC = timezone.utc
HOUR = timedelta(hours=1)
DAY = timedelta(days=1)
# The longest day has 25 hours (the clock is put back); only then is a day surely over.
DAY_CLOSES_AFTER = 25 * HOUR
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

Period = t.Literal["hour", "day"]
Order = t.Literal["newest_first", "oldest_first"]


def to_ms(moment: datetime) -> int:
    """Epoch milliseconds, Pendo's unit of time."""
    return (moment - EPOCH) // timedelta(milliseconds=1)


def from_ms(ms: int) -> datetime:
    """Aware UTC moment of epoch milliseconds."""
    return EPOCH + timedelta(milliseconds=ms)


def to_text(moment: datetime) -> str:
    """ISO 8601 in UTC with milliseconds: 2026-01-31T13:00:00.000Z."""
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def from_text(text: str) -> datetime:
    """Read an ISO 8601 date or date-time; one without an offset is UTC.

    Raises:
        ValueError: not ISO 8601.
    """
    # Python 3.10's fromisoformat does not know "Z"
    moment = datetime.fromisoformat(text.strip().replace("Z", "+00:00").replace("z", "+00:00"))
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)


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

    def closed(self, now: datetime) -> datetime:
        """End of the last bucket that has surely ended by `now`, whatever Pendo's own grid.

        In zones such as Asia/Kolkata Pendo's hours may begin at half past (pendo-api.md §11.13):
        there one hour more must pass.
        """
        if self.period == "hour":
            offset = now.astimezone(self.zone).utcoffset() or timedelta()
            return self.floor(now) - (HOUR if offset % HOUR else timedelta())
        return self._midnight(self.floor(now - DAY_CLOSES_AFTER) + 1.5 * DAY)

    def windows(self, start: datetime, end: datetime) -> Iterator[Window]:
        """Cut [start, end) at the ends of days (UTC days for hours), oldest first."""
        while start < end:
            cut = self.after(start) if self.period == "day" else _utc_midnight(start) + DAY
            yield Window(start, min(cut, end))
            start = cut

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


@dataclasses.dataclass(frozen=True)
class Plan:
    """The windows of one run in the order of reading, and the marks that they add to."""

    marks: Marks | None
    forward: tuple[Window, ...]  # look-back and news, oldest first
    backfill: tuple[Window, ...]


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
    must stay one piece. Marks that [start, end) does not touch are given up: all is read anew.
    """
    if marks and (start > marks.covered_to or end < marks.covered_from):
        marks = None
    if marks is None:
        everything = tuple(grid.windows(start, end))
        newest_first = order == "newest_first"
        return Plan(None, (), everything[::-1] if newest_first else everything)
    again = grid.floor(marks.covered_to - lookback) if lookback else marks.covered_to
    forward = grid.windows(max(again, start, marks.covered_from), end)
    hole = grid.windows(start, marks.covered_from)
    return Plan(marks, tuple(forward), tuple(hole)[::-1])
