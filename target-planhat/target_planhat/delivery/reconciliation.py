"""Reads points back, to learn whether posts without an answer arrived."""

from __future__ import annotations

import typing as t
from collections import defaultdict
from datetime import date

from target_planhat.delivery.matcher import Target
from target_planhat.ledger.outbox import TOLERANCE, is_added
from target_planhat.value_parsing import DAY, plain_date

if t.TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from target_planhat.delivery.matcher import Matcher
    from target_planhat.ledger.outbox import Item
    from target_planhat.ledger.planhat_objects import Namesakes
    from target_planhat.planhat.endpoints import PlanhatClient
    from target_planhat.rule_model import Rule

Presence = t.Literal["there", "absent", "unknown", "early"]
"""`early`: it is not there, but may still show up."""

_LAG_MS = 10 * 60_000
"""Time after which a point that cannot be read back is taken as lost."""


class Reader:
    """Looks posts up. Activities cannot be read back, nor can anything without an api_token."""

    def __init__(
        self,
        client: PlanhatClient,
        matcher: Matcher,
        namesakes: Namesakes,
        now: Callable[[], int],
        *,
        has_token: bool,
    ) -> None:
        self._client, self._matcher, self._now = client, matcher, now
        self._namesakes = namesakes
        self._has_token = has_token

    def can_read(self, rule: Rule) -> bool:
        """Whether what a rule sends can be read back."""
        return rule.kind == "metric" and self._has_token

    def looked_up(self, rule: Rule, left: Sequence[Item]) -> dict[int, Presence]:
        """Return for each claimed item whether its point arrived."""
        if not self.can_read(rule):
            return {item.id: "unknown" for item in left}
        matched = self._matcher.match(rule, left)
        namesakes = self._namesakes.among(rule, {item.subject for item in left})
        found: dict[int, Presence] = {}
        by_company: defaultdict[str, list[tuple[Item, str]]] = defaultdict(list)
        for item in left:
            target = matched[item.id]
            # whose points they are that an object has from several ids, nobody can see
            alone = item.subject not in namesakes
            if alone and isinstance(target, Target) and target.company_id and target.object_id:
                by_company[target.company_id].append((item, target.object_id))
            else:
                found[item.id] = "unknown"
        for company_id, some in by_company.items():
            found |= self._of_company(rule, company_id, some)
        return found

    def _of_company(
        self, rule: Rule, company_id: str, some: Sequence[tuple[Item, str]]
    ) -> dict[int, Presence]:
        """Read a company's points, and look items up in them by their object's _id."""
        days = [item.date // DAY for item, _ in some]
        answer = self._client.points(company_id, rule.dimension_id, min(days), max(days))
        points: defaultdict[tuple[str, int], list[float]] = defaultdict(list)
        # whether a company's answer has the points of its end users, assets, projects is uncertain
        shown = rule.model == "Company"
        try:
            for point in answer:
                points[_place(point)].append(float(point["value"]))
                shown = shown or point.get("model") == rule.model
        except (KeyError, TypeError, ValueError):
            return {item.id: "unknown" for item, _ in some}
        found: dict[int, Presence] = {}
        for (item, object_id), day in zip(some, days, strict=True):
            late = self._now() - (item.claimed_at or 0) > _LAG_MS
            presence = _presence(rule, item, points[object_id, day], late=late)
            found[item.id] = "unknown" if presence == "absent" and not shown else presence
        return found


def _place(point: Mapping[str, t.Any]) -> tuple[str, int]:
    """Return the _id of a point's object, and its day since 1970."""
    day = plain_date(str(point["time"])[:10])
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
    return abs(one - other) <= TOLERANCE * (1 + abs(one))
