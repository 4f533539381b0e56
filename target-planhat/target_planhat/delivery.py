"""Sends what items lack in Planhat: claimed before each post, settled by its answer (P8 to P11)."""

from __future__ import annotations

import contextlib
import dataclasses
import logging
import typing as t
from collections import Counter, defaultdict
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from datetime import date

import msgspec

from target_planhat import payloads
from target_planhat.answers import Outcome
from target_planhat.errors import StoppedError, TargetError
from target_planhat.ledger.items import Claim, is_added
from target_planhat.matching import Target, Unmatched

if t.TYPE_CHECKING:
    import threading
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from target_planhat.client import PlanhatClient
    from target_planhat.contributions import Fate
    from target_planhat.creation import Creator
    from target_planhat.ledger.database import Database
    from target_planhat.ledger.items import Item, Items
    from target_planhat.ledger.known import Known
    from target_planhat.matching import Matcher
    from target_planhat.naming import Naming
    from target_planhat.rules import Rule
    from target_planhat.settings import Settings

logger = logging.getLogger("target-planhat.delivery")

BATCH = 2500
"""Items of a post. What a crash leaves in doubt is at most `IN_FLIGHT` times as many."""
METRIC_BATCH = 500
"""Points of a post: those in doubt are read back company by company, 200 calls a minute."""
IN_FLIGHT = 4
GRACE_SECONDS = 6.0
_PATIENCE = 5
"""How often a host that does not answer is asked whether it is well again."""
_REPEATS = 3
_POLL_SECONDS = 0.2
_HOUR_MS, _DAY_MS = 3_600_000, 86_400_000
_TOLERANCE = 1e-9
_LAG_MS = 10 * 60_000
"""Time after which a point that cannot be read back is taken as lost."""
Presence = t.Literal["there", "absent", "unknown", "early"]
"""`early`: it is not there, but may still show up."""


class Ready(t.NamedTuple):
    """An item with what is posted of it. `info` holds all numbers sent with it, this time too."""

    item: Item
    amount: float
    body: dict[str, t.Any]
    info: dict[str, t.Any]


@dataclasses.dataclass
class Delivered:
    """What was posted in a run, by rule number.

    `amounts` are by date (epoch ms); `samples` are a few bodies; `problem` says why not all was
    sent.
    """

    amounts: defaultdict[int, defaultdict[int, float]] = dataclasses.field(
        default_factory=lambda: defaultdict(lambda: defaultdict(float))
    )
    samples: defaultdict[int, list[dict[str, t.Any]]] = dataclasses.field(
        default_factory=lambda: defaultdict(list)
    )
    problem: str | None = None


class Delivery:
    """One run's posts. `now` gives epoch ms; `stop` is set when no new post may begin."""

    def __init__(  # noqa: PLR0913, PLR0917 - what it works with
        self,
        settings: Settings,
        database: Database,
        items: Items,
        known: Known,
        client: PlanhatClient,
        matcher: Matcher,
        creator: Creator | None,
        naming: Naming,
        *,
        now: Callable[[], int],
        stop: threading.Event,
    ) -> None:
        self._settings, self._db, self._items, self._known = settings, database, items, known
        self._client, self._matcher, self._creator = client, matcher, creator
        self._naming = naming
        self._now, self._stop = now, stop
        self.done = Delivered()

    def deliver(self, rules: Sequence[tuple[int, Rule]]) -> Delivered:
        """Send what is open of each rule; what goes wrong is a `problem`, not an error.

        Raises:
            TargetError: nothing may be sent, by `unmatched: fail`; or Planhat cannot be read.
            StoppedError: the run was asked to end.
        """
        if self._settings.unmatched == "fail":
            self._refuse_unmatched(rules)
        with contextlib.suppress(_EndedError):
            for rule_id, rule in rules:
                self._recover(rule_id, rule)
            for rule_id, rule in rules:
                self._send(rule_id, rule)
        self._db.commit()
        return self.done

    # Before posts

    def _refuse_unmatched(self, rules: Sequence[tuple[int, Rule]]) -> None:
        """Look at all that would be sent before anything is."""
        found: Counter[str] = Counter()
        for rule_id, rule in rules:
            for block in self._items.open_of(rule_id):
                due = [item for item in block if self._waits(item) is None]
                matched = self._matched(rule, due)
                found.update(
                    f"rule {rule.name}: {m.reason}"
                    for m in matched.values()
                    if isinstance(m, Unmatched)
                )
        if found:
            reasons = "; ".join(
                f"{reason} ({count} items)" for reason, count in found.most_common(5)
            )
            raise TargetError(
                f"`unmatched: fail`: nothing is sent, as some items have no match. {reasons}"
            )

    def _recover(self, rule_id: int, rule: Rule) -> None:
        """Decide about posts of earlier runs whose answer never came."""
        for left in self._items.claimed_of(rule_id):
            logger.warning(
                "Rule %s: nobody knows whether %d posted items arrived", rule.name, len(left)
            )
            found = self._looked_up(rule, left)
            self._items.sent([i.id for i in left if found[i.id] == "there"], rule)
            absent = [i.id for i in left if found[i.id] == "absent"]
            self._items.not_sent(absent, "waiting", "its post did not arrive")
            self._doubt(rule, [i.id for i in left if found[i.id] == "unknown"])
            self._items.in_question([i.id for i in left if found[i.id] == "early"])
            self._items.reopen([i.id for i in left], rule)
            self._db.commit()

    def _looked_up(self, rule: Rule, left: Sequence[Item]) -> dict[int, Presence]:
        """Read points back to see which of them are there; activities cannot be read."""
        if not self._reads_back(rule):
            return {item.id: "unknown" for item in left}
        matched = self._matcher.match(rule, left)
        found: dict[int, Presence] = {}
        by_company: defaultdict[str, list[tuple[Item, str]]] = defaultdict(list)
        for item in left:
            target = matched[item.id]
            if isinstance(target, Target) and target.company_id and target.object_id:
                by_company[target.company_id].append((item, target.object_id))
            else:
                found[item.id] = "unknown"
        for company_id, some in by_company.items():
            days = [item.date // _DAY_MS for item, _ in some]
            points: defaultdict[tuple[str, int], list[float]] = defaultdict(list)
            for point in self._client.points(company_id, rule.dimension_id, min(days), max(days)):
                points[_place(point)].append(float(point["value"]))
            for (item, object_id), day in zip(some, days, strict=True):
                late = self._now() - (item.claimed_at or 0) > _LAG_MS
                found[item.id] = _presence(rule, item, points[object_id, day], late=late)
        return found

    def _reads_back(self, rule: Rule) -> bool:
        return rule.kind == "metric" and self._settings.api_token is not None

    # What is sent

    def _waits(self, item: Item) -> tuple[Fate, str] | None:
        """Say why an item is not sent yet, whatever it is about."""
        settings = self._settings
        if settings.since is not None and item.date < settings.since:
            return "ignored", "before `since`"
        if settings.settle_hours and item.ends + settings.settle_hours * _HOUR_MS > self._now():
            return "waiting", "its hour or day is not over for `settle_hours` yet"
        return None

    def _matched(self, rule: Rule, items: Sequence[Item]) -> dict[int, Target | Unmatched]:
        """Match items, creating end users if that is wished."""
        if not items:
            return {}
        matched = self._matcher.match(rule, items)
        if self._creator is None or rule.model != "EndUser":
            return matched
        missing = [(i, m) for i in items if isinstance(m := matched[i.id], Unmatched)]
        absent = [(item, m) for item, m in missing if m.absent]
        if absent:
            reasons = self._creator.create(rule, absent)
            again = self._matcher.match(rule, [item for item, _ in absent])
            for item, m in absent:
                found = again[item.id]
                if isinstance(found, Unmatched):
                    found = m._replace(reason=reasons.get(item.id, m.reason))
                matched[item.id] = found
        return matched

    def _prepared(self, rule_id: int, rule: Rule, block: Sequence[Item]) -> list[Ready]:
        """Choose the items of a block that are sent; note why the others are not."""
        judged: list[tuple[Item, Fate, str]] = []
        due: list[Item] = []
        for item in block:
            waits = self._waits(item)
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
        matched = self._matched(rule, due)
        targets: dict[int, Target] = {}
        for item in due:
            target = self._target(rule, item, matched[item.id], judged)
            if target:
                targets[item.id] = target
        self._items.judge(judged)
        ready = [item for item in due if item.id in targets]
        self._naming.keep(rule_id, {i.entity: actions[i.entity] for i in ready if actions})
        infos = self._items.info([item.id for item in ready]) if rule.info else {}
        return [
            _ready(rule, item, targets[item.id], actions.get(item.entity, ""), infos.get(item.id))
            for item in ready
        ]

    def _target(
        self,
        rule: Rule,
        item: Item,
        found: Target | Unmatched,
        judged: list[tuple[Item, Fate, str]],
    ) -> Target | None:
        """Decide by `unmatched` what becomes of an item without an object."""
        if isinstance(found, Target):
            return found
        policy = self._settings.unmatched
        if policy == "send" and found.value:
            company = item.company if self._settings.create_end_users else None
            if rule.match.by == "email":
                return Target(None, found.value, company)
            if rule.match.by == "externalId":
                return Target(found.value, None, company)
        if policy == "skip":
            self._items.write_off([(item, f"skipped: {found.reason}")])
        else:
            judged.append((item, "parked", found.reason))
        return None

    # Posts

    def _send(self, rule_id: int, rule: Rule) -> None:
        pool = ThreadPoolExecutor(IN_FLIGHT, "post")
        flying: dict[Future[list[Outcome]], list[Ready]] = {}
        size = METRIC_BATCH if rule.kind == "metric" else BATCH
        try:
            for block in self._items.open_of(rule_id):
                ready = self._prepared(rule_id, rule, block)
                self._db.commit()
                for first in range(0, len(ready), size):
                    self._land(rule_id, rule, flying, IN_FLIGHT - 1)
                    self._depart(pool, rule, ready[first : first + size], flying)
            self._land(rule_id, rule, flying, 0)
        finally:
            self._bring_down(rule_id, rule, flying)
            # one that hangs must not hold up the end; its items stay claimed
            pool.shutdown(wait=False, cancel_futures=True)

    def _depart(
        self,
        pool: ThreadPoolExecutor,
        rule: Rule,
        batch: list[Ready],
        flying: dict[Future[list[Outcome]], list[Ready]],
    ) -> None:
        """Claim items, and post them."""
        if self._stop.is_set():
            raise StoppedError
        claims = [Claim(r.item.id, r.amount, _json(r.info)) for r in batch]
        self._items.claim(claims, self._now())
        self._db.commit()
        bodies = [ready.body for ready in batch]
        post = self._client.post_metrics if rule.kind == "metric" else self._client.post_activities
        if self._settings.dry_run:
            post = _would_be_accepted
        flying[pool.submit(post, bodies)] = batch

    def _land(
        self,
        rule_id: int,
        rule: Rule,
        flying: dict[Future[list[Outcome]], list[Ready]],
        most: int,
    ) -> None:
        """Wait until no more than so many posts are in flight, and settle those that landed."""
        while len(flying) > most:
            landed, _ = wait(flying, timeout=_POLL_SECONDS, return_when=FIRST_COMPLETED)
            for future in landed:
                self._settle(rule_id, rule, flying.pop(future), future)
            if self._stop.is_set():
                raise StoppedError

    def _bring_down(
        self, rule_id: int, rule: Rule, flying: dict[Future[list[Outcome]], list[Ready]]
    ) -> None:
        """Settle what is still in flight; what comes too late after a signal stays claimed."""
        left = GRACE_SECONDS
        while flying and left > 0:
            if self._stop.is_set():
                self._client.stop()
                left -= _POLL_SECONDS
            landed, _ = wait(flying, timeout=_POLL_SECONDS, return_when=FIRST_COMPLETED)
            for future in landed:
                with contextlib.suppress(_EndedError, StoppedError):
                    self._settle(rule_id, rule, flying.pop(future), future)

    def _settle(
        self, rule_id: int, rule: Rule, batch: list[Ready], future: Future[list[Outcome]]
    ) -> None:
        """Note what became of a batch.

        Raises:
            _EndedError: Planhat does not answer any more, or refuses all.
        """
        try:
            outcomes = future.result()
        except TargetError as error:
            self._items.not_sent([r.item.id for r in batch], "waiting", "Planhat refused the post")
            self._db.commit()
            self._fail(error.message)
        groups: defaultdict[tuple[str, str], list[Ready]] = defaultdict(list)
        for ready, outcome in zip(batch, outcomes, strict=True):
            reason = "" if outcome.fate == "accepted" else outcome.reason
            groups[outcome.fate, reason].append(ready)
        for (fate, reason), some in groups.items():
            self._note(rule_id, rule, some, fate, reason)
        self._db.commit()
        doubtful = next((reason for fate, reason in groups if fate == "doubtful"), None)
        unsent = next((reason for fate, reason in groups if fate == "unsent"), None)
        if doubtful is not None:
            if not self._is_well():
                self._fail(f"Planhat does not answer any more ({doubtful})")
        elif unsent is not None:
            self._fail(f"Planhat does not take posts now ({unsent})")

    def _note(
        self, rule_id: int, rule: Rule, some: Sequence[Ready], fate: str, reason: str
    ) -> None:
        ids = [ready.item.id for ready in some]
        if fate == "accepted":
            self._items.sent(ids, rule)
            for ready in some:
                self.done.amounts[rule_id][ready.item.date] += ready.amount
            samples = self.done.samples[rule_id]
            samples += [ready.body for ready in some[: 3 - len(samples)]]
        elif fate == "refused":
            self._items.not_sent(ids, "rejected", f"Planhat: {reason}")
        elif fate == "unsent":
            self._items.not_sent(ids, "waiting", "Planhat did not take the post")
        elif self._reads_back(rule):
            # they stay claimed: a later run reads back what is there
            self._items.in_question(ids)
        else:
            self._doubt(rule, ids)

    def _doubt(self, rule: Rule, ids: Iterable[int]) -> None:
        """Decide by `in_doubt` about claimed items whose fate nobody knows."""
        if self._settings.in_doubt == "resend":
            self._items.to_repeat(ids)
        else:
            self._items.sent(ids, rule, "in_doubt")

    def _is_well(self) -> bool:
        """Ask whether Planhat is well again, after a post whose fate nobody knows."""
        return any(self._client.answers() for _ in range(_PATIENCE) if not self._stop.is_set())

    def _fail(self, problem: str) -> t.NoReturn:
        self.done.problem = self.done.problem or problem
        raise _EndedError


def _place(point: Mapping[str, t.Any]) -> tuple[str, int]:
    """Give the _id of a point's object, and its day since 1970."""
    day = date.fromisoformat(str(point["time"])[:10])
    return str(point["parentId"]), (day - date(1970, 1, 1)).days


def _presence(rule: Rule, item: Item, points: Sequence[float], *, late: bool) -> Presence:
    """Compare the points of an item's object and day with what was sent before.

    Points may show up late: that one is missing counts only some time after its post.
    """
    claimed = item.claimed or 0
    if is_added(rule):
        there, before = sum(points), item.sent
        if _equal(there, before + claimed):
            return "there"
        is_before = _equal(there, before)
    else:
        if len(points) > item.posts and claimed in points:
            return "there"
        is_before = len(points) <= item.posts
    return "absent" if is_before and late else "unknown" if not is_before else "early"


def _equal(one: float, other: float) -> bool:
    return abs(one - other) <= _TOLERANCE * (1 + abs(one))


class _EndedError(Exception):
    """Nothing more is posted in this run."""


def _ready(
    rule: Rule, item: Item, target: Target, action: str, info: dict[str, t.Any] | None
) -> Ready:
    """Make the body of what an item lacks."""
    added = is_added(rule)
    amount = item.wanted - item.sent - item.written_off if added else item.wanted
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


def _would_be_accepted(items: Sequence[dict[str, t.Any]]) -> list[Outcome]:
    return [Outcome("accepted")] * len(items)


def _json(info: Mapping[str, t.Any]) -> str | None:
    return msgspec.json.encode(info).decode() if info else None


def _is_number(value: t.Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)
