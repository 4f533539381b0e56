"""How values of a row are read: ids as text, figures as numbers, times as epoch milliseconds."""

from __future__ import annotations

import math
import re
import typing as t
from datetime import date, datetime, time, timedelta, timezone
from decimal import Decimal
from functools import lru_cache

import msgspec

if t.TYPE_CHECKING:
    from zoneinfo import ZoneInfo

LONGEST = 1000
# PostgreSQL finds rows by keys of up to 2,704 bytes
_LONGEST_KEY = 2000
_INT64 = 2**63
_HUGE = 10**100
# what PostgreSQL and UTF-8 cannot store
_UNUSABLE = re.compile("[\x00\ud800-\udfff]")
_NUMBER = re.compile(r"\s*[-+]?(\d+(\.\d*)?|\.\d+)([eE][-+]?\d{1,3})?\s*", re.ASCII)

UTC = timezone.utc
HOUR = 3_600_000
DAY = 24 * HOUR
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MS = timedelta(milliseconds=1)
# Pendo was founded in 2013; anything outside is a wrong unit, or not a date
_FIRST = datetime(2000, 1, 1, tzinfo=UTC)
_END = datetime(2100, 1, 1, tzinfo=UTC)


class ValueProblem(ValueError):  # noqa: N818 - counted, not raised to the user
    """What is wrong with a value; the text never shows the value."""


def text(value: t.Any) -> str:
    """Write a scalar as text: 123.0 is "123", null is "".

    Raises:
        ValueProblem: it is not a scalar, too long, or has characters that cannot be stored.
    """
    if type(value) is str and len(value) <= LONGEST and value.isprintable():
        # nearly all
        return value
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (int, float, Decimal)):
        return _number_text(value)
    if not isinstance(value, str):
        raise ValueProblem("is neither text nor number")
    if len(value) > LONGEST:
        raise ValueProblem(f"is longer than {LONGEST} characters")
    if not value.isprintable() and _UNUSABLE.search(value):
        raise ValueProblem("has a NUL character or half a character")
    return value


def _number_text(value: float | Decimal) -> str:
    if type(value) is int and -_INT64 < value < _INT64:
        return str(value)
    if not _finite(value) or not -_HUGE < value < _HUGE:
        raise ValueProblem("is not a number of usable size")
    if value == int(value):
        return str(int(value))
    return repr(value) if isinstance(value, float) else f"{value.normalize():f}"


def _finite(value: float | Decimal) -> bool:
    if isinstance(value, Decimal):
        return value.is_finite()
    return isinstance(value, int) or math.isfinite(value)


def is_findable(text: str) -> bool:
    """Whether a text, or several joined, are short enough for a key of the ledger."""
    # no character has more than 4 bytes
    return 4 * len(text) <= _LONGEST_KEY or len(text.encode()) <= _LONGEST_KEY


def number(value: t.Any) -> float:
    """Read a figure: a number, or the text of one.

    Raises:
        ValueProblem: it is not a number, or too large.
    """
    if type(value) is int and -_INT64 < value < _INT64:
        return value
    if isinstance(value, str) and _NUMBER.fullmatch(value):
        value = Decimal(value.strip())
    if isinstance(value, bool) or not isinstance(value, (int, float, Decimal)):
        raise ValueProblem("is missing" if value in (None, "") else "is not a number")
    if not _finite(value) or not -_INT64 < value < _INT64:
        raise ValueProblem("is not a number of usable size")
    return int(value) if value == int(value) else float(value)


def is_number(value: t.Any) -> bool:
    """Whether a value is a number, which true and false are not."""
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def kept(value: t.Any) -> t.Any:
    """Return a value as `info` keeps it: numbers, which are ids there, as text; no NUL."""
    if isinstance(value, str):
        return value if value.isprintable() else _UNUSABLE.sub("\ufffd", value)
    if isinstance(value, (int, float, Decimal)) and not isinstance(value, bool):
        try:
            return _number_text(value)
        except ValueProblem:
            return None
    return value


# Times


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


def plain_date(text: str) -> date:
    """Read a date, such as 2026-01-31.

    Raises:
        ValueError: it is not a date.
    """
    # not fromisoformat: which texts it reads differs between versions of Python
    return msgspec.convert(text, date)


def written_date(text: str) -> date:
    """Read a date, or the date that a date-time is written with.

    Raises:
        ValueError: it is not a date of the years 2000 to 2099.
    """
    try:
        found = msgspec.convert(text.strip(), datetime).date()
    except msgspec.ValidationError:
        found = plain_date(text.strip())
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
        """Return when the day of a label begins."""
        return self._midnight((_EPOCH + label * _MS).date())

    def moment(self, value: t.Any) -> int | None:
        """Read a time: ISO 8601 text (in UTC without an offset), or epoch milliseconds.

        A date alone is its midnight in the time zone. None if it is not a time of the years 2000
        to 2099.
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
                return datetime.combine(plain_date(text), time(), self._zone)
            except ValueError:
                return None
        return found if found.tzinfo else found.replace(tzinfo=UTC)

    def _midnight(self, day: date) -> int:
        return to_ms(datetime.combine(day, time(), self._zone))
