"""Runs, rules with their numbers, names of features and others, people's fields, erased ids."""

from __future__ import annotations

import logging
import typing as t

import msgspec
import sqlalchemy as sa

from target_planhat.errors import TargetError
from target_planhat.ledger.database import MOST_LISTED
from target_planhat.ledger.schema import actions, forgotten, items, names, people, rules, runs
from target_planhat.redaction import ForgottenIds, compared
from target_planhat.rule_model import names_people

if t.TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence

    from target_planhat.ledger.database import Database
    from target_planhat.rule_model import Rule

logger = logging.getLogger("target-planhat.ledger")

"""Values that one statement asks for."""


class KnownRule(t.NamedTuple):
    """A rule as the ledger knows it; it may not be configured any more."""

    id: int
    name: str
    kind: str
    on_change: str
    is_of_people: bool

    @property
    def is_added(self) -> bool:
        """Whether Planhat's readers add up what is sent."""
        return self.kind == "activity" or self.on_change == "delta"


class Known:
    """What the ledger knows of a tenant, apart from its items and Planhat's objects."""

    def __init__(self, database: Database) -> None:
        self._db, self._tenant = database, database.tenant_id

    def begin(self, started: int) -> int:
        """Number a run that starts at this time, in epoch ms."""
        new = runs.insert().values(tenant_id=self._tenant, started=started)
        return int(self._db.execute(new.returning(runs.c.id)).scalar_one())

    # Rules

    def rules(self) -> list[KnownRule]:
        """Return all rules that were ever configured, by name."""
        chosen = sa.select(rules).where(rules.c.tenant_id == self._tenant).order_by(rules.c.id)
        found = []
        for row in self._db.execute(chosen):
            rule = msgspec.json.decode(row.fingerprint)
            of, path, _ = rule["match"]
            of_people = names_people(rule["model"], of, path)
            found.append(KnownRule(row.id, row.name, rule["kind"], row.on_change, of_people))
        return sorted(found, key=lambda rule: rule.name)

    def period(self, rule_id: int, first: str | None = None) -> str | None:
        """Return the period of a rule's buckets; `first` becomes it if there was none."""
        mine = rules.c.id == rule_id
        if first:
            unknown = rules.c.period.is_(None)
            self._db.execute(rules.update().where(mine, unknown).values(period=first))
            self._db.commit_if_shared()
        return self._db.execute(sa.select(rules.c.period).where(mine)).scalar_one_or_none()

    # Names

    def name(self, stream: str, given: Mapping[str, str]) -> None:
        """Store names of features, pages, …: {id: name}."""
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

    def keep_actions(self, rule_id: int, given: Mapping[str, str]) -> None:
        """Store the texts of entities that have none yet."""
        rows = [
            {"rule_id": rule_id, "entity": entity, "action": action}
            for entity, action in given.items()
        ]
        self._db.insert(actions, rows, keep=True)

    # People

    def describe(self, kind: str, given: Iterable[tuple[str, Mapping[str, str]]]) -> None:
        """Store fields of visitors or accounts: (id, {path: value})."""
        key = {"tenant_id": self._tenant, "kind": kind}
        rows = [
            {**key, "id": id_, "path": path, "value": value, "folded": compared(value)}
            for id_, fields in given
            for path, value in fields.items()
        ]
        self._db.insert(people, rows)
        self._db.commit_if_shared()

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
        for first in range(0, len(asked), MOST_LISTED):
            some = asked[first : first + MOST_LISTED]
            rows = self._db.execute(sa.select(key, value).where(*conditions, key.in_(some)))
            found.update((row[0], row[1]) for row in rows)
        return found

    def forgotten(self) -> ForgottenIds:
        """Return the erased ids."""
        chosen = sa.select(forgotten.c.id_hash).where(forgotten.c.tenant_id == self._tenant)
        return ForgottenIds(self._db.masks, self._db.execute(chosen).scalars().all())


# Rules get their numbers


class _Stored(t.NamedTuple):
    """A rule as the ledger has it. `selection` is None in rows of version 2 and older."""

    id: int
    name: str
    fingerprint: str
    selection: str | None
    on_change: str


class _Wanted:
    """A configured rule, and what the ledger keeps of it, as JSON."""

    def __init__(self, rule: Rule, timezone: str) -> None:
        self.rule = rule
        self.fingerprint = _json(rule.fingerprint(timezone))
        self.selection = _json(rule.selection())

    def is_exactly(self, stored: _Stored) -> bool:
        """Whether a known rule counts the same records under the same texts."""
        return self.counts_as(stored) and self.selection == stored.selection

    def counts_as(self, stored: _Stored) -> bool:
        """Whether a known rule counts the same records in the same way; texts may differ."""
        if self.fingerprint != stored.fingerprint or stored.selection is None:
            return False
        mine, known = _read(self.selection), _read(stored.selection)
        return (mine["only"], mine["where"]) == (known["only"], known["where"])

    def may_share(self, stored: _Stored) -> bool:
        """Whether a known rule counts in the same way, and may have counted the same records."""
        if self.fingerprint != stored.fingerprint:
            return False
        if stored.selection is None:
            return True
        return not _are_apart(_read(self.selection), _read(stored.selection))


def enroll(db: Database, given: Sequence[Rule], timezone: str) -> dict[str, int]:
    """Give each rule its number: {name: number}.

    A rule that is known by its name must be the same rule. One with a new name takes over what
    the ledger knows of the same rule under a name that is not configured any more, so that nothing
    is sent twice.

    Raises:
        TargetError: stream, count, granularity, match or days of a known rule changed; or it is
            not certain which rule continues under a new name.
    """
    # another run may be about to enroll a rule of that name
    db.begin_writing()
    of_tenant = rules.c.tenant_id == db.tenant_id
    wanted = {rule.name: _Wanted(rule, timezone) for rule in given}
    if db.is_new and not db.is_shared:
        _remove_unused_rules(db)
    columns = [rules.c[name] for name in _Stored._fields]
    rows = [_Stored(*row) for row in db.execute(sa.select(*columns).where(of_tenant))]
    stored = {row.name: row for row in rows}
    for name, want in wanted.items():
        if name in stored and want.fingerprint != stored[name].fingerprint:
            raise TargetError(_changed(want, stored[name]))
    # where nothing was sent, nothing can be sent again
    renamed = {} if db.is_new else _renamed(stored, wanted)
    for name, want in wanted.items():
        row = renamed.get(name) or stored.get(name)
        if row is None:
            _add_rule(db, want)
        else:
            _update_rule(db, row, want)
    chosen = sa.select(rules.c.name, rules.c.id).where(of_tenant)
    return {name: int(number) for name, number in db.execute(chosen)}


# New names


def _renamed(stored: Mapping[str, _Stored], wanted: Mapping[str, _Wanted]) -> dict[str, _Stored]:
    """Find known rules that continue under new names: {new name: known rule}."""
    new = {name: want for name, want in wanted.items() if name not in stored}
    for want in new.values():
        _refuse_taken(want, stored, wanted)
    left = [row for name, row in stored.items() if name not in wanted]
    found: dict[str, _Stored] = {}
    # the exact ones first: what they take over cannot continue under another name
    for name, want in new.items():
        exact = [row for row in left if want.is_exactly(row)]
        if len(exact) == 1:
            found[name] = exact[0]
            left.remove(exact[0])
    for name, want in new.items():
        # with a date from which on it sends, a rule begins by itself
        if name in found or want.rule.since is not None:
            continue
        before = [row for row in left if want.may_share(row)]
        if not before:
            continue
        rivals = [
            other
            for each, other in new.items()
            if each not in found and other.rule.since is None and other.may_share(before[0])
        ]
        if len(before) > 1 or len(rivals) > 1 or not want.counts_as(before[0]):
            raise TargetError(_uncertain(name, before))
        found[name] = before[0]
        left.remove(before[0])
    return found


def _refuse_taken(
    want: _Wanted, stored: Mapping[str, _Stored], wanted: Mapping[str, _Wanted]
) -> None:
    """Refuse a new name for a known rule whose name another rule has now.

    Raises:
        TargetError: it is so, and the new rule has no `since` of its own.
    """
    if want.rule.since is not None:
        return
    for name, row in stored.items():
        now = wanted.get(name)
        moved = now is not None and want.counts_as(row) and not now.counts_as(row)
        if now is not None and (moved or want.is_exactly(row)):
            raise TargetError(
                f"rule {want.rule.name}: the ledger knows it by the name {name}, which another "
                f"rule has now, and would send it again: set its `name: {name}` and give the other "
                "rule a new `name`"
            )


def _are_apart(one: Mapping[str, t.Any], other: Mapping[str, t.Any]) -> bool:
    """Whether no record can be let through by both selections."""
    pairs = [(one["only"], other["only"])] if one["only"] and other["only"] else []
    pairs += [(one["where"][f], other["where"][f]) for f in one["where"] if f in other["where"]]
    return any(not set(mine) & set(others) for mine, others in pairs)


def _uncertain(name: str, before: Iterable[_Stored]) -> str:
    names = sorted(row.name for row in before)
    return (
        f"rule {name}: its name is new, and the ledger knows {', '.join(names)}, no longer "
        "configured, which may have sent the same: set "
        f"{' or '.join(f'`name: {known}`' for known in names)} to continue that rule, or give rule "
        f"{name} its own `since` to start a new one, which sends nothing older"
    )


# Rows


def _remove_unused_rules(db: Database) -> None:
    """Take out rules of runs that were refused, or ended before they kept anything."""
    used = sa.select(items.c.id).where(items.c.rule_id == rules.c.id).exists()
    db.execute(rules.delete().where(rules.c.tenant_id == db.tenant_id, ~used))


def _add_rule(db: Database, want: _Wanted) -> None:
    row = {
        "tenant_id": db.tenant_id,
        "name": want.rule.name,
        "fingerprint": want.fingerprint,
        "selection": want.selection,
        "on_change": want.rule.on_change,
    }
    db.execute(db.into(rules).values(row).on_conflict_do_nothing())


def _update_rule(db: Database, row: _Stored, want: _Wanted) -> None:
    """Update a known rule; nothing is written for one that stays as it is."""
    rule = want.rule
    if row.name != rule.name:
        logger.info(
            "Rule %s: the ledger knew this rule as %s; what was sent under that name is not sent "
            "again",
            rule.name,
            row.name,
        )
    given = {"name": rule.name, "selection": want.selection, "on_change": rule.on_change}
    if given != {name: getattr(row, name) for name in given}:
        db.execute(rules.update().where(rules.c.id == row.id).values(given))
    if row.on_change != rule.on_change:
        mine = items.c.rule_id == row.id
        db.execute(items.update().where(mine).values(changed=True))


_SETTINGS = {
    "kind": "whether it is an activity or a metric",
    "combine": "`aggregate`",
    "named": "the fields that `action` names",
}


def _changed(want: _Wanted, row: _Stored) -> str:
    rule, given, known = want.rule, _read(want.fingerprint), _read(row.fingerprint)
    said = {**_SETTINGS, "value": "`count`" if rule.kind == "activity" else "`value`"}
    differing = {key for key, value in given.items() if known.get(key) != value}
    if "granularity" in differing:
        # only days have one
        differing.discard("timezone")
    names = sorted(said.get(key, f"`{key}`") for key in differing)
    return (
        f"rule {rule.name}: {', '.join(names)} changed, and figures of both would mix: give "
        "the rule a new `name` (and its own `since`, or all is sent again under the new one), or "
        "restore what it was"
    )


def _json(value: Mapping[str, t.Any]) -> str:
    return msgspec.json.encode(value, order="sorted").decode()


def _read(text: str) -> dict[str, t.Any]:
    found: dict[str, t.Any] = msgspec.json.decode(text)
    return found
