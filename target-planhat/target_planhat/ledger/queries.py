"""What reports and `--ledger` ask of the ledger.

`Figures` does not look at all items: only at those that this run read or decided about, and at
those of which Planhat does not have exactly what Pendo says. `Overview` looks at all.
"""

from __future__ import annotations

import functools
import typing as t
from collections import defaultdict

import sqlalchemy as sa

from target_planhat.ledger.outbox import (
    SENT_AGAIN,
    TAKEN_AS_SENT,
    being_posted,
    differ,
    is_more,
    why_in_doubt,
)
from target_planhat.ledger.schema import (
    UNEQUAL,
    copies,
    decided,
    forgotten,
    items,
    objects,
    people,
    runs,
    touched,
)

if t.TYPE_CHECKING:
    from collections.abc import Iterator

    from target_planhat.ledger.database import Database
    from target_planhat.ledger.reference_data import KnownRule
    from target_planhat.rule_model import Fate

LEFT_TO_ANOTHER = "another run delivers, and sends what is due"


class Left(t.NamedTuple):
    """An item that is parked, rejected or in doubt, and how many records of this run it has."""

    rule_id: int
    date: int
    subject: str
    company: str
    entity: str
    fate: Fate
    reason: str
    records: int


class Unmatched(t.NamedTuple):
    """An id that nothing in Planhat has, with the records of this run; dates are epoch ms.

    `events` is what would be sent of it: events, or a sum of values.
    """

    rule_id: int
    subject: str
    company: str
    events: float
    records: int
    first: int
    last: int


class Company(t.NamedTuple):
    """A company of Pendo with unmatched ids; `is_person`: one of the ids is the company's too."""

    company: str
    subjects: int
    records: int
    is_person: bool


class Figures:
    """Counts of one run, by rule number. Dates are epoch ms. `run` is its number.

    `delivered`: it delivered, or could have, as no other run did.
    """

    def __init__(self, database: Database, run: int, *, delivered: bool) -> None:
        self._db, self._run = database, run
        c = items.c
        # an item that this run decided nothing about has nothing to send
        here = sa.or_(c.open, c.run == run)
        posted = sa.and_(c.claimed.is_not(None), c.fate != "in_doubt")
        undecided = sa.and_(c.open, c.fate == "waiting", c.reason == "")
        left = sa.false() if delivered else sa.or_(posted, undecided)
        self._fate = sa.case((left, "waiting"), (here, c.fate), else_="unchanged")
        self._reason = sa.case((left, LEFT_TO_ANOTHER), (here, c.reason), else_="")

    def _of_records(self, *columns: sa.ColumnElement[t.Any]) -> sa.Select[t.Any]:
        """Select from the items of this run's records.

        It is written so that SQLite goes from these to all items, and not the other way round.
        """
        return sa.select(*columns).join_from(touched, items, items.c.id == touched.c.item_id + 0)

    def _of_others(self, *columns: sa.ColumnElement[t.Any]) -> sa.Select[t.Any]:
        """Select from the items that this run decided about, and had no records of."""
        beside = decided.c.item_id.not_in(sa.select(touched.c.item_id))
        chosen = sa.select(*columns).join_from(decided, items, items.c.id == decided.c.item_id + 0)
        return chosen.where(items.c.run == self._run, beside)

    def fates(self, rule_id: int) -> list[tuple[int, Fate, str, int]]:
        """Count this run's records by date, fate and reason."""
        return self._fates.get(rule_id, [])

    @functools.cached_property
    def _fates(self) -> dict[int, list[tuple[int, Fate, str, int]]]:
        key = (items.c.rule_id, items.c.date, self._fate, self._reason)
        counted = self._of_records(*key, sa.func.sum(touched.c.records)).group_by(*key)
        found: defaultdict[int, list[tuple[int, Fate, str, int]]] = defaultdict(list)
        for rule_id, date, fate, reason, records in self._db.execute(counted):
            found[rule_id].append((int(date), fate, reason, int(records)))
        return found

    def earlier(self, rule_id: int) -> dict[Fate, int]:
        """Count items of other runs that this one sent, gave up, or left in doubt."""
        return self._earlier.get(rule_id, {})

    @functools.cached_property
    def _earlier(self) -> dict[int, dict[Fate, int]]:
        key = (items.c.rule_id, items.c.fate)
        counted = self._of_others(*key, sa.func.count()).group_by(*key)
        found: defaultdict[int, dict[Fate, int]] = defaultdict(dict)
        fates = ("sent", "in_doubt", "rejected")
        for rule_id, fate, count in self._db.execute(counted.where(items.c.fate.in_(fates))):
            found[rule_id][fate] = int(count)
        return found

    def excess(self, rule_id: int) -> float:
        """Sum up what Planhat has of sums above what Pendo says now."""
        c = items.c
        more = c.sent + c.written_off - c.wanted
        statement = sa.select(sa.func.coalesce(sa.func.sum(more), 0)).where(
            c.rule_id == rule_id, UNEQUAL, is_more(more, c.wanted)
        )
        return float(self._db.execute(statement).scalar_one())

    def changed(self, rule_id: int) -> int:
        """Count values that are not what was sent any more."""
        c = items.c
        now_other = [c.rule_id == rule_id, UNEQUAL, differ(c.wanted, c.sent)]
        statement = sa.select(sa.func.count()).where(*now_other)
        return int(self._db.execute(statement).scalar_one())

    def matching(self, rule_id: int) -> tuple[int, int]:
        """Count the ids of this run's records that were matched, and those that were not."""
        return self._matching.get(rule_id, (0, 0))

    @functools.cached_property
    def _matching(self) -> dict[int, tuple[int, int]]:
        c = items.c
        known = sa.case((self._fate.in_(("sent", "unchanged", "in_doubt")), c.subject))
        unknown = sa.case((self._fate == "parked", c.subject))
        each = (sa.func.count(sa.distinct(ids)) for ids in (known, unknown))
        counted = self._of_records(c.rule_id, *each).group_by(c.rule_id)
        return {rule_id: (int(n), int(m)) for rule_id, n, m in self._db.execute(counted)}

    def companies(self, rule_id: int) -> list[Company]:
        """Give the companies with unmatched ids, most ids first."""
        return self._companies.get(rule_id, [])

    @functools.cached_property
    def _companies(self) -> dict[int, list[Company]]:
        c = items.c
        ids = sa.func.count(sa.distinct(c.subject))
        same = sa.func.max(sa.case((c.subject == c.company, 1), else_=0))
        counted = (
            self._of_records(c.rule_id, c.company, ids, sa.func.sum(touched.c.records), same)
            .where(self._fate == "parked")
            .group_by(c.rule_id, c.company)
            .order_by(c.rule_id, ids.desc(), c.company)
        )
        found: defaultdict[int, list[Company]] = defaultdict(list)
        for rule_id, company, subjects, records, is_person in self._db.execute(counted):
            found[rule_id].append(Company(company, int(subjects), int(records), bool(is_person)))
        return found

    def unmatched(self) -> Iterator[Unmatched]:
        """Yield the unmatched ids of this run's records, by rule and company."""
        c = items.c
        key = (c.rule_id, c.subject, c.company)
        lacking = sa.func.sum(c.wanted - c.sent - c.written_off)
        records = sa.func.sum(touched.c.records)
        counted = (
            self._of_records(*key, lacking, records, sa.func.min(c.date), sa.func.max(c.date))
            .where(self._fate == "parked")
            .group_by(*key)
            .order_by(c.rule_id, c.company, c.subject)
        )
        for row in self._db.execute(counted):
            yield Unmatched(*row)

    def left(self) -> Iterator[Left]:
        """Yield this run's items that are parked, rejected or in doubt, and those it gave up."""
        c = items.c
        about = (c.rule_id, c.date, c.subject, c.company, c.entity)
        read = self._of_records(*about, self._fate, self._reason, touched.c.records)
        for row in self._db.execute(
            read.where(self._fate.in_(("parked", "rejected", "in_doubt"))).order_by(c.rule_id, c.id)
        ):
            yield Left(*row)
        given_up = self._of_others(*about, c.fate, c.reason, sa.literal(0))
        for row in self._db.execute(given_up.where(c.fate == "rejected").order_by(c.rule_id, c.id)):
            yield Left(*row)


# For those who look into a ledger

CLAIMED = "the run that posted it ended before the answer came"
POSTING = "a run that is under way posts it"
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
        self._posting = being_posted(database)

    def masked(self, id_: str) -> str:
        """Show an id."""
        return self._db.masks.masked(id_)

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
        has_reason = sa.or_(c.open, c.written_off != 0)
        reason = sa.case(
            (self._posting, POSTING),
            (sa.and_(c.claimed.is_not(None), c.fate != "in_doubt"), CLAIMED),
            (c.doubt != 0, _in_words(TAKEN_AS_SENT)),
            (has_reason, c.reason),
            (c.repeated != 0, _in_words(SENT_AGAIN)),
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
        unanswered = sa.and_(items.c.claimed.is_not(None), ~self._posting)
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


def _in_words(then: str) -> sa.ColumnElement[str]:
    """Say why an item is, or was, in doubt, as SQL; ledgers of version 2 did not keep it."""
    before, after = why_in_doubt("\0", then).split("\0")
    words = sa.func.coalesce(items.c.doubt_words, "the answer is not known")
    return sa.literal(before) + words + after
