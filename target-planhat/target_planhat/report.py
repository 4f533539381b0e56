"""What one run did, record by record accounted for: as a line, as JSON, and as a page (P9).

`received` is never kept: it is the sum of the fates, so that the figures add up.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import tempfile
import typing as t
from pathlib import Path

from target_planhat.contributions import FATES, Fate
from target_planhat.errors import TargetError
from target_planhat.page import number, page

if t.TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from datetime import datetime

FORMAT_VERSION = 1
Outcome = t.Literal["done", "failed", "stopped"]
Counts = t.Mapping[Fate, int]


class Reason(t.NamedTuple):
    """Why records of a rule met their fate; names fields and settings, never a value."""

    fate: Fate
    reason: str
    records: int


class Unmatched(t.NamedTuple):
    """A company of Pendo with ids that nothing in Planhat has; `company` is masked."""

    company: str
    subjects: int
    records: int


@dataclasses.dataclass(frozen=True, kw_only=True)
class RuleReport:
    """What became of the records of one rule. Ids are masked already.

    to        the action's template, or `dimension_id (Model)`
    days      records by fate, for each day YYYY-MM-DD of their items
    undated   records without a date that can be read
    sent_amount  what was posted for each day: events, or values; of earlier runs' items too
    earlier   items (not records) of earlier runs that were sent now, or are in doubt now
    excess    what Planhat has more than Pendo says now, which took counts back
    changed   values that changed after they were sent, and are only reported
    matched, unmatched  distinct ids of Pendo that were found in Planhat, or not
    awaits    the stream whose names records wait for, if it did not come in this run
    samples   masked payloads, the first few
    """

    name: str
    kind: t.Literal["activity", "metric"]
    stream: str
    to: str
    days: Mapping[str, Counts]
    undated: Counts = dataclasses.field(default_factory=dict)
    reasons: Sequence[Reason] = ()
    sent_amount: Mapping[str, float] = dataclasses.field(default_factory=dict)
    earlier: Counts = dataclasses.field(default_factory=dict)
    excess: float = 0
    changed: int = 0
    matched: int = 0
    unmatched: int = 0
    unmatched_by_company: Sequence[Unmatched] = ()
    awaits: str = ""
    samples: Sequence[Mapping[str, t.Any]] = ()

    @property
    def fates(self) -> dict[Fate, int]:
        """Records by fate."""
        return _added([self.undated, *self.days.values()])


@dataclasses.dataclass(frozen=True, kw_only=True)
class RunReport:
    """What one run did.

    started, ended  in UTC
    problem   why it failed or was stopped, in one line
    records   RECORD lines that were read; one that two rules use is received by each of them
    streams   records by fate, of each stream that no rule uses
    calls     requests to Planhat
    notes     what else a reader has to know, a sentence each
    """

    started: datetime
    ended: datetime
    dry_run: bool
    outcome: Outcome
    problem: str | None = None
    records: int
    streams: Mapping[str, Counts] = dataclasses.field(default_factory=dict)
    rules: Sequence[RuleReport] = ()
    calls: int = 0
    notes: Sequence[str] = ()

    @property
    def fates(self) -> dict[Fate, int]:
        """Records by fate, of all rules and of the streams that no rule uses."""
        return _added([*self.streams.values(), *(rule.fates for rule in self.rules)])


def figures(report: RunReport) -> dict[str, t.Any]:
    """Give the report as it stands in the JSON file; the page is drawn from this alone."""
    return {
        "version": FORMAT_VERSION,
        "outcome": report.outcome,
        "problem": report.problem,
        "dry_run": report.dry_run,
        "started": _moment(report.started),
        "ended": _moment(report.ended),
        "records": report.records,
        **_counted(report.fates),
        "calls": report.calls,
        "next": advice(report),
        "notes": list(report.notes),
        "rules": [_rule(rule) for rule in report.rules],
        "streams": {name: _counted(counts) for name, counts in report.streams.items()},
    }


def summary(report: RunReport) -> str:
    """Tell the run in one line."""
    head = report.outcome + (f": {report.problem}" if report.problem else "")
    sent = "would be sent" if report.dry_run else "sent"
    words = {"sent": sent, "in_doubt": "in doubt"}
    fates = [
        f"{number(count)} {words.get(fate, fate)}"
        for fate, count in report.fates.items()
        if count or fate == "sent"
    ]
    parts = [
        head,
        *(["dry run: nothing was posted"] if report.dry_run else []),
        f"{number(report.records)} records read: {', '.join(fates)}",
        *_of_earlier(report),
        f"{number(report.calls)} calls",
    ]
    step = advice(report)
    return "; ".join(parts) + (f". Next: {step}" if step else "")


def advice(report: RunReport) -> str | None:
    """Name the most useful thing to do next, if records are left over."""
    fates = report.fates
    doubted = fates["in_doubt"] + sum(rule.earlier.get("in_doubt", 0) for rule in report.rules)
    awaited = sorted({rule.awaits for rule in report.rules if rule.awaits})
    if awaited:
        names = " and ".join(awaited)
        return f"let the tap select {names}, too: records wait for the names in there"
    if doubted:
        return "target-planhat --ledger shows what is in doubt, and resolves it"
    if fates["rejected"]:
        rule, reason = max(
            ((rule.name, r) for rule in report.rules for r in rule.reasons if r.fate == "rejected"),
            key=lambda each: each[1].records,
            default=("", None),
        )
        if reason is None:
            return None
        return f"see why rule {rule} rejects {number(reason.records)} records: {reason.reason}"
    if fates["parked"]:
        return "parked records are sent once their end user or company exists in Planhat"
    return "waiting records are sent by a later run" if fates["waiting"] else None


def prepare(folder: Path) -> None:
    """Make the folder of reports, and try whether it can be written to.

    Raises:
        TargetError: it cannot.
    """
    with _told():
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass


def write(report: RunReport, folder: Path | str) -> Path:
    """Write the report as JSON and as a page, and both again as `latest`; give the page's path.

    The files hold masked ids and names of features only, so they get the mode that all files of
    this user get, for others to read.

    Raises:
        TargetError: the folder cannot be written to.
    """
    said = figures(report)
    texts = {"json": json.dumps(said, indent=2, ensure_ascii=False) + "\n", "html": page(said)}
    stem = f"target-planhat-{report.started:%Y%m%dT%H%M%SZ}"
    folder = Path(folder)
    with _told():
        folder.mkdir(parents=True, exist_ok=True)
        for name in (stem, "latest"):
            for kind, text in texts.items():
                (folder / f"{name}.{kind}").write_text(text, encoding="utf-8")
    return folder / f"{stem}.html"


@contextlib.contextmanager
def _told() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise TargetError(
            f"setting `report_path`: the report cannot be written there: {error.strerror}"
        ) from None


def _rule(rule: RuleReport) -> dict[str, t.Any]:
    days = sorted({*rule.days, *rule.sent_amount})
    return {
        "name": rule.name,
        "kind": rule.kind,
        "stream": rule.stream,
        "to": rule.to,
        **_counted(rule.fates),
        "sent_amount": sum(rule.sent_amount.values()),
        "days": {
            day: {**_counted(rule.days.get(day, {})), "sent_amount": rule.sent_amount.get(day, 0)}
            for day in days
        },
        "undated": _counted(rule.undated),
        "reasons": [reason._asdict() for reason in rule.reasons],
        "earlier": {fate: count for fate, count in rule.earlier.items() if count},
        "excess": rule.excess,
        "changed": rule.changed,
        "matched": rule.matched,
        "unmatched": rule.unmatched,
        "unmatched_by_company": [each._asdict() for each in rule.unmatched_by_company],
        "awaits": rule.awaits or None,
        "samples": [dict(sample) for sample in rule.samples],
    }


def _counted(counts: Counts) -> dict[str, int]:
    return {
        "received": sum(counts.values()),
        **{fate: counts.get(fate, 0) for fate in FATES},
    }


def _added(many: Sequence[Counts]) -> dict[Fate, int]:
    return {fate: sum(counts.get(fate, 0) for counts in many) for fate in FATES}


def _of_earlier(report: RunReport) -> list[str]:
    items = _added([rule.earlier for rule in report.rules])
    if not items["sent"]:
        return []
    verb = "would be sent" if report.dry_run else "sent"
    return [f"{number(items['sent'])} items of earlier runs {verb}"]


def _moment(moment: datetime) -> str:
    return moment.isoformat(timespec="seconds").replace("+00:00", "Z")
