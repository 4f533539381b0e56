"""One run: messages in, totals settled, what is due delivered, all of it reported."""

from __future__ import annotations

import logging
import os
import typing as t
from collections import Counter, defaultdict
from datetime import datetime, timedelta, timezone

import msgspec

from target_planhat import report as reporting
from target_planhat.client import PlanhatClient
from target_planhat.creation import Creator
from target_planhat.delivery import Delivered, Delivery
from target_planhat.errors import NoSchemaError, TargetError
from target_planhat.ledger.database import Database
from target_planhat.ledger.directory import Directory
from target_planhat.ledger.figures import Figures
from target_planhat.ledger.items import Items, is_added
from target_planhat.ledger.known import Known
from target_planhat.ledger.staging import Staging
from target_planhat.mapping import Mapper
from target_planhat.masking import masked
from target_planhat.matching import Matcher
from target_planhat.naming import Naming
from target_planhat.rule_reading import missing_fields
from target_planhat.sinks import (
    NAMED,
    SYNC_WINDOWS,
    Events,
    Ignored,
    Names,
    People,
    Rejects,
    RuleIntake,
    Windows,
)
from target_planhat.streams import EVENT_STREAMS, READ_AT, WINDOW_START

if t.TYPE_CHECKING:
    import threading
    from collections.abc import Callable, Mapping, Sequence

    from target_planhat.contributions import Fate
    from target_planhat.rules import Rule
    from target_planhat.settings import Settings
    from target_planhat.sinks import Record, Sink

logger = logging.getLogger("target-planhat")


class StoppedError(Exception):
    """The run was asked to end."""


class Run:
    """What a run works with, from its settings. `now` gives epoch ms.

    `say` takes a STATE's value as soon as all before it is settled in the ledger (P9).
    """

    def __init__(
        self,
        settings: Settings,
        *,
        now: Callable[[], int],
        stop: threading.Event,
        say: Callable[[t.Any], None],
    ) -> None:
        self.settings, self._now, self._stop, self._say = settings, now, stop, say
        self.started = now()
        self.client = PlanhatClient(
            tenant_token=settings.tenant_token,
            api_token=settings.api_token,
            region=settings.region,
            api_url=settings.api_url,
            analytics_url=settings.analytics_url,
        )
        self._rejects_file: t.IO[str] | None = None
        self._records: Counter[str] = Counter()
        self._sinks: dict[str, Sink] = {}
        self._windowed: set[str] = set()
        self._delivered = Delivered()
        self._notes: list[str] = []

    def open(self) -> None:
        """Ask Planhat about the tokens, and open the ledger; nothing is read before.

        Raises:
            TargetError: a token is wrong, or the ledger cannot be used.
        """
        settings = self.settings
        self.client.check()
        self._db = Database(
            settings.ledger_url,
            settings.tenant_token,
            must_exist=settings.require_ledger,
            dry_run=settings.dry_run,
        )
        self.known = Known(self._db)
        numbers = self.known.enroll(settings.rules)
        self._rules = [(numbers[rule.name], rule) for rule in settings.rules]
        self._number = self.known.begin(self.started)
        self._staging = Staging(self._db, self._number, {n: r.combine for n, r in self._rules})
        self._items = Items(self._db, self._number)
        self._naming = Naming(self.known)
        self._gone = self.known.forgotten()
        self._intakes = [
            RuleIntake(n, rule, self._mapper(rule), self.known.period(n)) for n, rule in self._rules
        ]
        self._rejects = Rejects(self._reject_writer())
        self._db.commit()

    def _mapper(self, rule: Rule) -> Mapper:
        settings = self.settings
        return Mapper(rule, zone=settings.zone, since=settings.since, started=self.started)

    def close(self) -> None:
        """Give everything back; what was not committed is gone."""
        self.client.close()
        if hasattr(self, "_db"):
            self._db.close()
        if self._rejects_file:
            self._rejects_file.close()

    def _reject_writer(self) -> Callable[[str], t.Any] | None:
        path = self.settings.rejects_path
        if path is None:
            return None
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            number = os.open(path, os.O_CREAT | os.O_TRUNC | os.O_WRONLY, 0o600)
        except OSError as error:
            raise TargetError(f"rejects_path: cannot be written to: {error.strerror}") from None
        os.fchmod(number, 0o600)
        self._rejects_file = os.fdopen(number, "w", encoding="utf-8")
        return self._rejects_file.write

    # Messages

    def schema(self, stream: str, properties: Mapping[str, t.Any]) -> None:
        """Take the SCHEMA of a stream.

        Raises:
            TargetError: a rule names a field that the stream does not have.
        """
        mine = [intake for intake in self._intakes if intake.rule.stream == stream]
        for intake in mine:
            if lacking := missing_fields(intake.rule, properties):
                raise TargetError(
                    f"rule {intake.rule.name}: the stream {stream} has no "
                    f"{', '.join(f'`{name}`' for name in lacking)}; it has "
                    f"{', '.join(sorted(properties))}"
                )
        if WINDOW_START in properties or stream in EVENT_STREAMS:
            self._windowed.add(stream)
        if stream not in self._sinks:
            self._sinks[stream] = self._sink(stream, mine)

    def _sink(self, stream: str, mine: Sequence[RuleIntake]) -> Sink:
        if mine:
            return Events(mine, self._staging, self.known, self._gone, self._rejected)
        if stream == SYNC_WINDOWS:
            by_stream: defaultdict[str, list[RuleIntake]] = defaultdict(list)
            for intake in self._intakes:
                if intake.rule.date != READ_AT:
                    by_stream[intake.rule.stream].append(intake)
            return Windows(by_stream, self._staging)
        if stream in NAMED:
            return Names(stream, self.known)
        if stream in {"visitors", "accounts"}:
            kind = stream.removesuffix("s")
            paths = [".".join(rule.match.path) for _, rule in self._rules if rule.match.of == kind]
            identity = kind == "visitor" and self.settings.create_end_users
            return People(kind, list(dict.fromkeys(paths)), self.known, identity=identity)
        return Ignored()

    def record(self, stream: str, record: Record) -> None:
        """Take a RECORD."""
        sink = self._sinks.get(stream)
        if sink is None:
            raise NoSchemaError(
                f"a record of the stream {stream} came before its SCHEMA: the tap must send that "
                "first"
            )
        self._records[stream] += 1
        sink.take(record)

    def activate(self, stream: str) -> None:
        """Take an ACTIVATE_VERSION: the stream has arrived whole."""
        self._naming.whole.add(stream)

    def state(self, value: t.Any) -> None:
        """Take a STATE: settle all before it, then hand it on; a dry run leaves the tap's mark.

        Rows whose window is not complete are not behind a STATE: the tap will read them again.
        """
        self._settle()
        if not self.settings.dry_run:
            self._say(value)

    def _settle(self) -> None:
        """Settle in the ledger what has come."""
        for sink in self._sinks.values():
            sink.flush()
        loose = [intake for intake in self._intakes if not self._waits_for_windows(intake.rule)]
        by_id = {intake.id: intake for intake in loose}
        for rule_id, settled in self._staging.settle(by_id).items():
            by_id[rule_id].count(settled)
        self._db.commit()

    def _waits_for_windows(self, rule: Rule) -> bool:
        """Whether the rows of a rule's stream count only once their window is known complete."""
        told = SYNC_WINDOWS in self._sinks and rule.stream in self._windowed
        return told and rule.date != READ_AT

    def _rejected(self, intake: RuleIntake, fate: Fate, reason: str, record: Record) -> None:
        intake.undated[fate, reason] += 1
        if fate == "rejected":
            self._rejects.add(intake.rule, fate, reason, {"record": record})

    # The end of input

    def finish(self) -> None:
        """Settle the rest, and deliver what is due.

        Raises:
            TargetError: nothing could be sent.
        """
        self._settle()
        by_id = {intake.id: intake for intake in self._intakes}
        for rule_id, dates in self._staging.left().items():
            for date, records in dates.items():
                reason = "its window was not read to the end; a later run reads it again"
                by_id[rule_id].dated[date, "ignored", reason] += records
        for rule_id, rule in self._rules:
            self._items.recount(rule_id, rule)
        self._db.commit()
        if self._db.only_deliverer():
            self._deliver()
        else:
            self._notes.append("Another run delivers at this time: what came in waits for the next")

    def _deliver(self) -> None:
        directory = Directory(self._db)
        client = self.client if self.settings.api_token else None
        matcher = Matcher(directory, self.known, client, self._now)
        creator = None
        if self.settings.create_end_users:
            creator = Creator(
                self.client,
                matcher,
                directory,
                self.known,
                self._now,
                dry_run=self.settings.dry_run,
            )
        delivery = Delivery(
            self.settings,
            self._db,
            self._items,
            self.known,
            self.client,
            matcher,
            creator,
            self._naming,
            now=self._now,
            stop=self._stop,
        )
        self._delivered = delivery.done
        delivery.deliver(self._rules)
        if creator and creator.created:
            would = "would be" if self.settings.dry_run else "were"
            self._notes.append(f"{creator.created} end users {would} created")
        if self._delivered.stopped:
            raise StoppedError
        if self._delivered.problem:
            raise TargetError(self._delivered.problem)

    # The report

    def report(self, outcome: reporting.Outcome, problem: str | None) -> str:
        """Write the report, if that is wished; give its line."""
        streams: dict[str, Counter[Fate]] = {
            stream: Counter({sink.fate: self._records[stream]})
            for stream, sink in sorted(self._sinks.items())
            if sink.fate and self._records[stream]
        }
        figures = Figures(self._db, self._number)
        for intake in self._intakes:
            if self._sinks and intake.rule.stream not in self._sinks:
                self._notes.append(
                    f"Rule {intake.rule.name}: the stream {intake.rule.stream} did not come; those "
                    f"that came are {', '.join(sorted(self._sinks))}"
                )
        for stream, count in self._naming.nameless.items():
            self._notes.append(
                f"{count} ids are not among all {stream} of Pendo: the id stands for the name"
            )
        run = reporting.RunReport(
            started=_moment(self.started),
            ended=_moment(self._now()),
            dry_run=self.settings.dry_run,
            outcome=outcome,
            problem=problem,
            records=sum(self._records.values()),
            streams=streams,
            rules=[self._rule_report(figures, intake) for intake in self._intakes],
            calls=self.client.calls,
            notes=self._notes,
        )
        if self.settings.report_path:
            page = reporting.write(run, self.settings.report_path)
            logger.info("The report is written: %s", page)
        return reporting.summary(run)

    def _rule_report(self, figures: Figures, intake: RuleIntake) -> reporting.RuleReport:
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
        for left in figures.left(intake.id) if self.settings.rejects_path else ():
            self._rejects.add(rule, left.fate, left.reason, _about(left))
        amounts: defaultdict[str, float] = defaultdict(float)
        for date, amount in self._delivered.amounts[intake.id].items():
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
            awaits=self._naming.awaited.get(rule.name, ""),
            samples=[_masked(body) for body in self._delivered.samples[intake.id]],
        )


_IDS = ("externalId", "euExtId", "companyExternalId", "cId", "email")


def _masked(body: Mapping[str, t.Any]) -> dict[str, t.Any]:
    """Show a body without ids, and without the texts of its info."""
    shown = {name: masked(str(v)) if name in _IDS else v for name, v in body.items()}
    if isinstance(info := shown.get("info"), dict):
        shown["info"] = {k: masked(v) if isinstance(v, str) else v for k, v in info.items()}
    return shown


def _about(left: t.Any) -> dict[str, t.Any]:
    entity = msgspec.json.decode(left.entity)
    return {
        "date": _day(left.date),
        "subject": left.subject,
        "company": left.company,
        "entity": entity,
        "records": left.records,
    }


def _moment(ms: int) -> datetime:
    return datetime(1970, 1, 1, tzinfo=timezone.utc) + timedelta(milliseconds=ms)


def _day(ms: int) -> str:
    return _moment(ms).date().isoformat()
