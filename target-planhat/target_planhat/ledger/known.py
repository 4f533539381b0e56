"""Knows rules by name, names of features and others, people's fields, and who is forgotten."""

from __future__ import annotations

import typing as t

import msgspec
import sqlalchemy as sa

from target_planhat.errors import TargetError
from target_planhat.ledger.locks import Locks
from target_planhat.ledger.tables import (
    actions,
    facts,
    forgotten,
    items,
    names,
    objects,
    people,
    rules,
    runs,
    totals,
)
from target_planhat.masking import digest

if t.TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence

    from target_planhat.ledger.database import Database
    from target_planhat.rules import Rule

_MANY = 2000
"""Values that one statement asks for."""


class KnownRule(t.NamedTuple):
    """A rule as the ledger knows it, perhaps configured no more."""

    id: int
    name: str
    kind: str
    model: str
    on_change: str

    @property
    def is_added(self) -> bool:
        """Whether Planhat's readers add up what is sent."""
        return self.kind == "activity" or self.on_change == "delta"


class Forgotten(t.NamedTuple):
    """What was taken out: items, fields of visitors records, end users of the copy of Planhat."""

    items: int
    fields: int
    objects: int


class Known:
    """What the ledger knows of a tenant beside its items and Planhat's objects."""

    def __init__(self, database: Database) -> None:
        self._db, self._tenant = database, database.tenant_id

    def begin(self, started: int) -> int:
        """Number a run that starts at this time, in epoch ms, and lives until its session ends."""
        new = runs.insert().values(tenant_id=self._tenant, started=started)
        number = int(self._db.execute(new.returning(runs.c.id)).scalar_one())
        Locks(self._db).live(number)
        return number

    # Rules

    def enroll(self, given: Sequence[Rule], timezone: str) -> dict[str, int]:
        """Give each rule its number; one that is known by this name must be the same rule.

        Raises:
            TargetError: stream, count, granularity, match or days of a known rule changed.
        """
        # another run may be about to enroll a rule of that name
        self._db.turn()
        found = {
            row.name: row
            for row in self._db.execute(sa.select(rules).where(rules.c.tenant_id == self._tenant))
        }
        for rule in given:
            fingerprint = rule.fingerprint(timezone)
            told = msgspec.json.encode(fingerprint, order="sorted").decode()
            known = found.get(rule.name)
            if known is None:
                row = {
                    "tenant_id": self._tenant,
                    "name": rule.name,
                    "fingerprint": told,
                    "on_change": rule.on_change,
                }
                self._db.execute(self._db.into(rules).values(row).on_conflict_do_nothing())
            elif known.fingerprint != told:
                before = msgspec.json.decode(known.fingerprint)
                raise TargetError(_changed(rule, fingerprint, before))
            elif known.on_change != rule.on_change:
                mine = rules.c.id == known.id
                self._db.execute(rules.update().where(mine).values(on_change=rule.on_change))
                mine = items.c.rule_id == known.id
                self._db.execute(items.update().where(mine).values(changed=True))
        chosen = sa.select(rules.c.name, rules.c.id).where(rules.c.tenant_id == self._tenant)
        return {name: int(number) for name, number in self._db.execute(chosen)}

    def rules(self) -> list[KnownRule]:
        """Give all rules that were ever configured, by name."""
        chosen = sa.select(rules).where(rules.c.tenant_id == self._tenant).order_by(rules.c.id)
        found = []
        for row in self._db.execute(chosen):
            told = msgspec.json.decode(row.fingerprint)
            found.append(KnownRule(row.id, row.name, told["kind"], told["model"], row.on_change))
        return sorted(found, key=lambda rule: rule.name)

    def period(self, rule_id: int, first: str | None = None) -> str | None:
        """Give the period of a rule's buckets, which from now on is `first` if it had none."""
        mine = rules.c.id == rule_id
        if first:
            unknown = rules.c.period.is_(None)
            self._db.execute(rules.update().where(mine, unknown).values(period=first))
            self._db.give_way()
        return self._db.execute(sa.select(rules.c.period).where(mine)).scalar_one_or_none()

    # Names

    def name(self, stream: str, given: Mapping[str, str]) -> None:
        """Keep names of features, pages, …: {id: name}."""
        rows = [
            {"tenant_id": self._tenant, "stream": stream, "id": id_, "name": name}
            for id_, name in given.items()
        ]
        self._db.insert(names, rows)

    def named(self, stream: str, ids: Collection[str]) -> dict[str, str]:
        """Look up names."""
        mine = [names.c.tenant_id == self._tenant, names.c.stream == stream]
        return self._looked_up(names.c.id, names.c.name, ids, mine)

    def actions(self, rule_id: int, entities: Collection[str]) -> dict[str, str]:
        """Look up the texts that a rule used first."""
        mine = [actions.c.rule_id == rule_id]
        return self._looked_up(actions.c.entity, actions.c.action, entities, mine)

    def keep_actions(self, rule_id: int, given: Mapping[str, str]) -> dict[str, str]:
        """Keep the texts of entities from now on; give those that were kept first."""
        rows = [
            {"rule_id": rule_id, "entity": entity, "action": action}
            for entity, action in given.items()
        ]
        self._db.insert(actions, rows, keep=True)
        return self.actions(rule_id, given.keys())

    # People

    def describe(self, kind: str, given: Iterable[tuple[str, Mapping[str, str]]]) -> None:
        """Keep fields of visitors or accounts: (id, {path: value})."""
        key = {"tenant_id": self._tenant, "kind": kind}
        rows = [
            {**key, "id": id_, "path": path, "value": value}
            for id_, fields in given
            for path, value in fields.items()
        ]
        self._db.insert(people, rows)
        self._db.give_way()

    def described(self, kind: str, path: str, ids: Collection[str]) -> dict[str, str]:
        """Look up a field of visitors or accounts."""
        mine = [
            people.c.tenant_id == self._tenant,
            people.c.kind == kind,
            people.c.path == path,
        ]
        return self._looked_up(people.c.id, people.c.value, ids, mine)

    def _looked_up(
        self,
        key: sa.ColumnElement[t.Any],
        value: sa.ColumnElement[t.Any],
        wanted: Collection[str],
        conditions: Sequence[sa.ColumnElement[bool]],
    ) -> dict[str, str]:
        found: dict[str, str] = {}
        asked = sorted(wanted)
        for first in range(0, len(asked), _MANY):
            some = asked[first : first + _MANY]
            rows = self._db.execute(sa.select(key, value).where(*conditions, key.in_(some)))
            found.update((row[0], row[1]) for row in rows)
        return found

    # The forgotten

    def forget(self, id_: str) -> Forgotten:
        """Take a person out of the ledger, and remember a hash, so that nothing is sent again.

        `id_` is what rules about end users know the person by: a visitor id, or an e-mail address.
        Planhat's end users with that id, or with an address that visitors records gave, go too.
        """
        rules_of_people = [rule.id for rule in self.rules() if rule.model == "EndUser"]
        mine = sa.and_(items.c.rule_id.in_(rules_of_people), _is(items.c.subject, id_))
        self._forget_actions(mine, id_)
        ids = sa.select(items.c.id).where(mine)
        self._db.execute(facts.delete().where(facts.c.item_id.in_(ids)))
        self._db.execute(totals.delete().where(totals.c.item_id.in_(ids)))
        count = self._db.execute(items.delete().where(mine)).rowcount
        visitor = sa.and_(
            people.c.tenant_id == self._tenant, people.c.kind == "visitor", _is(people.c.id, id_)
        )
        said = set(self._db.execute(sa.select(people.c.value).where(visitor)).scalars())
        self._db.execute(people.delete().where(visitor))
        addresses = [value.lower() for value in (id_, *said) if "@" in value]
        copy = objects.delete().where(
            objects.c.tenant_id == self._tenant,
            objects.c.path == "endusers",
            sa.or_(
                _is(objects.c.external_id, id_),
                _is(objects.c.source_id, id_),
                objects.c.email.in_(addresses),
            ),
        )
        copied = self._db.execute(copy).rowcount
        row = {"tenant_id": self._tenant, "id_hash": digest(id_)}
        self._db.insert(forgotten, [row], keep=True)
        return Forgotten(int(count), len(said), int(copied))

    def _forget_actions(self, mine: sa.ColumnElement[bool], id_: str) -> None:
        """Take out the texts of a person's actions that name the person."""
        used = sa.select(items.c.rule_id, items.c.entity).where(mine).distinct()
        rows = [
            (rule_id, entity)
            for rule_id, entity in self._db.execute(used)
            if id_.lower() in map(str.lower, msgspec.json.decode(entity))
        ]
        chosen = [
            actions.c.rule_id == sa.bindparam("rule"),
            actions.c.entity == sa.bindparam("named"),
        ]
        self._db.many(actions.delete().where(*chosen), ("rule", "named"), rows)

    def forgotten(self) -> frozenset[str]:
        """Hashes of those who are forgotten."""
        chosen = sa.select(forgotten.c.id_hash).where(forgotten.c.tenant_id == self._tenant)
        return frozenset(self._db.execute(chosen).scalars())


def _is(column: sa.Column[str], id_: str) -> sa.ColumnElement[bool]:
    return sa.func.lower(column) == id_.lower() if "@" in id_ else column == id_


_SAID = {
    "kind": "whether it is an activity or a metric",
    "combine": "`aggregate`",
    "named": "the fields that `action` names",
}


def _changed(rule: Rule, given: Mapping[str, t.Any], known: Mapping[str, t.Any]) -> str:
    said = {**_SAID, "value": "`count`" if rule.kind == "activity" else "`value`"}
    differing = {key for key, value in given.items() if known.get(key) != value}
    if "granularity" in differing:
        # only days have one
        differing.discard("timezone")
    names = sorted(said.get(key, f"`{key}`") for key in differing)
    return (
        f"rule {rule.name}: {', '.join(names)} changed, and figures of both would mix: give "
        "the rule a new `name` (and set `since`, or all is sent again under the new one), or bring "
        "back what it was"
    )
