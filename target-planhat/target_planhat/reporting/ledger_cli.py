"""`--ledger`: shows what the ledger holds, and changes it by hand where only people know."""

from __future__ import annotations

import dataclasses
import json
import typing as t

from target_planhat.errors import NoLedgerError, TargetError
from target_planhat.ledger.commands import Forgetting, Resolving
from target_planhat.ledger.database import Database
from target_planhat.ledger.locks import Locks
from target_planhat.ledger.queries import Overview
from target_planhat.ledger.reference_data import Known
from target_planhat.value_parsing import DAY, HOUR, iso

if t.TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from target_planhat.config.settings import Settings
    from target_planhat.ledger.commands import Forgotten
    from target_planhat.ledger.queries import Amount
    from target_planhat.ledger.reference_data import KnownRule

HELP = "Show what the ledger holds: items by state, what is in doubt, the copies of Planhat."
ACTIONS: tuple[tuple[str, str | None, str], ...] = (
    ("--confirm", "RULE|all", "count posts in doubt as arrived"),
    ("--retry", "RULE|all", "count posts in doubt as lost; the next run sends them again"),
    ("--drop-parked", "RULE|all", "stop waiting for the end users of parked items"),
    ("--forget", "ID", "remove a person, and ignore records of this id from now on"),
    ("--init", None, "make an empty ledger: nothing counts as sent"),
)
"""The other options: their values, if they have any, and what they do."""
ALL = "all"


@dataclasses.dataclass(frozen=True, kw_only=True)
class LedgerAction:
    """What to change in the ledger: at most one of these.

    All but `forget` and `init` have the name of a rule, or `all`; `init` has its own name.
    """

    confirm: str | None = None
    retry: str | None = None
    drop_parked: str | None = None
    forget: str | None = None
    init: str | None = None

    @property
    def requested(self) -> dict[str, str]:
        """The requested changes: {option: its value}."""
        values = dataclasses.asdict(self).items()
        return {f"--{name.replace('_', '-')}": value for name, value in values if value is not None}


def output(settings: Settings, action: LedgerAction, now: int, *, as_json: bool = False) -> str:
    """Make the requested change, and return a line for each rule or person; else the overview.

    `now` is epoch ms.

    Raises:
        TargetError: there is no ledger, or it is in use; the rule is not known.
    """
    if action.requested:
        return "\n".join(execute(settings, action))
    content = overview(settings, now)
    return json.dumps(content, indent=2) if as_json else _as_text(content)


def execute(settings: Settings, action: LedgerAction) -> list[str]:
    """Make the requested change; return a line for each rule, or person.

    Raises:
        TargetError: there is no ledger, or it is in use; the rule is not known.
    """
    requested = action.requested
    if len(requested) > 1:
        raise TargetError(f"{', '.join(requested)}: use one of them at a time")
    [(option, value)] = requested.items()
    if not value.strip():
        raise TargetError(f"{option} must not be empty")
    if settings.dry_run:
        raise TargetError(
            f"{option}: the setting `dry_run` is true, and a dry run changes no ledger"
        )
    if action.init is not None:
        return [_init(settings)]
    db = _opened(settings)
    try:
        known = Known(db)
        if action.forget is not None:
            return [_forget(db, known, action.forget)]
        rules = _chosen(known.rules(), option, value)
        resolving = Resolving(db)
        lines = [_EXECUTE[option](resolving, rule) + _left(resolving, rule) for rule in rules]
        db.commit()
        return lines or ["The ledger has no rules yet"]
    finally:
        db.close()


def _opened(settings: Settings, *, to_look: bool = False) -> Database:
    """Open the ledger; `to_look` changes nothing in it."""
    url, token = settings.ledger_url, settings.tenant_token
    try:
        return Database(url, token, must_exist=True, to_look=to_look)
    except NoLedgerError as error:
        raise TargetError(
            f"{error.shown} does not exist: check `ledger_url` and `tenant_token`, or make it "
            "with --init, or by a first run"
        ) from None


def _init(settings: Settings) -> str:
    """Make a ledger in which nothing counts as sent, unless there is one."""
    db = Database(settings.ledger_url, settings.tenant_token)
    try:
        if not db.is_new:
            return f"{db.part} exists already, and is not changed"
        db.accept()
        db.commit()
        return f"{db.part} has been made: it is empty, and nothing counts as sent"
    finally:
        db.close()


def _chosen(rules: Sequence[KnownRule], option: str, name: str) -> list[KnownRule]:
    chosen = [rule for rule in rules if name in {ALL, rule.name}]
    if not chosen and name != ALL:
        known = ", ".join([ALL, *(rule.name for rule in rules)])
        raise TargetError(f"{option}: the ledger has no such rule; it must be one of {known}")
    return chosen


def _confirm(resolving: Resolving, rule: KnownRule) -> str:
    found = resolving.arrived(rule)
    return f"{rule.name}: {_amount(found)} in doubt: counted as arrived"


def _retry(resolving: Resolving, rule: KnownRule) -> str:
    found = resolving.lost(rule)
    return f"{rule.name}: {_amount(found)} in doubt: counted as lost; what Planhat lacks is sent"


def _drop(resolving: Resolving, rule: KnownRule) -> str:
    found = resolving.drop_parked(rule)
    return f"{rule.name}: {_amount(found)} parked: given up; later increases are sent"


def _left(resolving: Resolving, rule: KnownRule) -> str:
    count = resolving.left(rule)
    return f"; {count:,} items that a run is posting now are not changed" if count else ""


_EXECUTE: dict[str, Callable[[Resolving, KnownRule], str]] = {
    "--confirm": _confirm,
    "--retry": _retry,
    "--drop-parked": _drop,
}


def _forget(db: Database, known: Known, id_: str) -> str:
    if not Locks(db).is_deserted():
        # it may have read records of this person already
        raise TargetError("--forget: runs are in progress: wait until they end, or stop them")
    found = Forgetting(db, known, id_).forget()
    db.commit()
    db.scrub()
    line = f"{db.masks.masked(id_)}: {_removed(found)}; records of this id"
    if found.addresses:
        line += f", and of {found.addresses:,} e-mail addresses that visitors records gave,"
    line += " are ignored from now on."
    if found.left:
        tables = ", ".join(f"{table} ({rows:,})" for table, rows in found.left.items())
        line += f" Rows about other things still contain this id: {tables}."
    return f"{line} Planhat, reports and files of rejects are not changed"


def _removed(found: Forgotten) -> str:
    if not (found.items or found.fields or found.objects):
        return "the ledger has nothing of this id"
    return (
        f"forgotten, with {found.items:,} items, {found.fields:,} fields and {found.objects:,} end "
        "users in the copy of Planhat"
    )


# What the ledger holds


def overview(settings: Settings, now: int) -> dict[str, t.Any]:
    """Return what the ledger holds, as one object; ids are masked. `now` is epoch ms.

    Raises:
        TargetError: there is no ledger, or it is in use.
    """
    db = _opened(settings, to_look=True)
    try:
        look, rules = Overview(db), Known(db).rules()
        configured = {rule.name for rule in settings.rules}
        return {
            "ledger": db.shown.removeprefix("the ledger "),
            "read_at": iso(now),
            "runs": look.runs(),
            "last_runs": [iso(at) for at in look.last_runs()],
            "rules": [
                {
                    "name": rule.name,
                    "kind": rule.kind,
                    "configured": rule.name in configured,
                    **_rule(look, rule, now),
                }
                for rule in rules
            ],
            "new_rules": sorted(configured - {rule.name for rule in rules}),
            "copies": [
                {
                    "path": each.path,
                    "objects": each.objects,
                    "read_at": None if each.read_at is None else iso(each.read_at),
                    "hours_old": _since(now, each.read_at, HOUR),
                }
                for each in look.copies()
            ],
            "people": look.people(),
            "forgotten": look.forgotten(),
        }
    finally:
        db.close()


def _rule(look: Overview, rule: KnownRule, now: int) -> dict[str, t.Any]:
    oldest = look.oldest_parked(rule)
    return {
        "states": [state._asdict() for state in look.states(rule)],
        "assumed_sent": look.doubt(rule)._asdict(),
        "perhaps_twice": look.repeated(rule)._asdict(),
        "unanswered": look.claimed(rule)._asdict(),
        "excess": look.excess(rule)._asdict(),
        "oldest_parked": oldest
        and {
            "subject": look.masked(oldest.subject),
            "date": iso(oldest.date)[:10],
            "since": iso(oldest.since),
            "days": _since(now, oldest.since, DAY),
        },
    }


def _since(now: int, then: int | None, unit: int) -> float | None:
    return None if then is None else round(max(0, now - then) / unit, 1)


def _as_text(found: t.Mapping[str, t.Any]) -> str:
    """Write the overview for people."""
    last = ", ".join(map(_minute, found["last_runs"]))
    began = f", started {last} UTC" if last else ""
    lines = [f"The ledger {found['ledger']}: {found['runs']:,} runs{began}"]
    for rule in found["rules"]:
        lines += ["", rule["name"] + ("" if rule["configured"] else " (no longer configured)")]
        lines += [
            f"  {state['items']:>9,}  {state['state'].replace('_', ' ')}"
            + (f": {state['reason']}" if state["reason"] else "")
            for state in rule["states"]
        ]
        lines += [f"  {line}" for line in _remarks(rule)]
    if found["new_rules"]:
        lines += ["", f"Nothing yet of {', '.join(found['new_rules'])}"]
    lines += ["", *(_copy(each) for each in found["copies"])]
    lines.append(f"Visitors and accounts with stored fields: {found['people']:,}")
    lines.append(f"Forgotten ids: {found['forgotten']:,}")
    return "\n".join(lines)


_REMARKS = {
    "assumed_sent": "taken as sent, though nobody knows whether it arrived (--confirm, --retry)",
    "perhaps_twice": "sent again, and so perhaps twice in Planhat (--confirm, --retry)",
    "unanswered": "posted, and no answer came; the next run decides (--confirm, --retry)",
    "excess": "more in Planhat than Pendo counts now; deducted from later increases",
}


def _remarks(rule: t.Mapping[str, t.Any]) -> t.Iterator[str]:
    for name, meaning in _REMARKS.items():
        if rule[name]["items"]:
            yield f"{rule[name]['amount']:,.10g} in {rule[name]['items']:,} items: {meaning}"
    if oldest := rule["oldest_parked"]:
        yield (
            f"oldest parked: {oldest['subject']} of {oldest['date']}, known for "
            f"{oldest['days']:,.10g} days (--drop-parked)"
        )


def _copy(copy: t.Mapping[str, t.Any]) -> str:
    age = f"read {copy['hours_old']:,.10g} hours ago" if copy["read_at"] else "not complete yet"
    return f"Copy of Planhat's {copy['path']}: {copy['objects']:,}, {age}"


def _minute(moment: str) -> str:
    return moment[:16].replace("T", " ")


def _amount(found: Amount) -> str:
    return f"{found.items:,} items ({found.amount:,.10g})"
