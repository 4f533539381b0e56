"""Turns staged rows into totals of items: newer reads replace, what is not there any more is 0."""

from __future__ import annotations

import dataclasses
import typing as t
from collections import Counter

import sqlalchemy as sa

from target_planhat.ledger.tables import (
    ITEM_KEY,
    STAGED_KEY,
    arriving,
    facts,
    items,
    reads,
    staged,
    staged_facts,
    totals,
    touched,
)

if t.TYPE_CHECKING:
    from target_planhat.ledger.database import Database
    from target_planhat.rules import Combine

ALL_APPS = "*"
DIFFERENT = ""
"""In place of JSON: the records do not agree."""
_SHORTEST_DAY = 20 * 3_600_000
_ADDITIVE = frozenset({"sum", "count"})


class Window(t.NamedTuple):
    """A complete read of [start, end) of a stream, in epoch ms; its rows carry `read_at`.

    `app_ids` are those that were read, by comma; `*` is every app.
    """

    start: int
    end: int
    app_ids: str
    read_at: int


@dataclasses.dataclass
class Settled:
    """Records that did not become totals, by the date (epoch ms) of their item.

    `stale`: a newer read of their bucket is known. `clashed`: their read gave the item several
    values. `short`: their window is shorter than the day that the rule is about.
    """

    stale: Counter[int] = dataclasses.field(default_factory=Counter)
    clashed: Counter[int] = dataclasses.field(default_factory=Counter)
    short: Counter[int] = dataclasses.field(default_factory=Counter)

    def add(self, other: Settled) -> None:
        """Add those of another read."""
        self.stale += other.stale
        self.clashed += other.clashed
        self.short += other.short


def settle(  # noqa: PLR0913, PLR0917 - what, how, and when
    db: Database,
    rule_id: int,
    combine: Combine,
    read_at: int,
    run: int,
    window: Window | None = None,
) -> Settled:
    """Settle the staged rows of one read of a rule's stream.

    With a window, its buckets that have no rows become 0. Without, rows of one read that come
    in parts in the same run add up.
    """
    db.survey(staged, staged_facts)
    # newer reads that another run settles meanwhile would not be seen
    db.turn()
    chosen = _read(staged, rule_id, read_at, window)
    settled = Settled()
    if window and combine not in _ADDITIVE and window.end - window.start < _SHORTEST_DAY:
        settled.short = _dropped(db, chosen)
    for newer in _newer(db, rule_id, window or _span(db, chosen, read_at)):
        settled.stale += _dropped(db, [*chosen, *_within(staged, newer, combine)])
    if window:
        # a read that was given up and begun anew
        before = [staged.c.rule_id == rule_id, staged.c.read_at < read_at]
        settled.stale += _dropped(db, [*before, *_within(staged, window, combine)])
    settled.clashed = _dropped(db, [*chosen, staged.c.clash])
    _arrive(db, chosen)
    db.survey(arriving)
    if window:
        _clear(db, rule_id, window, combine)
        _remember(db, rule_id, window)
    replace = window is not None
    # in this order: what was told before is kept or not by what the totals were
    _tell(db, chosen, run, replace=replace)
    _total(db, rule_id, combine, run, replace=replace)
    db.execute(arriving.delete())
    db.execute(staged.delete().where(*chosen))
    db.execute(staged_facts.delete().where(*_read(staged_facts, rule_id, read_at, window)))
    return settled


def _read(
    table: sa.Table, rule_id: int, read_at: int, window: Window | None
) -> list[sa.ColumnElement[bool]]:
    """Rows of one read."""
    chosen = [table.c.rule_id == rule_id, table.c.read_at == read_at]
    if window:
        chosen += [table.c.bucket >= window.start, table.c.bucket < window.end]
    return chosen


def _span(db: Database, chosen: list[sa.ColumnElement[bool]], read_at: int) -> Window:
    """Give the time that staged rows are of."""
    ends = sa.select(sa.func.min(staged.c.bucket), sa.func.max(staged.c.bucket)).where(*chosen)
    first, last = db.execute(ends).one()
    return Window(first, last + 1, ALL_APPS, read_at)


def _dropped(db: Database, chosen: list[sa.ColumnElement[bool]]) -> Counter[int]:
    """Take staged rows out; say how many records they were."""
    found = db.execute(
        sa.select(staged.c.date, sa.func.sum(staged.c.records))
        .where(*chosen)
        .group_by(staged.c.date)
    ).all()
    if found:
        db.execute(staged.delete().where(*chosen))
    return Counter({date: int(records) for date, records in found})


def _within(table: sa.Table, window: Window, combine: Combine) -> list[sa.ColumnElement[bool]]:
    """Rows of a table that a window is about."""
    chosen = [table.c.bucket >= window.start, table.c.bucket < window.end]
    if window.app_ids != ALL_APPS and combine in _ADDITIVE:
        chosen.append(table.c.app.in_(window.app_ids.split(",")))
    return chosen


def _newer(db: Database, rule_id: int, window: Window) -> list[Window]:
    """Complete reads that overlap a window and are newer."""
    known = sa.select(
        reads.c.window_start, reads.c.window_end, reads.c.app_ids, reads.c.read_at
    ).where(
        reads.c.rule_id == rule_id,
        reads.c.window_start < window.end,
        reads.c.window_end > window.start,
        reads.c.read_at > window.read_at,
    )
    return [Window(*row) for row in db.execute(known)]


def _arrive(db: Database, chosen: list[sa.ColumnElement[bool]]) -> None:
    """Bring staged rows together with their items, new ones among them."""
    columns = [*ITEM_KEY, "ends", "since"]
    new = sa.select(*(staged.c[name] for name in ITEM_KEY), staged.c.ends, staged.c.read_at).where(
        *chosen
    )
    db.execute(db.into(items).from_select(columns, new).on_conflict_do_nothing())
    same = sa.and_(*(items.c[name] == staged.c[name] for name in ITEM_KEY))
    db.execute(
        arriving.insert().from_select(
            ["item_id", "bucket", "app", "read_at", "value", "records"],
            sa.select(
                items.c.id,
                staged.c.bucket,
                staged.c.app,
                staged.c.read_at,
                staged.c.value,
                staged.c.records,
            )
            .join_from(staged, items, same)
            .where(*chosen),
        )
    )
    counted = (
        sa.select(arriving.c.item_id, sa.func.sum(arriving.c.records))
        .where(sa.true())
        .group_by(arriving.c.item_id)
    )
    statement = db.into(touched).from_select(["item_id", "records"], counted)
    more = touched.c.records + statement.excluded.records
    db.execute(statement.on_conflict_do_update(index_elements=["item_id"], set_={"records": more}))


def _clear(db: Database, rule_id: int, window: Window, combine: Combine) -> None:
    """Set totals of a window to 0 that it has no rows for, unless they are of a newer read."""
    here = (
        sa.select(arriving.c.item_id)
        .where(
            arriving.c.item_id == totals.c.item_id,
            arriving.c.bucket == totals.c.bucket,
            arriving.c.app == totals.c.app,
        )
        .exists()
    )
    gone = [
        totals.c.rule_id == rule_id,
        *_within(totals, window, combine),
        totals.c.read_at < window.read_at,
        sa.or_(totals.c.value != 0, totals.c.records != 0),
        ~here,
    ]
    of_items = sa.select(totals.c.item_id).where(*gone)
    db.execute(items.update().where(items.c.id.in_(of_items)).values(changed=True))
    db.execute(totals.update().where(*gone).values(value=0, records=0, read_at=window.read_at))


def _remember(db: Database, rule_id: int, window: Window) -> None:
    """Keep that a window was read, in place of the older reads that it covers."""
    db.execute(
        reads.delete().where(
            reads.c.rule_id == rule_id,
            reads.c.app_ids == window.app_ids,
            reads.c.window_start >= window.start,
            reads.c.window_end <= window.end,
            reads.c.read_at <= window.read_at,
        )
    )
    row = {
        "rule_id": rule_id,
        "window_start": window.start,
        "window_end": window.end,
        "app_ids": window.app_ids,
        "read_at": window.read_at,
    }
    db.insert(reads, [row], keep=True)


def _total(db: Database, rule_id: int, combine: Combine, run: int, *, replace: bool) -> None:
    """Write totals, and mark the items that they change."""
    before = sa.and_(
        totals.c.item_id == arriving.c.item_id,
        totals.c.bucket == arriving.c.bucket,
        totals.c.app == arriving.c.app,
    )
    moved = sa.or_(
        totals.c.item_id.is_(None),
        totals.c.value != arriving.c.value,
        totals.c.records != arriving.c.records,
        # without windows, a part of a read may follow that is the same
        sa.false() if replace else sa.true(),
    )
    of_items = sa.select(arriving.c.item_id).outerjoin_from(arriving, totals, before).where(moved)
    db.execute(items.update().where(items.c.id.in_(of_items)).values(changed=True))
    columns = ["item_id", "bucket", "app", "rule_id", "value", "records", "read_at", "run"]
    new = sa.select(
        arriving.c.item_id,
        arriving.c.bucket,
        arriving.c.app,
        sa.literal(rule_id),
        arriving.c.value,
        arriving.c.records,
        arriving.c.read_at,
        sa.literal(run),
    ).where(sa.true())
    statement = db.into(totals).from_select(columns, new)
    old, fresh = totals.c, statement.excluded
    value: sa.ColumnElement[t.Any] = fresh.value
    records: sa.ColumnElement[t.Any] = fresh.records
    if not replace:
        same_read = sa.and_(old.read_at == fresh.read_at, old.run == fresh.run)
        records = sa.case((same_read, old.records + fresh.records), else_=fresh.records)
        value = sa.case((same_read, _together(combine, old, fresh)), else_=fresh.value)
    db.execute(
        statement.on_conflict_do_update(
            index_elements=["item_id", "bucket", "app"],
            set_={"value": value, "records": records, "read_at": fresh.read_at, "run": fresh.run},
            where=old.read_at <= fresh.read_at,
        )
    )


def _together(combine: Combine, old: t.Any, fresh: t.Any) -> sa.ColumnElement[t.Any]:
    if combine in _ADDITIVE:
        added: sa.ColumnElement[t.Any] = old.value + fresh.value
        return added
    if combine == "max":
        return sa.case((old.value > fresh.value, old.value), else_=fresh.value)
    later: sa.ColumnElement[t.Any] = fresh.value
    return later


def _tell(db: Database, chosen: list[sa.ColumnElement[bool]], run: int, *, replace: bool) -> None:
    """Keep the facts of what arrives as its totals are kept: in place of older ones, or added."""
    if db.execute(sa.select(staged_facts.c.rule_id).limit(1)).first() is None:
        return
    before = sa.and_(
        totals.c.item_id == arriving.c.item_id,
        totals.c.bucket == arriving.c.bucket,
        totals.c.app == arriving.c.app,
    )
    newer = totals.c.read_at > arriving.c.read_at
    same_read = sa.and_(totals.c.read_at == arriving.c.read_at, totals.c.run == run)
    kept = newer if replace else sa.or_(newer, same_read)
    replaced = (
        sa.select(arriving.c.item_id)
        .join_from(arriving, totals, before)
        .where(
            arriving.c.item_id == facts.c.item_id,
            arriving.c.bucket == facts.c.bucket,
            arriving.c.app == facts.c.app,
            ~kept,
        )
        .exists()
    )
    db.execute(facts.delete().where(replaced))
    outdated = (
        sa.select(totals.c.item_id)
        .where(
            totals.c.item_id == items.c.id,
            totals.c.bucket == staged.c.bucket,
            totals.c.app == staged.c.app,
            totals.c.read_at > staged.c.read_at,
        )
        .exists()
    )
    db.execute(_told(db, [*chosen, ~outdated]))


def _told(db: Database, chosen: list[sa.ColumnElement[bool]]) -> sa.Executable:
    """Make the statement that adds staged facts to those of their items."""
    item = sa.and_(*(items.c[name] == staged.c[name] for name in ITEM_KEY))
    same = sa.and_(*(staged_facts.c[name] == staged.c[name] for name in STAGED_KEY))
    names = ["item_id", "bucket", "app", "name", "number", "text"]
    new = (
        sa.select(
            items.c.id,
            staged.c.bucket,
            staged.c.app,
            staged_facts.c.name,
            staged_facts.c.number,
            staged_facts.c.text,
        )
        .join_from(staged_facts, staged, same)
        .join(items, item)
        .where(*chosen)
    )
    statement = db.into(facts).from_select(names, new)
    return statement.on_conflict_do_update(
        index_elements=[column.name for column in facts.primary_key],
        set_=together(facts.c, statement.excluded),
    )


def together(old: t.Any, new: t.Any) -> dict[str, sa.ColumnElement[t.Any]]:
    """Add two facts of one name: numbers are summed, texts kept where they agree."""
    return {
        "number": old.number + new.number,
        "text": sa.case((old.text == new.text, old.text), else_=DIFFERENT),
    }
