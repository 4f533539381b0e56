"""What one run did: each record has exactly one fate, in all of a line, JSON and the page.

`received` is never kept: it is the sum of the fates, so that the figures add up.
"""

from __future__ import annotations

import dataclasses
import typing as t
from collections import Counter, defaultdict
from datetime import datetime, timedelta, timezone

import msgspec

from target_planhat.config.pendo_streams import APP, EVENT_STREAMS
from target_planhat.ledger.outbox import is_added
from target_planhat.redaction import without_secrets
from target_planhat.rule_model import FATES, Fate

if t.TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping, Sequence

    from target_planhat.delivery.planner import Ready
    from target_planhat.delivery.sender import Delivered
    from target_planhat.intake.stream_handlers import RuleIntake
    from target_planhat.ledger.planhat_objects import Directory
    from target_planhat.ledger.queries import Figures
    from target_planhat.redaction import Masks
    from target_planhat.rule_model import Rule

FORMAT_VERSION = 1
_COMPANIES = 20
_IDS = ("externalId", "euExtId", "email")
_OF_COMPANIES = ("companyExternalId", "cId")
# what an action may name that is about the product, not about people
_OF_THE_PRODUCT = frozenset({APP, "type", "poll_type", "guide_step_id"}) | {
    stream.entity for stream in EVENT_STREAMS.values()
}
Outcome = t.Literal["done", "failed", "stopped"]
Counts = t.Mapping[Fate, int]


class Reason(t.NamedTuple):
    """Why records of a rule met their fate; names fields and settings, never a value."""

    fate: Fate
    reason: str
    records: int


class Unmatched(t.NamedTuple):
    """A company of Pendo with ids that nothing in Planhat has, and its name in Planhat.

    It is masked where its id is a person's too.
    """

    company: str
    name: str
    subjects: int
    records: int


class UnmatchedId(t.NamedTuple):
    """An id that nothing in Planhat has, as it is: a line of the file beside the report.

    `events` is what would be sent of it; dates are YYYY-MM-DD.
    """

    rule: str
    id: str
    company_id: str
    company: str
    events: float
    records: int
    first_date: str
    last_date: str


@dataclasses.dataclass(frozen=True, kw_only=True)
class RuleReport:
    """What became of the records of one rule. People are masked already.

    to        the action's template, or `dimension_id (Model)`
    days      records by fate, for each day YYYY-MM-DD of their items
    undated   records without a date that can be read
    sent_amount  what was posted for each day: events, or values; of earlier runs' items too
    earlier   items (not records) of earlier runs that were sent or given up now, or are in doubt
    excess    what Planhat has more than Pendo counts now, after Pendo lowered its counts
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
        return _total([self.undated, *self.days.values()])


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

    outcome: Outcome
    problem: str | None = None
    dry_run: bool
    started: datetime
    ended: datetime
    records: int
    calls: int = 0
    notes: Sequence[str] = ()
    rules: Sequence[RuleReport] = ()
    streams: Mapping[str, Counts] = dataclasses.field(default_factory=dict)

    @property
    def fates(self) -> dict[Fate, int]:
        """Records by fate, of all rules and of the streams that no rule uses."""
        return _total([*self.streams.values(), *(rule.fates for rule in self.rules)])


def figures(report: RunReport) -> dict[str, t.Any]:
    """Return the report as the JSON file has it; the page is made from this alone."""
    return {
        "version": FORMAT_VERSION,
        **_with_received(report.fates),
        **vars(report),
        "started": _iso(report.started),
        "ended": _iso(report.ended),
        "next": advice(report),
        "notes": list(report.notes),
        "rules": [_rule(rule) for rule in report.rules],
        "streams": {name: _with_received(counts) for name, counts in report.streams.items()},
    }


def summary(report: RunReport) -> str:
    """Return the run in one line."""
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
    """Return the most useful thing to do next, if records are left over."""
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


def _rule(rule: RuleReport) -> dict[str, t.Any]:
    days = sorted({*rule.days, *rule.sent_amount})
    return {
        "name": rule.name,
        **_with_received(rule.fates),
        **vars(rule),
        "sent_amount": sum(rule.sent_amount.values()),
        "days": {
            day: {
                **_with_received(rule.days.get(day, {})),
                "sent_amount": rule.sent_amount.get(day, 0),
            }
            for day in days
        },
        "undated": _with_received(rule.undated),
        "reasons": [reason._asdict() for reason in rule.reasons],
        "earlier": {fate: count for fate, count in rule.earlier.items() if count},
        "unmatched_by_company": [each._asdict() for each in rule.unmatched_by_company],
        "awaits": rule.awaits or None,
        "samples": [dict(sample) for sample in rule.samples],
    }


def _with_received(counts: Counts) -> dict[str, int]:
    return {
        "received": sum(counts.values()),
        **{fate: counts.get(fate, 0) for fate in FATES},
    }


def _total(many: Sequence[Counts]) -> dict[Fate, int]:
    return {fate: sum(counts.get(fate, 0) for counts in many) for fate in FATES}


def _of_earlier(report: RunReport) -> list[str]:
    items = _total([rule.earlier for rule in report.rules])
    if not items["sent"]:
        return []
    verb = "would be sent" if report.dry_run else "sent"
    return [f"{number(items['sent'])} items of earlier runs {verb}"]


def _iso(moment: datetime) -> str:
    return moment.isoformat(timespec="seconds").replace("+00:00", "Z")


# What ledger, intake and delivery know of a rule


class ReportIds:
    """Ids as the report has them: companies by name and id, people masked."""

    def __init__(self, directory: Directory, masks: Masks) -> None:
        self._directory, self._masks = directory, masks

    def company_names(self, companies: Collection[str]) -> dict[str, str]:
        """Return the names of companies in Planhat, by their externalId, which is Pendo's id."""
        found = self._directory.find("companies", "external_id", set(companies) - {""})
        return {id_: objects[0].name or "" for id_, objects in found.items()}

    def company(self, company: str, *, is_person: bool = False) -> str:
        """Return a company's id, masked if it is, or may be, a person's."""
        return self.person(company) if is_person or "@" in company else company

    def person(self, id_: str) -> str:
        """Mask an id."""
        return self._masks.masked(id_)


def rule_report(
    figures: Figures, intake: RuleIntake, delivered: Delivered, awaits: str, ids: ReportIds
) -> RuleReport:
    """Build a rule's section of the report: each record has one fate. People are masked."""
    rule = intake.rule
    days: defaultdict[str, Counter[Fate]] = defaultdict(Counter)
    reasons: Counter[tuple[Fate, str]] = Counter(intake.undated)
    undated: Counter[Fate] = Counter()
    for (fate, _), records in intake.undated.items():
        undated[fate] += records
    dated = [(d, f, r, n) for (d, f, r), n in intake.dated.items()]
    for date, fate, reason, records in [*dated, *figures.fates(intake.id)]:
        days[_day(date)][fate] += records
        if reason:
            reasons[fate, reason] += records
    amounts: defaultdict[str, float] = defaultdict(float)
    for date, amount in delivered.amounts[intake.id].items():
        amounts[_day(date)] += amount
    matched, unmatched = figures.matching(intake.id)
    return RuleReport(
        name=rule.name,
        kind=rule.kind,
        stream=rule.stream,
        to=rule.action if rule.kind == "activity" else f"{rule.dimension_id} ({rule.model})",
        days=days,
        undated=undated,
        reasons=[Reason(f, r, n) for (f, r), n in reasons.most_common()],
        sent_amount=amounts,
        earlier=figures.earlier(intake.id),
        excess=figures.excess(intake.id) if is_added(rule) else 0,
        changed=0 if is_added(rule) else figures.changed(intake.id),
        matched=matched,
        unmatched=unmatched,
        unmatched_by_company=_companies(figures, intake, ids),
        awaits=awaits,
        samples=[_masked(rule, sample, ids) for sample in delivered.samples[intake.id]],
    )


def _companies(figures: Figures, intake: RuleIntake, ids: ReportIds) -> list[Unmatched]:
    found = figures.companies(intake.id)[:_COMPANIES]
    names = ids.company_names([each.company for each in found])
    return [
        Unmatched(
            ids.company(each.company, is_person=each.is_person),
            "" if each.is_person else names.get(each.company, ""),
            each.subjects,
            each.records,
        )
        for each in found
    ]


def unmatched_ids(
    figures: Figures, intakes: Sequence[RuleIntake], ids: ReportIds
) -> Iterator[UnmatchedId]:
    """Yield the unmatched ids of this run's records, as they are."""
    rules = {intake.id: intake.rule.name for intake in intakes}
    known = {each.company for intake in intakes for each in figures.companies(intake.id)}
    names = ids.company_names(known)
    for each in figures.unmatched():
        if each.rule_id in rules:
            yield UnmatchedId(
                rules[each.rule_id],
                each.subject,
                each.company,
                names.get(each.company, ""),
                each.events,
                each.records,
                _day(each.first),
                _day(each.last),
            )


def unsent_items(figures: Figures) -> Iterator[tuple[int, Fate, str, dict[str, t.Any]]]:
    """Yield rule, fate, reason and, unmasked, the items of this run that were not sent."""
    for item in figures.left():
        about = {
            "date": _day(item.date),
            "subject": item.subject,
            "company": item.company,
            "entity": msgspec.json.decode(item.entity),
            "records": item.records,
        }
        yield item.rule_id, item.fate, item.reason, about


def utc(ms: int) -> datetime:
    """Return the UTC time of epoch milliseconds."""
    return datetime(1970, 1, 1, tzinfo=timezone.utc) + timedelta(milliseconds=ms)


def _masked(rule: Rule, sample: Ready, ids: ReportIds) -> dict[str, t.Any]:
    """Show a body without ids of people, also in its action, and without the texts of its info."""
    item, body = sample.item, sample.body
    people = () if rule.model == "Company" else _IDS
    masked = {name: ids.person(str(v)) if name in people else v for name, v in body.items()}
    same = item.company == item.subject
    for name in (*_OF_COMPANIES, *(() if people else _IDS)):
        if name in body:
            masked[name] = ids.company(str(body[name]), is_person=same)
    if "action" in masked:
        named = zip(rule.named, msgspec.json.decode(item.entity), strict=True)
        texts = [text for field, text in named if field not in _OF_THE_PRODUCT]
        identities = [item.subject, item.company, *(body.get(name) for name in _IDS)]
        masked["action"] = without_secrets(masked["action"], *identities, *texts)
    if isinstance(info := masked.get("info"), dict):
        masked["info"] = {k: v if _is_figure(v) else ids.person(_text(v)) for k, v in info.items()}
    return masked


def _is_figure(value: t.Any) -> bool:
    return isinstance(value, (bool, int, float))


def _text(value: t.Any) -> str:
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()


def _day(ms: int) -> str:
    return utc(ms).date().isoformat()


def number(value: float) -> str:
    """Write 1,234 or 1,234.5."""
    return f"{value:,}" if isinstance(value, int) else f"{value:,.10g}"
