"""One run: takes messages in, delivers what is due, and reports."""

from __future__ import annotations

import logging
import typing as t
from collections import Counter, defaultdict

from target_planhat.config.pendo_streams import EVENT_STREAMS, READ_AT, WINDOW_START
from target_planhat.config.rule_parser import missing_fields
from target_planhat.delivery.end_users import Creator
from target_planhat.delivery.matcher import Matcher
from target_planhat.delivery.planner import Naming, Preparation
from target_planhat.delivery.reconciliation import Reader
from target_planhat.delivery.sender import Delivered, Delivery
from target_planhat.errors import NoSchemaError, StoppedError, TargetError
from target_planhat.intake.record_mapper import Mapper
from target_planhat.intake.resuming import described, earlier
from target_planhat.intake.stream_handlers import (
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
from target_planhat.ledger.database import Database
from target_planhat.ledger.locks import Locks
from target_planhat.ledger.outbox import Items
from target_planhat.ledger.planhat_objects import Directory, Namesakes
from target_planhat.ledger.queries import Figures
from target_planhat.ledger.reference_data import Known, enroll
from target_planhat.ledger.staging import Staging
from target_planhat.planhat.endpoints import PlanhatClient
from target_planhat.reporting import report, report_files

if t.TYPE_CHECKING:
    import threading
    from collections.abc import Callable, Mapping, Sequence

    import msgspec

    from target_planhat.config.settings import Settings
    from target_planhat.intake.resuming import Earlier
    from target_planhat.intake.stream_handlers import Sink
    from target_planhat.rule_model import Fate, Rejection, Rule

logger = logging.getLogger("target-planhat")


class Run:
    """One run, from its settings. `now` gives epoch ms.

    `say` is called with a STATE's value once all that came before it is in the ledger. That is not
    yet sent: delivery follows at the end of input.
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
        self._left_to_another = False
        self._notes: list[str] = []
        self._concluded = False
        # a STATE that is not handed on yet
        self._state: t.Any = None

    def open(self) -> None:
        """Ask Planhat about the tokens, and open the ledger; nothing is read before.

        Raises:
            TargetError: a token is wrong, or a file or the ledger cannot be used.
        """
        settings = self.settings
        if settings.report_path:
            report_files.prepare(settings.report_path)
        self.client.check()
        self._db = Database(
            settings.ledger_url,
            settings.tenant_token,
            must_exist=settings.require_ledger,
            dry_run=settings.dry_run,
        )
        Locks(self._db).attend()
        self.known = Known(self._db)
        numbers = enroll(self._db, settings.rules, settings.zone.key)
        self._rules = [(numbers[rule.name], rule) for rule in settings.rules]
        self._number = self.known.begin(self.started)
        self._staging = Staging(self._db, self._number, {n: r.combine for n, r in self._rules})
        self._items = Items(self._db, self._number)
        self._naming = Naming(self.known)
        self._gone = self.known.forgotten()
        self._intakes = [
            RuleIntake(
                n,
                rule,
                self._mapper(rule),
                self.known.period(n),
                since=settings.moment(settings.first_day(rule)),
            )
            for n, rule in self._rules
        ]
        self._rejects = Rejects(self._reject_writer())
        self._db.commit()

    def _mapper(self, rule: Rule) -> Mapper:
        settings = self.settings
        since = settings.first_day(rule)
        return Mapper(rule, zone=settings.zone, since=since, started=self.started)

    def close(self) -> None:
        """Close connections and files; what was not committed is gone."""
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
            used, self._rejects_file = report_files.open_private_file(path)
        except OSError as error:
            raise TargetError(
                f"setting `rejects_path`: it cannot be written to: {error.strerror}"
            ) from None
        if used != path:
            self._note(
                f"Another run writes the file of `rejects_path`; this one writes {used.name}"
            )
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
            hold = self._db.is_new
            return Windows(by_stream, self._staging, started=self.started, hold=hold)
        if stream in NAMED:
            return Names(stream, self.known)
        if stream in {"visitors", "accounts"}:
            kind = stream.removesuffix("s")
            paths = [".".join(rule.match.path) for _, rule in self._rules if rule.match.of == kind]
            identity = kind == "visitor" and self.settings.create_end_users
            return People(
                kind, list(dict.fromkeys(paths)), self.known, self._gone, identity=identity
            )
        return Ignored()

    def record(self, stream: str, record: msgspec.Raw) -> None:
        """Take a RECORD, as JSON.

        Raises:
            TargetError: its SCHEMA has not come, or it cannot be taken.
            msgspec.DecodeError: it is not JSON; UnicodeError and RecursionError, likewise.
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
        """Merge all that came before a STATE into the ledger; hand it on, unless the run is dry.

        Rows whose window is not complete are not behind a STATE: the tap will read them again.

        Raises:
            TargetError: the ledger is new, and the STATE shows that the tap resumes.
        """
        self._state = value
        if self._accept(at_end=False):
            self._hand_on()

    def _hand_on(self) -> None:
        """Merge all that has come, and hand on the latest STATE if there is one."""
        self._merge()
        if self._state is not None and not self.settings.dry_run:
            self._say(self._state)
        self._state = None

    def _accept(self, *, at_end: bool) -> bool:
        """Accept a new ledger, unless the tap resumes: then another one knows what was sent.

        False: it is not decided yet, as the rest of the input may have what is lacking. Nothing
        is merged before, so that a ledger that is refused stays empty.
        """
        if not self._db.is_new:
            return True
        found, windows = self._earlier(), self._sinks.get(SYNC_WINDOWS)
        if found and found.may_come and not at_end:
            return False
        if found:
            self._refuse(described(self._db.part, found))
        self._db.accept()
        if isinstance(windows, Windows):
            windows.release()
        return True

    def _earlier(self) -> Earlier | None:
        """Find time that the latest STATE covers, and that did not come in this input."""
        windows = self._sinks.get(SYNC_WINDOWS)
        if self._sinks and not isinstance(windows, Windows):
            # without windows, nobody knows which time came
            return None
        came = windows.came if isinstance(windows, Windows) else {}
        since: dict[str, int] = {}
        for intake in self._intakes:
            stream = intake.rule.stream
            since[stream] = min(since.get(stream, intake.since), intake.since)
        return earlier(self._state, came, since)

    def _refuse(self, problem: str) -> None:
        """End the run; a dry run only notes that another run would end."""
        if not self.settings.dry_run:
            raise TargetError(problem)
        self._note(f"A run that is not dry would be refused: {problem}", logging.WARNING)

    def _merge(self) -> None:
        """Merge what has come into the totals of the ledger."""
        for sink in self._sinks.values():
            sink.flush()
        loose = [intake for intake in self._intakes if not self._waits_for_windows(intake.rule)]
        by_id = {intake.id: intake for intake in loose}
        for rule_id, dropped in self._staging.merge_all(by_id).items():
            by_id[rule_id].count(dropped)
        self._db.commit()

    def _waits_for_windows(self, rule: Rule) -> bool:
        """Whether the rows of a rule's stream count only once their window is known complete.

        Those that the tap will not read again, as it resumes a window, count at the next STATE.
        """
        stream = EVENT_STREAMS.get(rule.stream)
        if stream and stream.resumes:
            return False
        has_windows = SYNC_WINDOWS in self._sinks and rule.stream in self._windowed
        return has_windows and rule.date != READ_AT

    def _rejected(self, intake: RuleIntake, found: Rejection, record: msgspec.Raw) -> None:
        intake.undated[found] += 1
        if found.fate == "rejected":
            self._rejects.reject(intake.rule, found, record)

    # The end of input

    def finish(self) -> None:
        """Merge the rest, and deliver what is due.

        Raises:
            TargetError: nothing could be sent.
            StoppedError: it was asked to end.
        """
        self._accept(at_end=True)
        self._hand_on()
        self._conclude()
        self._deliver()

    def _conclude(self) -> None:
        """Recount items, and account for rows of incomplete windows, however the input ended."""
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
        """Deliver what is due, unless another run of the tenant does."""
        locks = Locks(self._db)
        if not locks.take_delivery():
            self._left_to_another = True
            self._note("Another run delivers for this tenant: what is due is left to it")
            return
        creator, delivery = self._delivery()
        self._delivered = delivery.done
        try:
            self._deliver_all(delivery, locks)
        finally:
            # they are there, whatever became of what was to be sent to them
            if creator and creator.created:
                self._note(_created(creator.created, dry_run=self.settings.dry_run))

    def _deliver_all(self, delivery: Delivery, locks: Locks) -> None:
        """Deliver until no run has left items meanwhile."""
        delivers = True
        while delivers:
            try:
                delivery.deliver(self._rules)
            finally:
                left = locks.end_delivery()
            if self._stop.is_set():
                raise StoppedError
            if delivery.done.problem:
                raise TargetError(delivery.done.problem)
            delivers = left and locks.take_delivery()

    def _delivery(self) -> tuple[Creator | None, Delivery]:
        settings, directory = self.settings, Directory(self._db, self._gone)
        client = self.client if settings.api_token else None
        matcher = Matcher(directory, self.known, client, self._now)
        creator = None
        if settings.create_end_users:
            dry_run = settings.dry_run
            creator = Creator(
                self.client, matcher, directory, self.known, self._now, dry_run=dry_run
            )
        namesakes = Namesakes(self._db, self.known)
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
        return creator, delivery

    # The report

    def _note(self, text: str, level: int = logging.INFO) -> None:
        """Log something, and put it into the report."""
        logger.log(level, "%s", text)
        self._notes.append(text)

    def report(self, outcome: report.Outcome, problem: str | None) -> str:
        """Write the report if `report_path` is set; return its line."""
        self._conclude()
        streams: dict[str, Counter[Fate]] = {
            stream: Counter({sink.fate: self._records[stream]})
            for stream, sink in sorted(self._sinks.items())
            if sink.fate and self._records[stream]
        }
        # it counts all items of the run
        self._db.sort_on_disk()
        figures = Figures(self._db, self._number, delivered=not self._left_to_another)
        ids = report.ReportIds(Directory(self._db, self._gone), self._db.masks)
        for intake in self._intakes:
            if self._sinks and intake.rule.stream not in self._sinks:
                self._note(
                    f"Rule {intake.rule.name}: the stream {intake.rule.stream} did not come; those "
                    f"that came are {', '.join(sorted(self._sinks))}",
                    logging.WARNING,
                )
        for stream, nameless in self._naming.nameless.items():
            count = len(nameless)
            are = "id is" if count == 1 else "ids are"
            self._note(f"{count} {are} not among all {stream} of Pendo: the id is used as the name")
        if self._delivered.given_up:
            would = "would be" if self.settings.dry_run else "were"
            self._note(
                f"{self._delivered.given_up} items {would} given up, parked for longer than "
                "`park_days`"
            )
        run = report.RunReport(
            started=report.utc(self.started),
            ended=report.utc(self._now()),
            dry_run=self.settings.dry_run,
            outcome=outcome,
            problem=problem,
            records=sum(self._records.values()),
            streams=streams,
            rules=[
                report.rule_report(
                    figures,
                    intake,
                    self._delivered,
                    self._naming.awaited.get(intake.rule.name, ""),
                    ids,
                )
                for intake in self._intakes
            ],
            calls=self.client.calls,
            notes=self._notes,
        )
        if self.settings.rejects_path:
            rules = dict(self._rules)
            for rule_id, fate, reason, about in report.unsent_items(figures):
                self._rejects.add(rules[rule_id], fate, reason, about)
        if self.settings.report_path:
            unmatched = report.unmatched_ids(figures, self._intakes, ids)
            page = report_files.write(run, self.settings.report_path, unmatched)
            logger.info("The report is written: %s", page)
        return report.summary(run)


def _created(count: int, *, dry_run: bool) -> str:
    noun, verb = ("end user", "was") if count == 1 else ("end users", "were")
    return f"{count} {noun} {'would be' if dry_run else verb} created"
