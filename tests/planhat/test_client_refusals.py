"""Items and posts that Planhat refuses: which, and why, without ids and tokens."""

from __future__ import annotations

import typing as t

import pytest
from target_planhat.errors import PlanhatError
from target_planhat.planhat.posts import Outcome

from tests.planhat.posting import BOTH, Kind, fates, items, post

if t.TYPE_CHECKING:
    from planhat_emulator.server import Emulator
    from target_planhat.planhat.endpoints import PlanhatClient


@pytest.mark.parametrize("metric_errors", ["named", "generic"])
@pytest.mark.parametrize("processed", ["total", "stored"])
def test_metrics_that_the_answer_names_are_refused_with_its_reason(
    client: PlanhatClient, planhat: Emulator, metric_errors: t.Any, processed: t.Any
) -> None:
    planhat.knobs.metric_errors, planhat.knobs.processed = metric_errors, processed
    sent = items("points", 6)
    del sent[1]["dimensionId"]
    sent[2]["model"] = "Nothing"
    sent[4]["externalId"] = "unknown"
    outcomes = client.post_metrics(sent)

    assert fates(outcomes) == [
        *("accepted", "refused", "refused", "accepted", "refused", "accepted"),
    ]
    reasons = {"generic": "invalid item", "named": "dimensionId must be specified"}
    assert outcomes[1].reason == reasons[metric_errors]
    assert planhat.world.count("points") == 3


def test_metrics_that_fail_silently_are_accepted(client: PlanhatClient, planhat: Emulator) -> None:
    planhat.knobs.unmatched_metrics = "silent"
    sent = items("points")
    sent[1]["externalId"] = "unknown"

    assert fates(client.post_metrics(sent)) == ["accepted"] * 3
    assert planhat.world.count("points") == 2


@pytest.mark.parametrize(
    ("report", "form", "second"),
    [
        (True, "json", "refused"),
        (True, "text", "accepted"),
        (True, "empty", "accepted"),
        (False, "json", "accepted"),
    ],
)
def test_activities_that_match_nobody_are_refused_where_the_answer_says_so(
    client: PlanhatClient, planhat: Emulator, report: bool, form: t.Any, second: str
) -> None:
    planhat.knobs.report_unmatched, planhat.knobs.activity_answer = report, form
    sent = items("activities")
    sent[1]["externalId"] = "nobody"

    assert fates(client.post_activities(sent)) == ["accepted", second, "accepted"]


@BOTH
def test_items_that_fail_among_others_are_refused(
    client: PlanhatClient, planhat: Emulator, kind: Kind
) -> None:
    planhat.faults.add({"kind": "partial", "indices": [0, 2, 3], "text": "not today"})
    outcomes = post(client, kind, items(kind, 5))

    assert fates(outcomes) == ["refused", "accepted", "refused", "refused", "accepted"]
    assert outcomes[0] == Outcome("refused", "not today")
    assert planhat.world.count(kind) == 2


@pytest.mark.parametrize("form", ["json", "text", "html"])
def test_the_reason_of_a_refused_post_is_planhats_own_in_any_form(
    client: PlanhatClient, planhat: Emulator, form: t.Any
) -> None:
    planhat.knobs.max_body, planhat.knobs.too_large = 10, 400
    planhat.knobs.error_bodies = form
    (outcome,) = set(client.post_activities(items("activities")))

    assert outcome == Outcome("refused", "400 request entity too large")


@pytest.mark.parametrize(
    "reason",
    [
        "no end user u2",
        "u2@acme.example is unknown",
        "“ext-ü 1” is no id",
        "unknown: {tenant}, {token}",
    ],
)
def test_no_reason_holds_an_id_an_address_or_a_token(
    client: PlanhatClient, planhat: Emulator, reason: str
) -> None:
    text = reason.format(tenant=planhat.tenant_token, token=planhat.api_token)
    sent = [{"externalId": "u2", "companyExternalId": "ext-ü 1", "action": "x"}]
    for fault in (
        {"kind": "status", "status": 400, "text": text},
        {"kind": "status", "status": 502, "text": text},
        {"kind": "partial", "text": text},
    ):
        planhat.faults.add({"path": "/dimensiondata", **fault})
        (outcome,) = client.post_metrics(sent)
        assert outcome.fate != "accepted"
        assert "…" in outcome.reason
        for secret in (planhat.tenant_token, planhat.api_token, "u2", "acme", "ext-ü"):
            assert secret not in outcome.reason


@pytest.mark.parametrize("status", [301, 404])
def test_no_error_holds_an_id_or_a_token(
    client: PlanhatClient, planhat: Emulator, status: int
) -> None:
    text = f"no end user u2 in {planhat.tenant_token}"
    planhat.faults.add({"kind": "status", "status": status, "text": text})

    with pytest.raises(PlanhatError, match=r"no end user … in …"):
        client.post_activities([{"externalId": "u2", "action": "x"}])
