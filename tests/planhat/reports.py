"""Reports as a run would make them, and what one reads on their page."""

from __future__ import annotations

import html.parser
import random
import typing as t
from datetime import date, datetime, timedelta, timezone

from target_planhat.reporting.report import Reason, RuleReport, RunReport, Unmatched
from target_planhat.rule_model import FATES, Fate

STARTED = datetime(2026, 3, 11, 12, 34, 56, tzinfo=timezone.utc)


def run(**changes: t.Any) -> RunReport:
    """Give the report of a small run."""
    kept = {
        "started": STARTED,
        "ended": STARTED + timedelta(minutes=3),
        "dry_run": False,
        "outcome": "done",
        "records": 0,
    }
    return RunReport(**{**kept, **changes})


def rule(**changes: t.Any) -> RuleReport:
    """Give the report of a small rule."""
    kept = {
        "name": "feature_use",
        "kind": "activity",
        "stream": "feature_events",
        "to": "Used {feature_name}",
        "days": {"2026-03-10": {"sent": 3, "waiting": 1}},
    }
    return RuleReport(**{**kept, **changes})


def rich(days: int = 30, rules: int = 1, **changes: t.Any) -> RunReport:
    """Give a run with something of everything."""
    draws = random.Random(days)
    every = [_used(f"rule_{number}", days, draws) for number in range(1, rules + 1)]
    metric = rule(
        name="active_visitors",
        kind="metric",
        stream="active_visitors",
        to="active_visitors (Company)",
        days={f"2026-03-{day:02}": {"sent": 40 + day, "unchanged": 3} for day in range(1, 11)},
        sent_amount={f"2026-03-{day:02}": (40 + day) * 7.5 for day in range(1, 11)},
        matched=220,
        changed=4,
        samples=[{"dimensionId": "active_visitors", "value": 12, "externalId": "a…3b5d5c37"}],
    )
    kept: dict[str, t.Any] = {
        "rules": [*every, metric],
        "streams": {
            "features": {"reference": 60},
            "visitors": {"reference": 3200},
            "guide_events": {"ignored": 3513},
        },
        "calls": 118,
        "notes": ["3 names were never seen; their ids stand for them."],
    }
    filled = run(**{**kept, **changes})
    return run(**{**kept, "records": sum(filled.fates.values()), **changes})


def _used(name: str, days: int, draws: random.Random) -> RuleReport:
    by_day: dict[str, dict[Fate, int]] = {}
    for number in range(days):
        day = date(2026, 3, 10) - timedelta(days=number)
        busy = 0.3 if day.weekday() > 4 else 1.0
        by_day[day.isoformat()] = {
            "sent": int(draws.randint(700, 1400) * busy),
            "unchanged": int(draws.randint(50, 200) * busy),
            "parked": int(draws.randint(20, 160) * busy),
            "waiting": 600 if number == 0 else 0,
            "rejected": draws.randint(0, 9),
            "in_doubt": 120 if number == 4 else 0,
            "ignored": draws.randint(0, 60),
        }
    return rule(
        name=name,
        days=by_day,
        undated={"rejected": 7},
        sent_amount={day: counts["sent"] * 4.0 for day, counts in by_day.items()},
        reasons=[
            Reason("parked", "no end user in Planhat has this externalId", 2412),
            Reason("waiting", "its day is not over, or not for settle_hours yet", 600),
            Reason("rejected", "hour: no date", 7),
        ],
        earlier={"sent": 210, "in_doubt": 12},
        excess=31,
        matched=2910,
        unmatched=290,
        unmatched_by_company=[
            Unmatched(f"company-{i}", f"Company {i}" if i else "", 60 // (i + 1), 900 // (i + 1))
            for i in range(20)
        ],
        samples=[
            {
                "action": "Used Export <b>to</b> CSV",
                "date": "2026-03-10T00:00:00Z",
                "externalId": "v…1f0c9d2e",
                "companyExternalId": "a…3b5d5c37",
                "count": 4,
                "info": {"minutes": 3, "app": "-323232"},
            }
        ],
    )


Table = dict[str, dict[str, str]]


class Reading(html.parser.HTMLParser):
    """What stands on a page: its tables by caption, row and column, its text, its elements."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tables: dict[str, Table] = {}
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self._caption = ""
        self._columns: list[str] = []
        self._row: list[str] = []
        self._words: list[str] = []
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note an element; begin a table, a row, a cell."""
        self.elements.append((tag, dict(attrs)))
        if tag == "table":
            self._columns = []
        if tag == "tr":
            self._row = []
        if tag in {"th", "td", "caption"}:
            self._words = []

    def handle_data(self, data: str) -> None:
        """Note text."""
        self._words.append(data)
        self.text += data

    def handle_endtag(self, tag: str) -> None:
        """Take what a cell, a row, a head said."""
        said = " ".join("".join(self._words).split())
        if tag == "caption":
            self._caption = said
            self.tables[said] = {}
        elif tag in {"th", "td"}:
            self._row.append(said)
        elif tag == "thead":
            self._columns = self._row
        elif tag == "tr" and self._columns:
            self.tables[self._caption][self._row[0]] = dict(
                zip(self._columns[1:], self._row[1:], strict=True)
            )

    def figures(self, caption: str, row: str) -> list[float]:
        """Give the figures of a row, in order."""
        return [float(cell.replace(",", "")) for cell in self.tables[caption][row].values()]


ALL = "Records by rule and fate; each row adds up to what was received"


def shown(said: t.Mapping[str, t.Any]) -> list[float]:
    """Give the figures of a row of the large table, as the JSON has them."""
    return [said["received"], *(said[fate] for fate in FATES)]
