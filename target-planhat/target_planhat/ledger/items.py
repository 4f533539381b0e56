"""Knows what each item of Planhat should have, what it has been sent, and what is being posted."""

from __future__ import annotations

import typing as t

import msgspec
import sqlalchemy as sa

from target_planhat.ledger.amounts import differ, is_more
from target_planhat.ledger.locks import Locks
from target_planhat.ledger.tables import facts, items, totals

if t.TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Sequence

    from target_planhat.contributions import Fate
    from target_planhat.ledger.database import Database
    from target_planhat.rules import Rule

_BLOCK = 5000
_ADDITIVE = frozenset({"sum", "count"})


class Item(t.NamedTuple):
    """One activity or point: what should be there, and what is. Times are epoch ms."""

    id: int
    date: int
    subject: str
    company: str
    entity: str
    ends: int
    wanted: float
    sent: float
    posts: int
    sent_info: str | None
    written_off: float
    claimed: float | None
    claimed_at: int | None
    fate: str
    reason: str
    since: int


_COLUMNS = [items.c[name] for name in Item._fields]


def is_added(rule: Rule) -> bool:
    """Whether Planhat's readers add up what is sent, so that differences are sent."""
    return rule.kind == "activity" or rule.on_change == "delta"


class Items:
    """The items of a tenant's rules. `run` is this run's number.

    What another run posts is left to it, until it lives no more.
    """

    def __init__(self, database: Database, run: int) -> None:
        self._db, self._run = database, run
        self._locks = Locks(database)

    def recount(self, rule_id: int, rule: Rule) -> None:
        """Bring items up to date with their totals, and find those with something to send."""
        mine = [items.c.rule_id == rule_id, items.c.changed]
        combine = sa.func.sum if rule.combine in _ADDITIVE else sa.func.max
        of_item = totals.c.item_id == items.c.id
        wanted = sa.select(sa.func.coalesce(combine(totals.c.value), 0)).where(of_item)
        records = sa.select(sa.func.coalesce(sa.func.sum(totals.c.records), 0)).where(of_item)
        self._db.execute(
            items.update()
            .where(*mine)
            .values(wanted=wanted.scalar_subquery(), records=records.scalar_subquery())
        )
        # what was decided about less does not hold for more
        done = ~is_open(rule) & _FREE
        past = items.c.fate.in_(("sent", "unchanged", "in_doubt")) & _FREE
        self._db.execute(
            items.update()
            .where(*mine)
            .values(
                open=is_open(rule),
                changed=False,
                fate=sa.case((done, "unchanged"), (past, "waiting"), else_=items.c.fate),
                reason=sa.case((sa.or_(done, past), ""), else_=items.c.reason),
            )
        )

    def open_of(self, rule_id: int) -> Iterator[list[Item]]:
        """Yield items with something to send, some thousand at a time."""
        return self._pages(items.c.rule_id == rule_id, items.c.open, _FREE)

    def left_of(self, rule_id: int) -> Iterator[list[Item]]:
        """Take on what runs have claimed that live no more; yield it, some thousand at a time."""
        claimed = [items.c.rule_id == rule_id, items.c.claimed.is_not(None)]
        self._db.turn()
        # claims of version 1 say not whose they are: those runs are over
        dead = sa.func.coalesce(items.c.claimed_by, 0).not_in(self._locks.claimants())
        # if this run ends before it has decided, the next one takes them on in turn
        self._db.execute(items.update().where(*claimed, dead).values(claimed_by=self._run))
        self._db.commit()
        return self._pages(*claimed, items.c.claimed_by == self._run)

    def _pages(self, *conditions: sa.ColumnElement[bool]) -> Iterator[list[Item]]:
        last = 0
        while True:
            statement = sa.select(*_COLUMNS).where(*conditions, items.c.id > last)
            rows = self._db.execute(statement.order_by(items.c.id).limit(_BLOCK)).all()
            found = [Item._make(row) for row in rows]
            if not found:
                return
            last = found[-1].id
            yield found

    def info(self, ids: Sequence[int]) -> dict[int, dict[str, t.Any]]:
        """Sum up what else is known of items: {item: {name: number or other value}}."""
        counted = sa.and_(
            totals.c.item_id == facts.c.item_id,
            totals.c.bucket == facts.c.bucket,
            totals.c.app == facts.c.app,
            totals.c.records > 0,
        )
        statement = (
            sa.select(
                facts.c.item_id,
                facts.c.name,
                sa.func.sum(facts.c.number),
                sa.func.min(facts.c.text),
                sa.func.max(facts.c.text),
            )
            .join_from(facts, totals, counted)
            .where(facts.c.item_id.in_(ids))
            .group_by(facts.c.item_id, facts.c.name)
        )
        found: dict[int, dict[str, t.Any]] = {}
        for item_id, name, number, least, most in self._db.execute(statement):
            if number is not None:
                found.setdefault(item_id, {})[name] = number
            elif least == most and least:
                found.setdefault(item_id, {})[name] = msgspec.json.decode(least)
        return found

    # Fates

    def judge(self, judged: Iterable[tuple[Item, Fate, str]]) -> None:
        """Note why items are not sent; nothing is written of those that stay as they are."""
        news = [
            (item.id, fate, reason)
            for item, fate, reason in judged
            if (item.fate, item.reason) != (fate, reason)
        ]
        self._update(
            ("item", "new_fate", "new_reason"),
            news,
            _AVAILABLE,
            fate=sa.bindparam("new_fate"),
            reason=sa.bindparam("new_reason"),
            run=self._run,
        )

    def write_off(self, judged: Iterable[tuple[Item, str]]) -> None:
        """Give up what items lack in Planhat; later increases are sent."""
        self._update(
            ("item", "new_reason"),
            [(item.id, reason) for item, reason in judged],
            _AVAILABLE,
            written_off=items.c.wanted - items.c.sent,
            open=False,
            fate="rejected",
            reason=sa.bindparam("new_reason"),
            run=self._run,
        )

    def claim(self, ids: Collection[int], rule: Rule, now: int) -> list[Item]:
        """Claim what items lack now, for a post; commit before it is made.

        Gives them as they are now, without those that another run has claimed or sent meanwhile.
        """
        self._db.turn()
        c = items.c
        claimed = (
            items.update()
            .where(c.id.in_(ids), _AVAILABLE, is_open(rule))
            .values(
                claimed=c.wanted - c.sent - c.written_off if is_added(rule) else c.wanted,
                claimed_at=now,
                claimed_by=self._run,
            )
            .returning(*_COLUMNS)
        )
        return sorted(Item._make(row) for row in self._db.execute(claimed))

    def inform(self, told: Iterable[tuple[int, str]]) -> None:
        """Keep what else is posted of claimed items: JSON of all numbers sent so far and now."""
        self._update(("item", "told"), list(told), self._mine, claimed_info=sa.bindparam("told"))

    def sent(self, ids: Iterable[int], rule: Rule, fate: Fate = "sent") -> None:
        """Planhat has what was claimed, or is taken to (`in_doubt`)."""
        doubt = items.c.doubt + items.c.claimed if fate == "in_doubt" else items.c.doubt
        self._update(
            ("item",),
            [(one,) for one in ids],
            self._mine,
            sent=items.c.sent + items.c.claimed if is_added(rule) else items.c.claimed,
            sent_info=items.c.claimed_info,
            posts=items.c.posts + 1,
            doubt=doubt,
            # a run beside this one may have brought more since it was claimed
            open=_is_open_after(rule),
            fate=fate,
            reason="" if fate == "sent" else "nobody knows whether it arrived; taken as sent",
            run=self._run,
            **UNCLAIMED,
        )

    def not_sent(self, ids: Iterable[int], fate: Fate, reason: str) -> None:
        """Planhat certainly does not have what was claimed."""
        self._update(
            ("item",),
            [(one,) for one in ids],
            self._mine,
            fate=fate,
            reason=reason,
            run=self._run,
            **UNCLAIMED,
        )

    def in_question(self, ids: Iterable[int]) -> None:
        """Nobody knows whether Planhat has what was claimed, but a later run can read it back."""
        self._update(
            ("item",),
            [(one,) for one in ids],
            self._mine,
            fate="in_doubt",
            reason="nobody knows whether it arrived; it will be read back",
            run=self._run,
        )

    def to_repeat(self, ids: Iterable[int]) -> None:
        """Nobody knows whether Planhat has what was claimed: it will be sent again."""
        self._update(
            ("item",),
            [(one,) for one in ids],
            self._mine,
            repeated=items.c.repeated + items.c.claimed,
            fate="in_doubt",
            reason="nobody knows whether it arrived; sent again",
            run=self._run,
            **UNCLAIMED,
        )

    def reopen(self, ids: Iterable[int], rule: Rule) -> None:
        """Look again whether there is something to send: they may have grown since their post."""
        rows = [(one,) for one in ids]
        self._update(("item",), rows, sa.or_(_FREE, self._mine), open=is_open(rule))

    @property
    def _mine(self) -> sa.ColumnElement[bool]:
        return items.c.claimed_by == self._run

    def _update(
        self,
        names: Sequence[str],
        rows: Sequence[tuple[t.Any, ...]],
        condition: sa.ColumnElement[bool],
        **values: t.Any,
    ) -> None:
        """Change items, those of which a condition is still true."""
        chosen = items.update().where(items.c.id == sa.bindparam("item"), condition)
        self._db.many(chosen.values(**values), names, rows)


_FREE = items.c.claimed.is_(None)
_AVAILABLE = sa.and_(items.c.open, _FREE)
UNCLAIMED: dict[str, t.Any] = dict.fromkeys(
    ("claimed", "claimed_info", "claimed_at", "claimed_by"), None
)


def is_open(rule: Rule) -> sa.ColumnElement[bool]:
    """Whether there is something to send of an item, as SQL.

    What was sent is never taken back: of what readers add up, only increases are sent.
    """
    c = items.c
    lacking = c.wanted - c.sent - c.written_off
    more = is_more(lacking, c.wanted)
    # a first value is sent whatever it is, also 0 or below, unless it was given up
    kept = sa.or_(c.written_off == 0, differ(c.wanted, c.written_off))
    first = sa.and_(c.posts == 0, c.records > 0, kept)
    if rule.combine in _ADDITIVE:
        first = sa.and_(first, c.wanted != 0)
    if is_added(rule):
        return more if rule.combine in _ADDITIVE else sa.or_(more, first)
    if rule.on_change == "resend":
        changed = sa.and_(c.posts > 0, differ(c.wanted, c.sent))
        return sa.or_(first, changed)
    return first


def _is_open_after(rule: Rule) -> sa.ColumnElement[bool]:
    """Whether there is still something to send of an item once it has what is claimed, as SQL."""
    c = items.c
    if is_added(rule):
        lacking = c.wanted - c.sent - c.claimed - c.written_off
        return is_more(lacking, c.wanted)
    return differ(c.wanted, c.claimed) if rule.on_change == "resend" else sa.false()
