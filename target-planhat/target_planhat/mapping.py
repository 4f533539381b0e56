"""What a record becomes by a rule: figures of one cell, or a rejection with its reason."""

from __future__ import annotations

import typing as t
from functools import reduce

import msgspec

from target_planhat.contributions import Cell, Figures, Rejection
from target_planhat.masking import digest
from target_planhat.placing import Placing
from target_planhat.streams import ACCOUNT, APP, EVENT_STREAMS, VISITOR
from target_planhat.values import ValueProblem, is_findable, kept, number, text

if t.TYPE_CHECKING:
    from collections.abc import Callable
    from zoneinfo import ZoneInfo

    from target_planhat.rules import Rule

    Record = dict[str, t.Any]
    Getter = Callable[[Record], t.Any]

# Pendo's ids of visitors that it does not know (pendo-api.md)
ANONYMOUS = "_PENDO_T_"
# of a hash that tells visitors apart
_DIGITS = 16
# actions name few entities, but a rule may name urls
_REMEMBERED = 50_000

_NOT_WANTED = Rejection("ignored", "left out by `where`")
_TOO_LONG = Rejection("rejected", "its ids, and what the action names, are too long together")
_NOT_ONE_OF = Rejection("ignored", "left out by `only`")


class _UnwantedError(ValueProblem):
    """Nothing is wrong with the record, but there is nobody to send it to."""


class Mapper:
    """Maps the records of a rule's stream.

    Args:
        rule: the rule.
        zone: time zone of the days.
        since: label of the first day that is wanted, epoch milliseconds; None: all are.
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
        self._id_of = _getter(self._id)
        self._account = rule.company or ""
        self._account_of = _getter(self._account)
        self._fields = rule.named
        self._entities: dict[tuple[str, ...], str] = {}
        self._has_app = stream is not None
        # what is read visitor by visitor may come in parts, which are then to be told apart
        self._by_visitor = stream is not None and stream.resumes and self._id != VISITOR
        self.counted = rule.value or ""
        self._value_of = _getter(self.counted)
        self._adds = rule.combine in {"sum", "count"}
        self._info = [
            (key, _getter(name), stream is not None and name in stream.numbers)
            for key, name in rule.info.items()
        ]

    @property
    def deciding(self) -> frozenset[str]:
        """The fields that decide about a record's cell; dots lead into objects."""
        app = APP if self._has_app else ""
        visitor = VISITOR if self._by_visitor else ""
        entity = self._entity if self._only else ""
        fields = (self._id, self._account, entity, app, visitor, *self._fields, *self._rule.where)
        return frozenset({*fields, *self._placing.fields} - {""})

    @property
    def adding(self) -> frozenset[str]:
        """The fields that say what is added; dots lead into objects."""
        return frozenset({self.counted, *self._rule.info.values()} - {""})

    def cell(self, record: Record) -> Cell | Rejection:
        """Say what a record counts for, or why it counts for nothing."""
        if self._where or self._only:
            unwanted = self._unwanted(record)
            if unwanted is not None:
                return unwanted
        place = self._placing.place(record)
        if isinstance(place, Rejection):
            return place
        try:
            key = (
                self._subject(record),
                self._company(record),
                self._named(record) if self._fields else "[]",
            )
            app = self._part(record) if self._has_app else ""
            if not is_findable(*key, app):
                return _TOO_LONG
            return Cell(
                *key,
                place.date,
                place.ends,
                app if self._adds else "",
                place.bucket,
                place.period,
                self._placing.read_at(record),
            )
        except _UnwantedError as reason:
            return Rejection("ignored", str(reason))
        except ValueProblem as problem:
            return Rejection("rejected", str(problem))

    def figures(self, record: Record) -> Figures | Rejection:
        """Say what a record adds to its cell, or why it cannot."""
        value = self.value(self._value_of(record))
        if isinstance(value, Rejection):
            return value
        return Figures(value, self._infos(record) if self._info else None)

    def value(self, said: t.Any) -> float | Rejection:
        """Read what the rule's field says; a rule without one counts records."""
        if not self.counted:
            return 1
        try:
            found = number(said)
        except ValueProblem as problem:
            return Rejection("rejected", f"`{self.counted}` {problem}")
        if found < 0 and self._adds:
            return Rejection("rejected", f"`{self.counted}` is negative")
        return found

    def _subject(self, record: Record) -> str:
        found = _text(record, self._id, self._id_of)
        if not found or found.isspace():
            if self._id == ACCOUNT:
                raise _UnwantedError("the visitor had no account")
            raise ValueProblem(f"`{self._id}` is empty")
        if found.startswith(ANONYMOUS):
            raise _UnwantedError("anonymous visitor")
        return found

    def _company(self, record: Record) -> str:
        found = _text(record, self._account, self._account_of) if self._account else ""
        return "" if found.isspace() else found

    def _part(self, record: Record) -> str:
        """Give what rows of one bucket add up over: the app, or the visitor, whose id is hidden."""
        if self._by_visitor:
            return digest(_text(record, VISITOR))[:_DIGITS]
        return _text(record, APP)

    def _unwanted(self, record: Record) -> Rejection | None:
        for get, allowed in self._where:
            if _plain(get(record)) not in allowed:
                return _NOT_WANTED
        if self._only and _plain(record.get(self._entity)) not in self._only:
            return _NOT_ONE_OF
        return None

    def _named(self, record: Record) -> str:
        """Give the entity: the texts of the fields that the action names."""
        texts = tuple([_text(record, field) for field in self._fields])
        entity = self._entities.get(texts)
        if entity is None:
            for field, found in zip(self._fields, texts, strict=True):
                if not found or found.isspace():
                    raise ValueProblem(f"`{field}` is empty, and the action names it")
            if len(self._entities) >= _REMEMBERED:
                self._entities.clear()
            entity = self._entities[texts] = msgspec.json.encode(texts).decode()
        return entity

    def _infos(self, record: Record) -> dict[str, t.Any]:
        found = {}
        for key, get, counts in self._info:
            value = get(record)
            if value is not None:
                found[key] = _added(value) if counts else kept(value)
        return found


def _id_field(rule: Rule) -> str:
    """Give the field with the object's id in Pendo; metadata are looked up when it is matched."""
    of = rule.match.of
    return ".".join(rule.match.path) if of == "row" else VISITOR if of == "visitor" else ACCOUNT


def _text(record: Record, field: str, get: Getter | None = None) -> str:
    try:
        return text(get(record) if get else record.get(field))
    except ValueProblem as problem:
        raise ValueProblem(f"`{field}` {problem}") from None


def _getter(path: str) -> Getter:
    """Find a field; dots lead into objects."""
    first, *inner = path.split(".")
    if not inner:
        return lambda record: record.get(first)
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
