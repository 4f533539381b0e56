"""One run: messages in, totals settled, what is due delivered, all of it reported."""

from __future__ import annotations

import logging
import os
import typing as t
from collections import Counter, defaultdict

from target_planhat import account
from target_planhat import report as reporting
from target_planhat.client import PlanhatClient
from target_planhat.creation import Creator
from target_planhat.delivery import Delivered, Delivery
from target_planhat.errors import NoSchemaError, StoppedError, TargetError
from target_planhat.ledger.database import Database
from target_planhat.ledger.directory import Directory
from target_planhat.ledger.figures import Figures
from target_planhat.ledger.items import Items
from target_planhat.ledger.known import Known
from target_planhat.ledger.locks import Locks
from target_planhat.ledger.namesakes import Namesakes
from target_planhat.ledger.staging import Staging
from target_planhat.mapping import Mapper
from target_planhat.matching import Matcher
from target_planhat.naming import Naming
from target_planhat.preparation import Preparation
from target_planhat.reading_back import Reader
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

    import msgspec

    from target_planhat.contributions import Fate, Rejection
    from target_planhat.rules import Rule
    from target_planhat.settings import Settings
    from target_planhat.sinks import Sink

logger = logging.getLogger("target-planhat")


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
        self._concluded = False

    def open(self) -> None:
        """Ask Planhat about the tokens, and open the ledger; nothing is read before.

        Raises:
            TargetError: a token is wrong, or a file or the ledger cannot be used.
        """
        settings = self.settings
        if settings.report_path:
            reporting.prepare(settings.report_path)
        self.client.check()
        self._db = Database(
            settings.ledger_url,
            settings.tenant_token,
            must_exist=settings.require_ledger,
            dry_run=settings.dry_run,
        )
        Locks(self._db).attend()
        self.known = Known(self._db)
        numbers = self.known.enroll(settings.rules, settings.zone.key)
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
            raise TargetError(
                f"setting `rejects_path`: it cannot be written to: {error.strerror}"
            ) from None
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
            since = self.settings.first_moment
            return Windows(by_stream, self._staging, since=since, started=self.started)
        if stream in NAMED:
            return Names(stream, self.known)
        if stream in {"visitors", "accounts"}:
            kind = stream.removesuffix("s")
            paths = [".".join(rule.match.path) for _, rule in self._rules if rule.match.of == kind]
            identity = kind == "visitor" and self.settings.create_end_users
            gone = self._gone if kind == "visitor" else frozenset()
            return People(kind, list(dict.fromkeys(paths)), self.known, gone, identity=identity)
        return Ignored()

    def record(self, stream: str, record: msgspec.Raw) -> None:
        """Take a RECORD, as JSON.

        Raises:
            TargetError: its SCHEMA has not come, or it cannot be.
            msgspec.DecodeError: it is no JSON; UnicodeError and RecursionError, likewise.
        """
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
        """Whether the rows of a rule's stream count only once their window is known complete.

        Those that the tap will not read again, as it resumes a window, count at the next STATE.
        """
        stream = EVENT_STREAMS.get(rule.stream)
        if stream and stream.resumes:
            return False
        told = SYNC_WINDOWS in self._sinks and rule.stream in self._windowed
        return told and rule.date != READ_AT

    def _rejected(self, intake: RuleIntake, found: Rejection, record: msgspec.Raw) -> None:
        intake.undated[found] += 1
        if found.fate == "rejected":
            self._rejects.reject(intake.rule, found, record)

    # The end of input

    def finish(self) -> None:
        """Settle the rest, and deliver what is due.

        Raises:
            TargetError: nothing could be sent.
            StoppedError: it was asked to end.
        """
        self._settle()
        self._conclude()
        self._deliver()

    def _conclude(self) -> None:
        """Keep what is settled, and account for rows that are not, however the input ended."""
        if self._concluded:
            return
        self._concluded = True
        for sink in self._sinks.values():
            sink.flush()
        by_id = {intake.id: intake for intake in self._intakes}
        for rule_id, dates in self._staging.left().items():
            for date, records in dates.items():
                reason = "its window was not read to the end; a later run reads it again"
                by_id[rule_id].dated[date, "ignored", reason] += records
        for rule_id, rule in self._rules:
            self._items.recount(rule_id, rule)
        self._db.commit()

    def _deliver(self) -> None:
        settings, directory = self.settings, Directory(self._db, self._gone)
        client = self.client if settings.api_token else None
        matcher = Matcher(directory, self.known, client, self._now)
        creator = None
        if settings.create_end_users:
            dry_run = settings.dry_run
            creator = Creator(
                self.client, matcher, directory, self.known, self._now, dry_run=dry_run
            )
        namesakes = Namesakes(self._db)
        delivery = Delivery(
            settings,
            self._db,
            self._items,
            self.client,
            Preparation(
                settings, self._items, matcher, creator, self._naming, namesakes, now=self._now
            ),
            Reader(self.client, matcher, namesakes, self._now, has_token=client is not None),
            now=self._now,
            stop=self._stop,
        )
        self._delivered = delivery.done
        delivery.deliver(self._rules)
        if creator and creator.created:
            would = "would be" if settings.dry_run else "were"
            self._note(f"{creator.created} end users {would} created")
        if self._stop.is_set():
            raise StoppedError
        if self._delivered.problem:
            raise TargetError(self._delivered.problem)

    # The report

    def _note(self, text: str, level: int = logging.INFO) -> None:
        """Say what a reader of the log, and of the report, has to know."""
        logger.log(level, "%s", text)
        self._notes.append(text)

    def report(self, outcome: reporting.Outcome, problem: str | None) -> str:
        """Write the report, if that is wished; give its line."""
        self._conclude()
        streams: dict[str, Counter[Fate]] = {
            stream: Counter({sink.fate: self._records[stream]})
            for stream, sink in sorted(self._sinks.items())
            if sink.fate and self._records[stream]
        }
        # it counts all items of the run
        self._db.sort_on_disk()
        figures = Figures(self._db, self._number)
        for intake in self._intakes:
            if self._sinks and intake.rule.stream not in self._sinks:
                self._note(
                    f"Rule {intake.rule.name}: the stream {intake.rule.stream} did not come; those "
                    f"that came are {', '.join(sorted(self._sinks))}",
                    logging.WARNING,
                )
        for stream, count in self._naming.nameless.items():
            self._note(
                f"{count} ids are not among all {stream} of Pendo: the id stands for the name"
            )
        run = reporting.RunReport(
            started=account.moment(self.started),
            ended=account.moment(self._now()),
            dry_run=self.settings.dry_run,
            outcome=outcome,
            problem=problem,
            records=sum(self._records.values()),
            streams=streams,
            rules=[
                account.rule_report(
                    figures,
                    intake,
                    self._delivered,
                    self._naming.awaited.get(intake.rule.name, ""),
                )
                for intake in self._intakes
            ],
            calls=self.client.calls,
            notes=self._notes,
        )
        for intake in self._intakes if self.settings.rejects_path else ():
            for fate, reason, about in account.left_items(figures, intake.id):
                self._rejects.add(intake.rule, fate, reason, about)
        if self.settings.report_path:
            page = reporting.write(run, self.settings.report_path)
            logger.info("The report is written: %s", page)
        return reporting.summary(run)
