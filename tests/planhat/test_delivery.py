"""Posts that go wrong in every way: each item is in Planhat once, or listed as in doubt."""

from __future__ import annotations

import itertools
import random
import typing as t
from datetime import timedelta

import pytest
from target_planhat.delivery import sender

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
    # these say that nothing was taken
    *({"kind": "status", "status": status} for status in (413, 429, 503)),
    *(
        {"kind": "status", "status": status, "commit": commit}
        for status in (500, 502, 504)
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
    monkeypatch.setattr(sender, "BATCH", 3)
    monkeypatch.setattr(sender, "METRIC_BATCH", 3)


def kept(target: TargetRunner) -> dict[Place, Kept]:
    return ledger(target.folder / "ledger.db")


@pytest.mark.some(12)
@pytest.mark.parametrize("number", range(len(CASES)))
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
    differing = {place for place in truth if found.get(place, 0) != truth[place]}
    if rules is METRICS:
        # but for end users of a company that shows none of their points: they cannot be read back
        assert all(model == "EndUser" for _, model, *_ in differing)
    if case.in_doubt == "assume_sent":
        assert all(found.get(place, 0) <= truth[place] for place in truth)
        assert differing <= {place for place, item in items.items() if item.doubt}
    else:
        assert all(found.get(place, 0) >= truth[place] for place in truth)
        assert differing <= {place for place, item in items.items() if item.repeated}


def test_points_of_unknown_fate_are_sent_again_once_they_do_not_show_up_any_more(
    target: TargetRunner,
) -> None:
    usage, planhat = Usage(), target.planhat
    planhat.faults.add({"kind": "reset", "path": "/dimensiondata", "after": 1})
    report = target.run(*usage.messages(), **METRICS)
    assert report["in_doubt"] > 0

    # Planhat may show a point late: its absence says nothing yet
    there = held(planhat.world)
    target.now = NOW + timedelta(minutes=9)
    report = target.run(*usage.messages(target.now), **METRICS)
    assert report["in_doubt"] > 0
    assert held(planhat.world) == there != usage.points

    target.now = NOW + timedelta(minutes=11)
    report = target.run(*usage.messages(target.now), **METRICS)
    assert report["in_doubt"] == 0
    assert held(planhat.world) == usage.points


def test_points_that_show_up_late_are_not_sent_again(target: TargetRunner) -> None:
    usage, planhat = Usage(), target.planhat
    planhat.faults.add({"kind": "time_out", "path": "/dimensiondata", "after": 1, "commit": True})
    target.run(*usage.messages(), **METRICS)
    stored = planhat.world.count("points")

    target.now = LATER
    target.run(*usage.messages(LATER), **METRICS)
    assert planhat.world.count("points") == stored
    assert held(planhat.world) == usage.points


@pytest.mark.some(2)
@pytest.mark.parametrize("commit", [False, True])
@pytest.mark.parametrize("in_doubt", ["assume_sent", "resend"])
def test_points_that_cannot_be_read_back_are_decided_by_in_doubt(
    in_doubt: str, commit: bool, target: TargetRunner
) -> None:
    usage, planhat = Usage(), target.planhat
    settings = {**METRICS, "in_doubt": in_doubt, "api_token": None}
    planhat.faults.add({"kind": "reset", "path": "/dimensiondata", "after": 1, "commit": commit})
    target.run(*usage.messages(), **settings)
    target.now = LATER
    target.run(*usage.messages(LATER), **settings)

    items, found = kept(target), held(planhat.world)
    assert_once(found, usage.points, items)
    assert any(item.doubt or item.repeated for item in items.values())
    for place, item in items.items():
        lost = item.doubt if not commit else 0
        twice = item.repeated if commit else 0
        assert found.get(place, 0) == usage.points[place] - lost + twice


def test_points_that_planhat_does_not_show_are_not_taken_as_lost(target: TargetRunner) -> None:
    usage, planhat = Usage(), target.planhat
    of_people = {"metrics": METRICS["metrics"][1:]}
    planhat.knobs.read_back = "company"  # without those of its end users
    planhat.faults.add({"kind": "reset", "path": "/dimensiondata", "after": 1, "commit": True})
    target.run(*usage.messages(), activities=[], **of_people)
    target.now = LATER
    report = target.run(*usage.messages(LATER), activities=[], **of_people)

    assert report["in_doubt"] > 0
    found = {place: n for place, n in usage.points.items() if place[1] == "EndUser"}
    assert held(planhat.world) == found


def test_after_some_posts_of_unknown_fate_a_run_sends_no_more(target: TargetRunner) -> None:
    usage, planhat = Usage(), target.planhat
    planhat.faults.add({"kind": "reset", "path": "/analytics/bulk", "times": None})
    report = target.run(*usage.messages(), **ACTIVITIES)
    assert "does not answer as it should" in str(target.error)
    assert 0 < report["in_doubt"] < report["in_doubt"] + report["waiting"]
    tried = planhat.calls.counts["/analytics/bulk", "POST"]
    assert tried <= sender.MOST_DOUBTS + sender.IN_FLIGHT - 1

    planhat.faults.clear()
    target.run(*usage.messages(LATER), **ACTIVITIES)
    lost = sum(item.doubt for item in kept(target).values())
    assert sum(held(planhat.world).values()) == sum(usage.activities.values()) - lost


def test_an_activity_that_grew_since_its_post_of_unknown_fate_is_sent_as_far_as_it_grew(
    target: TargetRunner, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sender, "MOST_DOUBTS", 100)
    planhat = target.planhat
    fault = {"kind": "time_out", "path": "/analytics/bulk", "commit": True, "times": None}
    planhat.faults.add(fault)
    target.run(*Usage().messages(), **ACTIVITIES)
    assert held(planhat.world) == Usage().activities

    planhat.faults.clear()
    target.run(*Usage(more=3).messages(LATER), **ACTIVITIES)
    assert held(planhat.world) == Usage(more=3).activities
