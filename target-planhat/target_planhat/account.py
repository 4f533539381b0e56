"""Accounts for the records of a rule: what ledger, intake and delivery know, put together."""

from __future__ import annotations

import typing as t
from collections import Counter, defaultdict
from datetime import datetime, timedelta, timezone

import msgspec

from target_planhat import report as reporting
from target_planhat.ledger.items import is_added
from target_planhat.masking import hidden, masked
from target_planhat.streams import APP, EVENT_STREAMS

if t.TYPE_CHECKING:
    from collections.abc import Iterator

    from target_planhat.contributions import Fate
    from target_planhat.delivery import Delivered
    from target_planhat.ledger.figures import Figures
    from target_planhat.preparation import Ready
    from target_planhat.rules import Rule
    from target_planhat.sinks import RuleIntake


def rule_report(
    figures: Figures, intake: RuleIntake, delivered: Delivered, awaits: str
) -> reporting.RuleReport:
    """Account for each record of a rule. Ids are masked."""
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
    return reporting.RuleReport(
        name=rule.name,
        kind=rule.kind,
        stream=rule.stream,
        to=rule.action if rule.kind == "activity" else f"{rule.dimension_id} ({rule.model})",
        days=days,
        undated=undated,
        reasons=[reporting.Reason(f, r, n) for (f, r), n in reasons.most_common()],
        sent_amount=amounts,
        earlier=figures.earlier(intake.id),
        excess=figures.excess(intake.id) if is_added(rule) else 0,
        changed=0 if is_added(rule) else figures.changed(intake.id),
        matched=matched,
        unmatched=unmatched,
        unmatched_by_company=[
            reporting.Unmatched(masked(company), ids, records)
            for company, ids, records in figures.unmatched(intake.id)
        ],
        awaits=awaits,
        samples=[_masked(rule, sample) for sample in delivered.samples[intake.id]],
    )


def left_items(figures: Figures, rule_id: int) -> Iterator[tuple[Fate, str, dict[str, t.Any]]]:
    """Yield fate, reason and, unmasked, what is parked or rejected of this run's records."""
    for left in figures.left(rule_id):
        about = {
            "date": _day(left.date),
            "subject": left.subject,
            "company": left.company,
            "entity": msgspec.json.decode(left.entity),
            "records": left.records,
        }
        yield left.fate, left.reason, about


def moment(ms: int) -> datetime:
    """Give a moment of epoch milliseconds."""
    return datetime(1970, 1, 1, tzinfo=timezone.utc) + timedelta(milliseconds=ms)


_IDS = ("externalId", "euExtId", "companyExternalId", "cId", "email")
# what an action may name that is about the product, not about people
_OF_THE_PRODUCT = frozenset({APP, "type", "poll_type", "guide_step_id"}) | {
    stream.entity for stream in EVENT_STREAMS.values()
}


def _masked(rule: Rule, sample: Ready) -> dict[str, t.Any]:
    """Show a body without ids, also in its action, and without the texts of its info."""
    item, body = sample.item, sample.body
    shown = {name: masked(str(v)) if name in _IDS else v for name, v in body.items()}
    if "action" in shown:
        named = zip(rule.named, msgspec.json.decode(item.entity), strict=True)
        texts = [text for field, text in named if field not in _OF_THE_PRODUCT]
        ids = [item.subject, item.company, *(body.get(name) for name in _IDS)]
        shown["action"] = hidden(shown["action"], *ids, *texts)
    if isinstance(info := shown.get("info"), dict):
        shown["info"] = {k: v if _is_figure(v) else masked(_text(v)) for k, v in info.items()}
    return shown


def _is_figure(value: t.Any) -> bool:
    return isinstance(value, (bool, int, float))


def _text(value: t.Any) -> str:
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()


def _day(ms: int) -> str:
    return moment(ms).date().isoformat()
