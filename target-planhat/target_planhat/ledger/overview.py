"""What a ledger holds, for those who look into it: items by state, amounts, copies, runs."""

from __future__ import annotations

import typing as t

import sqlalchemy as sa

from target_planhat.ledger.amounts import is_more
from target_planhat.ledger.locks import Locks
from target_planhat.ledger.tables import copies, forgotten, items, objects, people, runs

if t.TYPE_CHECKING:
    from target_planhat.ledger.database import Database
    from target_planhat.ledger.known import KnownRule

CLAIMED = "the run that posted it ended before the answer came"
POSTING = "a run that is under way posts it"
ASSUMED = "nobody knows whether it arrived; taken as sent"
_LAST_RUNS = 5


class State(t.NamedTuple):
    """How many items of a rule are in a state, for one reason."""

    state: str
    reason: str
    items: int


class Amount(t.NamedTuple):
    """Items, and what it is about in all."""

    items: int
    amount: float


class Parked(t.NamedTuple):
    """A parked item: what it is about, its date and its first record's read, in epoch ms."""

    subject: str
    date: int
    since: int


class Copy(t.NamedTuple):
    """The copy of one kind of Planhat's objects; `read_at` is epoch ms, None: not whole yet."""

    path: str
    objects: int
    read_at: int | None


class Overview:
    """Looks into a tenant's part of a ledger."""

    def __init__(self, database: Database) -> None:
        self._db, self._tenant = database, database.tenant_id
        living = Locks(database).claimants()
        self._posting = sa.and_(items.c.claimed_by.in_(living), items.c.fate != "in_doubt")
        self._left = sa.func.coalesce(items.c.claimed_by, 0).not_in(living)

    def states(self, rule: KnownRule) -> list[State]:
        """Count a rule's items by state and reason, most first."""
        c = items.c
        state = sa.case(
            (self._posting, "being_posted"),
            (c.claimed.is_not(None), "in_doubt"),
            (c.open, c.fate),
            (c.doubt != 0, "in_doubt"),
            (c.written_off != 0, "given_up"),
            (c.posts > 0, "sent"),
            else_="nothing_to_send",
        ).label("state")
        told = sa.or_(c.open, c.written_off != 0)
        reason = sa.case(
            (self._posting, POSTING),
            (sa.and_(c.claimed.is_not(None), c.fate != "in_doubt"), CLAIMED),
            (c.doubt != 0, ASSUMED),
            (told, c.reason),
            else_="",
        ).label("reason")
        each = sa.select(state, reason).where(c.rule_id == rule.id).subquery()
        counted = sa.func.count()
        statement = (
            sa.select(each.c.state, each.c.reason, counted)
            .group_by(each.c.state, each.c.reason)
            .order_by(counted.desc(), each.c.state, each.c.reason)
        )
        return [State(*row) for row in self._db.execute(statement)]

    def doubt(self, rule: KnownRule) -> Amount:
        """Sum up what is taken as sent, though nobody knows whether it arrived."""
        return self._sum(rule, items.c.doubt, items.c.doubt != 0)

    def repeated(self, rule: KnownRule) -> Amount:
        """Sum up what was sent again, and so perhaps arrived twice."""
        return self._sum(rule, items.c.repeated, items.c.repeated != 0)

    def claimed(self, rule: KnownRule) -> Amount:
        """Sum up what was posted by runs that ended before its answer came."""
        unanswered = sa.and_(items.c.claimed.is_not(None), self._left)
        return self._sum(rule, items.c.claimed, unanswered)

    def excess(self, rule: KnownRule) -> Amount:
        """Sum up what Planhat has of sums above what Pendo says now."""
        c = items.c
        more = c.sent + c.written_off - c.wanted
        above = sa.and_(c.posts > 0, is_more(more, c.wanted), sa.literal(rule.is_added))
        return self._sum(rule, more, above)

    def _sum(
        self, rule: KnownRule, amount: sa.ColumnElement[float], chosen: sa.ColumnElement[bool]
    ) -> Amount:
        total = sa.func.coalesce(sa.func.sum(amount), 0)
        statement = sa.select(sa.func.count(), total).where(items.c.rule_id == rule.id, chosen)
        count, found = self._db.execute(statement).one()
        return Amount(int(count), float(found))

    def oldest_parked(self, rule: KnownRule) -> Parked | None:
        """Find the parked item whose first record is the oldest."""
        c = items.c
        statement = (
            sa.select(c.subject, c.date, c.since)
            .where(c.rule_id == rule.id, c.open, c.fate == "parked")
            .order_by(c.since, c.date, c.id)
            .limit(1)
        )
        found = self._db.execute(statement).first()
        return Parked(*found) if found else None

    def copies(self) -> list[Copy]:
        """Count the copies of Planhat's objects."""
        read = sa.select(copies.c.path, copies.c.read_at).where(copies.c.tenant_id == self._tenant)
        read_at = {row.path: row.read_at for row in self._db.execute(read)}
        statement = (
            sa.select(objects.c.path, sa.func.count())
            .where(objects.c.tenant_id == self._tenant)
            .group_by(objects.c.path)
        )
        counts = {path: int(count) for path, count in self._db.execute(statement)}
        return [
            Copy(path, counts.get(path, 0), read_at.get(path))
            for path in sorted({*counts, *read_at})
        ]

    def people(self) -> int:
        """Count visitors and accounts of whom fields are kept."""
        some = sa.select(people.c.kind, people.c.id).where(people.c.tenant_id == self._tenant)
        return self._count(some.distinct())

    def forgotten(self) -> int:
        """Count ids that are forgotten."""
        return self._count(
            sa.select(forgotten.c.id_hash).where(forgotten.c.tenant_id == self._tenant)
        )

    def runs(self) -> int:
        """Count the runs."""
        return self._count(sa.select(runs.c.id).where(runs.c.tenant_id == self._tenant))

    def last_runs(self) -> list[int]:
        """Say when the last runs started, newest first, in epoch ms."""
        mine = sa.select(runs.c.started).where(runs.c.tenant_id == self._tenant)
        statement = mine.order_by(runs.c.id.desc()).limit(_LAST_RUNS)
        return [int(at) for at in self._db.execute(statement).scalars()]

    def _count(self, chosen: sa.Select[t.Any]) -> int:
        return int(
            self._db.execute(sa.select(sa.func.count()).select_from(chosen.subquery())).scalar_one()
        )
