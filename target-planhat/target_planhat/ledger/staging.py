"""Adds up what records contribute, and stages it until its window has been read completely.

Staged rows are in temporary tables. If a run ends within a window, its rows are lost on purpose:
the tap reads that window again. So a STATE that is handed on means "in the ledger", never "sent".
"""

from __future__ import annotations

import typing as t

import msgspec
import sqlalchemy as sa

from target_planhat.ledger import totals
from target_planhat.ledger.schema import STAGED_KEY, staged
from target_planhat.ledger.totals import DIFFERENT, NotMerged
from target_planhat.value_parsing import is_number

if t.TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from target_planhat.ledger.database import Database
    from target_planhat.ledger.totals import Window
    from target_planhat.rule_model import Cell, Combine

_MOST_KEYS = 20_000
"""Cells that are added up in memory before they are staged."""


Sums = list[t.Any]
"""What the rows of one cell add up to so far: value, records, and whether they clash."""


def _summed(sums: Sums, value: float) -> None:
    sums[0] += value


def _greatest(sums: Sums, value: float) -> None:
    sums[0] = max(sums[0], value)


def _latest(sums: Sums, value: float) -> None:
    sums[0] = value


def _single(sums: Sums, value: float) -> None:
    sums[2] = sums[2] or value != sums[0]


_COMBINED = {
    "sum": _summed,
    "count": _summed,
    "max": _greatest,
    "last": _latest,
    "value": _single,
}


class Staging:
    """Adds up what records contribute, and merges it into the totals window by window.

    `run` is this run's number.
    """

    def __init__(self, database: Database, run: int, combines: Mapping[int, Combine]) -> None:
        self._db, self._run = database, run
        self._combines = combines
        self._pending: dict[int, dict[Cell, Sums]] = {rule_id: {} for rule_id in combines}
        self._infos: dict[int, dict[Cell, dict[str, t.Any]]] = {rule_id: {} for rule_id in combines}
        self._held = 0

    def add(
        self, rule_id: int, cell: Cell, value: float, info: Mapping[str, t.Any] | None = None
    ) -> None:
        """Add what one record contributes to a cell.

        Numbers of `info` are summed, other values are kept if they are equal.
        """
        if info:
            _merge(self._infos[rule_id].setdefault(cell, {}), info)
        new: Sums = [value, 1, False]
        found = self._pending[rule_id].setdefault(cell, new)
        if found is new:
            self._held += 1
            if self._held >= _MOST_KEYS:
                self.flush()
        else:
            found[1] += 1
            _COMBINED[self._combines[rule_id]](found, value)

    # Into the ledger

    def flush(self) -> None:
        """Stage what is added up in memory."""
        self._held = 0
        for rule_id, pending in self._pending.items():
            rows = [(rule_id, *cell[:-1], *sums) for cell, sums in pending.items()]
            self._db.add_rows(
                "staged", _STAGED, rows, STAGED_KEY, _summed_up(self._combines[rule_id])
            )
            pending.clear()
        for rule_id, infos in self._infos.items():
            facts = [row for cell, info in infos.items() for row in _facts(rule_id, cell, info)]
            self._db.add_rows(
                "staged_facts", _STAGED_FACTS, facts, (*STAGED_KEY, "name"), totals.COMBINED_FACTS
            )
            infos.clear()
        self._db.commit_if_shared()

    def complete(self, rule_id: int, window: Window) -> NotMerged:
        """Merge the rows of a window that was read completely; buckets without rows become 0."""
        self.flush()
        combine = self._combines[rule_id]
        dropped = totals.merge(self._db, rule_id, combine, window.read_at, self._run, window)
        self._db.commit_if_shared()
        return dropped

    def merge_all(self, rule_ids: Iterable[int]) -> dict[int, NotMerged]:
        """Merge all staged rows of these rules, whose streams come without windows."""
        self.flush()
        dropped: dict[int, NotMerged] = {}
        for rule_id in rule_ids:
            found = dropped[rule_id] = NotMerged()
            of_rule = sa.select(staged.c.read_at).where(staged.c.rule_id == rule_id)
            for (read_at,) in self._db.execute(of_rule.distinct().order_by("read_at")).all():
                combine = self._combines[rule_id]
                found.add(totals.merge(self._db, rule_id, combine, read_at, self._run))
        return dropped

    def left(self) -> dict[int, dict[int, int]]:
        """Count the records that wait for their window: {rule: {date in epoch ms: records}}."""
        self.flush()
        found: dict[int, dict[int, int]] = {}
        key = (staged.c.rule_id, staged.c.date)
        for rule_id, date, records in self._db.execute(
            sa.select(*key, sa.func.sum(staged.c.records)).group_by(*key)
        ):
            found.setdefault(rule_id, {})[date] = int(records)
        return found


# a cell's own order, without its period
_STAGED = (*STAGED_KEY, "ends", "value", "records", "clash")
_STAGED_FACTS = (*STAGED_KEY, "name", "number", "text")


def _summed_up(combine: Combine) -> dict[str, str]:
    """Return what a staged row comes to that was staged before, as SQL."""
    clash = "old.clash or excluded.clash"
    if combine == "value":
        clash += " or old.value <> excluded.value"
    records = "old.records + excluded.records"
    return {"value": totals.COMBINED[combine], "records": records, "clash": clash}


def _facts(rule_id: int, cell: Cell, info: Mapping[str, t.Any]) -> Iterable[tuple[t.Any, ...]]:
    key = (rule_id, *cell[: len(STAGED_KEY) - 1])
    for name, value in info.items():
        number = value if is_number(value) else None
        text = None if number is not None else _text(value)
        yield (*key, name, number, text)


def _merge(into: dict[str, t.Any], info: Mapping[str, t.Any]) -> None:
    """Add numbers up; keep other values if they are equal."""
    for name, value in info.items():
        if name not in into:
            into[name] = value
        elif is_number(value) and is_number(into[name]):
            into[name] += value
        elif value != into[name]:
            into[name] = Different


class Different:
    """In place of values that are not equal."""


def _text(value: t.Any) -> str:
    return DIFFERENT if value is Different else msgspec.json.encode(value).decode()
