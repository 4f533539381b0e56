"""What becomes of the records of each stream: figures, names, people, windows, or nothing."""

from __future__ import annotations

import json
import typing as t
from collections import Counter
from zoneinfo import ZoneInfo

import msgspec

from target_planhat import columns, creation
from target_planhat.contributions import Rejection
from target_planhat.errors import TargetError
from target_planhat.ledger.settling import Window
from target_planhat.masking import digest
from target_planhat.moments import DAY, Calendar
from target_planhat.values import is_findable

if t.TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from target_planhat.contributions import Cell, Fate
    from target_planhat.ledger.known import Known
    from target_planhat.ledger.settling import Settled
    from target_planhat.ledger.staging import Staging
    from target_planhat.mapping import Mapper
    from target_planhat.rules import Rule

Record = dict[str, t.Any]
Reject = t.Callable[["RuleIntake", Rejection, msgspec.Raw], None]

NAMED = frozenset({"features", "pages", "track_types", "guides"})
SYNC_WINDOWS = "sync_windows"
_MOMENTS = ("window_start", "window_end", "read_at")
_BLOCK = 1000
# Cells of the latest rows: those of one visitor and hour come together
_REMEMBERED = 5000
_decode = msgspec.json.Decoder(Record).decode


class Sink(t.Protocol):
    """Takes the records of a stream."""

    fate: Fate | None
    """Of all its records; None: rules say."""

    def take(self, record: msgspec.Raw) -> None:
        """Take a record, as JSON.

        Raises:
            msgspec.DecodeError: it is none; UnicodeError and RecursionError, likewise.
        """

    def flush(self) -> None:
        """Put into the ledger what is held back."""


class Ignored:
    """A stream that no rule is about."""

    fate: Fate | None = "ignored"

    def take(self, record: msgspec.Raw) -> None:
        """Do nothing: it is counted."""

    def flush(self) -> None:
        """Do nothing."""


class Names:
    """Definitions, from which the names of actions are learnt."""

    fate: Fate | None = "reference"

    def __init__(self, stream: str, known: Known) -> None:
        self._stream, self._known = stream, known
        self._held: dict[str, str] = {}

    def take(self, record: msgspec.Raw) -> None:
        """Keep a name."""
        definition = _decode(record)
        id_, name = definition.get("id"), definition.get("name")
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

    def take(self, record: msgspec.Raw) -> None:
        """Keep the fields of a person."""
        if not self._paths and not self._identity:
            return
        person = _decode(record)
        id_ = creation.value(person, f"{self._kind}_id") or creation.value(person, "id")
        # no row has an id that is too long
        if not id_ or not is_findable(id_) or (self._gone and digest(id_) in self._gone):
            return
        fields = {path: creation.value(person, path) for path in self._paths}
        if self._identity:
            fields |= creation.identity(person)
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
    """A stream that rules are about.

    What a row counts for is decided once for all rows that come together, and differ in nothing
    that rules read but their figures.
    """

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
        deciding = sorted(frozenset().union(*(each.mapper.deciding for each in intakes)))
        adding = sorted(frozenset().union(*(each.mapper.adding for each in intakes)))
        others = list(dict.fromkeys(name.split(".")[0] for name in adding))
        self._names = [*deciding, *(name for name in others if name not in deciding)]
        self._deciding = len(deciding)
        # objects do not tell rows apart
        within = any("." in name for name in deciding)
        self._read = None if within else columns.reader(deciding, self._names[len(deciding) :])
        self._cells: dict[columns.Values, list[Cell | Rejection]] = {}

    def take(self, record: msgspec.Raw) -> None:
        """Map a record by each rule."""
        values = self._read(record) if self._read else None
        if values is None:
            row = _decode(record)
            cells = self._cells_of(row)
        else:
            row = dict(zip(self._names, values))  # noqa: B905 - faster, and they are as many
            decided = values[: self._deciding]
            cells = self._cells.get(decided) or self._remembered(decided, row)
        for intake, cell in zip(self.intakes, cells):  # noqa: B905 - as above
            if isinstance(cell, Rejection):
                self._reject(intake, cell, record)
                continue
            figures = intake.mapper.figures(row)
            if isinstance(figures, Rejection):
                self._reject(intake, figures, record)
            else:
                self._staging.add(intake.id, cell, figures)

    def _remembered(self, decided: columns.Values, row: Record) -> list[Cell | Rejection]:
        if len(self._cells) >= _REMEMBERED:
            self._cells.clear()
        found = self._cells[decided] = self._cells_of(row)
        return found

    def _cells_of(self, row: Record) -> list[Cell | Rejection]:
        return [self._cell(intake, row) for intake in self.intakes]

    def _cell(self, intake: RuleIntake, row: Record) -> Cell | Rejection:
        """Say what a row counts for by a rule, if it fits what the rule has counted."""
        cell = intake.mapper.cell(row)
        if isinstance(cell, Rejection):
            return cell
        if cell.period != intake.period and not self._fits(intake, cell):
            intake.misfits = True
            return Rejection(
                "rejected",
                f"the rule counts by {intake.period}, and the record is of a whole "
                f"{cell.period}: give the rule a new name, and set `since`",
            )
        if self._gone and self._is_gone(intake.rule, cell):
            return Rejection("ignored", "the person is forgotten")
        return cell

    def _is_gone(self, rule: Rule, cell: Cell) -> bool:
        """Whether a record is about a person who is forgotten."""
        return rule.model == "EndUser" and digest(cell.subject) in self._gone

    def _fits(self, intake: RuleIntake, cell: Cell) -> bool:
        """Whether a record's bucket is as long as those that the rule has counted."""
        intake.period = self._known.period(intake.id, cell.period)
        return intake.period == cell.period

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

    def take(self, record: msgspec.Raw) -> None:
        """Settle a window of a stream."""
        read = _decode(record)
        for intake in self._intakes.get(str(read.get("stream")), ()):
            moments = [self._moment(read.get(name)) for name in _MOMENTS]
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
            apps = str(read.get("app_ids") or "*")
            window = Window(max(start, self._since), end, apps, read_at)
            intake.count(self._staging.complete(intake.id, window))

    def flush(self) -> None:
        """Do nothing: it is settled."""


class Rejects:
    """The file with one JSON line per rejected or parked record, readable by its owner only."""

    def __init__(self, write: Callable[[str], t.Any] | None) -> None:
        self._write = write

    def reject(self, rule: Rule, found: Rejection, record: msgspec.Raw) -> None:
        """Write a line about a record."""
        if self._write:
            self.add(rule, found.fate, found.reason, {"record": _decode(record)})

    def add(self, rule: Rule, fate: str, reason: str, about: Mapping[str, t.Any]) -> None:
        """Write a line."""
        if self._write:
            line = {"rule": rule.name, "stream": rule.stream, "fate": fate, "reason": reason}
            self._write(json.dumps({**line, **about}, ensure_ascii=False, default=str) + "\n")
