"""Each position of what nobody knows of Planhat: the report tells what Planhat then has."""

from __future__ import annotations

import itertools
import typing as t

import pytest
from target_planhat.delivery import sender

from tests.planhat.knobs import OF_ACTIVITIES, OF_RUNS, covering
from tests.planhat.running import NOW, day, event
from tests.planhat.usage import BOTH, Usage, held, settle_in

if t.TYPE_CHECKING:
    from tests.planhat.running import Message, Record, TargetRunner
    from tests.planhat.usage import Place


@pytest.fixture(autouse=True)
def _many_posts(target: TargetRunner, monkeypatch: pytest.MonkeyPatch) -> None:
    settle_in(target.planhat.world)
    monkeypatch.setattr(sender, "BATCH", 7)
    monkeypatch.setattr(sender, "METRIC_BATCH", 7)


def truth() -> dict[Place, float]:
    return {**Usage().activities, **Usage().points}


@pytest.mark.parametrize("knobs", covering(OF_RUNS), ids=str)
def test_in_every_position_planhat_gets_the_truth_once(knobs: Record, target: TargetRunner) -> None:
    for name, value in knobs.items():
        setattr(target.planhat.knobs, name, value)
    messages = [*Usage().messages()[:3], *_two_namesakes(), *Usage().messages()[3:]]

    report = target.run(*messages, **BOTH)
    assert target.error is None
    wanted = {**truth(), ("u1", "Export", "2026-03-07"): 6}
    for company, more in (("acme", 4), ("beta", 2)):
        wanted["uses", "Company", company, "2026-03-07"] += more
    assert held(target.planhat.world) == wanted
    # the metric of an end user says nothing of the company
    assert {rule["name"]: rule["parked"] for rule in report["rules"]} == {
        "use": 0,
        "Company uses": 0,
        "EndUser uses": 2,
    }

    target.run(*messages, **BOTH)
    assert held(target.planhat.world) == wanted


# what decides about strangers in each combination, among all that an activity can meet
OF_STRANGERS = [
    {**others, "create_end_users": create, "report_unmatched": report, "activity_answer": form}
    for others, (create, report, form) in zip(
        itertools.cycle(covering(OF_ACTIVITIES)),
        itertools.product(("company", "never", "always"), (True, False), ("json", "text", "empty")),
    )
]


def _two_namesakes() -> list[Message]:
    """Uses by u1, who are two: one of each company."""
    return [event(day(7, 8), "u1", 4), event(day(7, 8), "u1", 2, account="beta")]


@pytest.mark.some(6)
@pytest.mark.parametrize("knobs", [*OF_STRANGERS], ids=str)
def test_in_every_position_strangers_that_are_sent_have_a_fate_and_create_nobody(
    knobs: Record, target: TargetRunner
) -> None:
    world = target.planhat.world
    for name, value in knobs.items():
        setattr(target.planhat.knobs, name, value)
    messages = [*Usage().messages()[:3], event(day(7, 8), "s7", 4), *Usage().messages()[3:]]
    report = target.run(*messages, **{**BOTH, "metrics": []}, unmatched="send")

    assert target.error is None
    always = knobs["create_end_users"] == "always"
    stranger = {("s7", "Export", "2026-03-07"): 4} if always else {}
    assert held(world) == {**Usage().activities, **stranger}
    assert [one["externalId"] for one in world.created] == (["s7"] if always else [])
    refused = knobs["report_unmatched"] and knobs["activity_answer"] == "json" and not always
    assert report["rejected"] == (1 if refused else 0)
    assert report["sent"] == len(Usage().rows) + (0 if refused else 1)


@pytest.mark.parametrize(
    "knobs",
    [
        {},
        {"metric_errors": "generic"},
        {"processed": "stored"},
        {"unmatched_metrics": "silent"},
    ],
)
def test_a_company_that_goes_after_it_was_matched_is_rejected_if_planhat_says_so(
    knobs: Record, target: TargetRunner
) -> None:
    world, rules = target.planhat.world, {**BOTH, "activities": []}
    target.run(*Usage().messages(), **rules)
    table = world.store.tables["companies"]
    [gone] = table.find("externalId", "beta")
    table.remove(gone)
    for name, value in knobs.items():
        setattr(target.planhat.knobs, name, value)
    later = NOW.replace(minute=45)
    before = world.count("points")

    report = target.run(*Usage(more=1).messages(later), **rules)
    [company] = [rule for rule in report["rules"] if rule["name"] == "Company uses"]
    rows = len([row for row in Usage().rows if row[0] == "beta"])
    assert company["rejected"] == (0 if "unmatched_metrics" in knobs else rows)
    assert company["sent"] == len(Usage().rows) - company["rejected"]
    assert world.count("points") - before == 3 + 5 * 3


@pytest.mark.parametrize("value", [413, 400, "sink"])
def test_posts_that_planhat_finds_too_large_are_cut(
    value: t.Any, target: TargetRunner, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sender, "BATCH", 1000)
    target.planhat.knobs.max_body, target.planhat.knobs.too_large = 1500, value
    report = target.run(*Usage().messages(), **{**BOTH, "metrics": []})

    assert target.error is None
    assert report["sent"] == len(Usage().rows)
    assert held(target.planhat.world) == ({} if value == "sink" else Usage().activities)


@pytest.mark.parametrize("value", [404, 401, "sink"])
def test_a_wrong_tenant_token_is_one_line_unless_planhat_takes_any(
    value: t.Any, target: TargetRunner
) -> None:
    target.planhat.knobs.unknown_tenant = value
    wrong = "00000000-0000-4000-8000-000000000000"
    report = target.run(*Usage().messages(), **BOTH, tenant_token=wrong)

    assert held(target.planhat.world) == {}
    if value == "sink":
        # nothing that Planhat says tells this from success
        assert report["sent"] == 3 * len(Usage().rows)
    else:
        assert "`tenant_token`" in str(target.error)
        assert report == {}


@pytest.mark.parametrize("need", [True, False])
def test_metrics_need_the_api_token_or_not(need: bool, target: TargetRunner) -> None:
    target.planhat.knobs.metrics_need_token = need
    target.run(*Usage().messages(), **BOTH, api_token=None)

    if need:
        assert "metrics may need a valid `api_token` too" in str(target.error)
        assert held(target.planhat.world) == {}
    else:
        assert held(target.planhat.world) == truth()
