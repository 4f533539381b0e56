"""Maps a record by a rule: to a value for one cell, or to a rejection with its reason.

A cell says who and what the record is about, and its place in time: the hour or day of Pendo that
it counts for (its bucket), and the date that Planhat gets.
"""

from __future__ import annotations

import hashlib
import typing as t
from functools import reduce
from operator import methodcaller

import msgspec

from target_planhat.config.pendo_streams import (
    ACCOUNT,
    APP,
    EVENT_STREAMS,
    READ_AT,
    VISITOR,
    WINDOW_START,
)
from target_planhat.rule_model import Cell, Rejection
from target_planhat.value_parsing import (
    DAY,
    HOUR,
    Calendar,
    ValueProblem,
    is_findable,
    kept,
    number,
    text,
)

if t.TYPE_CHECKING:
    from collections.abc import Callable
    from zoneinfo import ZoneInfo

    from target_planhat.rule_model import Rule

    Record = dict[str, t.Any]
    Getter = Callable[[Record], t.Any]
    from target_planhat.config.pendo_streams import EventStream

# times of single events are all different, and a rule may name urls: memory must have an end
_REMEMBERED = 50_000


class Place(t.NamedTuple):
    """The time parts of a cell; epoch milliseconds."""

    date: int
    ends: int
    bucket: int
    period: str


class Placing:
    """Finds the place of records for one rule.

    Args:
        rule: the rule.
        zone: time zone of the days.
        since: label of the first day that counts; None: all days.
        started: when the run began, for records without `read_at`.
    """

    def __init__(self, rule: Rule, zone: ZoneInfo, since: int | None, started: int) -> None:
        self._rule, self._since, self._started = rule, since, started
        self._calendar = Calendar(zone)
        self._stream = EVENT_STREAMS.get(rule.stream)
        names = _clocks(rule, self._stream)
        self._clocks: list[tuple[str, dict[str, Place | Rejection]]] = [(n, {}) for n in names]
        # a row with a date of its own counts for another time than the window that it is read in
        self._is_grouped = self._stream is not None and self._stream.grouped
        self._adds = rule.adds_rows
        self._has_window = rule.date not in {None, WINDOW_START, READ_AT}
        self._missing = Rejection("rejected", f"no time: {_or(names)} is missing")
        self._read: tuple[str | None, int] = (None, started)

    @property
    def fields(self) -> tuple[str, ...]:
        """The fields that decide about a record's place and read."""
        window = (WINDOW_START,) if self._has_window else ()
        return (*(name for name, _ in self._clocks), READ_AT, *window)

    def place(self, record: dict[str, t.Any]) -> Place | Rejection:
        """Return the place of a record, by its own time; that of its read only for a snapshot."""
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
        """Return when the record was read.

        Raises:
            ValueProblem: the field is there, but is not a time.
        """
        value = record.get(READ_AT)
        text, moment = self._read
        if value == text and value:
            return moment
        if value is None or value == "":
            return self._started
        found = self._calendar.moment(value)
        if found is None:
            raise ValueProblem(_unreadable(READ_AT))
        if found > self._started + DAY:
            # it would replace every read of the hour or day until then
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
            if not self._is_grouped:
                return self._settled(moment - moment % HOUR, "hour")
            return self._settled(moment, name, name)
        # nobody knows whether such a row is for an hour or a day: its start is enough to add it up
        if self._adds:
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
    return f"`{name}` is not a time of the years 2000 to 2099"


def _not_a_day(name: str, stream: EventStream | None) -> str:
    if stream is not None:
        return (
            f"`{name}` is not midnight in `timezone`, which must be that of the Pendo subscription"
        )
    return (
        f"`{name}` is not the start of a day, midnight in `timezone`: only sum and count add up "
        "parts of a day"
    )


def _or(names: tuple[str, ...]) -> str:
    return " or ".join(f"`{name}`" for name in names)


# how Pendo's ids of anonymous visitors begin
ANONYMOUS = "_PENDO_T_"
# hex digits of the hash that distinguishes visitors
_DIGITS = 16

_NOT_WANTED = Rejection("ignored", "left out by `where`")
_TOO_LONG = Rejection("rejected", "its ids, and what the action names, are too long together")
_NOT_ONE_OF = Rejection("ignored", "left out by `only`")


class _UnwantedError(ValueProblem):
    """The record is valid, but there is nobody to send it to."""


class Mapper:
    """Maps the records of a rule's stream.

    Args:
        rule: the rule.
        zone: time zone of the days.
        since: label of the first day that counts, epoch milliseconds; None: all days.
        started: when the run began, epoch milliseconds: for records without `read_at`.
    """

    def __init__(self, rule: Rule, *, zone: ZoneInfo, since: int | None, started: int) -> None:
        stream = EVENT_STREAMS.get(rule.stream)
        self._rule = rule
        self._placing = Placing(rule, zone, since, started)
        self._where = [(_getter(name), allowed) for name, allowed in rule.where.items()]
        self._only = rule.only
        self._entity = (stream.entity if stream else None) or ""
        self._id = _id_field(rule)
        self._id_of = _text_of(self._id)
        self._account = rule.company or ""
        self._account_of = _text_of(self._account)
        self._named = [_text_of(field, methodcaller("get", field)) for field in rule.named]
        self._app_of, self._visitor_of = _text_of(APP), _text_of(VISITOR)
        self._entities: dict[tuple[str, ...], str] = {}
        self._has_app = stream is not None
        # rows that are read visitor by visitor may come in parts, which must be told apart
        self._by_visitor = stream is not None and stream.resumes and self._id != VISITOR
        self._counted = rule.value or ""
        self._value_of = _getter(self._counted)
        self._adds = rule.adds_rows
        self._info = [
            (key, _getter(name), stream is not None and name in stream.numbers)
            for key, name in rule.info.items()
        ]

    @property
    def fields(self) -> frozenset[str]:
        """The top-level fields of records that are read."""
        app = APP if self._has_app else ""
        visitor = VISITOR if self._by_visitor else ""
        entity = self._entity if self._only else ""
        own = (self._id, self._account, entity, app, visitor, self._counted)
        rule = self._rule
        paths = {*own, *rule.named, *rule.where, *rule.info.values(), *self._placing.fields}
        return frozenset({*paths, *(path.split(".")[0] for path in paths)} - {""})

    def cell(self, record: Record) -> Cell | Rejection:
        """Return the cell that a record counts for, or why it counts for nothing."""
        if self._where or self._only:
            unwanted = self._unwanted(record)
            if unwanted is not None:
                return unwanted
        place = self._placing.place(record)
        if isinstance(place, Rejection):
            return place
        try:
            subject = self._subject(record)
            company = self._company(record)
            entity = self._texts(record) if self._named else "[]"
            app = self._part(record) if self._has_app else ""
            if not is_findable(subject + company + entity + app):
                return _TOO_LONG
            return Cell(
                self._placing.read_at(record),
                place.bucket,
                place.date,
                subject,
                company,
                entity,
                app if self._adds else "",
                place.ends,
                place.period,
            )
        except _UnwantedError as reason:
            return Rejection("ignored", str(reason))
        except ValueProblem as problem:
            return Rejection("rejected", str(problem))

    def value(self, record: Record) -> float | Rejection:
        """Return the figure that a record adds to its cell: 1, or the value of the rule's field."""
        if not self._counted:
            return 1
        try:
            found = number(self._value_of(record))
        except ValueProblem as problem:
            return Rejection("rejected", f"`{self._counted}` {problem}")
        if found < 0 and self._adds:
            return Rejection("rejected", f"`{self._counted}` is negative")
        return found

    def info(self, record: Record) -> dict[str, t.Any]:
        """Return the optional `info` of a record: numbers, which are summed, and other values."""
        found = {}
        for key, get, counts in self._info:
            value = get(record)
            if value is not None:
                found[key] = _added(value) if counts else kept(value)
        return found

    def _subject(self, record: Record) -> str:
        found = self._id_of(record)
        if not found or found.isspace():
            if self._id == ACCOUNT:
                raise _UnwantedError("the visitor had no account")
            raise ValueProblem(f"`{self._id}` is empty")
        if found.startswith(ANONYMOUS):
            raise _UnwantedError("anonymous visitor")
        return found

    def _company(self, record: Record) -> str:
        found = self._account_of(record) if self._account else ""
        return "" if found.isspace() else found

    def _part(self, record: Record) -> str:
        """Return what separates rows of one bucket: the app, or a hash of the visitor."""
        if self._by_visitor:
            visitor = self._visitor_of(record)
            known = visitor.lower() if "@" in visitor else visitor
            # without a key: ledgers have it, and another hash would count as another part
            return hashlib.sha256(known.encode()).hexdigest()[:_DIGITS]
        return self._app_of(record)

    def _unwanted(self, record: Record) -> Rejection | None:
        for get, allowed in self._where:
            if _plain(get(record)) not in allowed:
                return _NOT_WANTED
        if self._only and _plain(record.get(self._entity)) not in self._only:
            return _NOT_ONE_OF
        return None

    def _texts(self, record: Record) -> str:
        """Return the entity: the texts of the fields that the action names."""
        texts = tuple([read(record) for read in self._named])
        entity = self._entities.get(texts)
        if entity is None:
            for field, found in zip(self._rule.named, texts, strict=True):
                if not found or found.isspace():
                    raise ValueProblem(f"`{field}` is empty, and the action names it")
            if len(self._entities) >= _REMEMBERED:
                self._entities.clear()
            entity = self._entities[texts] = msgspec.json.encode(texts).decode()
        return entity


def _id_field(rule: Rule) -> str:
    """Return the field with the object's id in Pendo; metadata are looked up on matching."""
    of = rule.match.of
    return ".".join(rule.match.path) if of == "row" else VISITOR if of == "visitor" else ACCOUNT


def _text_of(path: str, get: Getter | None = None) -> Callable[[Record], str]:
    """Return a reader of a field as text, whose errors name the field."""
    get = get or _getter(path)

    def read(record: Record) -> str:
        try:
            return text(get(record))
        except ValueProblem as problem:
            raise ValueProblem(f"`{path}` {problem}") from None

    return read


def _getter(path: str) -> Getter:
    """Return a reader of a field; dots lead into objects."""
    first, *inner = path.split(".")
    if not inner:
        return methodcaller("get", first)
    return lambda record: reduce(_inside, inner, record.get(first))


def _inside(value: t.Any, name: str) -> t.Any:
    return value.get(name) if isinstance(value, dict) else None


def _plain(value: t.Any) -> str | None:
    try:
        return text(value)
    except ValueProblem:
        return None


def _added(value: t.Any) -> t.Any:
    try:
        return number(value)
    except ValueProblem:
        return kept(value)
