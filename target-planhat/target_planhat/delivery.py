"""Sends what items lack in Planhat: claimed before each post, settled by its answer (P8 to P11)."""

from __future__ import annotations

import contextlib
import dataclasses
import logging
import typing as t
from collections import defaultdict
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait

from target_planhat.answers import Outcome
from target_planhat.errors import StoppedError, TargetError

if t.TYPE_CHECKING:
    import threading
    from collections.abc import Callable, Iterable, Sequence

    from target_planhat.client import PlanhatClient
    from target_planhat.ledger.database import Database
    from target_planhat.ledger.items import Items
    from target_planhat.preparation import Due, Preparation, Ready
    from target_planhat.reading_back import Reader
    from target_planhat.rules import Rule
    from target_planhat.settings import Settings

logger = logging.getLogger("target-planhat.delivery")

BATCH = 2500
"""Items of a post. What a crash leaves in doubt is at most `IN_FLIGHT` times as many."""
METRIC_BATCH = 500
"""Points of a post: those in doubt are read back company by company, 200 calls a minute."""
IN_FLIGHT = 4
GRACE_SECONDS = 6.0
MOST_DOUBTS = 3
"""Posts of unknown fate after which a run sends no more: each may be lost, or come twice."""
_PATIENCE = 5
"""How often a host that does not answer is asked whether it is well again."""
_POLL_SECONDS = 0.2


@dataclasses.dataclass
class Delivered:
    """What was posted in a run, by rule number.

    `amounts` are by date (epoch ms); `samples` are a few items with their bodies; `problem` says
    why not all was sent.
    """

    amounts: defaultdict[int, defaultdict[int, float]] = dataclasses.field(
        default_factory=lambda: defaultdict(lambda: defaultdict(float))
    )
    samples: defaultdict[int, list[Ready]] = dataclasses.field(
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
        self.done = Delivered()

    def deliver(self, rules: Sequence[tuple[int, Rule]]) -> Delivered:
        """Send what is open of each rule; what goes wrong is a `problem`, not an error.

        Raises:
            TargetError: nothing may be sent, by `unmatched: fail`; or Planhat cannot be read.
            StoppedError: the run was asked to end.
        """
        if self._settings.unmatched == "fail":
            self._preparation.refuse_unmatched(rules)
        with contextlib.suppress(_EndedError):
            for rule_id, rule in rules:
                self._recover(rule_id, rule)
            for rule_id, rule in rules:
                self._send(rule_id, rule)
        self._db.commit()
        return self.done

    # Before posts

    def _recover(self, rule_id: int, rule: Rule) -> None:
        """Decide about posts of runs that live no more, whose answer never came."""
        for left in self._items.left_of(rule_id):
            logger.warning(
                "Rule %s: nobody knows whether %d posted items arrived", rule.name, len(left)
            )
            found = self._reader.looked_up(rule, left)
            self._items.sent([i.id for i in left if found[i.id] == "there"], rule)
            absent = [i.id for i in left if found[i.id] == "absent"]
            self._items.not_sent(absent, "waiting", "its post did not arrive")
            self._doubt(rule, [i.id for i in left if found[i.id] == "unknown"])
            self._items.in_question([i.id for i in left if found[i.id] == "early"])
            self._items.reopen([i.id for i in left], rule)
            self._db.commit()

    # Posts

    def _send(self, rule_id: int, rule: Rule) -> None:
        pool = ThreadPoolExecutor(IN_FLIGHT, "post")
        flying: dict[Future[list[Outcome]], list[Ready]] = {}
        size = METRIC_BATCH if rule.kind == "metric" else BATCH
        try:
            for block in self._items.open_of(rule_id):
                due = self._preparation.prepared(rule_id, rule, block)
                self._db.commit()
                for first in range(0, len(due), size):
                    self._land(rule_id, rule, flying, IN_FLIGHT - 1)
                    self._depart(pool, rule, due[first : first + size], flying)
            self._land(rule_id, rule, flying, 0)
        finally:
            try:
                self._bring_down(rule_id, rule, flying)
            finally:
                if flying:
                    # others take them for lost: they must not be tried again
                    self._client.stop()
                # one that hangs must not hold up the end; its items stay claimed
                pool.shutdown(wait=False, cancel_futures=True)

    def _depart(
        self,
        pool: ThreadPoolExecutor,
        rule: Rule,
        due: Sequence[Due],
        flying: dict[Future[list[Outcome]], list[Ready]],
    ) -> None:
        """Claim what items lack, and post it."""
        if self._stop.is_set():
            raise StoppedError
        batch = self._preparation.claimed(rule, due)
        self._db.commit()
        if not batch:
            return
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
            self._db.beat()
            if self._stop.is_set():
                raise StoppedError

    def _bring_down(
        self, rule_id: int, rule: Rule, flying: dict[Future[list[Outcome]], list[Ready]]
    ) -> None:
        """Settle what is in flight; what does not land in time after a signal stays claimed."""
        left = GRACE_SECONDS
        while flying and left > 0 and not self._db.is_lost:
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
            self._doubts += 1
            if self._doubts >= MOST_DOUBTS or not self._is_well():
                self._fail(f"Planhat does not answer as it should ({doubtful})")
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
            samples += some[: 3 - len(samples)]
        elif fate == "refused":
            self._items.not_sent(ids, "rejected", f"Planhat: {reason}")
        elif fate == "unsent":
            self._items.not_sent(ids, "waiting", "Planhat did not take the post")
        elif self._reader.can_read(rule):
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


class _EndedError(Exception):
    """Nothing more is posted in this run."""


def _would_be_accepted(items: Sequence[dict[str, t.Any]]) -> list[Outcome]:
    return [Outcome("accepted")] * len(items)
