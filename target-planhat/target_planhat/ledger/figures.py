"""What the report asks of the ledger: what became of this run's records, and of older items."""

from __future__ import annotations

import typing as t

import sqlalchemy as sa

from target_planhat.ledger.amounts import differ, is_more
from target_planhat.ledger.locks import Locks
from target_planhat.ledger.tables import items, touched

if t.TYPE_CHECKING:
    from target_planhat.contributions import Fate
    from target_planhat.ledger.database import Database

_COMPANIES = 20
POSTING = "another run is posting it"
GROWN = "it grew while another run posted it; the next run sends the rest"


class Left(t.NamedTuple):
    """An item that is parked or rejected, with the records of this run that it stands for."""

    date: int
    subject: str
    company: str
    entity: str
    fate: Fate
    reason: str
    records: int


class Figures:
    """Counts of one run, by rule number. Dates are epoch ms. `run` is its number."""

    def __init__(self, database: Database, run: int) -> None:
        self._db, self._run = database, run
        c = items.c
        # an item that this run decided nothing about has nothing to send
        decided = sa.or_(c.open, c.run == run)
        others = Locks(database).claimants() - {run}
        posting = sa.and_(c.claimed_by.in_(others), c.fate != "in_doubt")
        grown = sa.and_(c.open, c.claimed.is_(None), c.run != run, c.fate == "sent")
        self._fate = sa.case(
            (sa.or_(posting, grown), "waiting"), (decided, c.fate), else_="unchanged"
        )
        self._reason = sa.case((posting, POSTING), (grown, GROWN), (decided, c.reason), else_="")
        # written so that SQLite goes from what was touched to the items, not through all of them
        self._here = items.c.id == touched.c.item_id + 0

    def fates(self, rule_id: int) -> list[tuple[int, Fate, str, int]]:
        """Count this run's records by date, fate and reason."""
        key = (items.c.date, self._fate, self._reason)
        statement = (
            sa.select(*key, sa.func.sum(touched.c.records))
            .join_from(touched, items, self._here)
            .where(_of(rule_id))
            .group_by(*key)
        )
        return [(int(d), f, r, int(n)) for d, f, r, n in self._db.execute(statement)]

    def earlier(self, rule_id: int) -> dict[Fate, int]:
        """Count items of earlier runs that this one sent, or left in doubt."""
        here = sa.select(touched.c.item_id)
        statement = (
            sa.select(items.c.fate, sa.func.count())
            .where(
                _of(rule_id),
                items.c.run == self._run,
                items.c.fate.in_(("sent", "in_doubt")),
                items.c.id.not_in(here),
            )
            .group_by(items.c.fate)
        )
        return {fate: int(count) for fate, count in self._db.execute(statement)}

    def excess(self, rule_id: int) -> float:
        """Sum up what Planhat has of sums above what Pendo says now."""
        c = items.c
        more = c.sent + c.written_off - c.wanted
        statement = sa.select(sa.func.coalesce(sa.func.sum(more), 0)).where(
            _of(rule_id), c.posts > 0, is_more(more, c.wanted)
        )
        return float(self._db.execute(statement).scalar_one())

    def changed(self, rule_id: int) -> int:
        """Count values that are not what was sent any more."""
        c = items.c
        now_other = [_of(rule_id), c.posts > 0, differ(c.wanted, c.sent)]
        statement = sa.select(sa.func.count()).where(*now_other)
        return int(self._db.execute(statement).scalar_one())

    def matching(self, rule_id: int) -> tuple[int, int]:
        """Count the ids of this run's records that were matched, and those that were not."""
        parked = self._fate == "parked"
        known = self._fate.in_(("sent", "unchanged", "in_doubt"))
        ids = sa.distinct(items.c.subject)
        found = []
        for chosen in (known, parked):
            statement = (
                sa.select(sa.func.count(ids))
                .join_from(touched, items, self._here)
                .where(_of(rule_id), chosen)
            )
            found.append(int(self._db.execute(statement).scalar_one()))
        return found[0], found[1]

    def unmatched(self, rule_id: int) -> list[tuple[str, int, int]]:
        """Name the companies with most unmatched ids: (account id, ids, records)."""
        ids = sa.func.count(sa.distinct(items.c.subject))
        statement = (
            sa.select(items.c.company, ids, sa.func.sum(touched.c.records))
            .join_from(touched, items, self._here)
            .where(_of(rule_id), self._fate == "parked")
            .group_by(items.c.company)
            .order_by(ids.desc(), items.c.company)
            .limit(_COMPANIES)
        )
        return [
            (company, int(n), int(records)) for company, n, records in self._db.execute(statement)
        ]

    def left(self, rule_id: int) -> t.Iterator[Left]:
        """Yield this run's items that are parked, or rejected by Planhat."""
        c = items.c
        statement = (
            sa.select(c.date, c.subject, c.company, c.entity, c.fate, c.reason, touched.c.records)
            .join_from(touched, items, self._here)
            .where(_of(rule_id), self._fate.in_(("parked", "rejected")))
            .order_by(c.id)
        )
        for row in self._db.execute(statement):
            yield Left(*row)


def _of(rule_id: int) -> sa.ColumnElement[bool]:
    """Of a rule; without its index, which is no good for so many."""
    return items.c.rule_id + 0 == rule_id
