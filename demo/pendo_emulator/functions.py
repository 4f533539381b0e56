"""Knows the functions that expressions may call."""

import zlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

from pendo_emulator.clock import parse_moment
from pendo_emulator.periods import DAY, HOUR, Calendar
from pendo_emulator.values import fingerprint, rank, same, truth

_ANY_NUMBER = 1_000
_MISSING = (1970, 1, 1, 0, 0, 0)  # what stands for the parts of a date that are not given
_PERIODS = {
    "hourly": "hour",
    "daily": "day",
    "weekly": "week",
    "monthly": "month",
    "hour": "hour",
    "day": "day",
    "week": "week",
    "month": "month",
    "quarterly": "quarter",
    "quarter": "quarter",
}
_LENGTHS = {"seconds": 1000, "minutes": 60_000, "hours": HOUR, "days": DAY, "weeks": 7 * DAY}
_ANONYMOUS = "_PENDO_T_"


class Surroundings(Protocol):
    """What time-dependent functions need: the moment of the request and the calendar."""

    @property
    def now(self) -> int:
        """The moment of the request, epoch milliseconds."""

    @property
    def calendar(self) -> Calendar:
        """The subscription's calendar."""


@dataclass(frozen=True)
class Function:
    """A function of `least` to `most` arguments."""

    body: Callable[..., Any]
    least: int
    most: int


def is_anonymous(visitor_id: Any) -> bool:
    """Return whether a visitor id is one that Pendo made up itself."""
    return isinstance(visitor_id, str) and visitor_id.startswith(_ANONYMOUS)


def _contains(whole: Any, part: Any) -> bool:
    if isinstance(whole, str):
        return isinstance(part, str) and part in whole
    return isinstance(whole, list) and any(same(item, part) for item in whole)


def _starts_with(whole: Any, part: Any) -> bool:
    return isinstance(whole, str) and isinstance(part, str) and whole.startswith(part)


def _split(text: Any, separator: Any) -> list[str] | None:
    usable = isinstance(text, str) and isinstance(separator, str) and separator
    return text.split(separator) if usable else None


def _length(value: Any) -> int | None:
    return len(value) if isinstance(value, str | list | dict) else None


def _is_nil(value: Any) -> bool:
    return value is None or value == ""


def _is_empty(value: Any) -> bool:
    return value is None or value in ("", [], {})


def _to_string(value: Any) -> str | None:
    if value is None or isinstance(value, str):
        return value
    return str(value).lower() if isinstance(value, bool) else str(value)


def _hash(value: Any) -> int:
    """Return a whole number that stands for a value; Pendo's own algorithm is not known."""
    return zlib.crc32(fingerprint(value).encode())


def _event_sub_type(value: Any) -> str | None:
    """Return guideSeen of `ui:web:guideSeen`."""
    return value.rpartition(":")[2] if isinstance(value, str) else None


def _date(calendar: Calendar, *parts: Any) -> int | None:
    """Return the moment of `date(2024,1,15[,h,m,s])`, local, or of `date("2024-01-15")`."""
    if len(parts) == 1 and isinstance(parts[0], str):
        return _parsed_date(calendar, parts[0])
    if not all(isinstance(part, int) for part in parts):
        return None
    given = [*parts, *_MISSING[len(parts) :]]
    year, month, day, hours, minutes, seconds = given
    start = calendar.midnight(year, month, day)
    return int(start + 1000 * (hours * 3600 + minutes * 60 + seconds))


def _parsed_date(calendar: Calendar, text: str) -> int:
    if "T" in text or " " in text:
        return parse_moment(text)
    year, month, day = map(int, text.split("-"))
    return calendar.midnight(year, month, day)


def _date_add(calendar: Calendar, moment: Any, amount: Any, unit: Any) -> int | None:
    if not (isinstance(moment, int) and isinstance(amount, int) and isinstance(unit, str)):
        return None
    return calendar.add(moment, amount, unit.rstrip("s") + "s")


def _date_dist(_calendar: Calendar, first: Any, last: Any, unit: Any) -> int | None:
    """Return how many whole seconds … weeks lie between two moments."""
    if not (isinstance(first, int) and isinstance(last, int) and isinstance(unit, str)):
        return None
    return int((last - first) / _LENGTHS[unit.rstrip("s") + "s"])


def _start_of_period(calendar: Calendar, period: Any, moment: Any) -> int | None:
    unit = _PERIODS.get(period) if isinstance(period, str) else None
    return calendar.floor(unit, moment) if unit and isinstance(moment, int) else None


def _format_time(calendar: Calendar, form: Any, moment: Any) -> str | None:
    """Return `formatTime("%Y-%m-%d", ms)` in local time."""
    usable = isinstance(form, str) and isinstance(moment, int)
    return calendar.local(moment).strftime(form) if usable else None


def _pure(body: Callable[..., Any], least: int, most: int | None = None) -> Any:
    function = Function(body, least, least if most is None else most)
    return lambda _surroundings: function


def _timed(body: Callable[..., Any], least: int, most: int) -> Any:
    """Return the maker of a function of times; it is null where there is no such time."""

    def make(surroundings: Surroundings) -> Function:
        def call(*values: Any) -> Any:
            try:
                return body(surroundings.calendar, *values)
            except (KeyError, OverflowError, ValueError):
                return None

        return Function(call, least, most)

    return make


FUNCTIONS: dict[str, Callable[[Surroundings], Function]] = {
    "if": _pure(lambda condition, yes, no: yes if truth(condition) else no, 3),
    "isNull": _pure(lambda value: value is None, 1),
    "isNil": _pure(_is_nil, 1),
    "isEmpty": _pure(_is_empty, 1),
    "isNumber": _pure(lambda value: rank(value) == rank(0), 1),
    "isString": _pure(lambda value: isinstance(value, str), 1),
    "isBoolean": _pure(lambda value: isinstance(value, bool), 1),
    "isList": _pure(lambda value: isinstance(value, list), 1),
    "identified": _pure(lambda value: isinstance(value, str) and not is_anonymous(value), 1),
    "contains": _pure(_contains, 2),
    "startsWith": _pure(_starts_with, 2),
    "split": _pure(_split, 2),
    "toLowerCase": _pure(lambda text: text.lower() if isinstance(text, str) else None, 1),
    "toString": _pure(_to_string, 1),
    "len": _pure(_length, 1),
    "hash": _pure(_hash, 1),
    "eventSubType": _pure(_event_sub_type, 1),
    "list": _pure(lambda *values: list(values), 0, _ANY_NUMBER),
    "now": lambda surroundings: Function(lambda: surroundings.now, 0, 0),
    "date": _timed(_date, 1, 6),
    "dateAdd": _timed(_date_add, 3, 3),
    "dateDist": _timed(_date_dist, 3, 3),
    "startOfPeriod": _timed(_start_of_period, 2, 2),
    "formatTime": _timed(_format_time, 2, 2),
}
