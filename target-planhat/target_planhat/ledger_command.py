"""`--ledger`: says what the ledger holds, and settles by hand what a run cannot know."""

from __future__ import annotations

import dataclasses
import typing as t

from target_planhat.errors import NoLedgerError, TargetError
from target_planhat.ledger.database import Database
from target_planhat.ledger.known import Known
from target_planhat.ledger.locks import Locks
from target_planhat.ledger.overview import Overview
from target_planhat.ledger.resolving import Resolving
from target_planhat.masking import masked
from target_planhat.moments import iso

if t.TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from target_planhat.ledger.known import KnownRule
    from target_planhat.ledger.overview import Amount
    from target_planhat.settings import Settings

HELP = "Say what the ledger holds: items by state, what is in doubt, the copies of Planhat."
WISHES = (
    ("--arrived", "RULE|all", "posts of unknown fate did arrive"),
    ("--lost", "RULE|all", "posts of unknown fate did not arrive; the next run sends again"),
    ("--drop-parked", "RULE|all", "do not wait for the end users of parked items any more"),
    ("--forget", "ID", "remove a person, and ignore records of this id from now on"),
)
"""The other options: their values, and what they do."""
ALL = "all"
_HOUR, _DAY = 3_600_000, 86_400_000


@dataclasses.dataclass(frozen=True, kw_only=True)
class Wish:
    """What is to be done: at most one of these. All but `forget` name a rule, or all of them."""

    arrived: str | None = None
    lost: str | None = None
    drop_parked: str | None = None
    forget: str | None = None

    @property
    def named(self) -> dict[str, str]:
        """Give what is wished: {option: its value}."""
        given = dataclasses.asdict(self).items()
        return {f"--{name.replace('_', '-')}": value for name, value in given if value is not None}


def carried_out(settings: Settings, wish: Wish) -> list[str]:
    """Do what is wished; give a line for each rule, or person.

    Raises:
        TargetError: there is no ledger, or it is in use; the rule is not known.
    """
    named = wish.named
    if len(named) > 1:
        raise TargetError(f"{', '.join(named)}: allowed is one of them at a time")
    [(option, value)] = named.items()
    if not value.strip():
        raise TargetError(f"{option}: it is empty")
    if settings.dry_run:
        raise TargetError(f"{option}: setting `dry_run` is true, which changes no ledger")
    db = _opened(settings)
    try:
        known = Known(db)
        if wish.forget is not None:
            return [_forget(db, known, wish.forget)]
        rules = _chosen(known.rules(), option, value)
        resolving = Resolving(db)
        lines = [_DONE[option](resolving, rule) + _left(resolving, rule) for rule in rules]
        db.commit()
        return lines or ["The ledger knows no rules yet"]
    finally:
        db.close()


def _opened(settings: Settings, *, to_look: bool = False) -> Database:
    """Open the ledger; one that is looked at stays as it is."""
    url, token = settings.ledger_url, settings.tenant_token
    try:
        return Database(url, token, must_exist=True, dry_run=to_look)
    except NoLedgerError as error:
        raise TargetError(
            f"{error.shown} does not exist: look at `ledger_url` and `tenant_token`, or let a "
            "first run make it"
        ) from None


def _chosen(rules: Sequence[KnownRule], option: str, name: str) -> list[KnownRule]:
    chosen = [rule for rule in rules if name in {ALL, rule.name}]
    if not chosen and name != ALL:
        known = ", ".join([ALL, *(rule.name for rule in rules)])
        raise TargetError(f"{option}: the ledger has no such rule; it knows {known}")
    return chosen


def _arrived(resolving: Resolving, rule: KnownRule) -> str:
    found = resolving.arrived(rule)
    return f"{rule.name}: {_amount(found)} in doubt: taken as arrived"


def _lost(resolving: Resolving, rule: KnownRule) -> str:
    found = resolving.lost(rule)
    return f"{rule.name}: {_amount(found)} in doubt: taken as lost; what Planhat lacks is sent"


def _drop(resolving: Resolving, rule: KnownRule) -> str:
    found = resolving.drop_parked(rule)
    return f"{rule.name}: {_amount(found)} parked: given up; later increases are sent"


def _left(resolving: Resolving, rule: KnownRule) -> str:
    count = resolving.left(rule)
    return f"; {count:,} items that a run is posting now are left as they are" if count else ""


_DONE: dict[str, Callable[[Resolving, KnownRule], str]] = {
    "--arrived": _arrived,
    "--lost": _lost,
    "--drop-parked": _drop,
}


def _forget(db: Database, known: Known, id_: str) -> str:
    if not Locks(db).is_deserted():
        # it may have read records of this person already
        raise TargetError("--forget: runs are under way: wait for their end, or end them")
    gone = known.forget(id_)
    db.commit()
    db.scrub()
    return (
        f"{masked(id_)}: forgotten, with {gone.items:,} items, {gone.fields:,} fields and "
        f"{gone.objects:,} end users in the copy of Planhat; records of this id are ignored from "
        "now on. Planhat, and files of rejects, are not touched"
    )


# What the ledger holds


def overview(settings: Settings, now: int) -> dict[str, t.Any]:
    """Give what the ledger holds, as one object; ids are masked. `now` is epoch ms.

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
                    "hours_old": _since(now, each.read_at, _HOUR),
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
            "subject": masked(oldest.subject),
            "date": iso(oldest.date)[:10],
            "since": iso(oldest.since),
            "days": _since(now, oldest.since, _DAY),
        },
    }


def _since(now: int, then: int | None, unit: int) -> float | None:
    return None if then is None else round(max(0, now - then) / unit, 1)


def as_text(found: t.Mapping[str, t.Any]) -> str:
    """Write the overview for people."""
    last = ", ".join(map(_minute, found["last_runs"]))
    began = f", begun {last} UTC" if last else ""
    lines = [f"The ledger {found['ledger']}: {found['runs']:,} runs{began}"]
    for rule in found["rules"]:
        lines += ["", rule["name"] + ("" if rule["configured"] else " (not configured any more)")]
        lines += [
            f"  {state['items']:>9,}  {state['state'].replace('_', ' ')}"
            + (f": {state['reason']}" if state["reason"] else "")
            for state in rule["states"]
        ]
        lines += [f"  {line}" for line in _remarks(rule)]
    if found["new_rules"]:
        lines += ["", f"Nothing yet of {', '.join(found['new_rules'])}"]
    lines += ["", *(_copy(each) for each in found["copies"])]
    lines.append(f"Visitors and accounts of whom fields are kept: {found['people']:,}")
    lines.append(f"Forgotten ids: {found['forgotten']:,}")
    return "\n".join(lines)


_REMARKS = {
    "assumed_sent": "taken as sent, though nobody knows whether it arrived (--arrived, --lost)",
    "perhaps_twice": "sent again, and so perhaps twice in Planhat (--arrived, --lost)",
    "unanswered": "posted, and no answer came; the next run decides (--arrived, --lost)",
    "excess": "in Planhat above what Pendo counts now; set off against later increases",
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
    whole = f"read {copy['hours_old']:,.10g} hours ago" if copy["read_at"] else "not read whole yet"
    return f"Copy of Planhat's {copy['path']}: {copy['objects']:,}, {whole}"


def _minute(moment: str) -> str:
    return moment[:16].replace("T", " ")


def _amount(found: Amount) -> str:
    return f"{found.items:,} items ({found.amount:,.10g})"
