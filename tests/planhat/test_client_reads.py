"""Objects and points are read whole, whatever limit Planhat has, and reads are repeated."""

from __future__ import annotations

import typing as t

import pytest
from planhat_emulator import rest
from planhat_emulator.tokens import Token
from target_planhat.errors import PlanhatError

if t.TYPE_CHECKING:
    from collections.abc import Callable

    from planhat_emulator.server import Emulator
    from target_planhat.planhat.endpoints import Path, PlanhatClient

    from tests.planhat.conftest import Time

LISTS: tuple[Path, ...] = ("endusers", "assets", "projects")


def everything(client: PlanhatClient, path: Path) -> list[dict[str, t.Any]]:
    return [row for page in client.objects(path) for row in page]


def shown(planhat: Emulator, path: str, *names: str) -> list[dict[str, t.Any]]:
    objects = planhat.world.objects(path)
    return [{name: one[name] for name in names if name in one} for one in objects]


def by_id(rows: list[dict[str, t.Any]]) -> list[dict[str, t.Any]]:
    return sorted(rows, key=lambda row: row["_id"])


def test_objects_come_with_their_keys_and_nothing_else(
    client: PlanhatClient, planhat: Emulator
) -> None:
    keys = ("_id", "externalId", "sourceId")
    fields = {
        "companies": (*keys, "name"),
        "endusers": (*keys, "email", "companyId"),
        "assets": (*keys, "companyId"),
        "projects": (*keys, "companyId"),
    }
    for path, names in fields.items():
        assert by_id(everything(client, t.cast("Path", path))) == by_id(
            shown(planhat, path, *names)
        )


def test_companies_come_in_one_answer(client: PlanhatClient, planhat: Emulator) -> None:
    planhat.world.seed(companies=1233)

    assert [len(page) for page in client.objects("companies")] == [1235]
    assert [one.path for one in planhat.calls.log] == ["/leancompanies"]


@pytest.mark.parametrize("seeded", [98, 5998])
def test_a_round_number_of_companies_may_be_cut_off_and_is_read_in_pages(
    client: PlanhatClient, planhat: Emulator, seeded: int
) -> None:
    planhat.world.seed(companies=seeded)

    assert len(everything(client, "companies")) == seeded + 2
    assert {one.path for one in planhat.calls.log} == {"/leancompanies", "/companies"}


@pytest.mark.parametrize(
    "fault",
    [
        {"kind": "status", "status": 400},
        {"kind": "status", "status": 403},
        {"kind": "status", "status": 404},
        {"kind": "status", "status": 504},
        {"kind": "reset"},
        {"kind": "malformed"},
        {"kind": "malformed", "text": '{"message": "no"}'},
        {"kind": "malformed", "text": "[1, 2]"},
    ],
)
def test_companies_are_read_in_pages_where_there_is_no_one_answer(
    client: PlanhatClient, planhat: Emulator, fault: dict[str, t.Any]
) -> None:
    planhat.faults.add({"path": "/leancompanies", "times": None, **fault})

    assert by_id(everything(client, "companies")) == by_id(
        shown(planhat, "companies", "_id", "externalId", "sourceId", "name")
    )


@pytest.mark.parametrize(
    ("most", "over_limit", "calls"),
    [
        (5000, "lower", 2),
        (5000, "refuse", 2),
        (2000, "lower", 2),
        (2000, "refuse", 3),
        (300, "lower", 5),
        (300, "refuse", 16),
        (100, "refuse", 16),
        (7, "lower", 165),
    ],
)
def test_all_is_read_whatever_a_list_gives_at_most(
    client: PlanhatClient,
    planhat: Emulator,
    monkeypatch: pytest.MonkeyPatch,
    most: int,
    over_limit: t.Any,
    calls: int,
) -> None:
    monkeypatch.setattr(rest, "_MOST", most)
    planhat.knobs.over_limit, planhat.knobs.hard_limit = over_limit, None
    planhat.world.seed(endusers=1145)
    found = everything(client, "endusers")

    assert sorted(row["_id"] for row in found) == sorted(
        one["_id"] for one in planhat.world.objects("endusers")
    )
    assert client.calls == calls


def test_a_list_that_refuses_each_limit_is_an_error(
    client: PlanhatClient, planhat: Emulator
) -> None:
    planhat.faults.add({"kind": "status", "status": 400, "text": "bad sort", "times": None})

    with pytest.raises(PlanhatError, match=r"refuses /endusers .*bad sort"):
        everything(client, "endusers")
    assert client.calls == 4


def test_a_list_that_never_ends_is_an_error(client: PlanhatClient, planhat: Emulator) -> None:
    text = '[{"_id": "1"}, {"_id": "2"}]'
    planhat.faults.add({"kind": "malformed", "text": text, "times": None})

    with pytest.raises(PlanhatError, match="same page of /endusers"):
        everything(client, "endusers")


@pytest.mark.parametrize("path", LISTS)
@pytest.mark.parametrize(
    "fault",
    [
        {"kind": "status", "status": 429, "times": 3},
        {"kind": "status", "status": 500, "times": 3},
        {"kind": "status", "status": 503, "form": "html", "times": 3},
        {"kind": "reset", "times": 2},
        {"kind": "time_out", "times": 2},
        {"kind": "malformed", "times": 2},
        {"kind": "malformed", "text": "", "times": 2},
        {"kind": "malformed", "text": '{"message": "no list"}', "times": 2},
    ],
)
def test_a_read_is_repeated_until_it_works(
    client: PlanhatClient, planhat: Emulator, path: Path, fault: dict[str, t.Any]
) -> None:
    planhat.faults.add({"after": 1, **fault})

    assert len(everything(client, path)) == planhat.world.count(path)


def test_a_read_that_never_works_is_an_error(
    client: PlanhatClient, planhat: Emulator, time: Time
) -> None:
    planhat.faults.add({"kind": "status", "status": 502, "times": None})

    with pytest.raises(PlanhatError, match=r"does not answer .*502.*`api_url`"):
        everything(client, "endusers")
    assert client.calls == 8
    assert 123 <= time.slept <= 154


@pytest.mark.parametrize("path", ["companies", *LISTS])
def test_a_missing_permission_names_the_model(
    client: PlanhatClient, planhat: Emulator, path: Path
) -> None:
    planhat.tokens.add(Token(planhat.api_token, denied={path}))

    with pytest.raises(PlanhatError, match=f"to read {path} in Planhat"):
        everything(client, path)


def test_a_token_that_is_revoked_on_the_way_is_told(
    client: PlanhatClient, planhat: Emulator
) -> None:
    planhat.tokens[planhat.api_token].valid = False

    with pytest.raises(PlanhatError, match="refuses the `api_token`"):
        everything(client, "assets")


# Points


@pytest.mark.parametrize("needs_range", [False, True])
def test_points_are_read_back_by_company_metric_and_days(
    client: PlanhatClient, planhat: Emulator, needs_range: bool
) -> None:
    planhat.knobs.read_back_needs_range = needs_range
    for day in range(8, 12):
        for dimension in ("one", "two"):
            client.post_metrics(
                [
                    {
                        "dimensionId": dimension,
                        "externalId": company,
                        "value": day,
                        "date": f"2026-03-{day:02}T00:00:00.000Z",
                    }
                    for company in ("acme", "beta")
                ]
            )
    company_id = next(
        one["_id"] for one in planhat.world.objects("companies") if one["externalId"] == "acme"
    )
    found = client.points(company_id, "two", 20_521, 20_522)  # 9 and 10 March 2026

    assert [(one["value"], one["time"][:10]) for one in found] == [
        (9, "2026-03-09"),
        (10, "2026-03-10"),
    ]
    assert {one["companyId"] for one in found} == {company_id}
    assert {one["dimensionId"] for one in found} == {"two"}


@pytest.mark.parametrize("over_limit", ["lower", "refuse"])
def test_all_points_are_read(
    client: PlanhatClient,
    planhat: Emulator,
    monkeypatch: pytest.MonkeyPatch,
    over_limit: t.Any,
) -> None:
    monkeypatch.setattr(rest, "_MOST_POINTS", 2000)
    planhat.knobs.over_limit = over_limit
    point = {"dimensionId": "d", "externalId": "acme", "date": "2026-03-10"}
    client.post_metrics([{**point, "value": n} for n in range(4500)])
    company_id = planhat.world.points()[0].of["_id"]

    found = client.points(company_id, "d", 20_000, 21_000)
    assert [one["value"] for one in found] == list(range(4500))


def test_no_message_about_points_holds_the_id_of_a_company(
    client: PlanhatClient, planhat: Emulator
) -> None:
    planhat.faults.add({"kind": "status", "status": 404, "text": "no company 65f0aa"})

    with pytest.raises(PlanhatError, match=r"refuses /dimensiondata .*no company …"):
        client.points("65f0aa", "d", 1, 2)


# The quota


def test_rest_is_called_200_times_a_minute_at_most(
    client: PlanhatClient, planhat: Emulator, time: Time
) -> None:
    planhat.knobs.hard_limit, planhat.knobs.rate_headers = None, "none"
    planhat.knobs.rate_limit = 450
    for _ in range(401):
        client.points("x", "d", 1, 2)

    assert client.calls == 401
    assert planhat.calls.statuses == {200: 401}
    assert time.slept == 120


@pytest.mark.parametrize(
    ("headers", "retry_after", "slept"),
    [
        ("new", "absent", 60),
        ("both", "absent", 60),
        ("both", "seconds", 60),
        ("old", "seconds", 60),
        ("none", "seconds", 60),
    ],
)
def test_a_quota_that_others_have_used_is_waited_for(
    connect: Callable[..., PlanhatClient],
    planhat: Emulator,
    time: Time,
    monkeypatch: pytest.MonkeyPatch,
    headers: t.Any,
    retry_after: t.Any,
    slept: float,
) -> None:
    planhat.knobs.rate_limit, planhat.knobs.hard_limit = 5, None
    planhat.knobs.rate_headers, planhat.knobs.retry_after = headers, retry_after
    sleep = time.sleep

    def both(seconds: float) -> None:
        sleep(seconds)
        planhat.clock.advance(seconds)

    monkeypatch.setattr(time, "sleep", both)
    client = connect()
    for _ in range(6):
        client.points("x", "d", 1, 2)

    assert slept <= time.slept <= slept + 2


@pytest.mark.parametrize("headers", ["old", "none"])
def test_a_quota_of_which_nothing_is_known_is_waited_for_longer_and_longer(
    connect: Callable[..., PlanhatClient],
    planhat: Emulator,
    time: Time,
    monkeypatch: pytest.MonkeyPatch,
    headers: t.Any,
) -> None:
    planhat.knobs.rate_limit, planhat.knobs.rate_headers = 5, headers
    sleep = time.sleep

    def both(seconds: float) -> None:
        sleep(seconds)
        planhat.clock.advance(seconds)

    monkeypatch.setattr(time, "sleep", both)
    client = connect()
    for _ in range(6):
        client.points("x", "d", 1, 2)

    assert 60 <= time.slept <= 80
