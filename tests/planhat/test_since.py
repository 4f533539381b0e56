"""`since`, of all rules and of one: what it holds back, and what it leaves alone."""

from __future__ import annotations

import typing as t

import pytest

from tests.planhat.ledgers import LATER, U2, whole
from tests.planhat.running import EVENTS, FEATURES, NOW, WINDOWS, day, event, window

if t.TYPE_CHECKING:
    from tests.planhat.running import Message, Record, TargetRunner

RULE: Record = {"stream": "feature_events"}
CLICK: Record = {**RULE, "name": "click", "action": "Clicked {feature_name}"}
USES: Record = {"stream": "feature_events", "dimension_id": "uses"}
NOBODY = ("nobody", "Export", "2026-03-09")


def days(*events: Message, read: t.Any = NOW) -> list[Message]:
    """Input with these events of March 8th to 10th, read whole."""
    return [WINDOWS, *FEATURES, EVENTS, *events, window(day(8), day(11), read)]


def arrives(target: TargetRunner) -> None:
    """Let the end user come whose items are parked."""
    target.planhat.world.add("endusers", {"externalId": "nobody", "companyId": "extid-acme"})


def test_a_rule_with_a_since_leaves_other_rules_alone(target: TargetRunner) -> None:
    rows = [event(day(9, 8), count=5), event(day(10, 8), count=3)]
    uses = [{**USES, "since": "2026-03-10"}]
    target.run(*days(*rows), activities=[RULE, {**CLICK, "since": "2026-03-10"}], metrics=uses)

    assert target.sums == {
        U2: 5,
        ("u2", "Export", "2026-03-10"): 3,
        ("u2", "Clicked Export", "2026-03-10"): 3,
    }
    assert target.planhat.world.point_sums() == {("uses", "Company", "acme", "2026-03-10"): 3}


@pytest.mark.parametrize("own", ["2026-03-08", "2026-03-10"])
def test_the_since_of_a_rule_goes_before_that_of_all(own: str, target: TargetRunner) -> None:
    rows = [event(day(n, 8)) for n in (8, 9, 10)]
    target.run(*days(*rows), since="2026-03-09", activities=[RULE, {**CLICK, "since": own}])

    sent = {(action, date) for _, action, date in target.sums}
    assert sent == {
        (action, f"2026-03-{n:02}")
        for action, first in (("Export", 9), ("Clicked Export", int(own[-2:])))
        for n in (8, 9, 10)
        if n >= first
    }


def test_the_since_of_all_leaves_alone_what_is_parked(target: TargetRunner) -> None:
    target.run(*whole(event(day(9, 8), count=5), event(day(9, 8), "nobody", 2)))
    arrives(target)
    again = event(day(9, 8), "nobody", 3, read=LATER)
    report = target.run(*whole(again, read=LATER), since="2026-03-10")

    # as much as was taken in before
    assert target.sums == {U2: 5, NOBODY: 2}
    assert (report["ignored"], report["rules"][0]["excess"]) == (1, 0)


def test_the_since_of_all_leaves_alone_what_waits(target: TargetRunner) -> None:
    target.run(*whole(event(day(9, 8), count=5)), settle_hours=100)
    target.run(since="2026-03-10")

    assert target.sums == {U2: 5}


@pytest.mark.parametrize("granularity", ["day", "hour"])
def test_what_is_parked_goes_by_the_since_of_its_rule(
    granularity: str, target: TargetRunner
) -> None:
    rules = [{**RULE, "granularity": granularity}, {**CLICK, "granularity": granularity}]
    zone = "Europe/Berlin"
    rows = [event(day(9, 22), "nobody"), event(day(9, 23), "nobody", 2)]
    target.run(*days(*rows), activities=rules, timezone=zone)
    arrives(target)
    held = [rules[0], {**rules[1], "since": "2026-03-10"}]
    target.run(activities=held, timezone=zone)

    # the 10th begins at 23:00 UTC
    assert sum(n for (_, action, _), n in target.sums.items() if action == "Export") == 3
    assert sum(n for (_, action, _), n in target.sums.items() if action == "Clicked Export") == 2

    target.run(activities=rules, timezone=zone)
    assert sum(target.sums.values()) == 3 + 3


def test_what_lies_before_the_since_of_a_rule_is_not_taken_for_gone(target: TargetRunner) -> None:
    target.run(*whole(event(day(9, 8), count=5)))
    again = whole(event(day(9, 8), count=5, read=LATER), read=LATER)
    report = target.run(*again, activities=[{**RULE, "since": "2026-03-10"}])

    assert report["rules"][0]["excess"] == 0
    assert (report["ignored"], target.sums) == (1, {U2: 5})


def test_a_since_that_is_no_date_is_refused_with_its_rule(target: TargetRunner) -> None:
    for text in ("31.12.2026", "20260131", "2026-W05-6", "1999-12-31", ""):
        with pytest.raises(Exception, match=r"activities.0` \(rule click\): `since` must be"):
            target.target(activities=[{**CLICK, "since": text}])
