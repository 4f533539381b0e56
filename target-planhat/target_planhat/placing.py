"""When a record counts: its source bucket, and the hour or day of Planhat that holds it."""

from __future__ import annotations

import typing as t

from target_planhat.contributions import Rejection
from target_planhat.moments import DAY, HOUR, Calendar
from target_planhat.streams import EVENT_STREAMS, READ_AT, WINDOW_START
from target_planhat.values import ValueProblem

if t.TYPE_CHECKING:
    from zoneinfo import ZoneInfo

    from target_planhat.rules import Rule
    from target_planhat.streams import EventStream

# times of single events are all different: remembering them must have an end
_REMEMBERED = 50_000


class Place(t.NamedTuple):
    """The time parts of a cell; epoch milliseconds."""

    date: int
    ends: int
    bucket: int
    period: str


class Placing:
    """Finds the place of records by one rule.

    Args:
        rule: the rule.
        zone: time zone of the days.
        since: label of the first day that is wanted; None: all are.
        started: when the run began, for records without `read_at`.
    """

    def __init__(self, rule: Rule, zone: ZoneInfo, since: int | None, started: int) -> None:
        self._rule, self._since, self._started = rule, since, started
        self._calendar = Calendar(zone)
        self._stream = EVENT_STREAMS.get(rule.stream)
        names = _clocks(rule, self._stream)
        self._clocks: list[tuple[str, dict[str, Place | Rejection]]] = [(n, {}) for n in names]
        # by a date of its own a row counts for another time than the one that it is read with
        self._has_window = rule.date not in {None, WINDOW_START, READ_AT}
        self._missing = Rejection("rejected", f"no time: {_or(names)} is missing")
        self._read: tuple[str | None, int] = (None, started)

    @property
    def fields(self) -> tuple[str, ...]:
        """The fields that decide about a record's place and read."""
        window = (WINDOW_START,) if self._has_window else ()
        return (*(name for name, _ in self._clocks), READ_AT, *window)

    def place(self, record: dict[str, t.Any]) -> Place | Rejection:
        """Find where a record belongs; never "now" (only a snapshot is of its read)."""
        found = self._dated(record)
        if self._has_window and isinstance(found, Place):
            start = self._calendar.moment(record.get(WINDOW_START))
            return found if start is None else found._replace(bucket=start)
        return found

    def _dated(self, record: dict[str, t.Any]) -> Place | Rejection:
        for name, known in self._clocks:
            value = record.get(name)
            if value is None or value == "":
                continue
            if type(value) is not str:
                return self._placed(name, value)
            found = known.get(value)
            if found is None:
                if len(known) >= _REMEMBERED:
                    known.clear()
                found = known[value] = self._placed(name, value)
            return found
        if self._rule.date == READ_AT:
            return self._settled(self._calendar.day(self._started).start, "day")
        return self._missing

    def read_at(self, record: dict[str, t.Any]) -> int:
        """When the record was read.

        Raises:
            ValueProblem: that is said, but cannot be read.
        """
        value = record.get(READ_AT)
        if value is None or value == "":
            return self._started
        text, moment = self._read
        if value == text:
            return moment
        found = self._calendar.moment(value)
        if found is None:
            raise ValueProblem(_unreadable(READ_AT))
        if found > self._started + DAY:
            # it would outdo every read of the time until then
            raise ValueProblem(f"`{READ_AT}` is over a day ahead of the clock here")
        if isinstance(value, str):
            self._read = (value, found)
        return found

    def _placed(self, name: str, value: t.Any) -> Place | Rejection:
        moment = self._calendar.moment(value)
        if moment is None:
            return Rejection("rejected", _unreadable(name))
        if name == READ_AT:
            return self._settled(self._calendar.day(moment).start, "day")
        if self._stream is not None:
            if not self._stream.grouped:
                return self._settled(moment - moment % HOUR, "hour")
            return self._settled(moment, name, name)
        # whether such a row is of an hour or of a day is not known: its start is enough to add up
        if self._rule.combine in {"sum", "count"}:
            return self._settled(moment, "hour")
        return self._settled(moment, "day", name)

    def _settled(self, bucket: int, period: str, name: str = "") -> Place | Rejection:
        day = self._calendar.day(bucket)
        if period == "day":
            if self._rule.granularity == "hour":
                return Rejection("rejected", "a row of a whole day cannot give hours")
            if bucket != day.start:
                return Rejection("rejected", _not_a_day(name, self._stream))
        if self._since is not None and day.label < self._since:
            return Rejection("ignored", "before `since`")
        if self._rule.granularity == "hour":
            return Place(bucket, bucket + HOUR, bucket, period)
        # where hours and days do not begin together, the day's last hour ends after the day
        hours = -(-(day.end - bucket) // HOUR)
        ends = day.end if period == "day" else bucket + hours * HOUR
        return Place(day.label, ends, bucket, period)


def _clocks(rule: Rule, stream: EventStream | None) -> tuple[str, ...]:
    if stream is not None:
        return stream.times
    return (rule.date,) if rule.date else ()


def _unreadable(name: str) -> str:
    return f"`{name}` is no time of the years 2000 to 2099"


def _not_a_day(name: str, stream: EventStream | None) -> str:
    if stream is not None:
        return (
            f"`{name}` is not midnight in `timezone`: allowed is the zone of the Pendo subscription"
        )
    return (
        f"`{name}` has not the grain of a day, midnight in `timezone`: only sum and count add up "
        "parts of a day"
    )


def _or(names: tuple[str, ...]) -> str:
    return " or ".join(f"`{name}`" for name in names)
