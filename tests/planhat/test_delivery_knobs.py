"""Each position of what nobody knows of Planhat: the report tells what Planhat then has."""

from __future__ import annotations

import typing as t

import pytest
from target_planhat import delivery

from tests.planhat.knobs import OF_ACTIVITIES, OF_RUNS, positions
from tests.planhat.running import NOW, day, event
from tests.planhat.usage import BOTH, Usage, held, settle_in

if t.TYPE_CHECKING:
    from tests.planhat.running import Message, Record, TargetRunner
    from tests.planhat.usage import Place

POSITIONS = positions(OF_RUNS)


@pytest.fixture(autouse=True)
def _many_posts(target: TargetRunner, monkeypatch: pytest.MonkeyPatch) -> None:
    settle_in(target.planhat.world)
    monkeypatch.setattr(delivery, "BATCH", 7)
    monkeypatch.setattr(delivery, "METRIC_BATCH", 7)


def truth() -> dict[Place, float]:
    return {**Usage().activities, **Usage().points}


@pytest.mark.parametrize(("name", "value"), POSITIONS)
def test_in_every_position_planhat_gets_the_truth_once(
    name: str, value: t.Any, target: TargetRunner
) -> None:
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


def _two_namesakes() -> list[Message]:
    """Uses by u1, who are two: one of each company."""
    return [event(day(7, 8), "u1", 4), event(day(7, 8), "u1", 2, account="beta")]


@pytest.mark.parametrize("form", ["json", "text", "empty"])
@pytest.mark.parametrize(("name", "value"), positions(OF_ACTIVITIES))
def test_in_every_position_strangers_that_are_sent_have_a_fate_and_create_nobody(
    name: str, value: t.Any, form: t.Any, target: TargetRunner
) -> None:
    world = target.planhat.world
    setattr(target.planhat.knobs, name, value)
    target.planhat.knobs.activity_answer = form
    messages = [*Usage().messages()[:3], event(day(7, 8), "s7", 4), *Usage().messages()[3:]]
    report = target.run(*messages, **{**BOTH, "metrics": []}, unmatched="send")

    assert target.error is None
    always = (name, value) == ("create_end_users", "always")
    stranger = {("s7", "Export", "2026-03-07"): 4} if always else {}
    assert held(world) == {**Usage().activities, **stranger}
    assert [one["externalId"] for one in world.created] == (["s7"] if always else [])
    told = (name, value) == ("report_unmatched", True) and form == "json"
    assert report["rejected"] == (1 if told else 0)
    assert report["sent"] == len(Usage().rows) + (0 if told else 1)


@pytest.mark.parametrize(
    ("knobs", "sent", "rejected"),
    [
        ({}, 0, 3),
        ({"metric_errors": "generic"}, 0, 3),
        ({"processed": "stored"}, 0, 3),
        ({"unmatched_metrics": "silent"}, 3, 0),
    ],
)
def test_a_company_that_goes_after_it_was_matched_is_rejected_if_planhat_says_so(
    knobs: Record, sent: int, rejected: int, target: TargetRunner
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
    assert company["rejected"] == (rows if rejected else 0)
    assert company["sent"] == len(Usage().rows) - company["rejected"]
    assert world.count("points") - before == 3 + 5 * 3
    assert sent + rejected == 3


@pytest.mark.parametrize(("value", "fate"), [(413, "sent"), (400, "rejected"), ("sink", "sent")])
def test_posts_that_planhat_finds_too_large_are_cut_or_rejected(
    value: t.Any, fate: str, target: TargetRunner, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(delivery, "BATCH", 1000)
    target.planhat.knobs.max_body, target.planhat.knobs.too_large = 1500, value
    report = target.run(*Usage().messages(), **{**BOTH, "metrics": []})

    assert target.error is None
    assert report[fate] == len(Usage().rows)
    assert held(target.planhat.world) == (Usage().activities if value == 413 else {})


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
