"""Merges staged rows into totals, one for each item, bucket and app.

A newer read of a bucket replaces an older one; what a newer read no longer has becomes 0.
"""

from __future__ import annotations

import dataclasses
import typing as t
from collections import Counter

from target_planhat.ledger.schema import ITEM_KEY, STAGED_KEY, arriving, staged, staged_facts
from target_planhat.rule_model import ADDITIVE

if t.TYPE_CHECKING:
    from target_planhat.ledger.database import Database
    from target_planhat.rule_model import Combine

ALL_APPS = "*"
DIFFERENT = ""
"""In place of JSON: the records do not agree."""
_SHORTEST_DAY = 20 * 3_600_000


class Window(t.NamedTuple):
    """A complete read of [start, end) of a stream, in epoch ms; its rows carry `read_at`.

    `app_ids` are those that were read, by comma; `*` is every app.
    """

    start: int
    end: int
    app_ids: str
    read_at: int


@dataclasses.dataclass
class NotMerged:
    """Counts of records that did not become totals, by the date (epoch ms) of their item.

    `stale`: a newer read of their bucket is known. `clashed`: their read gave the item several
    values. `short`: their window is shorter than the day that the rule is about.
    """

    stale: Counter[int] = dataclasses.field(default_factory=Counter)
    clashed: Counter[int] = dataclasses.field(default_factory=Counter)
    short: Counter[int] = dataclasses.field(default_factory=Counter)

    def add(self, other: NotMerged) -> None:
        """Add those of another read."""
        self.stale += other.stale
        self.clashed += other.clashed
        self.short += other.short


_GREATER = "case when old.value > excluded.value then old.value else excluded.value end"
COMBINED: dict[Combine, str] = {
    "sum": "old.value + excluded.value",
    "count": "old.value + excluded.value",
    "max": _GREATER,
    "last": "excluded.value",
    "value": "excluded.value",
}
"""What two parts of one read come to, as SQL; `old` is the row that is there."""

COMBINED_FACTS = {
    "number": "old.number + excluded.number",
    "text": f"case when old.text = excluded.text then old.text else '{DIFFERENT}' end",
}
"""Two facts of one name, as SQL: numbers are summed, texts kept if they are equal."""


def merge(  # noqa: PLR0913, PLR0917 - what, how, and when
    db: Database,
    rule_id: int,
    combine: Combine,
    read_at: int,
    run: int,
    window: Window | None = None,
) -> NotMerged:
    """Merge the staged rows of one read of a rule's stream into its totals.

    With a window, its buckets that have no rows become 0. Without, rows of one read that come
    in parts in the same run add up.
    """
    db.survey(staged, staged_facts)
    # newer reads that another run merges meanwhile would not be seen
    db.begin_writing()
    read = _Read(db, rule_id, combine, read_at, run, window)
    dropped = read.drop()
    read.arrive()
    db.survey(arriving)
    if window:
        read.clear()
        read.remember()
    # in this order: what was alone before is kept or not by what the totals were
    read.merge_facts()
    read.merge_totals()
    read.forget()
    return dropped


class _Read:
    """The staged rows of one read, and the statements that merge them."""

    def __init__(  # noqa: PLR0913, PLR0917 - as `merge`
        self,
        db: Database,
        rule_id: int,
        combine: Combine,
        read_at: int,
        run: int,
        window: Window | None,
    ) -> None:
        self._db, self._combine, self._window = db, combine, window
        self._values: dict[str, t.Any] = {"rule": rule_id, "read_at": read_at, "run": run}
        self._mine = "rule_id = :rule and read_at = :read_at"
        if window:
            self._values |= window._asdict()
            self._mine += " and bucket >= :start and bucket < :end"

    def _sql(self, statement: str, **values: t.Any) -> t.Any:
        return self._db.sql(statement, **{**self._values, **values})

    # Rows that do not count

    def drop(self) -> NotMerged:
        """Remove the rows that cannot be merged."""
        dropped, window = NotMerged(), self._window
        is_short = window is not None and window.end - window.start < _SHORTEST_DAY
        if is_short and self._combine not in ADDITIVE:
            dropped.short = self._dropped(self._mine)
        for newer in self._newer():
            dropped.stale += self._dropped(f"{self._mine} and {self._within(newer)}", newer)
        if window:
            # rows of a read that was given up and begun again
            before = f"rule_id = :rule and read_at < :read_at and {self._within(window)}"
            dropped.stale += self._dropped(before, window)
        dropped.clashed = self._dropped(f"{self._mine} and clash")
        return dropped

    def _dropped(self, chosen: str, window: Window | None = None) -> Counter[int]:
        """Remove staged rows; return their number of records by date."""
        values = _of(window) if window else {}
        counted = f"select date, sum(records) from staged where {chosen} group by date"
        found = self._sql(counted, **values).all()
        if found:
            self._sql(f"delete from staged where {chosen}", **values)
        return Counter({date: int(records) for date, records in found})

    def _within(self, window: Window) -> str:
        """Return the condition for rows that a window covers, whose values are called `of_…`."""
        covered = "bucket >= :of_start and bucket < :of_end"
        if window.app_ids == ALL_APPS or self._combine not in ADDITIVE:
            return covered
        return f"{covered} and app in :of_apps"

    def _newer(self) -> list[Window]:
        """Find complete reads that overlap this one and are newer."""
        found = "select min(bucket), max(bucket) + 1 from staged where " + self._mine
        first, end = self._window[:2] if self._window else self._sql(found).one()
        known = """
            select window_start, window_end, app_ids, read_at from planhat_reads
            where rule_id = :rule and read_at > :read_at
              and window_start < :before and window_end > :behind
        """
        return [Window(*row) for row in self._sql(known, before=end, behind=first)]

    # What rows become

    def arrive(self) -> None:
        """Find the items of staged rows, and make those that are new."""
        # new ones get what they come to if one row is all they have: few are then to be recounted
        self._sql(f"""
            insert into planhat_items
              (rule_id, date, subject, company, entity, ends, since, wanted, records)
            select rule_id, date, subject, company, entity, ends, read_at, value, records
            from staged where {self._mine}
            on conflict do nothing
        """)
        self._sql(f"""
            insert into arriving (item_id, bucket, app, read_at, value, records)
            select id, bucket, app, read_at, staged.value, staged.records
            from staged join planhat_items using ({", ".join(ITEM_KEY)})
            where {self._mine}
        """)
        self._sql("""
            insert into touched as old (item_id, records)
            select item_id, sum(records) from arriving where true group by item_id
            on conflict (item_id) do update set records = old.records + excluded.records
        """)

    def clear(self) -> None:
        """Set totals of the window to 0 for which it has no rows; those of newer reads are kept."""
        window = t.cast("Window", self._window)
        gone = f"""
            rule_id = :rule and {self._within(window)} and read_at < :read_at
            and (value <> 0 or records <> 0)
            and not exists (
              select 1 from arriving a where a.item_id = planhat_totals.item_id
              and a.bucket = planhat_totals.bucket and a.app = planhat_totals.app
            )
        """
        of_items = f"id in (select item_id from planhat_totals where {gone})"
        self._sql(f"update planhat_items set changed = true where {of_items}", **_of(window))
        none = "value = 0, records = 0, read_at = :read_at"
        self._sql(f"update planhat_totals set {none} where {gone}", **_of(window))

    def remember(self) -> None:
        """Note that the window was read, in place of the older reads that it covers."""
        self._sql("""
            delete from planhat_reads
            where rule_id = :rule and app_ids = :app_ids and read_at <= :read_at
              and window_start >= :start and window_end <= :end
        """)
        self._sql("""
            insert into planhat_reads (rule_id, window_start, window_end, app_ids, read_at)
            values (:rule, :start, :end, :app_ids, :read_at)
            on conflict do nothing
        """)

    def merge_totals(self) -> None:
        """Write totals, and mark the items that they change."""
        # without windows, a part of a read may follow that is the same
        moved = "t.item_id is null or t.value <> a.value or t.records <> a.records"
        records, value = "excluded.records", "excluded.value"
        if not self._window:
            moved = "true"
            same_read = "old.read_at = excluded.read_at and old.run = excluded.run"
            records = (
                f"case when {same_read} then old.records + excluded.records else {records} end"
            )
            value = f"case when {same_read} then {COMBINED[self._combine]} else {value} end"
        # new items are marked already
        self._sql(f"""
            update planhat_items set changed = true
            where not changed and id in (
              select a.item_id from arriving a left join planhat_totals t
              on t.item_id = a.item_id and t.bucket = a.bucket and t.app = a.app
              where {moved}
            )
        """)
        self._sql(f"""
            insert into planhat_totals as old
              (item_id, bucket, app, rule_id, value, records, read_at, run)
            select item_id, bucket, app, :rule, value, records, read_at, :run
            from arriving where true
            on conflict (item_id, bucket, app) do update
            set value = {value}, records = {records}, read_at = excluded.read_at, run = excluded.run
            where old.read_at <= excluded.read_at
        """)

    def merge_facts(self) -> None:
        """Merge the facts of arriving rows as their totals are merged: replaced, or added."""
        if self._sql("select 1 from staged_facts limit 1").first() is None:
            return
        kept = "t.read_at > a.read_at"
        if not self._window:
            kept += " or t.read_at = a.read_at and t.run = :run"
        self._sql(f"""
            delete from planhat_facts where (item_id, bucket, app) in (
              select item_id, bucket, app from arriving a join planhat_totals t
              using (item_id, bucket, app) where not ({kept})
            )
        """)
        self._sql(f"""
            insert into planhat_facts as old (item_id, bucket, app, name, number, text)
            select i.id, s.bucket, s.app, f.name, f.number, f.text
            from (select * from staged where {self._mine}) s
            join staged_facts f using ({", ".join(STAGED_KEY)})
            join planhat_items i using ({", ".join(ITEM_KEY)})
            left join planhat_totals t
              on t.item_id = i.id and t.bucket = s.bucket and t.app = s.app
            where t.read_at is null or t.read_at <= s.read_at
            on conflict (item_id, bucket, app, name) do update
            set number = {COMBINED_FACTS["number"]}, text = {COMBINED_FACTS["text"]}
        """)

    def forget(self) -> None:
        """Empty the temporary tables of what is merged."""
        self._sql("delete from arriving")
        self._sql(f"delete from staged where {self._mine}")
        self._sql(f"delete from staged_facts where {self._mine}")


def _of(window: Window) -> dict[str, t.Any]:
    """Return the values of `_within`."""
    apps = window.app_ids.split(",")
    return {"of_start": window.start, "of_end": window.end, "of_apps": apps}
