"""Rules get other names, and neighbours: what was sent under one name is not sent again."""

from __future__ import annotations

import json
import typing as t

import pytest
from target_planhat.reporting.ledger_cli import LedgerAction

from tests.planhat.ledgers import LATER, U2, whole
from tests.planhat.running import day, event

if t.TYPE_CHECKING:
    from tests.planhat.running import Message, Record, TargetRunner

FEATURES: Record = {"stream": "feature_events"}
USES: Record = {"stream": "feature_events", "dimension_id": "uses"}


def five(**more: t.Any) -> list[Message]:
    """Input: 5 events of u2, 2 of somebody whom Planhat lacks."""
    return whole(event(day(9, 8), count=5, **more), event(day(9, 8), "nobody", 2, **more), **more)


def known(target: TargetRunner) -> list[str]:
    """Names of the rules that the ledger knows."""
    return [
        rule["name"] for rule in json.loads(target.target().ledger(LedgerAction(), "json"))["rules"]
    ]


def assert_refused(target: TargetRunner, *said: str) -> None:
    """The line says that, and nothing was sent or changed."""
    assert target.error is not None
    for part in said:
        assert part in target.error
    assert target.report == {}
    assert target.sums == {U2: 5}


# Taken over


@pytest.mark.usefixtures("either_ledger")
def test_a_rule_that_gets_a_name_sends_nothing_again(target: TargetRunner) -> None:
    target.run(*five())
    report = target.run(*five(read=LATER), activities=[{**FEATURES, "name": "use"}])

    assert target.error is None
    assert target.sums == {U2: 5}
    assert (report["unchanged"], report["parked"]) == (1, 1)
    assert known(target) == ["use"]
    (line,) = [line for line in target.log.lines if "feature_events" in line and "use" in line]
    assert "the ledger knew this rule as feature_events" in line

    # and back
    target.run(*five(read=LATER), activities=[FEATURES])
    assert (target.error, target.sums, known(target)) == (None, {U2: 5}, ["feature_events"])


def test_a_rule_that_is_added_does_not_make_the_first_one_send_again(target: TargetRunner) -> None:
    target.run(*five())
    added = {**FEATURES, "name": "search", "only": ["f2"], "action": "Found {feature_name}"}
    found = event(day(9, 8), feature="f2", read=LATER)
    target.run(*five(read=LATER), found, activities=[FEATURES, added])
    named = [{**FEATURES, "name": "use"}, added]
    target.run(*five(read=LATER), activities=named)

    assert target.error is None
    assert target.sums == {U2: 5}
    assert known(target) == ["search", "use"]


def test_metrics_are_taken_over_too(target: TargetRunner) -> None:
    target.run(*five(), activities=[], metrics=[USES])
    target.run(*five(read=LATER), activities=[], metrics=[{**USES, "name": "clicks"}])

    assert target.error is None
    assert known(target) == ["clicks"]
    assert target.planhat.world.point_sums() == {("uses", "Company", "acme", "2026-03-09"): 7}
    assert target.planhat.world.count("points") == 1


def test_a_rule_with_a_new_name_and_another_action_keeps_its_texts(target: TargetRunner) -> None:
    target.run(*five())
    told = {**FEATURES, "name": "use", "action": "Used {feature_name}"}
    news = event(day(9, 8), feature="f2", read=LATER)
    target.run(*whole(event(day(9, 8), count=6, read=LATER), news, read=LATER), activities=[told])

    assert target.error is None
    assert target.sums == {U2: 6, ("u2", "Used Search", "2026-03-09"): 1}


def test_a_dry_run_takes_nothing_over(target: TargetRunner) -> None:
    target.run(*five())
    named = [{**FEATURES, "name": "use"}]
    report = target.run(*five(read=LATER), activities=named, dry_run=True)

    assert (report["sent"], report["unchanged"]) == (0, 1)
    assert known(target) == ["feature_events"]


def test_two_rules_may_swap_their_names_for_others(target: TargetRunner) -> None:
    one: Record = {**FEATURES, "where": {"app_id": [1]}}
    two: Record = {**FEATURES, "where": {"app_id": [2]}}
    rows = [event(day(9, 8), count=5), event(day(9, 8), count=3, app=2)]
    target.run(*whole(*rows), activities=[{**one, "name": "a"}, {**two, "name": "b"}])
    target.run(*whole(*rows), activities=[{**two, "name": "c"}, {**one, "name": "d"}])

    assert target.error is None
    assert target.sums == {U2: 5 + 3}
    assert known(target) == ["c", "d"]


# New all the same


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ({"only": ["f1"]}, {"only": ["f2"]}),
        ({"where": {"app_id": [1]}}, {"where": {"app_id": [2], "feature_id": ["f1", "f2"]}}),
    ],
)
def test_a_rule_about_other_records_is_new(
    before: Record, after: Record, target: TargetRunner
) -> None:
    rows = [event(day(9, 8), count=5), event(day(9, 8), count=3, app=2, feature="f2")]
    target.run(
        *whole(*rows), activities=[{**FEATURES, "name": "a", "action": "Was here", **before}]
    )
    target.run(*whole(*rows), activities=[{**FEATURES, "name": "b", "action": "Was here", **after}])

    assert target.error is None
    assert target.sums == {("u2", "Was here", "2026-03-09"): 5 + 3}
    assert known(target) == ["a", "b"]


def test_a_rule_with_a_since_of_its_own_is_new(target: TargetRunner) -> None:
    target.run(*five())
    fresh = {**FEATURES, "name": "use", "action": "Used {feature_name}", "since": "2026-03-10"}
    more = [*five(read=LATER), event(day(10, 8), count=4, read=LATER)]
    target.run(*more, *whole(read=LATER), activities=[fresh])

    assert target.error is None
    assert target.sums == {U2: 5}
    assert known(target) == ["feature_events", "use"]


# Refused


@pytest.mark.parametrize(
    "change",
    [{"only": ["f1", "f2"]}, {"where": {"app_id": [1, 2]}}, {"only": ["f1"], "action": "Did it"}],
)
def test_a_new_name_for_a_part_of_what_was_counted_is_refused(
    change: Record, target: TargetRunner
) -> None:
    target.run(*five())
    if "action" in change:
        change = {**change, "action": "Did {feature_name}"}
    target.run(*five(read=LATER), activities=[{**FEATURES, "name": "use", **change}])

    assert_refused(target, "rule use", "`name: feature_events`", "its own `since`")
    assert known(target) == ["feature_events"]


def test_two_heirs_of_one_rule_are_refused(target: TargetRunner) -> None:
    target.run(*five())
    heirs = [
        {**FEATURES, "name": "use", "action": "Used {feature_name}"},
        {**FEATURES, "name": "click", "action": "Clicked {feature_name}"},
    ]
    target.run(*five(read=LATER), activities=heirs)

    assert_refused(target, "rule use", "`name: feature_events`", "its own `since`")


def test_a_name_that_another_rule_has_taken_is_refused(target: TargetRunner) -> None:
    target.run(*five())
    # the new rule stands first, and so gets the stream's name
    added = {**FEATURES, "only": ["f2"], "action": "Found {feature_name}"}
    target.run(*five(read=LATER), activities=[added, {**FEATURES, "name": "use"}])

    assert_refused(target, "rule use", "`name: feature_events`")
    renamed = [{**added, "name": "search"}, FEATURES]
    target.run(*five(read=LATER), activities=renamed)
    assert (target.error, target.sums) == (None, {U2: 5})


def test_an_heir_of_two_rules_is_refused(target: TargetRunner) -> None:
    one: Record = {**FEATURES, "where": {"app_id": [1]}}
    two: Record = {**FEATURES, "where": {"app_id": [2]}}
    target.run(*five(), activities=[{**one, "name": "a"}, {**two, "name": "b"}])
    target.run(*five(read=LATER), activities=[FEATURES])

    assert_refused(target, "rule feature_events", "`name: a`", "`name: b`", "its own `since`")


def test_two_rules_that_send_the_same_are_refused(target: TargetRunner) -> None:
    with pytest.raises(
        Exception, match=r"`activities.1` \(rule use\): it sends the same as setting `activities.0`"
    ):
        target.target(activities=[FEATURES, {**FEATURES, "name": "use"}])
