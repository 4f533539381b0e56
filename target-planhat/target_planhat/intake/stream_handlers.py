"""One handler per kind of stream: figures, names, people, windows, or nothing."""

from __future__ import annotations

import json
import typing as t
from collections import Counter, defaultdict
from zoneinfo import ZoneInfo

import msgspec

from target_planhat.errors import TargetError
from target_planhat.ledger.totals import Window
from target_planhat.rule_model import EMAIL, NAME, Rejection
from target_planhat.value_parsing import DAY, Calendar, is_findable

if t.TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence

    from target_planhat.intake.record_mapper import Mapper
    from target_planhat.ledger.reference_data import Known
    from target_planhat.ledger.staging import Staging
    from target_planhat.ledger.totals import NotMerged
    from target_planhat.redaction import ForgottenIds
    from target_planhat.rule_model import Cell, Fate, Rule

Record = dict[str, t.Any]
Reject = t.Callable[["RuleIntake", Rejection, msgspec.Raw], None]

NAMED = frozenset({"features", "pages", "track_types", "guides"})
SYNC_WINDOWS = "sync_windows"
_MOMENTS = ("window_start", "window_end", "read_at")
_BLOCK = 1000
_EMAILS = ("metadata.agent.email", "metadata.custom.email", "metadata.auto.email", "visitor_id")
_NAMES = ("metadata.agent.full_name", "metadata.agent.name", "metadata.custom.name")
_PARTS = ("metadata.agent.first_name", "metadata.agent.last_name")
_decode = msgspec.json.Decoder(Record).decode


class Sink(t.Protocol):
    """Takes the records of one stream."""

    fate: Fate | None
    """The fate of all its records; None: it depends on rules."""

    def take(self, record: msgspec.Raw) -> None:
        """Take a record, as JSON.

        Raises:
            msgspec.DecodeError: it is not JSON; UnicodeError and RecursionError, likewise.
        """

    def flush(self) -> None:
        """Write into the ledger what is held in memory."""


class Ignored:
    """A stream that no rule needs."""

    fate: Fate | None = "ignored"

    def take(self, record: msgspec.Raw) -> None:
        """Do nothing: it is counted."""

    def flush(self) -> None:
        """Do nothing."""


class Names:
    """Definitions of features, pages, …: their names become those of activities."""

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
        """Write the names into the ledger."""
        held, self._held = self._held, {}
        self._known.name(self._stream, held)


class People:
    """Visitors or accounts: keeps the fields that rules, or creating end users, need."""

    fate: Fate | None = "reference"

    def __init__(
        self,
        kind: str,
        paths: Sequence[str],
        known: Known,
        forgotten: ForgottenIds,
        *,
        identity: bool,
    ) -> None:
        self._kind, self._paths, self._known = kind, paths, known
        self._forgotten, self._identity = forgotten, identity
        self._held: dict[str, dict[str, str]] = {}

    def take(self, record: msgspec.Raw) -> None:
        """Keep the fields of a person."""
        if not self._paths and not self._identity:
            return
        person = _decode(record)
        id_ = _profile_value(person, f"{self._kind}_id") or _profile_value(person, "id")
        # no row has an id that is too long
        if not id_ or not is_findable(id_) or self._is_forgotten(id_):
            return
        fields = {path: _profile_value(person, path) for path in self._paths}
        if self._identity:
            fields |= _identity(person)
        if self._forgotten:
            fields = {
                path: "" if "@" in v and v in self._forgotten else v for path, v in fields.items()
            }
        self._held[id_] = fields
        if len(self._held) >= _BLOCK:
            self.flush()

    def _is_forgotten(self, id_: str) -> bool:
        return self._kind == "visitor" and id_ in self._forgotten

    def flush(self) -> None:
        """Write the fields into the ledger; one that is empty now becomes empty there."""
        held, self._held = self._held, {}
        self._known.describe(self._kind, held.items())


def _identity(record: Mapping[str, t.Any]) -> dict[str, str]:
    """Return the e-mail address and name in a `visitors` record, where it has them."""
    emails = (_profile_value(record, path) for path in _EMAILS)
    names = [_profile_value(record, path) for path in _NAMES]
    names.append(" ".join(filter(None, (_profile_value(record, path) for path in _PARTS))))
    email = next((text for text in emails if "@" in text), "")
    name = next(filter(None, names), "")
    return {key: text for key, text in ((EMAIL, email), (NAME, name)) if text}


def _profile_value(record: Mapping[str, t.Any], path: str) -> str:
    """Return a value of nested objects as text; "" if there is none."""
    found: t.Any = record
    for part in path.split("."):
        found = found.get(part) if isinstance(found, dict) else None
    if isinstance(found, float) and found.is_integer():
        found = int(found)
    scalar = isinstance(found, (str, int, float)) and not isinstance(found, bool)
    return str(found).strip() if scalar else ""


class RuleIntake:
    """One rule's part of a stream: counts what never reaches the ledger's items.

    `since` is the moment, in epoch ms, before which the rule takes nothing in; None: takes all.
    """

    def __init__(
        self,
        rule_id: int,
        rule: Rule,
        mapper: Mapper,
        period: str | None,
        *,
        since: int | None = None,
    ) -> None:
        self.id, self.rule, self.mapper = rule_id, rule, mapper
        self.period = period
        # rows before it are left out, which must not look as if Pendo had deleted them
        self.since = 0 if since is None else since
        # rows of another period came: what was counted before has not been deleted by that
        self.misfits = False
        self.undated: Counter[tuple[Fate, str]] = Counter()
        self.dated: Counter[tuple[int, Fate, str]] = Counter()

    def count(self, dropped: NotMerged) -> None:
        """Count records of a window that changed nothing."""
        for date, records in dropped.stale.items():
            self.dated[date, "unchanged", "a newer read of the same time is known"] += records
        for date, records in dropped.clashed.items():
            reason = "the stream gives the object several values of one day: set `aggregate`"
            self.dated[date, "rejected", reason] += records
        for date, records in dropped.short.items():
            reason = "its rows are not for whole days, which `max`, `last` and `value` need"
            self.dated[date, "rejected", reason] += records


class Events:
    """A stream that rules are about. Only the fields that rules name are decoded."""

    fate: Fate | None = None

    def __init__(
        self,
        intakes: Sequence[RuleIntake],
        staging: Staging,
        known: Known,
        forgotten: ForgottenIds,
        reject: Reject,
    ) -> None:
        self.intakes = intakes
        self._staging, self._known, self._reject = staging, known, reject
        self._forgotten, self._any_forgotten = forgotten, bool(forgotten)
        self._read = _reader(frozenset().union(*(each.mapper.fields for each in intakes)))

    def take(self, record: msgspec.Raw) -> None:
        """Map a record by each rule."""
        row = self._read(record)
        for intake in self.intakes:
            cell = self._cell(intake, row)
            if isinstance(cell, Rejection):
                self._reject(intake, cell, record)
                continue
            value = intake.mapper.value(row)
            if isinstance(value, Rejection):
                self._reject(intake, value, record)
            else:
                info = intake.mapper.info(row) if intake.rule.info else None
                self._staging.add(intake.id, cell, value, info)

    def _cell(self, intake: RuleIntake, row: Record) -> Cell | Rejection:
        """Return the cell of a row for a rule, if it fits the earlier rows of the rule."""
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
        if self._any_forgotten and self._is_forgotten(intake.rule, cell):
            return Rejection("ignored", "the person is forgotten")
        return cell

    def _is_forgotten(self, rule: Rule, cell: Cell) -> bool:
        """Whether a record is about a forgotten person, or its text names one."""
        # otherwise an id without @ may be that of an account
        about = rule.is_of_people or "@" in cell.subject
        if about and cell.subject in self._forgotten:
            return True
        return any(text in self._forgotten for text in msgspec.json.decode(cell.entity))

    def _fits(self, intake: RuleIntake, cell: Cell) -> bool:
        """Whether a record's bucket is as long as those of the rule's earlier records."""
        intake.period = self._known.period(intake.id, cell.period)
        return intake.period == cell.period

    def flush(self) -> None:
        """Do nothing: staging is flushed as a whole."""


def _reader(fields: Collection[str]) -> Callable[[msgspec.Raw], Record]:
    """Return a decoder of these fields; a record may lack some."""
    form: t.Any = t.TypedDict  # of fields that are known only now
    try:
        "".join(fields).encode()
    except UnicodeError:
        # a name that cannot be in JSON
        return _decode
    made = form("Fields", dict.fromkeys(fields, t.Any), total=False)
    decode: Callable[[msgspec.Raw], Record] = msgspec.json.Decoder(made).decode
    return decode


class Windows:
    """`sync_windows`: which reads of event streams are complete.

    With `hold`, they settle nothing until `release`. `came` has all windows, by stream.
    """

    fate: Fate | None = "reference"

    def __init__(
        self,
        intakes: Mapping[str, Sequence[RuleIntake]],
        staging: Staging,
        *,
        started: int,
        hold: bool = False,
    ) -> None:
        self._intakes, self._staging, self._started = intakes, staging, started
        self.came: defaultdict[str, list[tuple[int, int]]] = defaultdict(list)
        self._held: list[tuple[RuleIntake, Window]] | None = [] if hold else None
        self._moment = Calendar(ZoneInfo("UTC")).moment

    def take(self, record: msgspec.Raw) -> None:
        """Settle a window of a stream."""
        read = _decode(record)
        stream = str(read.get("stream"))
        if stream not in self._intakes:
            return
        moments = [self._moment(read.get(name)) for name in _MOMENTS]
        if None in moments:
            raise TargetError(
                f"a record of {SYNC_WINDOWS} lacks one of {', '.join(_MOMENTS)}: it must be "
                "that of tap-pendo"
            )
        start, end, read_at = t.cast("list[int]", moments)
        if read_at > self._started + DAY:
            raise TargetError(
                f"a record of {SYNC_WINDOWS} was read over a day ahead of the clock here, and "
                "would replace all reads until then: set the clocks of tap and target right"
            )
        self.came[stream].append((start, end))
        apps = str(read.get("app_ids") or "*")
        for intake in self._intakes[stream]:
            if intake.misfits or end <= intake.since:
                continue
            window = Window(max(start, intake.since), end, apps, read_at)
            if self._held is None:
                intake.count(self._staging.complete(intake.id, window))
            else:
                self._held.append((intake, window))

    def release(self) -> None:
        """Settle the windows that were held, and from now on each one as it comes."""
        held, self._held = self._held or [], None
        for intake, window in held:
            intake.count(self._staging.complete(intake.id, window))

    def flush(self) -> None:
        """Do nothing: it is dropped."""


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
