"""The items: what Planhat should have of each, what it has, and what is being posted.

An item is one activity (rule, subject, entity, hour or day) or one point of a metric. Its life:

        Pendo says more (recount)
           |
           v       judge: its object is not in Planhat
    +-> [ open ] ---------------------------------------> [ asleep ]
    |     |  ^ ^                                           |      |
    |     |  | +---- wake: its object or key has come -----+      |
    |     |  |                                                    v
    |     |  |    write_off: `unmatched: skip`      give_up: longer than `park_days`
    |     +--|-----------------------------------> [ given up ] --+ Pendo says more: open
    |     |  |
    |   claim, commit, post
    |     |  |
    |     |  | not_sent: refused, or not taken by Planhat
    |     |  | to_repeat: nobody knows, and `in_doubt: resend` (amount added to `repeated`)
    |     v  |
    |   [ claimed ] --- sent: accepted ----------------------------> [ sent ]
    |     |  ^          or nobody knows, and `in_doubt: assume_sent`    |
    |     +--+          (amount added to `doubt`)                       |
    |   in_question: nobody knows, but the next run can read it back    |
    +------------------------------------------- Pendo says more -------+

The columns: `open` says whether there is something to send, also while it is claimed; asleep are
open items with `waits_for`; `claimed` is the amount that is being posted, or None; `sent`, `posts`
what Planhat has, `written_off` what it will not get. `fate` and `reason` are for reports: what was
last decided about an open item, or why it is not open. Open items that are not due, have no name
yet, or were refused stay open, and each run looks at them again.
"""

from __future__ import annotations

import typing as t

import msgspec
import sqlalchemy as sa

from target_planhat.ledger.locks import Locks
from target_planhat.ledger.schema import (
    ACTIVE,
    PARKED,
    decided,
    facts,
    items,
    objects,
    people,
    totals,
)
from target_planhat.rule_model import ADDITIVE

if t.TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Sequence

    from target_planhat.ledger.database import Database
    from target_planhat.rule_model import Fate, Rule

_BLOCK = 5000
TOLERANCE = 1e-9
"""Relative; amounts that differ by less are the same."""


class Item(t.NamedTuple):
    """One activity or point: what Planhat should have, and what it has. Times are epoch ms."""

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
    doubt_words: str | None
    waits_for: str | None


class Claim(t.NamedTuple):
    """What is posted of an item: the amount; and JSON of the numbers that were sent before."""

    amount: float
    sent_info: str | None


_COLUMNS = [items.c[name] for name in Item._fields]


TAKEN_AS_SENT = "taken as sent"
SENT_AGAIN = "sent again"
GROWN = "it grew while it was posted: the rest is sent by the next run"


def why_in_doubt(words: str, then: str) -> str:
    """Write what Planhat answered to a post of unknown fate, and what is done with its items."""
    return f"nobody knows whether it arrived ({words}); {then}"


def is_added(rule: Rule) -> bool:
    """Whether Planhat's readers add up what is sent, so that differences are sent."""
    return rule.kind == "activity" or rule.on_change == "delta"


class Items:
    """The items of a tenant's rules. `run` is this run's number.

    Only `recount` is for any run; the rest is for the run that delivers.
    """

    def __init__(self, database: Database, run: int) -> None:
        self._db, self._run = database, run

    def recount(self, rule_id: int, rule: Rule) -> None:
        """Sum up the totals of changed items, and find those with something to send."""
        mine = [items.c.rule_id == rule_id, items.c.changed]
        of_item = totals.c.item_id == items.c.id
        counted = sa.select(sa.func.coalesce(sa.func.sum(totals.c.records), 0)).where(of_item)
        wanted, records = sa.func.coalesce(_wanted(rule), 0), counted.scalar_subquery()
        other = sa.or_(items.c.records != records, items.c.wanted != wanted)
        self._db.execute(items.update().where(*mine, other).values(wanted=wanted, records=records))
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
                waits_for=sa.case((is_open(rule), items.c.waits_for), else_=None),
            )
        )

    def open_of(self, rule_id: int) -> Iterator[list[Item]]:
        """Yield open items, some thousand at a time; without those asleep."""
        return self._pages(items.c.rule_id == rule_id, ACTIVE, _FREE)

    def claimed_of(self, rule_id: int) -> Iterator[list[Item]]:
        """Yield items that are claimed, some thousand at a time."""
        return self._pages(items.c.rule_id == rule_id, _CLAIMED)

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

    def any_sent(self, rule_ids: Collection[int]) -> bool:
        """Whether Planhat has ever taken an item of these rules."""
        sent = sa.select(items.c.id).where(items.c.rule_id.in_(rule_ids), items.c.posts > 0)
        return self._db.execute(sent.limit(1)).first() is not None

    def info(self, ids: Sequence[int]) -> dict[int, dict[str, t.Any]]:
        """Sum up the `info` of items: {item: {name: number or other value}}."""
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

    # Parked items sleep until their object, or its key, may have come

    def is_any_asleep(self, rule_id: int) -> bool:
        """Whether a rule has items that wait for an object of Planhat, or for its key."""
        asleep = sa.select(items.c.id).where(_asleep(rule_id)).limit(1)
        return self._db.execute(asleep).first() is not None

    def wake(self, rule_id: int, rule: Rule, path: str, column: str) -> None:
        """Wake items whose object is in the copy of Planhat by now, or whose key has changed.

        The rule's key is the column `column` of the copy of `path`.
        """
        tenant, match = self._db.tenant_id, rule.match
        key = objects.c[column]
        there = [objects.c.tenant_id == tenant, objects.c.path == path]
        by_key = sa.select(key).where(*there, key == items.c.waits_for)
        found: sa.ColumnElement[bool] = by_key.exists()
        if match.of != "row":
            said = people.c.folded if match.by == "email" else people.c.value
            of_subject = sa.select(said).where(
                people.c.tenant_id == tenant,
                people.c.kind == match.of,
                people.c.id == items.c.subject,
                people.c.path == ".".join(match.path),
            )
            now = sa.func.coalesce(of_subject.scalar_subquery(), "")
            found = sa.or_(found, now != items.c.waits_for)
        self._wake(rule_id, found)

    def wake_all(self, rule_id: int) -> None:
        """Wake all items of a rule."""
        self._wake(rule_id, sa.true())

    def _wake(self, rule_id: int, chosen: sa.ColumnElement[bool]) -> None:
        these = items.update().where(_asleep(rule_id), chosen)
        self._db.execute(these.values(waits_for=None))

    def give_up(self, rule_id: int, before: int, reason: str) -> int:
        """Give up items that were parked before a moment, in epoch ms; return how many."""
        these = items.update().where(items.c.rule_id == rule_id, PARKED, items.c.since < before)
        given_up = these.where(_FREE).values(
            written_off=items.c.wanted - items.c.sent,
            open=False,
            fate="rejected",
            reason=reason,
            waits_for=None,
            run=self._run,
        )
        ids = self._db.execute(given_up.returning(items.c.id)).scalars().all()
        self._decided(ids)
        return len(ids)

    # Fates

    def judge(self, judged: Iterable[tuple[Item, Fate, str, str | None]]) -> None:
        """Note why items are not sent, and what they wait for.

        Nothing is written for items that stay as they are.
        """
        news = [
            (item.id, *decision)
            for item, *decision in judged
            if (item.fate, item.reason, item.waits_for) != tuple(decision)
        ]
        self._update(
            ("item", "new_fate", "new_reason", "awaited"),
            news,
            _AVAILABLE,
            fate=sa.bindparam("new_fate"),
            reason=sa.bindparam("new_reason"),
            waits_for=sa.bindparam("awaited"),
            run=self._run,
        )

    def write_off(self, judged: Iterable[tuple[Item, str]]) -> None:
        """Give up what items lack in Planhat; later increases are sent."""
        rows = [(item.id, reason) for item, reason in judged]
        self._decided([item for item, _ in rows])
        self._update(
            ("item", "new_reason"),
            rows,
            _AVAILABLE,
            written_off=items.c.wanted - items.c.sent,
            open=False,
            fate="rejected",
            reason=sa.bindparam("new_reason"),
            run=self._run,
        )

    def claim(self, ids: Collection[int], rule: Rule, now: int) -> dict[int, Claim]:
        """Claim what items lack now, for a post; commit before it is made.

        Returns it by item, without those that have nothing to send any more.
        """
        c = items.c
        claimed = (
            items.update()
            .where(self._db.among(c.id, ids), _AVAILABLE, is_open(rule))
            .values(
                claimed=c.wanted - c.sent - c.written_off if is_added(rule) else c.wanted,
                claimed_at=now,
            )
            .returning(c.id, c.claimed, c.sent_info)
        )
        rows = self._db.execute(claimed).all()
        return {item: Claim(amount, sent_info) for item, amount, sent_info in rows}

    def keep_sums(self, sums: Iterable[tuple[int, str]]) -> None:
        """Keep, as JSON, the numbers of `info` of claimed items, with those sent before."""
        self._update(("item", "sums"), list(sums), _CLAIMED, claimed_info=sa.bindparam("sums"))

    def sent(self, ids: Collection[int], rule: Rule, *, doubt: str = "") -> None:
        """Planhat has what was claimed, or is assumed to: then `doubt` is what it answered."""
        c = items.c
        sent = c.sent + c.claimed if is_added(rule) else c.claimed
        # another run may have brought more since it was claimed
        grown = is_open(rule, sent=sent, posts=c.posts + 1)
        values: dict[str, t.Any] = {
            "fate": sa.case((grown, "waiting"), else_="sent"),
            "reason": sa.case((grown, GROWN), else_=""),
        }
        if doubt:
            reason = why_in_doubt(doubt, TAKEN_AS_SENT)
            values = {"fate": "in_doubt", "reason": reason, "doubt_words": doubt}
            values["doubt"] = c.doubt + c.claimed
        self._all(
            ids,
            sent=sent,
            sent_info=c.claimed_info,
            posts=c.posts + 1,
            open=grown,
            run=self._run,
            **values,
            **UNCLAIMED,
        )

    def not_sent(self, ids: Collection[int], fate: Fate, reason: str) -> None:
        """Planhat certainly does not have what was claimed."""
        self._all(
            ids,
            fate=fate,
            reason=reason,
            run=self._run,
            **UNCLAIMED,
        )

    def in_question(self, ids: Collection[int], words: str) -> None:
        """Nobody knows whether Planhat has what was claimed, but a later run can read it back.

        `words` are what Planhat answered.
        """
        self._all(
            ids,
            fate="in_doubt",
            reason=why_in_doubt(words, "it will be read back"),
            doubt_words=words,
            run=self._run,
        )

    def to_repeat(self, ids: Collection[int], words: str) -> None:
        """Nobody knows whether Planhat has what was claimed: it will be sent again.

        `words` are what Planhat answered.
        """
        self._all(
            ids,
            repeated=items.c.repeated + items.c.claimed,
            fate="in_doubt",
            reason=why_in_doubt(words, SENT_AGAIN),
            doubt_words=words,
            run=self._run,
            **UNCLAIMED,
        )

    def _all(self, ids: Collection[int], **values: t.Any) -> None:
        """Change items alike that are claimed: somebody may have decided about them by hand."""
        if ids:
            self._decided(ids)
            chosen = items.update().where(self._db.among(items.c.id, ids), _CLAIMED)
            self._db.execute(chosen.values(**values))

    def _decided(self, ids: Collection[int]) -> None:
        """Remember for the report which items this run decided about."""
        if ids:
            chosen = sa.select(items.c.id).where(self._db.among(items.c.id, ids))
            new = self._db.into(decided).from_select(["item_id"], chosen)
            self._db.execute(new.on_conflict_do_nothing())

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
_CLAIMED = items.c.claimed.is_not(None)
_AVAILABLE = sa.and_(items.c.open, _FREE)


def _asleep(rule_id: int) -> sa.ColumnElement[bool]:
    return sa.and_(items.c.rule_id == rule_id, PARKED, items.c.waits_for.is_not(None))


def _wanted(rule: Rule) -> sa.ScalarSelect[t.Any]:
    """Combine an item's totals, as SQL, without those of no records."""
    of_item = totals.c.item_id == items.c.id
    if rule.combine in ADDITIVE:
        return sa.select(sa.func.sum(totals.c.value)).where(of_item).scalar_subquery()
    there = sa.and_(of_item, totals.c.records > 0)
    if rule.combine == "max":
        return sa.select(sa.func.max(totals.c.value)).where(there).scalar_subquery()
    # where a date is a field of its own, several windows may have a value for it
    newest = sa.select(totals.c.value).where(there).limit(1)
    return newest.order_by(totals.c.read_at.desc(), totals.c.bucket.desc()).scalar_subquery()


# Amounts are sums of floats, which differ a bit if they are added up in another order


def is_more(amount: sa.ColumnElement[t.Any], of: sa.ColumnElement[t.Any]) -> sa.ColumnElement[bool]:
    """Whether an amount is more than nothing, compared with what it is a part of, as SQL."""
    return amount > TOLERANCE * (1 + sa.func.abs(of))


def differ(one: sa.ColumnElement[t.Any], other: sa.ColumnElement[t.Any]) -> sa.ColumnElement[bool]:
    """Whether two amounts are not the same, as SQL."""
    return sa.func.abs(one - other) > TOLERANCE * sa.func.abs(one)


def being_posted(database: Database) -> sa.ColumnElement[bool]:
    """Whether another run posts an item now, as SQL; what is read back, nobody posts."""
    if not Locks(database).is_delivering():
        return sa.false()
    return sa.and_(_CLAIMED, items.c.fate != "in_doubt")


UNCLAIMED: dict[str, t.Any] = dict.fromkeys(("claimed", "claimed_info", "claimed_at"), None)


def is_open(
    rule: Rule,
    *,
    sent: sa.ColumnElement[t.Any] = items.c.sent,
    posts: sa.ColumnElement[t.Any] = items.c.posts,
) -> sa.ColumnElement[bool]:
    """Whether there is something to send of an item, as SQL, given the amount and number of posts.

    What was sent is never taken back: of what readers add up, only increases are sent.
    """
    c = items.c
    lacking = c.wanted - sent - c.written_off
    more = is_more(lacking, c.wanted)
    # a first value is sent whatever it is, also 0 or below, unless it was given up
    kept = sa.or_(c.written_off == 0, differ(c.wanted, c.written_off))
    first = sa.and_(posts == 0, c.records > 0, kept)
    if rule.combine in ADDITIVE:
        first = sa.and_(first, c.wanted != 0)
    if is_added(rule):
        return more if rule.combine in ADDITIVE else sa.or_(more, first)
    if rule.on_change == "resend":
        changed = sa.and_(posts > 0, differ(c.wanted, sent))
        return sa.or_(first, changed)
    return first
