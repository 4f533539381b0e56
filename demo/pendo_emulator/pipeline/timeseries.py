"""Knows which stretch of time a `timeSeries` means."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

from pendo_emulator.access import Refused, bad_pipeline
from pendo_emulator.pipeline.expressions import ExpressionError, Scope, compile_expression
from pendo_emulator.product.calendar import Calendar

_UNITS = {
    "hourRange": "hour",
    "dayRange": "day",
    "weekRange": "week",
    "monthRange": "month",
    "quarterRange": "quarter",
}
_ITERATIVE = {"hourly": "hour", "daily": "day", "weekly": "week", "monthly": "month"}
_LONGEST = 1_000_000


@dataclass(frozen=True)
class Window:
    """The buckets of `unit` (hour, day, week, month, quarter) that start in [first, last).

    `iterative` says that the pipeline is to be run once for each of them.
    """

    unit: str
    start_time: int
    first: int
    last: int
    calendar: Calendar
    iterative: bool = False

    def since(self, moment: int) -> "Window":
        """Return the window without the buckets that end before `moment`."""
        return replace(self, first=max(self.first, self.calendar.floor(self.unit, moment)))

    def buckets(self) -> Iterator[tuple[int, int]]:
        """Yield (start, end), epoch milliseconds, oldest first."""
        return self.calendar.buckets(self.unit, self.first, self.last)


def read_window(
    series: Any, calendar: Calendar, now: int, scope: Scope, *, iterative: bool = False
) -> Window:
    """Return the window of a timeSeries object; what lies after `now` is cut off.

    Raises:
        Refused: 400 for an unknown period, an iterative one that is not allowed, a bad first, or
            other than one of last and count.
    """
    if not isinstance(series, dict):
        raise bad_pipeline("bad source: timeSeries required")
    unknown = series.keys() - {"period", "first", "last", "count"}
    if unknown:
        raise _bad(f"unexpected {', '.join(sorted(unknown))}")
    period = str(series.get("period"))
    if period in _ITERATIVE and not iterative:
        raise _bad(f"iterative period {period} is not allowed here")
    unit = _UNITS.get(period) or _ITERATIVE.get(period)
    if unit is None:
        raise _bad(f"unknown period {period}")
    moment = _moment(series, "first", scope)
    try:
        start = calendar.floor(unit, moment)
        first, last = _bounds(series, start, calendar, unit, scope)
    except (OverflowError, ValueError) as error:
        raise _bad("out of range") from error
    return Window(unit, start, first, min(last, now + 1), calendar, period in _ITERATIVE)


def all_time(calendar: Calendar, since: int, now: int) -> Window:
    """Return the days from that of `since` to that of `now`, for a source without timeSeries."""
    first = calendar.floor("day", since)
    return Window("day", first, first, now + 1, calendar)


def _bounds(
    series: dict[str, Any], start: int, calendar: Calendar, unit: str, scope: Scope
) -> tuple[int, int]:
    if ("last" in series) == ("count" in series):
        raise _bad("exactly one of last and count is required")
    if "last" in series:
        last = calendar.floor(unit, _moment(series, "last", scope))
        return start, calendar.next(unit, last)
    count = series["count"]
    if isinstance(count, bool) or not isinstance(count, int) or not 0 < abs(count) < _LONGEST:
        raise _bad("count must be a whole number other than 0")
    end = calendar.shift(unit, start, count)
    return min(start, end), max(start, end)


def _moment(series: dict[str, Any], name: str, scope: Scope) -> int:
    """Return first or last in epoch milliseconds: a number, its text, or an expression."""
    value = series.get(name)
    if isinstance(value, str):
        try:
            value = compile_expression(value, scope)({})
        except ExpressionError as error:
            raise _bad(f"{name}: {error}") from error
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise _bad(f"{name} must be a time")
    return int(value)


def _bad(reason: str) -> Refused:
    return bad_pipeline(f"bad source: bad timeSeries: {reason}")
