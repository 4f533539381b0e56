"""One item that Planhat refuses with all that is posted with it: only that one is rejected."""

from __future__ import annotations

import typing as t

import pytest
from target_planhat.planhat import posts as payloads

from tests.planhat.command import Command
from tests.planhat.posting import BOTH as KINDS
from tests.planhat.posting import PATHS, Kind, fates, items, post
from tests.planhat.running import record, schema
from tests.planhat.usage import ACTIVITIES, METRICS, Usage, assert_once, held, ledger, settle_in

if t.TYPE_CHECKING:
    from planhat_emulator.server import Emulator
    from target_planhat.planhat.endpoints import PlanhatClient

    from tests.planhat.conftest import Time
    from tests.planhat.running import Record, TargetRunner
    from tests.planhat.usage import Place

RULES = {"/analytics/bulk": ACTIVITIES, "/dimensiondata": METRICS}
BY_PATH = pytest.mark.parametrize("path", list(RULES))
# who is in no post but with nine activities, or three points
BAD = '"u5"'


@pytest.fixture(autouse=True)
def _people(target: TargetRunner) -> None:
    settle_in(target.planhat.world)


def truth(path: str) -> dict[Place, float]:
    return dict(Usage().activities if path == "/analytics/bulk" else Usage().points)


def without_bad(path: str) -> dict[Place, float]:
    return {place: n for place, n in truth(path).items() if "u5" not in place}


def refuse(target: TargetRunner, path: str, **fault: t.Any) -> None:
    target.planhat.faults.add({"path": path, "holding": BAD, "times": None, **fault})


def posts(target: TargetRunner, path: str) -> int:
    return target.planhat.calls.counts[path, "POST"]


def rejected(report: Record) -> list[tuple[str, int]]:
    reasons = [each for rule in report["rules"] for each in rule["reasons"]]
    return [(each["reason"], each["records"]) for each in reasons if each["fate"] == "rejected"]


@pytest.mark.some(3)
@pytest.mark.parametrize("form", ["json", "text", "html"])
@pytest.mark.parametrize("status", [400, 422])
@BY_PATH
def test_an_item_that_is_refused_with_its_batch_is_isolated(
    path: str, status: int, form: str, target: TargetRunner
) -> None:
    refuse(target, path, kind="status", status=status, text="u5: no such id", form=form)
    report = target.run(*Usage().messages(), **RULES[path])

    assert target.error is None
    assert held(target.planhat.world) == without_bad(path)
    assert rejected(report) == [(f"Planhat: {status} …: no such id", 9)]
    before = posts(target, path)

    # they do not hinder what is new, nor are they searched for among it again
    report = target.run(*Usage(more=1).messages(), **RULES[path])
    assert target.error is None
    assert held(target.planhat.world).keys() == without_bad(path).keys()
    assert posts(target, path) < before + 25
    target.planhat.faults.clear()
    target.run(*Usage(more=1).messages(), **RULES[path])
    wanted = Usage(more=1)
    assert held(target.planhat.world) == (
        wanted.activities if path == "/analytics/bulk" else wanted.points
    )


@pytest.mark.parametrize("processed", ["total", "stored"])
@BY_PATH
def test_of_a_post_that_was_taken_in_part_nothing_is_posted_again(
    path: str, processed: t.Any, target: TargetRunner
) -> None:
    target.planhat.knobs.failed_items, target.planhat.knobs.processed = 400, processed
    refuse(target, path, kind="partial", text="u5: no such id")
    report = target.run(*Usage().messages(), **RULES[path])

    assert target.error is None
    assert held(target.planhat.world) == without_bad(path)
    assert rejected(report) == [("Planhat: …: no such id", 9)]
    # one of each rule, and the question at the start
    assert posts(target, path) == (1 if path == "/analytics/bulk" else 3)


@pytest.mark.some(3)
@pytest.mark.parametrize("commit", [False, True])
@pytest.mark.parametrize("in_doubt", ["assume_sent", "resend"])
@pytest.mark.parametrize(
    "text", ['{"errors": [{"item": {"x": 1}, "error": "no"}]}', '{"processed": 7}']
)
def test_whether_a_post_was_taken_in_part_may_be_in_doubt(
    text: str, in_doubt: str, commit: bool, target: TargetRunner
) -> None:
    fault = {"kind": "status", "status": 400, "text": text, "commit": commit}
    target.planhat.faults.add({"path": "/analytics/bulk", **fault})
    report = target.run(*Usage().messages(), **ACTIVITIES, in_doubt=in_doubt)
    assert report["in_doubt"] == len(Usage().rows)
    target.run(*Usage().messages(), **ACTIVITIES, in_doubt=in_doubt)

    found, kept = held(target.planhat.world), ledger(target.folder / "ledger.db")
    assert_once(found, Usage().activities, kept)
    twice = 2 if commit else 1
    times = twice if in_doubt == "resend" else twice - 1
    assert found == {place: n * times for place, n in Usage().activities.items() if times}


@BY_PATH
def test_a_run_of_which_all_is_refused_fails(
    path: str, target: TargetRunner, caplog: pytest.LogCaptureFixture
) -> None:
    after = 0 if path == "/analytics/bulk" else 1
    fault = {"kind": "status", "status": 400, "text": "no", "after": after}
    target.planhat.faults.add({"path": path, "times": None, **fault})
    command = Command(target, caplog)
    said = command.run(*Usage().messages(), **RULES[path])

    assert said.code == 1
    count = len(truth(path))
    assert f"Planhat refuses all {count} posted items (400 no)" in said.log
    assert command.report["rejected"] == command.report["rules"][0]["received"] * (
        1 if path == "/analytics/bulk" else 2
    )
    assert held(target.planhat.world) == {}
    assert command.run(*Usage().messages(), **RULES[path]).code == 1

    target.planhat.faults.clear()
    assert command.run(*Usage().messages(), **RULES[path]).code == 0
    assert held(target.planhat.world) == truth(path)


def test_what_was_refused_before_fails_no_run_with_nothing_new(target: TargetRunner) -> None:
    refuse(target, "/analytics/bulk", kind="status", status=400)
    for _ in range(2):
        assert target.run(*Usage().messages(), **ACTIVITIES)["outcome"] == "done"
    assert held(target.planhat.world) == without_bad("/analytics/bulk")


def test_the_good_end_users_among_bad_ones_are_created(target: TargetRunner) -> None:
    refuse(target, "/endusers", verb="PUT", kind="status", status=400, text="no")
    people = [record("visitors", visitor_id=f"n{n}", metadata={}) for n in range(20)]
    people.append(record("visitors", visitor_id="u5", metadata={"agent": {"email": "a@b.example"}}))
    usage = Usage().messages()
    table = target.planhat.world.store.tables["endusers"]
    for one in list(table.things.values()):
        if one.get("externalId") in {"u3", "u4", "u5"}:
            table.remove(one)
    target.planhat.knobs.end_user_needs = "key"
    visitors = schema("visitors", "visitor_id", "metadata")
    report = target.run(visitors, *people, *usage, **ACTIVITIES, create_end_users=True)

    assert target.error is None
    assert held(target.planhat.world) == without_bad("/analytics/bulk")
    assert report["parked"] == 9
    reasons = [one["reason"] for one in report["rules"][0]["reasons"] if one["fate"] == "parked"]
    assert reasons == ["the end user could not be created: 400 no"]


# How they are searched for


@pytest.mark.some(4)
@pytest.mark.parametrize("bad", [[0], [6], [99], [0, 1, 2, 3, 4], range(40, 60), range(0, 100, 2)])
@KINDS
def test_all_bad_items_are_found_and_all_good_ones_taken(
    client: PlanhatClient, planhat: Emulator, kind: Kind, bad: t.Collection[int]
) -> None:
    sent = items(kind, 100)
    for number in bad:
        sent[number]["info"] = "bad"
    fault = {"kind": "status", "status": 400, "holding": '"bad"', "times": None}
    planhat.faults.add({"path": PATHS[kind], **fault})
    outcomes = post(client, kind, sent)

    assert [n for n, one in enumerate(outcomes) if one.fate == "refused"] == list(bad)
    assert planhat.world.count(kind) == 100 - len(bad)


def test_where_all_is_refused_the_search_ends_soon(
    client: PlanhatClient, planhat: Emulator
) -> None:
    planhat.faults.add({"kind": "status", "status": 400, "text": "no", "times": None})
    outcomes = client.post_activities(items("activities", 2500))

    assert {(one.fate, one.reason) for one in outcomes} == {("refused", "400 no")}
    assert client.calls < 60


def test_a_post_that_gets_no_answer_ends_the_search(
    client: PlanhatClient, planhat: Emulator, time: Time
) -> None:
    planhat.faults.add({"kind": "status", "status": 400})
    planhat.faults.add({"kind": "reset", "after": 1})
    found = fates(client.post_activities(items("activities", 4)))

    assert (found, time.slept) == (["accepted", "doubtful", "accepted", "doubtful"], 0)


@pytest.mark.parametrize("errors", ["", '{"createdErrors": ["bad"], "created": 0}'])
def test_an_end_user_that_is_refused_with_all_others_is_isolated(
    client: PlanhatClient, planhat: Emulator, errors: str
) -> None:
    fault = {"kind": "status", "status": 400, "holding": '"n2"', "times": None, "text": errors}
    planhat.faults.add({"path": "/endusers", **fault})
    people = [
        {"externalId": f"n{n}", "email": f"n{n}@acme.example", "companyId": "extid-acme"}
        for n in range(5)
    ]
    outcomes = client.upsert_end_users(people)

    assert fates(outcomes) == ["accepted", "accepted", "refused", "accepted", "accepted"]
    assert outcomes[2].reason == ("bad" if errors else "400")
    assert planhat.world.count("endusers") == 3 + 4 + 4


def test_halves_are_of_every_other_item() -> None:
    sent: list[list[int]] = []

    def send(part: range) -> t.Any:
        sent.append(list(part))
        return payloads.Smaller("no") if len(part) > 1 else [payloads.Outcome("accepted")]

    payloads.outcomes([b"1"] * 5, 10, 100, send)
    assert sent == [[0, 1, 2, 3, 4], [0, 2, 4], [0, 4], [0], [4], [2], [1, 3], [1], [3]]
