"""Sends what items lack in Planhat. Items are claimed, and that is committed, before their post.

A claim that a later run finds is in doubt: a run ended between the post and its answer.
"""

from __future__ import annotations

import contextlib
import dataclasses
import logging
import typing as t
from collections import Counter, defaultdict
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait

from target_planhat.errors import StoppedError, TargetError
from target_planhat.ledger.locks import Locks
from target_planhat.ledger.queries import CLAIMED
from target_planhat.planhat.posts import Outcome

if t.TYPE_CHECKING:
    import threading
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from target_planhat.config.settings import Settings
    from target_planhat.delivery.planner import Due, Preparation, Ready
    from target_planhat.delivery.reconciliation import Reader
    from target_planhat.ledger.database import Database
    from target_planhat.ledger.outbox import Item, Items
    from target_planhat.planhat.endpoints import PlanhatClient
    from target_planhat.planhat.posts import Body
    from target_planhat.rule_model import Rule

logger = logging.getLogger("target-planhat.delivery")

BATCH = 2500
"""Items of a post. What a crash leaves in doubt is at most `IN_FLIGHT` times as many."""
METRIC_BATCH = 500
"""Points of a post: those in doubt are read back company by company, 200 calls a minute."""
IN_FLIGHT = 4
GRACE_SECONDS = 6.0
MOST_DOUBTS = 3
"""Posts of unknown fate after which a run sends no more: each may be lost, or come twice."""
_POLL_SECONDS = 0.2


@dataclasses.dataclass
class Delivered:
    """What was posted in a run, by rule number.

    `amounts` are by date (epoch ms); `samples` are a few items with their bodies; `given_up`
    counts parked items; `problem` says why not all was sent.
    """

    amounts: defaultdict[int, defaultdict[int, float]] = dataclasses.field(
        default_factory=lambda: defaultdict(lambda: defaultdict(float))
    )
    samples: defaultdict[int, list[Ready]] = dataclasses.field(
        default_factory=lambda: defaultdict(list)
    )
    given_up: int = 0
    problem: str | None = None


class Delivery:
    """One run's posts. `now` gives epoch ms; no new post begins once `stop` is set."""

    def __init__(  # noqa: PLR0913, PLR0917 - what it works with
        self,
        settings: Settings,
        database: Database,
        items: Items,
        client: PlanhatClient,
        preparation: Preparation,
        reader: Reader,
        *,
        now: Callable[[], int],
        stop: threading.Event,
    ) -> None:
        self._settings, self._db, self._items = settings, database, items
        self._client, self._preparation, self._reader = client, preparation, reader
        self._now, self._stop = now, stop
        self._doubts = 0
        # items by Planhat's words, and how many others were posted
        self._refused: Counter[str] = Counter()
        self._not_refused = self._newly_refused = 0
        self.done = Delivered()

    def deliver(self, rules: Sequence[tuple[int, Rule]]) -> Delivered:
        """Send the open items of each rule; what goes wrong is a `problem`, not an error.

        Raises:
            TargetError: nothing may be sent, by `unmatched: fail`; or Planhat cannot be read.
            StoppedError: the run was asked to end.
        """
        if self._settings.unmatched == "fail":
            self._preparation.refuse_unmatched(rules)
        with contextlib.suppress(_EndedError):
            for rule_id, rule in rules if self._may_recover() else ():
                self._recover(rule_id, rule)
            for rule_id, rule in rules:
                self._preparation.wake(rule_id, rule)
                self._send(rule_id, rule)
                self.done.given_up += self._preparation.give_up(rule_id)
            self._fail_if_all_refused([rule_id for rule_id, _ in rules])
        self._db.commit()
        return self.done

    def _fail_if_all_refused(self, rule_ids: Sequence[int]) -> None:
        """Fail where Planhat has refused all that was posted.

        A few items that it refused before, and again in a run with nothing new, are not a failure.
        """
        if not self._refused or self._not_refused:
            return
        if self._newly_refused or not self._items.any_sent(rule_ids):
            [(reason, _)] = self._refused.most_common(1)
            self._fail(f"Planhat refuses all {self._refused.total():,} posted items ({reason})")

    # Before posts

    def _may_recover(self) -> bool:
        """Whether claims are of runs that have ended; a dry run may work while another delivers."""
        return not (self._settings.dry_run and Locks(self._db).is_delivering())

    def _recover(self, rule_id: int, rule: Rule) -> None:
        """Decide about posts of runs that have ended, whose answer never came."""
        for left in self._items.claimed_of(rule_id):
            logger.warning(
                "Rule %s: nobody knows whether %d posted items arrived", rule.name, len(left)
            )
            found = self._reader.looked_up(rule, left)
            self._items.sent([i.id for i in left if found[i.id] == "there"], rule)
            absent = [i.id for i in left if found[i.id] == "absent"]
            self._items.not_sent(absent, "waiting", "its post did not arrive")
            for words, some in _by_words(left).items():
                self._doubt(rule, [i.id for i in some if found[i.id] == "unknown"], words)
                early = [i.id for i in some if found[i.id] == "early"]
                self._items.in_question(early, words)
            self._db.commit()

    # Posts

    def _send(self, rule_id: int, rule: Rule) -> None:
        pool = ThreadPoolExecutor(IN_FLIGHT, "post")
        in_flight: dict[Future[list[Outcome]], list[Ready]] = {}
        size = METRIC_BATCH if rule.kind == "metric" else BATCH
        try:
            for block in self._items.open_of(rule_id):
                due = self._preparation.prepared(rule_id, rule, block)
                self._db.commit_if_shared()
                for batch in _batches(due, size):
                    self._wait_for_slot(rule_id, rule, in_flight, IN_FLIGHT - 1)
                    self._submit(pool, rule, batch, in_flight)
            self._wait_for_slot(rule_id, rule, in_flight, 0)
        finally:
            try:
                self._drain(rule_id, rule, in_flight)
            finally:
                if in_flight:
                    # others take them for lost: they must not be tried again
                    self._client.stop()
                # one that hangs must not hold up the end; its items stay claimed
                pool.shutdown(wait=False, cancel_futures=True)

    def _submit(
        self,
        pool: ThreadPoolExecutor,
        rule: Rule,
        due: Sequence[Due],
        in_flight: dict[Future[list[Outcome]], list[Ready]],
    ) -> None:
        """Claim what items lack, and post it; this commits earlier outcomes, too."""
        if self._stop.is_set():
            self._db.commit()
            raise StoppedError
        batch = self._preparation.claimed(rule, due)
        self._db.commit()
        if not batch:
            return
        post = self._client.post_metrics if rule.kind == "metric" else self._client.post_activities
        if self._settings.dry_run:
            post = _would_be_accepted
        in_flight[pool.submit(_posted, post, batch)] = batch

    def _wait_for_slot(
        self,
        rule_id: int,
        rule: Rule,
        in_flight: dict[Future[list[Outcome]], list[Ready]],
        most: int,
    ) -> None:
        """Wait until at most so many posts are in flight, and record what became of the others.

        What was recorded last is committed with the next claim.
        """
        while len(in_flight) > most:
            answered, _ = wait(in_flight, timeout=_POLL_SECONDS, return_when=FIRST_COMPLETED)
            for future in answered:
                self._record(rule_id, rule, in_flight.pop(future), future)
            if answered and (self._stop.is_set() or len(in_flight) > most or not most):
                # otherwise the claim that follows commits it
                self._db.commit()
            self._db.check_connection()
            if self._stop.is_set():
                raise StoppedError

    def _drain(
        self, rule_id: int, rule: Rule, in_flight: dict[Future[list[Outcome]], list[Ready]]
    ) -> None:
        """Wait for what is in flight; what gets no answer in time after a signal stays claimed."""
        left = GRACE_SECONDS
        while in_flight and left > 0 and not self._db.is_lost:
            if self._stop.is_set():
                self._client.stop()
                left -= _POLL_SECONDS
            answered, _ = wait(in_flight, timeout=_POLL_SECONDS, return_when=FIRST_COMPLETED)
            for future in answered:
                with contextlib.suppress(_EndedError, StoppedError):
                    self._record(rule_id, rule, in_flight.pop(future), future)
            if answered:
                self._db.commit()

    def _record(
        self, rule_id: int, rule: Rule, batch: list[Ready], future: Future[list[Outcome]]
    ) -> None:
        """Record what became of a batch.

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
            self._record_outcome(rule_id, rule, some, fate, reason)
        doubtful = next((reason for fate, reason in groups if fate == "doubtful"), None)
        unsent = next((reason for fate, reason in groups if fate == "unsent"), None)
        if doubtful is None and unsent is None:
            return
        self._db.commit()
        if doubtful is not None:
            self._doubts += 1
            ended = self._doubts >= MOST_DOUBTS or self._stop.is_set()
            if ended or not self._client.recovers():
                self._fail(f"Planhat does not answer as it should ({doubtful})")
        elif unsent is not None:
            self._fail(f"Planhat does not take posts now ({unsent})")

    def _record_outcome(
        self, rule_id: int, rule: Rule, some: Sequence[Ready], fate: str, reason: str
    ) -> None:
        ids = [ready.item.id for ready in some]
        if fate == "refused":
            self._refused[reason] += len(ids)
            self._newly_refused += sum(ready.item.fate != "rejected" for ready in some)
        else:
            self._not_refused += len(ids)
        if fate == "accepted":
            self._items.sent(ids, rule)
            for ready in some:
                self.done.amounts[rule_id][ready.item.date] += ready.amount
            samples = self.done.samples[rule_id]
            samples += some[: 3 - len(samples)]
        elif fate == "refused":
            self._items.not_sent(ids, "rejected", f"Planhat: {reason}")
        elif fate == "unsent":
            self._items.not_sent(ids, "waiting", "Planhat did not take the post")
        elif self._reader.can_read(rule):
            # they stay claimed: a later run reads back what is there
            self._items.in_question(ids, reason)
        else:
            self._doubt(rule, ids, reason)

    def _doubt(self, rule: Rule, ids: Sequence[int], words: str) -> None:
        """Decide by `in_doubt` about claimed items whose fate nobody knows."""
        if self._settings.in_doubt == "resend":
            self._items.to_repeat(ids, words)
        else:
            self._items.sent(ids, rule, doubt=words)

    def _fail(self, problem: str) -> t.NoReturn:
        self.done.problem = self.done.problem or problem
        raise _EndedError


class _EndedError(Exception):
    """Nothing more is posted in this run."""


def _by_words(left: Iterable[Item]) -> dict[str, list[Item]]:
    """Group items of earlier runs by what Planhat answered to their posts, as far as it did."""
    groups: defaultdict[str, list[Item]] = defaultdict(list)
    for item in left:
        answered = item.fate == "in_doubt" and item.doubt_words
        groups[answered or CLAIMED].append(item)
    return groups


def _batches(due: Sequence[Due], size: int) -> Iterator[Sequence[Due]]:
    """Cut items into posts; those that were rejected before are not mixed with the others."""
    for again in (False, True):
        some = [one for one in due if (one.item.fate == "rejected") is again]
        for first in range(0, len(some), size):
            yield some[first : first + size]


def _posted(
    post: Callable[[Sequence[Body]], list[Outcome]], batch: Sequence[Ready]
) -> list[Outcome]:
    """Make bodies and post them; in a thread, while the main one waits for the ledger."""
    return post([ready.body for ready in batch])


def _would_be_accepted(items: Sequence[dict[str, t.Any]]) -> list[Outcome]:
    return [Outcome("accepted")] * len(items)
