"""Time: moments read, and the days of a time zone. All results are epoch milliseconds."""

from __future__ import annotations

import typing as t
from datetime import date, datetime, time, timedelta, timezone
from decimal import Decimal
from functools import lru_cache

import msgspec

if t.TYPE_CHECKING:
    from zoneinfo import ZoneInfo

UTC = timezone.utc
HOUR = 3_600_000
DAY = 24 * HOUR
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MS = timedelta(milliseconds=1)
# Pendo was founded in 2013; what lies outside is a wrong unit, or no date
_FIRST = datetime(2000, 1, 1, tzinfo=UTC)
_END = datetime(2100, 1, 1, tzinfo=UTC)


class Day(t.NamedTuple):
    """A day of a time zone: its label at 00:00Z, and when it really starts and ends."""

    label: int
    start: int
    end: int


def to_ms(moment: datetime) -> int:
    """Epoch milliseconds of an aware moment."""
    return (moment - _EPOCH) // _MS


def label(day: date) -> int:
    """Label of a day: its 00:00Z."""
    return to_ms(datetime.combine(day, time(), UTC))


@lru_cache(maxsize=4096)
def iso(ms: int) -> str:
    """ISO 8601 in UTC with milliseconds: 2026-01-31T13:00:00.000Z."""
    moment = _EPOCH + ms * _MS
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def written_date(text: str) -> date:
    """Read a date, or the date that a date-time is written with.

    Raises:
        ValueError: it is none, or not of the years 2000 to 2099.
    """
    try:
        found = msgspec.convert(text.strip(), datetime).date()
    except msgspec.ValidationError:
        found = date.fromisoformat(text.strip())
    if not _FIRST.date() <= found < _END.date():
        raise ValueError("out of range")
    return found


class Calendar:
    """Days of a time zone, and moments read in it."""

    def __init__(self, zone: ZoneInfo) -> None:
        self._zone = zone
        self._day: Day | None = None

    def day(self, ms: int) -> Day:
        """Day that holds a moment."""
        day = self._day
        if day is None or not day.start <= ms < day.end:
            local = (_EPOCH + ms * _MS).astimezone(self._zone).date()
            day = self._day = Day(
                label(local), self._midnight(local), self._midnight(local + timedelta(days=1))
            )
        return day

    def start(self, label: int) -> int:
        """Give the moment at which the day of a label begins."""
        return self._midnight((_EPOCH + label * _MS).date())

    def moment(self, value: t.Any) -> int | None:
        """Read a time: ISO 8601 text (in UTC without an offset), or epoch milliseconds.

        A date alone is its midnight in the time zone. None: it is none, or absurd.
        """
        if isinstance(value, str):
            found = self._written(value.strip())
        elif isinstance(value, (int, float, Decimal)) and not isinstance(value, bool):
            try:
                found = _EPOCH + int(value) * _MS
            except (ValueError, OverflowError):
                return None
        else:
            return None
        return to_ms(found) if found is not None and _FIRST <= found < _END else None

    def _written(self, text: str) -> datetime | None:
        try:
            found = msgspec.convert(text, datetime)
        except msgspec.ValidationError:
            try:
                return datetime.combine(date.fromisoformat(text), time(), self._zone)
            except ValueError:
                return None
        return found if found.tzinfo else found.replace(tzinfo=UTC)

    def _midnight(self, day: date) -> int:
        return to_ms(datetime.combine(day, time(), self._zone))
