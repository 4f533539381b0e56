"""Settles by hand what only people know: whether posts arrived, and what is not waited for."""

from __future__ import annotations

import typing as t

import sqlalchemy as sa

from target_planhat.ledger.items import UNCLAIMED
from target_planhat.ledger.locks import Locks
from target_planhat.ledger.overview import Amount
from target_planhat.ledger.tables import items

if t.TYPE_CHECKING:
    from target_planhat.ledger.database import Database
    from target_planhat.ledger.known import KnownRule

# Amounts are sums of floats
_TOLERANCE = 1e-9


class Resolving:
    """Decides about all items of a rule at once; the next run sends what they then lack.

    Runs may be under way: what they are posting is left to them.
    """

    def __init__(self, database: Database) -> None:
        self._db = database
        # from here on no run claims anything, until the next commit
        database.turn()
        self._living = Locks(database).claimants()

    def left(self, rule: KnownRule) -> int:
        """Count the items that are being posted, and so left as they are."""
        posted = sa.and_(items.c.rule_id == rule.id, items.c.claimed_by.in_(self._living))
        return self._sum(posted, sa.literal(0)).items

    def arrived(self, rule: KnownRule) -> Amount:
        """Take posts of unknown fate as arrived: what was sent again arrived twice."""
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
        """Take posts of unknown fate as lost: the next run sends again what was not by now."""
        c = items.c
        left = c.sent - c.doubt if rule.is_added else sa.case((c.doubt != 0, 0.0), else_=c.sent)
        none = sa.and_(c.doubt != 0, left <= _TOLERANCE * (1 + sa.func.abs(c.sent)))
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
            )
        )
        return dropped

    def _decide(self, rule: KnownRule, **values: t.Any) -> Amount:
        """Leave nothing in doubt; the next run looks at the items again."""
        c = items.c
        unknown = sa.and_(
            c.rule_id == rule.id,
            sa.or_(c.doubt != 0, c.repeated != 0, c.claimed.is_not(None)),
            sa.func.coalesce(c.claimed_by, 0).not_in(self._living),
        )
        decided = self._sum(unknown, c.doubt + c.repeated + sa.func.coalesce(c.claimed, 0))
        self._db.execute(
            items.update()
            .where(unknown)
            .values(**values, **UNCLAIMED, doubt=0, repeated=0, changed=True)
        )
        return decided

    def _sum(self, chosen: sa.ColumnElement[bool], amount: sa.ColumnElement[float]) -> Amount:
        total = sa.func.coalesce(sa.func.sum(amount), 0)
        count, found = self._db.execute(sa.select(sa.func.count(), total).where(chosen)).one()
        return Amount(int(count), float(found))

    @staticmethod
    def _doubtful() -> sa.ColumnElement[bool]:
        return sa.or_(items.c.fate == "in_doubt", items.c.claimed.is_not(None))
