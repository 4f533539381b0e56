"""End users are created and changed in bulk, and each answer says who was."""

from __future__ import annotations

import threading
import typing as t

import pytest
from planhat_emulator.tokens import Token
from target_planhat.errors import PlanhatError
from target_planhat.planhat import endpoints as client_module

if t.TYPE_CHECKING:
    from planhat_emulator.server import Emulator
    from target_planhat.planhat.endpoints import PlanhatClient
    from target_planhat.planhat.posts import Outcome


def person(number: int, company: str = "acme") -> dict[str, t.Any]:
    return {
        "externalId": f"n{number}",
        "email": f"n{number}@{company}.example",
        "companyId": f"extid-{company}",
    }


def fates(outcomes: list[Outcome]) -> list[str]:
    return [one.fate for one in outcomes]


def ids(planhat: Emulator) -> dict[str, str]:
    users = planhat.world.objects("endusers")
    return {one["externalId"]: one["_id"] for one in users if "externalId" in one}


def test_who_is_created_comes_back_with_an_id(client: PlanhatClient, planhat: Emulator) -> None:
    outcomes = client.upsert_end_users([person(n) for n in range(3)])

    assert fates(outcomes) == ["accepted"] * 3
    assert [one.id for one in outcomes] == [ids(planhat)[f"n{n}"] for n in range(3)]
    assert planhat.world.count("endusers") == 6


def test_the_same_again_changes_nothing_and_is_accepted(
    client: PlanhatClient, planhat: Emulator
) -> None:
    client.upsert_end_users([person(1), person(2)])
    outcomes = client.upsert_end_users([{**person(1), "name": "New"}, person(2)])

    assert fates(outcomes) == ["accepted"] * 2
    assert [one.id for one in outcomes] == [ids(planhat)["n1"], ""]
    assert planhat.world.count("endusers") == 5


def test_end_users_without_external_ids_are_accepted_without_ids(
    client: PlanhatClient, planhat: Emulator
) -> None:
    sent = [{"email": f"{n}@acme.example", "companyId": "extid-acme"} for n in range(3)]

    assert fates(client.upsert_end_users(sent)) == ["accepted"] * 3
    assert planhat.world.count("endusers") == 6


def test_one_external_id_in_two_companies_is_two_end_users(
    client: PlanhatClient, planhat: Emulator
) -> None:
    outcomes = client.upsert_end_users([person(1), person(1, "beta"), person(2)])

    assert fates(outcomes) == ["accepted"] * 3
    assert [bool(one.id) for one in outcomes] == [False, False, True]
    assert planhat.world.count("endusers") == 6


@pytest.mark.parametrize("status", [206, 400])
def test_errors_that_name_an_end_user_refuse_that_one(
    client: PlanhatClient, planhat: Emulator, status: t.Any
) -> None:
    planhat.knobs.partial_status = status
    sent = [person(1), person(2, "nowhere"), person(3), {**person(4), "email": ""}]
    outcomes = client.upsert_end_users(sent)

    assert fates(outcomes) == ["accepted", "refused", "accepted", "refused"]
    assert outcomes[1].reason == "companyId not found"
    assert outcomes[3].reason == "email must be specified"


@pytest.mark.parametrize("status", [206, 400])
def test_errors_that_name_nobody_refuse_whoever_is_not_confirmed(
    client: PlanhatClient, planhat: Emulator, status: t.Any
) -> None:
    planhat.knobs.partial_status, planhat.knobs.error_entries = status, "string"
    client.upsert_end_users([person(5)])
    sent = [person(1), person(2, "nowhere"), person(3), person(5)]
    outcomes = client.upsert_end_users(sent)

    assert fates(outcomes) == ["accepted", "refused", "accepted", "refused"]
    assert outcomes[1].reason == outcomes[3].reason == "companyId not found"


@pytest.mark.parametrize("text", ["n2 is bad", "email n2@acme.example: bad", "bad: n2, sorry."])
def test_a_text_that_quotes_one_end_user_refuses_that_one(
    client: PlanhatClient, planhat: Emulator, text: str
) -> None:
    planhat.knobs.error_entries = "string"
    client.upsert_end_users([person(4)])
    planhat.faults.add({"kind": "partial", "indices": [1], "text": text})
    outcomes = client.upsert_end_users([person(n) for n in (1, 2, 3, 4)])

    assert fates(outcomes) == ["accepted", "refused", "accepted", "accepted"]
    assert "n2" not in outcomes[1].reason
    assert "bad" in outcomes[1].reason


def test_all_failing_is_an_answer_too(client: PlanhatClient, planhat: Emulator) -> None:
    outcomes = client.upsert_end_users([person(n, "nowhere") for n in range(3)])

    assert fates(outcomes) == ["refused"] * 3
    assert planhat.calls.statuses == {400: 1}


def test_end_users_that_are_ignored_without_a_word_are_refused(
    client: PlanhatClient, planhat: Emulator
) -> None:
    planhat.knobs.end_user_without_company = "ignored"
    sent = [person(1), {"externalId": "n2", "email": "n2@nowhere.example"}]
    outcomes = client.upsert_end_users(sent)

    assert fates(outcomes) == ["accepted", "refused"]
    assert "does not say why" in outcomes[1].reason


@pytest.mark.parametrize("bodies", ["json", "text", "html"])
def test_a_refusal_of_all_is_told_in_planhats_words(
    client: PlanhatClient, planhat: Emulator, bodies: t.Any
) -> None:
    planhat.knobs.max_items, planhat.knobs.error_bodies = 0, bodies
    outcomes = client.upsert_end_users([person(n) for n in range(3)])

    assert {(one.fate, one.reason) for one in outcomes} == {("refused", "400 more than 0 items")}


# Size and order


def test_upserts_go_out_in_parts(
    client: PlanhatClient, planhat: Emulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client_module, "MOST_UPSERTS", 3)
    outcomes = client.upsert_end_users([person(n) for n in range(7)])

    assert [one.id for one in outcomes] == [ids(planhat)[f"n{n}"] for n in range(7)]
    assert [one.items for one in planhat.calls.log] == [3, 3, 1]


@pytest.mark.parametrize("status", [400, 413])
def test_parts_that_planhat_finds_too_large_are_halved(
    client: PlanhatClient, planhat: Emulator, status: t.Any
) -> None:
    planhat.knobs.max_items, planhat.knobs.too_many_items = 2, status

    assert fates(client.upsert_end_users([person(n) for n in range(7)])) == ["accepted"] * 7
    assert planhat.world.count("endusers") == 10


def test_upserts_are_never_at_once(client: PlanhatClient, planhat: Emulator) -> None:
    planhat.faults.add({"kind": "delay", "seconds": 0.02, "times": None})
    threads = [
        threading.Thread(target=client.upsert_end_users, args=([person(n)],)) for n in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert planhat.calls.most_at_once == 1
    assert planhat.world.count("endusers") == 7


# Failures


@pytest.mark.parametrize("commit", [False, True])
@pytest.mark.parametrize(
    "fault",
    [
        {"kind": "status", "status": 429},
        {"kind": "status", "status": 500},
        {"kind": "status", "status": 503, "form": "html"},
        {"kind": "reset"},
        {"kind": "time_out"},
    ],
)
def test_an_upsert_is_repeated_until_it_works(
    client: PlanhatClient, planhat: Emulator, fault: dict[str, t.Any], commit: bool
) -> None:
    planhat.faults.add({"times": 3, "commit": commit, **fault})

    assert fates(client.upsert_end_users([person(n) for n in range(3)])) == ["accepted"] * 3
    assert client.calls == 4
    assert planhat.world.count("endusers") == 6


@pytest.mark.parametrize("text", ["", "done", "[]", '{"ok": 1}'])
def test_an_answer_that_cannot_be_read_is_asked_for_again(
    client: PlanhatClient, planhat: Emulator, text: str
) -> None:
    planhat.faults.add({"kind": "malformed", "text": text})

    assert fates(client.upsert_end_users([person(n) for n in range(3)])) == ["accepted"] * 3
    assert planhat.world.count("endusers") == 6


@pytest.mark.parametrize(
    ("faults", "fate"),
    [
        ([{"kind": "status", "status": 429, "times": None}], "unsent"),
        ([{"kind": "status", "status": 500, "times": None}], "doubtful"),
        (
            [{"kind": "reset", "commit": True}, {"kind": "status", "status": 429, "times": None}],
            "doubtful",
        ),
    ],
)
def test_an_upsert_that_never_works_is_unsent_only_if_no_try_may_have_arrived(
    client: PlanhatClient, planhat: Emulator, faults: list[dict[str, t.Any]], fate: str
) -> None:
    planhat.faults.add(*faults)

    assert fates(client.upsert_end_users([person(1)])) == [fate]
    assert client.calls == 8


@pytest.mark.parametrize("entries", ["string", "object"])
def test_a_missing_permission_ends_the_run(
    client: PlanhatClient, planhat: Emulator, entries: t.Any
) -> None:
    planhat.knobs.error_entries = entries
    planhat.tokens.add(Token(planhat.api_token, denied={"endusers"}))

    with pytest.raises(PlanhatError, match="allow its service account to write endusers"):
        client.upsert_end_users([person(1), person(2)])


def test_a_permission_that_is_missing_in_part_is_told_by_item(
    client: PlanhatClient, planhat: Emulator
) -> None:
    text = (
        '{"created": 1, "insertsKeys": [{"_id": "77", "externalId": "n1"}],'
        ' "permissionErrors": [{"item": {"externalId": "n2"}, "message": "denied"}]}'
    )
    planhat.faults.add({"kind": "status", "status": 403, "text": text})
    outcomes = client.upsert_end_users([person(1), person(2)])

    assert outcomes == [("accepted", "", "77"), ("refused", "denied", "")]


def test_a_refused_token_ends_the_run(client: PlanhatClient, planhat: Emulator) -> None:
    planhat.tokens[planhat.api_token].valid = False

    with pytest.raises(PlanhatError, match="refuses the `api_token`"):
        client.upsert_end_users([person(1)])
