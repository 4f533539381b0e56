"""Knows which ids of Pendo lead to one object of Planhat, by the fields that rules match by."""

from __future__ import annotations

import typing as t
from collections import defaultdict

import sqlalchemy as sa

from target_planhat.ledger.tables import items, people

if t.TYPE_CHECKING:
    from collections.abc import Sequence

    from target_planhat.ledger.database import Database
    from target_planhat.ledger.items import Item
    from target_planhat.rules import Rule

_MANY = 2000
_Others = dict[str, list[str]]


class Namesakes:
    """Visitors, or accounts, that have the same e-mail address, id in a CRM, or the like."""

    def __init__(self, database: Database) -> None:
        self._db, self._tenant = database, database.tenant_id
        self._known: dict[tuple[str, ...], _Others] = {}

    def of(self, rule: Rule) -> _Others:
        """Give the ids that are not alone with what the rule matches by: {id: the others}.

        They are few; what has been read once in a run is not read again.
        """
        match = rule.match
        if match.of == "row":
            return {}
        key = (match.of, ".".join(match.path), match.by)
        if key not in self._known:
            self._known[key] = self._read(*key)
        return self._known[key]

    def _read(self, kind: str, path: str, by: str) -> _Others:
        value = sa.func.lower(people.c.value) if by == "email" else people.c.value
        mine = [
            people.c.tenant_id == self._tenant,
            people.c.kind == kind,
            people.c.path == path,
            people.c.value != "",
        ]
        several = sa.select(value).where(*mine).group_by(value).having(sa.func.count() > 1)
        together: defaultdict[str, list[str]] = defaultdict(list)
        for id_, said in self._db.execute(
            sa.select(people.c.id, value).where(*mine, value.in_(several))
        ):
            together[said].append(id_)
        return {
            one: [other for other in ids if other != one]
            for ids in together.values()
            for one in ids
        }

    def rivals(self, rule_id: int, rule: Rule, due: Sequence[Item]) -> set[int]:
        """Find the items whose object has a figure of the same day from another id."""
        others = self.of(rule)
        asked = {i.id: {(i.date, o) for o in others[i.subject]} for i in due if i.subject in others}
        found = self._with_figures(rule_id, set().union(*asked.values()))
        return {id_ for id_, places in asked.items() if places & found}

    def _with_figures(self, rule_id: int, asked: set[tuple[int, str]]) -> set[tuple[int, str]]:
        found: set[tuple[int, str]] = set()
        subjects = sorted({subject for _, subject in asked})
        c = items.c
        for first in range(0, len(subjects), _MANY):
            chosen = sa.select(c.date, c.subject).where(
                c.rule_id == rule_id,
                c.date.in_({date for date, _ in asked}),
                c.subject.in_(subjects[first : first + _MANY]),
                sa.or_(c.records > 0, c.posts > 0),
            )
            found.update((int(date), subject) for date, subject in self._db.execute(chosen))
        return found
