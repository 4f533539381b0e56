"""What people change in a ledger by hand: they forget a person, or decide about items.

Of a forgotten person hashes are kept, by which later records are ignored.
"""

from __future__ import annotations

import re
import typing as t

import msgspec
import sqlalchemy as sa

from target_planhat.ledger.database import MOST_LISTED
from target_planhat.ledger.outbox import TOLERANCE, UNCLAIMED, being_posted
from target_planhat.ledger.queries import Amount
from target_planhat.ledger.schema import (
    actions,
    facts,
    forgotten,
    items,
    names,
    objects,
    people,
    totals,
)
from target_planhat.redaction import folded

if t.TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from target_planhat.ledger.database import Database
    from target_planhat.ledger.reference_data import Known, KnownRule

_KEYS = ("external_id", "source_id", "email")


class Forgotten(t.NamedTuple):
    """What was taken out, and `left`: what still says the name somewhere, by table."""

    items: int
    fields: int
    objects: int
    addresses: int
    left: dict[str, int]


class Forgetting:
    """Forgets one person of a tenant: a visitor id or an e-mail address, whatever its case.

    The addresses that visitors records gave for an id are the person's too.
    """

    def __init__(self, database: Database, known: Known, id_: str) -> None:
        self._db, self._tenant, self._known = database, database.tenant_id, known
        self._names = {folded(id_)}

    def forget(self) -> Forgotten:
        """Take the person out. Commit, and `scrub`, after it."""
        visitors = self._people_by_id()
        said = self._values(visitors)
        self._names |= {folded(value) for value in said if "@" in value}
        copied, keys = self._objects(said)
        found = Forgotten(
            items=self._items(),
            fields=self._fields(visitors),
            objects=copied,
            addresses=len(self._names) - 1,
            left={},
        )
        hashes = {self._db.masks.digest(name) for name in self._names | keys}
        rows = [{"tenant_id": self._tenant, "id_hash": one} for one in sorted(hashes)]
        self._db.insert(forgotten, rows, keep=True)
        return found._replace(left=self._left())

    # What is looked for

    def _is_name(self, text: str) -> bool:
        return folded(text) in self._names

    def _spellings(
        self,
        column: sa.ColumnElement[t.Any],
        *conditions: sa.ColumnElement[bool],
        is_it: Callable[[str], bool] | None = None,
    ) -> list[str]:
        """Give the texts of a column that are the person's: SQL knows case of ASCII only."""
        some = column.like("%@%") if self._has_address else sa.false()
        exact = column.in_(sorted(self._names))
        chosen = sa.select(column).where(sa.or_(exact, some), *conditions).distinct()
        asked = is_it or self._is_name
        return [text for text in self._db.execute(chosen).scalars() if asked(text)]

    @property
    def _has_address(self) -> bool:
        return any("@" in name for name in self._names)

    # Tables

    def _people_by_id(self) -> sa.ColumnElement[bool]:
        mine = sa.and_(people.c.tenant_id == self._tenant, people.c.kind == "visitor")
        return sa.and_(mine, people.c.id.in_(self._spellings(people.c.id, mine)))

    def _values(self, visitors: sa.ColumnElement[bool]) -> set[str]:
        return set(self._db.execute(sa.select(people.c.value).where(visitors)).scalars()) - {""}

    def _fields(self, visitors: sa.ColumnElement[bool]) -> int:
        """Remove fields of the person's records, and of others that are the person's address."""
        mine = people.c.tenant_id == self._tenant
        values = self._spellings(people.c.value, mine)
        chosen = sa.or_(visitors, sa.and_(mine, people.c.value.in_(values)))
        return int(self._db.execute(people.delete().where(chosen)).rowcount)

    def _objects(self, said: Iterable[str]) -> tuple[int, set[str]]:
        """Remove end users of the copy of Planhat; give how many, and their keys."""
        mine = sa.and_(objects.c.tenant_id == self._tenant, objects.c.path == "endusers")
        known = {folded(value) for value in said} | self._names
        texts = {
            name: self._spellings(objects.c[name], mine, is_it=lambda text: folded(text) in known)
            for name in _KEYS
        }
        exact = sorted(known | set(said))
        chosen = sa.and_(
            mine,
            sa.or_(*(objects.c[name].in_([*texts[name], *exact]) for name in _KEYS)),
        )
        found = self._db.execute(sa.select(*(objects.c[name] for name in _KEYS)).where(chosen))
        keys = {key for row in found for key in row if key}
        return int(self._db.execute(objects.delete().where(chosen)).rowcount), keys

    def _items(self) -> int:
        """Remove items about the person, or whose text names the person."""
        rules = self._known.rules()
        ids = [rule.id for rule in rules]
        of_people = [rule.id for rule in rules if rule.is_of_people]
        addresses = sorted(name for name in self._names if "@" in name)
        subjects = self._spellings(items.c.subject, items.c.rule_id.in_(ids))
        # in other rules an id that is not an address may be another's, such as an account's
        elsewhere = [text for text in subjects if folded(text) in addresses]
        entities = self._entities(ids)
        mine = sa.and_(
            items.c.rule_id.in_(ids),
            sa.or_(
                sa.and_(items.c.rule_id.in_(of_people), items.c.subject.in_(subjects)),
                items.c.subject.in_(elsewhere),
                items.c.entity.in_(entities),
            ),
        )
        chosen = sa.select(items.c.id).where(mine)
        self._db.execute(facts.delete().where(facts.c.item_id.in_(chosen)))
        self._db.execute(totals.delete().where(totals.c.item_id.in_(chosen)))
        count = int(self._db.execute(items.delete().where(mine)).rowcount)
        # others may wait for the person, as for the owner of an account
        of_rules = items.c.rule_id.in_(ids)
        awaited = items.c.waits_for.in_(self._spellings(items.c.waits_for, of_rules))
        self._db.execute(items.update().where(of_rules, awaited).values(waits_for=None))
        named = sa.and_(actions.c.rule_id.in_(ids), actions.c.entity.in_(entities))
        self._db.execute(actions.delete().where(named))
        texts = self._facts(ids)
        beside = facts.c.item_id.in_(sa.select(items.c.id).where(of_rules))
        self._db.execute(facts.delete().where(beside, facts.c.text.in_(texts)))
        return count

    def _entities(self, rule_ids: list[int]) -> list[str]:
        """Give the entities one text of which is the person."""
        chosen = sa.select(items.c.entity).where(items.c.rule_id.in_(rule_ids)).distinct()
        return [
            entity
            for entity in self._db.execute(chosen).scalars()
            if any(map(self._is_name, msgspec.json.decode(entity)))
        ]

    def _facts(self, rule_ids: list[int]) -> list[str]:
        mine = facts.c.item_id.in_(sa.select(items.c.id).where(items.c.rule_id.in_(rule_ids)))
        chosen = sa.select(facts.c.text).where(mine, facts.c.text.is_not(None)).distinct()
        return [
            text
            for text in self._db.execute(chosen).scalars()
            if text and isinstance(said := msgspec.json.decode(text), str) and self._is_name(said)
        ]

    def _left(self) -> dict[str, int]:
        """Count the rows of each table that still say a name, as a word of some other text."""
        words = "|".join(map(re.escape, sorted(self._names)))
        word = re.compile(rf"(?<![\w@.-])(?:{words})(?![\w@-])")
        found: dict[str, int] = {}
        rules = [rule.id for rule in self._known.rules()]
        mine = items.c.rule_id.in_(rules)
        for table, columns, chosen in (
            (items, ("subject", "company", "entity", "reason", "waits_for"), mine),
            (facts, ("text",), facts.c.item_id.in_(sa.select(items.c.id).where(mine))),
            (actions, ("entity", "action"), actions.c.rule_id.in_(rules)),
            (names, ("id", "name"), names.c.tenant_id == self._tenant),
            (people, ("id", "value"), people.c.tenant_id == self._tenant),
            (objects, (*_KEYS, "id", "name"), objects.c.tenant_id == self._tenant),
        ):
            texts = sa.select(*(table.c[name] for name in columns)).where(chosen)
            rows = self._db.execute(texts.execution_options(yield_per=MOST_LISTED))
            count = sum(any(text and word.search(folded(text)) for text in row) for row in rows)
            if count:
                found[table.name] = count
        return found


class Resolving:
    """Decides about all items of a rule at once; the next run sends what they then lack.

    A run may be under way: what it is posting is left as it is.
    """

    def __init__(self, database: Database) -> None:
        self._db = database
        # from here on no run begins to deliver, nor claims anything, until the next commit
        database.begin_writing()
        self._posting = being_posted(database)

    def left(self, rule: KnownRule) -> int:
        """Count the items that are being posted, and so left as they are."""
        return self._sum(sa.and_(items.c.rule_id == rule.id, self._posting), sa.literal(0)).items

    def arrived(self, rule: KnownRule) -> Amount:
        """Decide that posts in doubt arrived: what was sent again arrived twice."""
        c = items.c
        claimed = c.claimed.is_not(None)
        sent = c.sent + c.repeated + sa.func.coalesce(c.claimed, 0)
        return self._decide(
            rule,
            sent=sent if rule.is_added else sa.func.coalesce(c.claimed, c.sent),
            posts=c.posts + sa.case((claimed, 1), else_=0),
            sent_info=sa.case((claimed, c.claimed_info), else_=c.sent_info),
            open=sa.and_(c.open, ~claimed),
            fate=sa.case((self._doubtful(), "sent"), else_=c.fate),
            reason=sa.case((self._doubtful(), ""), else_=c.reason),
        )

    def lost(self, rule: KnownRule) -> Amount:
        """Decide that posts in doubt are lost: the next run sends what was not sent again."""
        c = items.c
        left = c.sent - c.doubt if rule.is_added else sa.case((c.doubt != 0, 0.0), else_=c.sent)
        none = sa.and_(c.doubt != 0, left <= TOLERANCE * (1 + sa.func.abs(c.sent)))
        return self._decide(
            rule,
            sent=sa.case((none, 0.0), else_=left),
            posts=sa.case((none, 0), else_=c.posts),
            sent_info=sa.case((none, None), else_=c.sent_info),
            open=sa.or_(c.open, c.doubt != 0),
            fate=sa.case((self._doubtful(), "waiting"), else_=c.fate),
            reason=sa.case((self._doubtful(), "its post did not arrive"), else_=c.reason),
        )

    def drop_parked(self, rule: KnownRule) -> Amount:
        """Give up what parked items lack in Planhat; later increases are sent."""
        c = items.c
        parked = sa.and_(c.rule_id == rule.id, c.open, c.fate == "parked", c.claimed.is_(None))
        dropped = self._sum(parked, c.wanted - c.sent - c.written_off)
        given_up = items.update().where(parked)
        self._db.execute(
            given_up.values(
                written_off=c.wanted - c.sent,
                open=False,
                fate="rejected",
                reason="given up while it was parked",
                waits_for=None,
            )
        )
        return dropped

    def _decide(self, rule: KnownRule, **values: t.Any) -> Amount:
        """Leave nothing in doubt; the next run looks at the items again."""
        c = items.c
        unknown = sa.and_(
            c.rule_id == rule.id,
            sa.or_(c.doubt != 0, c.repeated != 0, c.claimed.is_not(None)),
            ~self._posting,
        )
        decided = self._sum(unknown, c.doubt + c.repeated + sa.func.coalesce(c.claimed, 0))
        self._db.execute(
            items.update()
            .where(unknown)
            .values(**values, **UNCLAIMED, doubt=0, repeated=0, doubt_words=None, changed=True)
        )
        return decided

    def _sum(self, chosen: sa.ColumnElement[bool], amount: sa.ColumnElement[float]) -> Amount:
        total = sa.func.coalesce(sa.func.sum(amount), 0)
        count, found = self._db.execute(sa.select(sa.func.count(), total).where(chosen)).one()
        return Amount(int(count), float(found))

    @staticmethod
    def _doubtful() -> sa.ColumnElement[bool]:
        return sa.or_(items.c.fate == "in_doubt", items.c.claimed.is_not(None))
