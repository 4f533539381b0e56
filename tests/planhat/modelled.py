"""The model of the ledger that runs are held against: plain dicts."""

from __future__ import annotations

import typing as t
from collections import Counter, defaultdict
from datetime import datetime, timedelta

from tests.planhat.running import day, schema

if t.TYPE_CHECKING:
    from collections.abc import Iterable

HOUR = timedelta(hours=1)
APPS = (1, 2)
BEGIN = day(9, 6)
RULES: dict[str, list[dict[str, t.Any]]] = {
    "activities": [
        {"name": "by_day", "stream": "feature_events", "action": "Day {feature_name}"},
        {
            "name": "by_hour",
            "stream": "feature_events",
            "action": "Hour {feature_name}",
            "granularity": "hour",
            "only": ["f1"],
        },
    ],
    "metrics": [
        {"stream": "feature_events", "dimension_id": "events"},
        {
            "stream": "feature_events",
            "dimension_id": "rows",
            "model": "EndUser",
            "aggregate": "count",
            "on_change": "resend",
        },
        *(
            {"stream": "scores", "dimension_id": on, "value": "score", "on_change": on}
            for on in ("report", "delta", "resend")
        ),
        {"stream": "scores", "dimension_id": "top", "value": "score", "aggregate": "max"},
        {"stream": "seats", "dimension_id": "seats", "value": "n", "date": "read_at"},
        {
            "stream": "seats",
            "dimension_id": "seats_now",
            "value": "n",
            "aggregate": "last",
            "date": "read_at",
            "on_change": "resend",
        },
    ],
}
NAMES = {"f1": "Export", "f2": "Search"}
SCORES = schema("scores", "account_id", "score", "window_start", "read_at")
SEATS = schema("seats", "account_id", "n", "read_at")
# who is whom in Planhat, by Pendo's visitor and account: externalId and company
PEOPLE = {("u1", "acme"): "u1", ("u1", "beta"): "u1", ("u2", "acme"): "u2", ("u2", "beta"): "u2"}

Cell = tuple[int, int, tuple[str, str], str]
"""Where events are counted: hour since midnight of the 9th, app, visitor and account, feature."""
Thing = tuple[str, ...]
More = t.Sequence[tuple[Cell, int]]
"""What is counted in addition."""
Less = t.Sequence[tuple[int, t.Sequence[int]]]
"""Which of the cells that there are has only these rows from now on, or none."""


class Read(t.NamedTuple):
    """One complete read of a window: its rows are what was true then."""

    stream: str
    start: datetime
    end: datetime
    apps: tuple[int, ...]
    at: datetime
    rows: tuple[tuple[t.Any, ...], ...]
    told: bool = True


class Item(t.NamedTuple):
    """What one activity or point is about: by rule, Pendo's ids, and its date."""

    rule: str
    subject: str
    company: str
    feature: str
    date: datetime


class Model:
    """What the ledger should know, and Planhat should have."""

    def __init__(self, settle: int, policy: str) -> None:
        self.settle, self.policy = timedelta(hours=settle), policy
        # (rule, item, bucket, app): value, records, read
        self.totals: dict[tuple[Item, datetime, int], tuple[float, int, datetime]] = {}
        self.newest: dict[tuple[str, datetime, int], datetime] = {}
        self.items: set[Item] = set()
        self.named: set[str] = set()
        self.sent: defaultdict[Item, float] = defaultdict(float)
        self.posted: set[Item] = set()
        self.given_up: dict[Item, float] = {}

    # What came in

    def take(self, read: Read) -> None:
        """Take a read in."""
        if read.stream == "feature_events":
            self._events(read)
        elif read.stream == "scores":
            given = [
                (Item(name, account, "", "", read.start), read.start, 0, float(score), 1)
                for account, score in read.rows
                for name in ("report", "delta", "resend", "top")
            ]
            self._settle(read, given, {(read.start, 0)})
        else:
            date = read.at.replace(hour=0, minute=0, second=0, microsecond=0)
            given = [
                (Item(name, account, "", "", date), date, 0, float(n), 1)
                for account, n in read.rows
                for name in ("seats", "seats_now")
            ]
            self._settle(read, given, set())

    def _events(self, read: Read) -> None:
        hours = int((read.end - read.start) / HOUR)
        places = {(read.start + n * HOUR, app) for n in range(hours) for app in read.apps}
        found: dict[tuple[Item, datetime, int], tuple[float, int]] = {}
        for hour, app, visitor, account, feature, count in read.rows:
            bucket = day(9) + hour * HOUR
            date = bucket.replace(hour=0)
            items = [
                (Item("by_day", visitor, account, feature, date), count),
                (Item("events", account, "", "", date), count),
                (Item("rows", visitor, "", "", date), 1),
            ]
            if feature == "f1":
                items.append((Item("by_hour", visitor, account, feature, bucket), count))
            for item, value in items:
                before = found.get((item, bucket, app), (0, 0))
                found[item, bucket, app] = (before[0] + value, before[1] + 1)
        given = [(*key, float(value), records) for key, (value, records) in found.items()]
        self._settle(read, given, places if read.told else set())

    def _settle(
        self,
        read: Read,
        given: Iterable[tuple[Item, datetime, int, float, int]],
        places: set[tuple[datetime, int]],
    ) -> None:
        """Let a read replace what older ones said; what it does not have is gone."""
        stale = {
            (bucket, app)
            for (stream, bucket, app), at in self.newest.items()
            if stream == read.stream and at > read.at
        }
        rules = RULES_OF[read.stream]
        for item, bucket, app in list(self.totals):
            here = item.rule in rules and (bucket, app) in places - stale
            if here and self.totals[item, bucket, app][2] < read.at:
                del self.totals[item, bucket, app]
        for item, bucket, app, value, records in given:
            if (bucket, app) in stale:
                continue
            self.items.add(item)
            before = self.totals.get((item, bucket, app))
            if before is None or before[2] <= read.at:
                self.totals[item, bucket, app] = (value, records, read.at)
        for bucket, app in places - stale:
            self.newest[read.stream, bucket, app] = read.at

    # What goes out

    def deliver(self, now: datetime, profiles: set[str], companies: set[str]) -> None:
        """Send what items lack."""
        wanted: Counter[Item] = Counter()
        records: Counter[Item] = Counter()
        for (item, _, _), (value, number, _) in self.totals.items():
            wanted[item] += value  # type: ignore[assignment] # floats
            records[item] += number
        for item in self.items:
            if self._is_due(item, now):
                self._send(item, wanted[item], records[item], profiles, companies)

    def _is_due(self, item: Item, now: datetime) -> bool:
        length = HOUR if item.rule == "by_hour" else timedelta(days=1)
        settled = not self.settle or item.date + length + self.settle <= now
        return settled and (not item.feature or item.feature in self.named)

    def _send(
        self, item: Item, wanted: float, records: int, profiles: set[str], companies: set[str]
    ) -> None:
        """Send what one item lacks, if it has an object; else give it up, if that is set."""
        if item.rule in {"by_day", "by_hour", "events", "delta"}:
            amount = wanted - self.sent[item] - self.given_up.get(item, 0)
            # the first value is sent whatever it is; a sum of nothing is nothing
            lacks = amount > 0 or (item.rule == "delta" and self._is_first(item, records))
            after = self.sent[item] + amount, self.given_up.get(item, 0) + amount
        else:
            again = item.rule in {"rows", "resend", "seats_now"} and item in self.posted
            first = self._is_first(item, records) and wanted != self.given_up.get(item)
            lacks, after = first or again, (wanted, wanted)
        if lacks and self._is_there(item, profiles, companies):
            self.sent[item] = after[0]
            self.posted.add(item)
        elif lacks and self.policy == "skip":
            self.given_up[item] = after[1]

    def _is_first(self, item: Item, records: int) -> bool:
        return item not in self.posted and records > 0

    def _is_there(self, item: Item, profiles: set[str], companies: set[str]) -> bool:
        if item.rule not in OF_PEOPLE:
            return item.subject in companies
        # u1 is two end users: only the account tells which
        return item.subject in profiles and (item.rule != "rows" or item.subject != "u1")


OF_PEOPLE = {"by_day", "by_hour", "rows"}
RULES_OF = {
    "feature_events": {"by_day", "by_hour", "events", "rows"},
    "scores": {"report", "delta", "resend", "top"},
    "seats": {"seats", "seats_now"},
}
