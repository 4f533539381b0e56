"""Takes contributions in: staged until their window is whole, then totals of their items."""

from __future__ import annotations

import typing as t

import msgspec
import sqlalchemy as sa

from target_planhat.ledger import settling
from target_planhat.ledger.settling import DIFFERENT, Settled
from target_planhat.ledger.tables import STAGED_KEY, staged, staged_facts

if t.TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from sqlalchemy.sql.dml import UpdateBase

    from target_planhat.contributions import Cell, Figures
    from target_planhat.ledger.database import Database
    from target_planhat.ledger.settling import Window
    from target_planhat.rules import Combine

_MOST_KEYS = 20_000
"""Cells that are added up in memory before they are staged."""


class Pending:
    """What the rows of one cell add up to so far."""

    __slots__ = ("clash", "info", "records", "value")

    def __init__(self, figures: Figures) -> None:
        self.value = figures.value
        self.info = dict(figures.info) if figures.info else None
        self.records = 1
        self.clash = False


def _summed(pending: Pending, value: float) -> None:
    pending.value += value


def _greatest(pending: Pending, value: float) -> None:
    pending.value = max(pending.value, value)


def _latest(pending: Pending, value: float) -> None:
    pending.value = value


def _single(pending: Pending, value: float) -> None:
    pending.clash = pending.clash or value != pending.value


_COMBINED = {
    "sum": _summed,
    "count": _summed,
    "max": _greatest,
    "last": _latest,
    "value": _single,
}


class Staging:
    """Adds up what records contribute, and settles it in the totals window by window (P8).

    `run` is this run's number.
    """

    def __init__(self, database: Database, run: int, combines: Mapping[int, Combine]) -> None:
        self._db, self._run = database, run
        self._combines = combines
        self._pending: dict[int, dict[Cell, Pending]] = {rule_id: {} for rule_id in combines}
        self._held = 0

    def add(self, rule_id: int, cell: Cell, figures: Figures) -> None:
        """Take what one record adds to a cell."""
        found = self._pending[rule_id].get(cell)
        if found is None:
            self._pending[rule_id][cell] = Pending(figures)
            self._held += 1
            if self._held >= _MOST_KEYS:
                self.flush()
            return
        found.records += 1
        _COMBINED[self._combines[rule_id]](found, figures.value)
        if figures.info:
            _merge(found, figures.info)

    # Into the ledger

    def flush(self) -> None:
        """Stage what is added up in memory."""
        pending, self._held = self._pending, 0
        self._pending = {rule_id: {} for rule_id in pending}
        for rule_id, cells in pending.items():
            rows = [_row(rule_id, cell, found) for cell, found in cells.items()]
            self._db.many(self._staging(self._combines[rule_id]), _STAGED, rows)
            told = [
                fact
                for cell, found in cells.items()
                if found.info
                for fact in _facts(rule_id, cell, found.info)
            ]
            self._db.many(self._staging_facts(), _TOLD, told)
        self._db.give_way()

    def complete(self, rule_id: int, window: Window) -> Settled:
        """Settle the rows of a window that was read whole; buckets without rows become 0."""
        self.flush()
        combine = self._combines[rule_id]
        settled = settling.settle(self._db, rule_id, combine, window.read_at, self._run, window)
        self._db.give_way()
        return settled

    def settle(self, rule_ids: Iterable[int]) -> dict[int, Settled]:
        """Settle all that is staged of rules whose stream does not tell its windows."""
        self.flush()
        settled: dict[int, Settled] = {}
        for rule_id in rule_ids:
            found = settled[rule_id] = Settled()
            of_rule = sa.select(staged.c.read_at).where(staged.c.rule_id == rule_id)
            for (read_at,) in self._db.execute(of_rule.distinct().order_by("read_at")).all():
                combine = self._combines[rule_id]
                found.add(settling.settle(self._db, rule_id, combine, read_at, self._run))
        return settled

    def left(self) -> dict[int, dict[int, int]]:
        """Say how many records wait for their window: {rule: {date in epoch ms: records}}."""
        self.flush()
        found: dict[int, dict[int, int]] = {}
        key = (staged.c.rule_id, staged.c.date)
        for rule_id, date, records in self._db.execute(
            sa.select(*key, sa.func.sum(staged.c.records)).group_by(*key)
        ):
            found.setdefault(rule_id, {})[date] = int(records)
        return found

    def _staging(self, combine: Combine) -> UpdateBase:
        """Stage rows; a key that was staged before goes on from what it had."""
        statement = self._db.into(staged)
        old, new = staged.c, statement.excluded
        value = {
            "sum": old.value + new.value,
            "count": old.value + new.value,
            "max": sa.case((old.value > new.value, old.value), else_=new.value),
            "last": new.value,
            "value": old.value,
        }[combine]
        clash = sa.or_(old.clash, new.clash)
        if combine == "value":
            clash = sa.or_(clash, old.value != new.value)
        return statement.on_conflict_do_update(
            index_elements=[column.name for column in staged.primary_key],
            set_={"value": value, "records": old.records + new.records, "clash": clash},
        )

    def _staging_facts(self) -> UpdateBase:
        statement = self._db.into(staged_facts)
        return statement.on_conflict_do_update(
            index_elements=[column.name for column in staged_facts.primary_key],
            set_=settling.together(staged_facts.c, statement.excluded),
        )


_STAGED = (*STAGED_KEY, "ends", "value", "records", "clash")
_TOLD = (*STAGED_KEY, "name", "number", "text")


def _row(rule_id: int, cell: Cell, found: Pending) -> tuple[t.Any, ...]:
    return (*_key(rule_id, cell), cell.ends, found.value, found.records, found.clash)


def _facts(rule_id: int, cell: Cell, info: Mapping[str, t.Any]) -> Iterable[tuple[t.Any, ...]]:
    for name, value in info.items():
        number = value if _is_number(value) else None
        text = None if number is not None else _text(value)
        yield (*_key(rule_id, cell), name, number, text)


def _key(rule_id: int, cell: Cell) -> tuple[t.Any, ...]:
    c = cell
    return (rule_id, c.read_at, c.bucket, c.date, c.subject, c.company, c.entity, c.app)


def _merge(found: Pending, info: Mapping[str, t.Any]) -> None:
    """Add numbers up; keep others where they are the same."""
    into = found.info
    if into is None:
        found.info = dict(info)
        return
    for name, value in info.items():
        if name not in into:
            into[name] = value
        elif _is_number(value) and _is_number(into[name]):
            into[name] += value
        elif value != into[name]:
            into[name] = Different


class Different:
    """Stands where values do not agree."""


def _text(value: t.Any) -> str:
    return DIFFERENT if value is Different else msgspec.json.encode(value).decode()


def _is_number(value: t.Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)
