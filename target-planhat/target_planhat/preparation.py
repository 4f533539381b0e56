"""Chooses what is sent: items that are due, have a name and an object in Planhat, as bodies."""

from __future__ import annotations

import typing as t
from collections import Counter

import msgspec

from target_planhat import payloads
from target_planhat.errors import TargetError
from target_planhat.ledger.items import is_added
from target_planhat.matching import Target, Unmatched

if t.TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from target_planhat.contributions import Fate
    from target_planhat.creation import Creator
    from target_planhat.ledger.items import Item, Items
    from target_planhat.ledger.namesakes import Namesakes
    from target_planhat.matching import Matcher
    from target_planhat.naming import Naming
    from target_planhat.rules import Rule
    from target_planhat.settings import Settings

_HOUR_MS = 3_600_000
_REASONS = 5
_RIVALS = (
    "several of Pendo's ids are one object of Planhat, with a figure each for the day: "
    "`aggregate: sum` adds them up"
)


class Due(t.NamedTuple):
    """An item that is to be sent: to whom, and under which text. How much is known by a claim."""

    item: Item
    target: Target
    action: str


class Ready(t.NamedTuple):
    """A claimed item with its body. `info` holds all numbers sent with it, this time too."""

    item: Item
    amount: float
    body: dict[str, t.Any]
    info: dict[str, t.Any]


class Preparation:
    """Chooses what is due, and notes of other items why they are not sent. `now` gives epoch ms."""

    def __init__(  # noqa: PLR0913, PLR0917 - what it works with
        self,
        settings: Settings,
        items: Items,
        matcher: Matcher,
        creator: Creator | None,
        naming: Naming,
        namesakes: Namesakes,
        *,
        now: Callable[[], int],
    ) -> None:
        self._settings, self._items, self._naming = settings, items, naming
        self._matcher, self._creator, self._now = matcher, creator, now
        self._namesakes = namesakes

    def refuse_unmatched(self, rules: Sequence[tuple[int, Rule]]) -> None:
        """Look at all that would be sent before anything is.

        Raises:
            TargetError: some of it has no match.
        """
        found: Counter[str] = Counter()
        for rule_id, rule in rules:
            for block in self._items.open_of(rule_id):
                due = [item for item in block if self._waits(rule, item) is None]
                left = self._unmatched(rule, due)
                found.update(f"rule {rule.name}: {m.reason}" for m in left.values())
        if found:
            reasons = "; ".join(
                f"{reason} ({count} items)" for reason, count in found.most_common(_REASONS)
            )
            raise TargetError(
                f"`unmatched: fail`: nothing is sent, as some items have no match. {reasons}"
            )

    def _waits(self, rule: Rule, item: Item) -> tuple[Fate, str] | None:
        """Say why an item is not sent yet, whatever it is about."""
        settings = self._settings
        # days go by their labels, hours by when they are
        first = settings.since if rule.granularity == "day" else settings.first_moment
        if first is not None and item.date < first:
            return "ignored", "before `since`"
        if settings.settle_hours and item.ends + settings.settle_hours * _HOUR_MS > self._now():
            return "waiting", "its hour or day is not over for `settle_hours` yet"
        return None

    def _unmatched(self, rule: Rule, items: Sequence[Item]) -> dict[int, Unmatched]:
        """Say which items have no match, and would have none if all were created that can be."""
        matched = self._matcher.match(rule, items)
        missing = {i.id: (i, m) for i in items if isinstance(m := matched[i.id], Unmatched)}
        left = {id_: unmatched for id_, (_, unmatched) in missing.items()}
        if self._creator is None or rule.model != "EndUser":
            return left
        absent = [(item, unmatched) for item, unmatched in missing.values() if unmatched.absent]
        created = {item.id for item, _ in absent}
        hindered = self._creator.hindered(rule, absent)
        return {id_: m for id_, m in left.items() if id_ not in created} | hindered

    def _matched(self, rule: Rule, items: Sequence[Item]) -> dict[int, Target | Unmatched]:
        """Match items, creating end users if that is wished."""
        if not items:
            return {}
        matched = self._matcher.match(rule, items)
        if self._creator is None or rule.model != "EndUser":
            return matched
        absent = [item for item in items if _is_absent(matched[item.id])]
        if not absent:
            return matched
        with self._creator.alone():
            # by now, another run may have created some of them
            found = self._matcher.match(rule, absent)
            missing = [(i, m) for i in absent if _is_absent(m := found[i.id])]
            left = self._creator.create(rule, missing)
            found |= self._matcher.match(rule, [item for item, _ in missing])
        return matched | found | left

    def prepared(self, rule_id: int, rule: Rule, block: Sequence[Item]) -> list[Due]:
        """Choose the items of a block that are sent; note why the others are not."""
        judged: list[tuple[Item, Fate, str]] = []
        due: list[Item] = []
        for item in block:
            waits = self._waits(rule, item)
            if waits:
                judged.append((item, *waits))
            else:
                due.append(item)
        actions: Mapping[str, str] = {}
        if rule.kind == "activity":
            actions = self._naming.actions(rule_id, rule, {item.entity for item in due})
            nameless = [item for item in due if item.entity not in actions]
            judged += [(item, "waiting", self._naming.reason(rule)) for item in nameless]
            due = [item for item in due if item.entity in actions]
        elif not is_added(rule):
            rivals = self._namesakes.rivals(rule_id, rule, due)
            judged += [(item, "rejected", _RIVALS) for item in due if item.id in rivals]
            due = [item for item in due if item.id not in rivals]
        matched = self._matched(rule, due)
        targets: dict[int, Target] = {}
        given_up: list[tuple[Item, str]] = []
        for item in due:
            found = self._addressed(rule, item, matched[item.id])
            if isinstance(found, Target):
                targets[item.id] = found
            elif self._settings.unmatched == "skip":
                given_up.append((item, f"skipped: {found.reason}"))
            else:
                judged.append((item, "parked", found.reason))
        self._items.judge(judged)
        self._items.write_off(given_up)
        ready = [item for item in due if item.id in targets]
        kept = self._naming.keep(rule_id, {i.entity: actions[i.entity] for i in ready if actions})
        return [Due(item, targets[item.id], kept.get(item.entity, "")) for item in ready]

    def claimed(self, rule: Rule, some: Sequence[Due]) -> list[Ready]:
        """Claim what items lack by now, and make the bodies of that; commit before a post."""
        due = {one.item.id: one for one in some}
        items = self._items.claim(due.keys(), rule, self._now())
        infos = self._items.info([item.id for item in items]) if rule.info else {}
        ready = [
            _ready(rule, item, due[item.id].target, due[item.id].action, infos.get(item.id))
            for item in items
        ]
        told = ((one.item.id, msgspec.json.encode(one.info).decode()) for one in ready if one.info)
        self._items.inform(told)
        return ready

    def _addressed(self, rule: Rule, item: Item, found: Target | Unmatched) -> Target | Unmatched:
        """With `unmatched: send`, address an item by what Planhat does not know (yet)."""
        if isinstance(found, Target) or not found.value or self._settings.unmatched != "send":
            return found
        # Planhat would create whom the company is given with, also where it must not be
        wanted = found.absent and self._settings.create_end_users
        company = item.company if wanted else None
        if rule.match.by == "email":
            return Target(None, found.value, company)
        return Target(found.value, None, company) if rule.match.by == "externalId" else found


def _ready(
    rule: Rule, item: Item, target: Target, action: str, info: dict[str, t.Any] | None
) -> Ready:
    """Make the body of what is claimed of an item."""
    amount = item.claimed or 0.0
    before = msgspec.json.decode(item.sent_info) if item.sent_info else {}
    info = info or {}
    sums = {name: value for name, value in info.items() if _is_number(value)}
    if rule.kind == "metric":
        body = payloads.metric(
            dimension_id=rule.dimension_id,
            value=amount,
            external_id=target.external_id or "",
            model=rule.model,
            date=item.date,
        )
        return Ready(item, amount, body, {})
    lacking = {name: value - before.get(name, 0) for name, value in sums.items()}
    body = payloads.activity(
        external_id=target.external_id,
        email=target.email,
        company_external_id=target.company_external_id,
        action=action,
        date=item.date,
        count=amount,
        weight=rule.weight,
        info={**info, **lacking},
    )
    return Ready(item, amount, body, sums)


def _is_absent(found: Target | Unmatched) -> t.TypeGuard[Unmatched]:
    return isinstance(found, Unmatched) and found.absent


def _is_number(value: t.Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)
