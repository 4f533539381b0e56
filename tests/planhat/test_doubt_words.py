"""Items in doubt say why, with the words of Planhat: in report, rejects and `--ledger`."""

from __future__ import annotations

import json
import typing as t
from datetime import timedelta

import pytest
from target_planhat.delivery import sender
from target_planhat.reporting.ledger_cli import LedgerAction

from tests.planhat.promises import assert_shows_nobody
from tests.planhat.running import NOW
from tests.planhat.usage import ACTIVITIES, METRICS, Usage, settle_in

if t.TYPE_CHECKING:
    from tests.planhat.running import Record, TargetRunner

LATER = NOW + timedelta(minutes=30)
PATH = "/analytics/bulk"
CASES = (
    ({"kind": "status", "status": 504, "text": "u2 is late"}, "504 … is late"),
    ({"kind": "status", "status": 500, "text": "{tenant}", "form": "json"}, "500 …"),
    ({"kind": "reset"}, "no answer (ConnectionError < ProtocolError)"),
)


@pytest.fixture(autouse=True)
def _people(target: TargetRunner, either_ledger: str) -> None:
    del either_ledger
    settle_in(target.planhat.world)


def states(target: TargetRunner, action: LedgerAction | None = None) -> list[tuple[str, str, int]]:
    """Give what `--ledger` says of the first rule: (state, reason, items)."""
    said = target.target().ledger(action or LedgerAction(), "json")
    shown = [said, target.target().ledger(LedgerAction(), "text")]
    secrets = [target.planhat.tenant_token, target.planhat.api_token]
    assert_shows_nobody(shown, secrets, Usage().messages())
    [*_, rule] = json.loads(said)["rules"]
    return [(each["state"], each["reason"], each["items"]) for each in rule["states"]]


def reasons(report: Record, fate: str = "in_doubt") -> list[tuple[str, int]]:
    found = [each for rule in report["rules"] for each in rule["reasons"]]
    return [(each["reason"], each["records"]) for each in found if each["fate"] == fate]


@pytest.mark.parametrize(("fault", "words"), CASES)
def test_what_planhat_answered_is_told_wherever_doubt_is(
    fault: Record, words: str, target: TargetRunner
) -> None:
    text = fault.get("text", "").format(tenant=target.planhat.tenant_token)
    target.planhat.faults.add({**fault, "text": text, "path": PATH})
    report = target.run(*Usage().messages(), **ACTIVITIES)

    why = f"nobody knows whether it arrived ({PATH}/{{tenant}}: {words}); taken as sent"
    assert reasons(report) == [(why, 45)]
    told = [(line["fate"], line["reason"]) for line in target.rejects]
    assert told == [("in_doubt", why)] * 45
    assert states(target) == [("in_doubt", why, 45)]

    # that more of them arrives changes nothing of it
    target.run(*Usage(more=1).messages(LATER), **ACTIVITIES)
    assert states(target) == [("in_doubt", why, 45)]
    target.target().ledger(LedgerAction(confirm="all"), "text")
    assert states(target) == [("sent", "", 45)]


def test_different_answers_are_counted_apart(
    target: TargetRunner, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sender, "BATCH", 9)
    monkeypatch.setattr(sender, "IN_FLIGHT", 1)
    for status, times in ((500, 1), (502, 1)):
        fault = {"kind": "status", "status": status, "times": times}
        target.planhat.faults.add({**fault, "path": PATH})
    report = target.run(*Usage().messages(), **ACTIVITIES)

    told = "nobody knows whether it arrived ({}/{{tenant}}: {}); taken as sent"
    assert reasons(report) == [(told.format(PATH, status), 9) for status in (500, 502)]
    assert states(target)[1:] == [
        ("in_doubt", told.format(PATH, status), 9) for status in (500, 502)
    ]


def test_what_was_sent_again_says_why(target: TargetRunner) -> None:
    target.planhat.faults.add({"kind": "status", "status": 504, "path": PATH})
    settings = {**ACTIVITIES, "in_doubt": "resend"}
    report = target.run(*Usage().messages(), **settings)
    why = f"nobody knows whether it arrived ({PATH}/{{tenant}}: 504); sent again"
    assert reasons(report) == [(why, 45)]
    assert states(target) == [("in_doubt", why, 45)]

    target.run(**settings)
    assert states(target) == [("sent", why, 45)]


def test_points_keep_what_planhat_answered_until_they_are_read_back(target: TargetRunner) -> None:
    rules = {**METRICS, "metrics": METRICS["metrics"][1:]}
    target.planhat.knobs.read_back = "company"  # without those of its end users
    fault = {"kind": "status", "status": 504, "text": "slow", "after": 1}
    target.planhat.faults.add({**fault, "path": "/dimensiondata"})
    report = target.run(*Usage().messages(), **rules)
    why = "nobody knows whether it arrived (/dimensiondata/{{tenant}}: 504 slow); {}"
    assert reasons(report) == [(why.format("it will be read back"), 45)]
    assert states(target) == [("in_doubt", why.format("it will be read back"), 15)]

    target.now = LATER
    target.run(**rules)
    assert states(target) == [("in_doubt", why.format("taken as sent"), 15)]


def test_what_a_killed_run_left_says_that_no_answer_came(
    target: TargetRunner, monkeypatch: pytest.MonkeyPatch
) -> None:
    def killed(*_: t.Any) -> t.NoReturn:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr("target_planhat.planhat.endpoints.PlanhatClient.post_activities", killed)
        target.run(*Usage().messages(), **ACTIVITIES)
    target.run(**ACTIVITIES)

    came = "the run that posted it ended before the answer came"
    why = f"nobody knows whether it arrived ({came}); taken as sent"
    assert states(target) == [("in_doubt", why, 45)]
