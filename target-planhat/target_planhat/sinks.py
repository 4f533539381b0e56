"""What becomes of the records of each stream: contributions, names, people, windows, or nothing."""

from __future__ import annotations

import json
import typing as t
from collections import Counter
from zoneinfo import ZoneInfo

from target_planhat import creation
from target_planhat.contributions import Rejection
from target_planhat.errors import TargetError
from target_planhat.ledger.settling import Window
from target_planhat.masking import digest
from target_planhat.moments import DAY, Calendar
from target_planhat.values import is_findable

if t.TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from target_planhat.contributions import Contribution, Fate
    from target_planhat.ledger.known import Known
    from target_planhat.ledger.settling import Settled
    from target_planhat.ledger.staging import Staging
    from target_planhat.mapping import Mapper
    from target_planhat.rules import Rule

Record = dict[str, t.Any]
Reject = t.Callable[["RuleIntake", "Fate", str, Record], None]

NAMED = frozenset({"features", "pages", "track_types", "guides"})
SYNC_WINDOWS = "sync_windows"
_MOMENTS = ("window_start", "window_end", "read_at")
_BLOCK = 1000


class Sink(t.Protocol):
    """Takes the records of a stream."""

    fate: Fate | None
    """Of all its records; None: rules say."""

    def take(self, record: Record) -> None:
        """Take a record."""

    def flush(self) -> None:
        """Put into the ledger what is held back."""


class Ignored:
    """A stream that no rule is about."""

    fate: Fate | None = "ignored"

    def take(self, record: Record) -> None:
        """Do nothing: it is counted."""

    def flush(self) -> None:
        """Do nothing."""


class Names:
    """Definitions, from which the names of actions are learnt."""

    fate: Fate | None = "reference"

    def __init__(self, stream: str, known: Known) -> None:
        self._stream, self._known = stream, known
        self._held: dict[str, str] = {}

    def take(self, record: Record) -> None:
        """Keep a name."""
        id_, name = record.get("id"), record.get("name")
        if isinstance(id_, (str, int)) and isinstance(name, str) and name.strip():
            self._held[str(id_)] = name.strip()

    def flush(self) -> None:
        """Put the names into the ledger."""
        held, self._held = self._held, {}
        self._known.name(self._stream, held)


class People:
    """Visitors or accounts, of which the fields are kept that rules, or creation, need."""

    fate: Fate | None = "reference"

    def __init__(
        self,
        kind: str,
        paths: Sequence[str],
        known: Known,
        gone: frozenset[str],
        *,
        identity: bool,
    ) -> None:
        self._kind, self._paths, self._known = kind, paths, known
        self._gone, self._identity = gone, identity
        self._held: dict[str, dict[str, str]] = {}

    def take(self, record: Record) -> None:
        """Keep the fields of a person."""
        if not self._paths and not self._identity:
            return
        id_ = creation.value(record, f"{self._kind}_id") or creation.value(record, "id")
        # no row has an id that is too long
        if not id_ or not is_findable(id_) or (self._gone and digest(id_) in self._gone):
            return
        fields = {path: creation.value(record, path) for path in self._paths}
        if self._identity:
            fields |= creation.identity(record)
        self._held[id_] = fields
        if len(self._held) >= _BLOCK:
            self.flush()

    def flush(self) -> None:
        """Put the fields into the ledger; a field that was emptied is emptied there."""
        held, self._held = self._held, {}
        self._known.describe(self._kind, held.items())


class RuleIntake:
    """One rule's part of a stream: counts what never reaches the ledger's items."""

    def __init__(self, rule_id: int, rule: Rule, mapper: Mapper, period: str | None) -> None:
        self.id, self.rule, self.mapper = rule_id, rule, mapper
        self.period = period
        # rows of another period came: what was counted before is not gone for that
        self.misfits = False
        self.undated: Counter[tuple[Fate, str]] = Counter()
        self.dated: Counter[tuple[int, Fate, str]] = Counter()

    def count(self, settled: Settled) -> None:
        """Count records that a window brought in vain."""
        for date, records in settled.stale.items():
            self.dated[date, "unchanged", "a newer read of the same time is known"] += records
        for date, records in settled.clashed.items():
            reason = "the stream gives the object several values of one day: set `aggregate`"
            self.dated[date, "rejected", reason] += records
        for date, records in settled.short.items():
            reason = "its rows have not the grain of a day, which `max`, `last` and `value` need"
            self.dated[date, "rejected", reason] += records


class Events:
    """A stream that rules are about."""

    fate: Fate | None = None

    def __init__(
        self,
        intakes: Sequence[RuleIntake],
        staging: Staging,
        known: Known,
        gone: frozenset[str],
        reject: Reject,
    ) -> None:
        self.intakes = intakes
        self._staging, self._known, self._gone, self._reject = staging, known, gone, reject

    def take(self, record: Record) -> None:
        """Map a record by each rule."""
        for intake in self.intakes:
            given = intake.mapper.contribution(record)
            if isinstance(given, Rejection):
                self._reject(intake, given.fate, given.reason, record)
                continue
            if given.period != intake.period and not self._fits(intake, given):
                reason = (
                    f"the rule counts by {intake.period}, and the record is of a whole "
                    f"{given.period}: give the rule a new name, and set `since`"
                )
                intake.misfits = True
                self._reject(intake, "rejected", reason, record)
            elif self._gone and self._is_gone(intake.rule, given):
                self._reject(intake, "ignored", "the person is forgotten", {})
            else:
                self._staging.add(intake.id, given)

    def _is_gone(self, rule: Rule, contribution: Contribution) -> bool:
        """Whether a record is about a person who is forgotten."""
        return rule.model == "EndUser" and digest(contribution.subject) in self._gone

    def _fits(self, intake: RuleIntake, contribution: Contribution) -> bool:
        """Whether a record's bucket is as long as those that the rule has counted."""
        intake.period = self._known.period(intake.id, contribution.period)
        return intake.period == contribution.period

    def flush(self) -> None:
        """Do nothing: staging is flushed as a whole."""


class Windows:
    """`sync_windows`: tells which reads of event streams are complete.

    Before `since`, a moment in epoch ms, nothing was read as far as rules are concerned.
    """

    fate: Fate | None = "reference"

    def __init__(
        self,
        intakes: Mapping[str, Sequence[RuleIntake]],
        staging: Staging,
        *,
        since: int | None,
        started: int,
    ) -> None:
        self._intakes, self._staging, self._started = intakes, staging, started
        # rows before `since` are left out, which must not look as if they were gone from Pendo
        self._since = 0 if since is None else since
        self._moment = Calendar(ZoneInfo("UTC")).moment

    def take(self, record: Record) -> None:
        """Settle a window of a stream."""
        for intake in self._intakes.get(str(record.get("stream")), ()):
            moments = [self._moment(record.get(name)) for name in _MOMENTS]
            if None in moments:
                raise TargetError(
                    f"a record of {SYNC_WINDOWS} lacks one of {', '.join(_MOMENTS)}: allowed are "
                    "those of tap-pendo"
                )
            start, end, read_at = t.cast("list[int]", moments)
            if read_at > self._started + DAY:
                raise TargetError(
                    f"a record of {SYNC_WINDOWS} was read over a day ahead of the clock here, and "
                    "would outdo all reads until then: set the clocks of tap and target right"
                )
            if intake.misfits or end <= self._since:
                continue
            apps = str(record.get("app_ids") or "*")
            window = Window(max(start, self._since), end, apps, read_at)
            intake.count(self._staging.complete(intake.id, window))

    def flush(self) -> None:
        """Do nothing: it is settled."""


class Rejects:
    """The file with one JSON line per rejected or parked record, readable by its owner only."""

    def __init__(self, write: Callable[[str], t.Any] | None) -> None:
        self._write = write

    def add(self, rule: Rule, fate: str, reason: str, about: Mapping[str, t.Any]) -> None:
        """Write one line."""
        if self._write:
            line = {"rule": rule.name, "stream": rule.stream, "fate": fate, "reason": reason}
            self._write(json.dumps({**line, **about}, ensure_ascii=False, default=str) + "\n")
