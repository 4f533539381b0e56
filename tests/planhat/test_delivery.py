"""Posts that go wrong in every way: each item is in Planhat once, or listed as in doubt (P10)."""

from __future__ import annotations

import itertools
import random
import typing as t
from datetime import timedelta

import pytest
from target_planhat import delivery

from tests.planhat.running import NOW
from tests.planhat.usage import (
    ACTIVITIES,
    METRICS,
    Usage,
    assert_once,
    held,
    ledger,
    settle_in,
)

if t.TYPE_CHECKING:
    from tests.planhat.running import Record, TargetRunner
    from tests.planhat.usage import Kept, Place

LATER = NOW + timedelta(minutes=30)
FORMS = ("json", "text", "empty")
PATHS = {"/analytics/bulk": ACTIVITIES, "/dimensiondata": METRICS}
FAULTS: tuple[Record, ...] = (
    # 413 and 429 say that nothing was taken
    *({"kind": "status", "status": status} for status in (413, 429)),
    *(
        {"kind": "status", "status": status, "commit": commit}
        for status in (500, 502, 503, 504)
        for commit in (False, True)
    ),
    *(
        {"kind": kind, "commit": commit}
        for kind in ("reset", "time_out")
        for commit in (False, True)
    ),
    {"kind": "malformed"},
    {"kind": "malformed", "text": "<html>"},
    {"kind": "delay", "seconds": 0.01},
    {"kind": "partial", "text": "no", "indices": [1]},
)


class Case(t.NamedTuple):
    """A fault of posts: where, which of them, and how Planhat answers them else."""

    path: str
    fault: Record
    after: int
    times: int | None
    in_doubt: str
    form: str


CASES = [
    Case(*one)
    for one in itertools.product(
        PATHS, FAULTS, (0, 1, 4), (1, 3, None), ("assume_sent", "resend"), FORMS
    )
    # what is not said cannot be known: activities that Planhat drops, as it does
    if (one[0], one[1]["kind"]) != ("/analytics/bulk", "partial") or one[5] == "json"
    # the answers to metrics are always JSON
    if one[0] != "/dimensiondata" or one[5] == "json"
]
random.Random(1).shuffle(CASES)


@pytest.fixture(autouse=True)
def _many_posts(target: TargetRunner, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let each run take many posts, several of them at once."""
    settle_in(target.planhat.world)
    monkeypatch.setattr(delivery, "BATCH", 3)
    monkeypatch.setattr(delivery, "METRIC_BATCH", 3)


def kept(target: TargetRunner) -> dict[Place, Kept]:
    return ledger(target.folder / "ledger.db")


@pytest.mark.sampled(len(CASES), 60)
def test_whatever_befalls_posts_planhat_has_the_truth_but_for_what_is_in_doubt(
    number: int, target: TargetRunner
) -> None:
    case = CASES[number]
    planhat, rules = target.planhat, PATHS[case.path]
    planhat.knobs.activity_answer = t.cast("t.Any", case.form)
    # the first post of metrics is the question at the start
    after = case.after + (case.path == "/dimensiondata")
    planhat.faults.add({**case.fault, "path": case.path, "after": after, "times": case.times})
    settings = {**rules, "in_doubt": case.in_doubt}
    first, more = Usage(), Usage(more=2)
    before, truth = (
        each.activities if rules is ACTIVITIES else each.points for each in (first, more)
    )

    target.run(*first.messages(), **settings)
    assert_once(held(planhat.world), before, kept(target))
    assert target.states[-1] == {"days": 3}

    # some of it is known only when the next run begins, and has grown meanwhile
    planhat.faults.clear()
    target.now = LATER
    report = target.run(*more.messages(LATER), **settings)
    assert (target.error, report["outcome"]) == (None, "done")
    found, items = held(planhat.world), kept(target)
    assert_once(found, truth, items)
    if rules is METRICS:
        assert found == truth
    differing = {place for place in truth if found.get(place, 0) != truth[place]}
    if case.in_doubt == "assume_sent":
        assert all(found.get(place, 0) <= truth[place] for place in truth)
        assert differing <= {place for place, item in items.items() if item.doubt}
    else:
        assert all(found.get(place, 0) >= truth[place] for place in truth)
        assert differing <= {place for place, item in items.items() if item.repeated}
