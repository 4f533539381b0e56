"""Knows hours, days, weeks, months and quarters of the subscription's time zone."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from zoneinfo import ZoneInfo

HOUR = 3_600_000
DAY = 24 * HOUR

_EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)
_FIXED_UNITS = {"seconds": 1000, "minutes": 60_000, "hours": HOUR}
_LENGTHS = {"month": 1, "quarter": 3}
_MONTHS = {"months": 1, "quarters": 3, "years": 12}


@dataclass(frozen=True)
class Calendar:
    """The buckets of one time zone; `hour_alignment` is "utc" or "local"."""

    zone: ZoneInfo
    hour_alignment: str = "utc"

    def local(self, moment: int) -> datetime:
        """Return the wall-clock time of epoch milliseconds."""
        return (_EPOCH + timedelta(milliseconds=moment)).astimezone(self.zone)

    def midnight(self, year: int, month: int, day: int) -> int:
        """Return the epoch milliseconds at which a local day starts; day 0 or 32 roll over."""
        date = datetime(year, month, 1, tzinfo=self.zone) + timedelta(days=day - 1)
        return round(date.timestamp() * 1000)

    def floor(self, unit: str, moment: int) -> int:
        """Return the start of the bucket of a unit, hour to quarter, that contains `moment`.

        Weeks begin on Sunday.
        """
        if unit == "hour":
            return self._floor_hour(moment)
        local = self.local(moment)
        if unit in _LENGTHS:
            return self.midnight(local.year, local.month - (local.month - 1) % _LENGTHS[unit], 1)
        sunday = (local.weekday() + 1) % 7 if unit == "week" else 0
        return self.midnight(local.year, local.month, local.day - sunday)

    def _floor_hour(self, moment: int) -> int:
        if self.hour_alignment == "utc":
            return moment - moment % HOUR
        offset = self.local(moment).utcoffset() or timedelta()
        return moment - (moment + offset // timedelta(milliseconds=1)) % HOUR

    def next(self, unit: str, start: int) -> int:
        """Return the start of the bucket after the one that starts at `start`."""
        if unit == "hour":
            return self._floor_hour(start + HOUR)
        local = self.local(start)
        if unit in _LENGTHS:
            year, month = divmod(local.year * 12 + local.month - 1 + _LENGTHS[unit], 12)
            return self.midnight(year, month + 1, 1)
        return self.midnight(local.year, local.month, local.day + (7 if unit == "week" else 1))

    def shift(self, unit: str, start: int, count: int) -> int:
        """Return the start of the bucket `count` buckets after (before, if negative) `start`."""
        for _ in range(count):
            start = self.next(unit, start)
        for _ in range(-count):
            start = self.floor(unit, start - 1)
        return start

    def buckets(self, unit: str, first: int, last: int) -> Iterator[tuple[int, int]]:
        """Yield (start, end) of each bucket that starts in [first, last); `first` is a start."""
        while first < last:
            end = self.next(unit, first)
            yield first, end
            first = end

    def add(self, moment: int, amount: int, unit: str) -> int:
        """Return `moment` moved by an amount of seconds … years; days and longer keep wall time.

        Raises:
            KeyError: for an unknown unit.
        """
        if unit in _FIXED_UNITS:
            return moment + amount * _FIXED_UNITS[unit]
        local = self.local(moment)
        if unit in _MONTHS:
            months = local.year * 12 + local.month - 1 + amount * _MONTHS[unit]
            year, month = divmod(months, 12)
            month += 1
            last_day = self.local(self.midnight(year + month // 12, month % 12 + 1, 0)).day
            moved = local.replace(year=year, month=month, day=min(local.day, last_day))
        else:
            moved = local + timedelta(days=amount * {"days": 1, "weeks": 7}[unit])
        return round(moved.timestamp() * 1000)
