"""Chooses what is sent: items that are due and have a name and an object in Planhat, as bodies."""

from __future__ import annotations

import typing as t
from collections import Counter, defaultdict

import msgspec

from target_planhat.delivery.matcher import COLUMNS, PATHS, Target, Unmatched
from target_planhat.errors import TargetError
from target_planhat.ledger.outbox import is_added
from target_planhat.planhat import posts
from target_planhat.value_parsing import DAY, HOUR, is_number

if t.TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence

    from target_planhat.config.settings import Settings
    from target_planhat.delivery.end_users import Creator
    from target_planhat.delivery.matcher import Matcher
    from target_planhat.ledger.outbox import Claim, Item, Items
    from target_planhat.ledger.planhat_objects import Namesakes
    from target_planhat.ledger.reference_data import Known
    from target_planhat.rule_model import ActionTemplate, Fate, Rule

_GIVEN_UP = "given up: parked for longer than `park_days`"
_REASONS = 5
_RIVALS = (
    "several of Pendo's ids are one object of Planhat, with a figure each for the day: "
    "`aggregate: sum` adds them up"
)

_ADDRESS_KEPT = "the address is not sent, since Planhat may create an end user by its domain"


class Due(t.NamedTuple):
    """An item due for delivery, with its Planhat object and text. The claim fixes its amount."""

    item: Item
    target: Target
    action: str


class Ready(t.NamedTuple):
    """A claimed item. `info` is posted with it; `sums` are its numbers with those sent before."""

    rule: Rule
    due: Due
    amount: float
    info: Mapping[str, t.Any] | None = None
    sums: Mapping[str, t.Any] | None = None

    @property
    def item(self) -> Item:
        """The item."""
        return self.due.item

    @property
    def body(self) -> posts.Body:
        """What is posted."""
        (item, target, action), rule = self.due, self.rule
        if rule.kind == "metric":
            return posts.metric(
                dimension_id=rule.dimension_id,
                value=self.amount,
                external_id=target.external_id or "",
                model=rule.model,
                date=item.date,
            )
        return posts.activity(
            external_id=target.external_id,
            email=target.email,
            company_external_id=target.company_external_id,
            action=action,
            date=item.date,
            count=self.amount,
            weight=rule.weight,
            info=self.info,
        )


class Naming:
    """The action texts of items. `whole` are the streams whose definitions all came in this run.

    An id that is not among the definitions of a whole stream is used as the name; without a whole
    stream, its items wait.
    """

    def __init__(self, known: Known) -> None:
        self._known = known
        self.whole: set[str] = set()
        self.awaited: dict[str, str] = {}
        self.nameless: defaultdict[str, set[str]] = defaultdict(set)

    def actions(self, rule_id: int, rule: Rule, entities: Collection[str]) -> dict[str, str]:
        """Return the texts of entities (JSON arrays of the action's fields) that have one."""
        template = self._template(rule)
        found = self._known.actions(rule_id, entities)
        news = {entity: msgspec.json.decode(entity) for entity in set(entities) - found.keys()}
        if template.named is None or template.definitions is None:
            return found | {entity: template.text(texts) for entity, texts in news.items()}
        ids = {texts[template.named] for texts in news.values()}
        names = self._known.named(template.definitions, ids)
        for entity, texts in news.items():
            id_ = texts[template.named]
            name = names.get(id_)
            if name is None and template.definitions in self.whole:
                name = id_
                self.nameless[template.definitions].add(id_)
            if name is not None:
                found[entity] = template.text(texts, name)
            else:
                self.awaited[rule.name] = template.definitions
        return found

    def keep(self, rule_id: int, used: Mapping[str, str]) -> None:
        """Keep the texts that are used: what is renamed in Pendo stays one activity in Planhat."""
        self._known.keep_actions(rule_id, used)

    def reason(self, rule: Rule) -> str:
        """Return what items without a text wait for."""
        stream = self._template(rule).definitions
        return f"its name has not come yet: it is learnt from the stream `{stream}`"

    @staticmethod
    def _template(rule: Rule) -> ActionTemplate:
        if rule.template is None:
            raise TypeError("only activities have names")
        return rule.template


class Preparation:
    """Chooses what is due, and notes why other items are not sent. `now` gives epoch ms."""

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
        """Check all that would be sent before anything is.

        Raises:
            TargetError: some of it has no match.
        """
        found: Counter[str] = Counter()
        for rule_id, rule in rules:
            self.wake(rule_id, rule)
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
        """Return why an item is not due, as fate and reason; None if it is."""
        settings = self._settings
        # days go by their labels, hours by when they are; the `since` of all rules is for what
        # comes in, and leaves alone what waits or is parked
        first = rule.since if rule.granularity == "day" else settings.moment(rule.since)
        if first is not None and item.date < first:
            return "ignored", "before `since`"
        if settings.settle_hours and item.ends + settings.settle_hours * HOUR > self._now():
            return "waiting", "its hour or day is not over for `settle_hours` yet"
        return None

    def _unmatched(self, rule: Rule, items: Sequence[Item]) -> dict[int, Unmatched]:
        """Find items without a match that would have none after end users are created, either."""
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
        """Match items, and create end users with `create_end_users`."""
        if not items:
            return {}
        matched = self._matcher.match(rule, items)
        if self._creator is None or rule.model != "EndUser":
            return matched
        absent = [(i, m) for i in items if _is_absent(m := matched[i.id])]
        if not absent:
            return matched
        left = self._creator.create(rule, absent)
        return matched | self._matcher.match(rule, [item for item, _ in absent]) | left

    def _may_sleep(self, rule: Rule) -> bool:
        """Whether parked items of a rule can only be sent once the copy of Planhat has them."""
        creates = self._creator is not None and rule.model == "EndUser"
        return self._settings.unmatched == "park" and not creates

    def wake(self, rule_id: int, rule: Rule) -> None:
        """Wake parked items whose object may have come; this reads Planhat's objects."""
        if not self._items.is_any_asleep(rule_id):
            return
        if self._may_sleep(rule):
            self._matcher.refresh_all(rule)
            path, column = PATHS[rule.model], COLUMNS[rule.match.by]
            self._items.wake(rule_id, rule, path, column)
        else:
            self._items.wake_all(rule_id)

    def give_up(self, rule_id: int) -> int:
        """Give up what is parked for longer than `park_days`; return how many items."""
        before = self._now() - self._settings.park_days * DAY
        return self._items.give_up(rule_id, before, _GIVEN_UP)

    def prepared(self, rule_id: int, rule: Rule, block: Sequence[Item]) -> list[Due]:
        """Choose the items of a block that are due; note why the others are not."""
        judged: list[tuple[Item, Fate, str, str | None]] = []
        due: list[Item] = []
        for item in block:
            waits = self._waits(rule, item)
            if waits:
                judged.append((item, *waits, None))
            else:
                due.append(item)
        actions: Mapping[str, str] = {}
        if rule.kind == "activity":
            actions = self._naming.actions(rule_id, rule, {item.entity for item in due})
            nameless = [item for item in due if item.entity not in actions]
            judged += [(item, "waiting", self._naming.reason(rule), None) for item in nameless]
            due = [item for item in due if item.entity in actions]
        elif not is_added(rule):
            rivals = self._namesakes.rivals(rule_id, rule, due)
            judged += [(item, "rejected", _RIVALS, None) for item in due if item.id in rivals]
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
                awaited = found.waits_for if self._may_sleep(rule) else None
                judged.append((item, "parked", found.reason, awaited))
        self._items.judge(judged)
        self._items.write_off(given_up)
        ready = [item for item in due if item.id in targets]
        self._naming.keep(rule_id, {i.entity: actions[i.entity] for i in ready if actions})
        return [Due(item, targets[item.id], actions.get(item.entity, "")) for item in ready]

    def claimed(self, rule: Rule, some: Sequence[Due]) -> list[Ready]:
        """Claim what items lack by now. Commit before you post it."""
        claims = self._items.claim([one.item.id for one in some], rule, self._now())
        infos = self._items.info(list(claims)) if rule.info else {}
        ready = [
            _ready(rule, one, claim, infos.get(one.item.id))
            for one in some
            if (claim := claims.get(one.item.id)) is not None
        ]
        sums = ((one.item.id, msgspec.json.encode(one.sums).decode()) for one in ready if one.sums)
        self._items.keep_sums(sums)
        return ready

    def _addressed(self, rule: Rule, item: Item, found: Target | Unmatched) -> Target | Unmatched:
        """With `unmatched: send`, address an item by what Planhat does not know (yet)."""
        if isinstance(found, Target) or not found.value or self._settings.unmatched != "send":
            return found
        # Planhat creates whom it does not know where it is given a company, or an address whose
        # domain is a company's
        wanted = found.absent and self._settings.create_end_users
        if rule.match.by == "externalId":
            return Target(found.value, None, item.company if wanted else None)
        if rule.match.by == "email":
            if wanted:
                return Target(None, found.value, item.company)
            return found._replace(reason=f"{found.reason}; {_ADDRESS_KEPT}")
        return found


def _ready(rule: Rule, due: Due, claim: Claim, info: dict[str, t.Any] | None) -> Ready:
    """Complete a claim with its `info`: of numbers, what was not sent before."""
    if not info or rule.kind == "metric":
        return Ready(rule, due, claim.amount)
    before = msgspec.json.decode(claim.sent_info) if claim.sent_info else {}
    sums = {name: value for name, value in info.items() if is_number(value)}
    lacking = {name: value - before.get(name, 0) for name, value in sums.items()}
    return Ready(rule, due, claim.amount, info | lacking, sums)


def _is_absent(found: Target | Unmatched) -> t.TypeGuard[Unmatched]:
    return isinstance(found, Unmatched) and found.absent
