"""Objects one by one and in lists."""

from typing import Any

import pytest


def test_an_object_is_found_by_every_kind_of_id(planhat: Any) -> None:
    acme = planhat.world.objects("companies")[0]
    found = [
        planhat.get(f"/companies/{key}") for key in (acme["_id"], "extid-acme", "srcid-s-acme")
    ]

    assert [one["name"] for one in found] == ["Acme"] * 3
    assert len(acme["_id"]) == 24
    assert planhat.get("/endusers/extid-u2")["companyName"] == "Acme"


def test_ids_are_decoded(planhat: Any) -> None:
    planhat.world.add("companies", {"externalId": "a/b c%", "name": "Odd"})

    assert planhat.get("/companies/extid-a%2Fb%20c%25")["name"] == "Odd"


@pytest.mark.parametrize("key", ["extid-nope", "srcid-acme", "acme", "0" * 24])
@pytest.mark.parametrize("verb", ["GET", "PUT"])
def test_what_is_absent_is_404(planhat: Any, key: str, verb: str) -> None:
    assert planhat.call(verb, f"/companies/{key}", {"name": "x"}).status_code == 404


def test_a_blank_id_is_the_list(planhat: Any) -> None:
    assert len(planhat.get("/companies/")) == 2
    assert planhat.call("PUT", "/companies/", {"name": "x"}).status_code == 400


@pytest.mark.parametrize(
    ("query", "count"),
    [
        ("", 100),
        ("?limit=7", 7),
        ("?limit=2000", 2000),
        ("?limit=6000", 2000),
        ("?limit=10&offset=6001", 5),
        ("?limit=nope", 100),
        ("?name=Acme", 100),
    ],
)
def test_a_list_comes_in_pages(planhat: Any, query: str, count: int) -> None:
    planhat.world.seed(endusers=6002)

    assert len(planhat.call("GET", f"/endusers{query}").json()) == count


def test_a_limit_above_the_maximum_may_be_refused(planhat: Any) -> None:
    planhat.knobs.over_limit = "refuse"

    assert planhat.call("GET", "/endusers?limit=2001").status_code == 400
    assert planhat.call("GET", "/endusers?limit=2000").status_code == 200


def test_pages_hold_each_object_once(planhat: Any) -> None:
    planhat.world.seed(endusers=996)
    for sort in ("", "email", "-email", "_id"):
        pages = [
            planhat.get("/endusers", limit=300, offset=offset, sort=sort)
            for offset in (0, 300, 600, 900)
        ]
        assert len({one["_id"] for page in pages for one in page}) == 1000


@pytest.mark.parametrize(
    ("sort", "expected"),
    [
        ("email", ["only@acme.io", "u1@acme.io", "u1@beta.io", "u2@acme.io"]),
        ("-email", ["u2@acme.io", "u1@beta.io", "u1@acme.io", "only@acme.io"]),
        ("Email", ["u1@acme.io", "u1@beta.io", "u2@acme.io", "only@acme.io"]),
    ],
)
def test_a_list_is_sorted_by_a_field_with_exactly_this_name(
    planhat: Any, sort: str, expected: list[str]
) -> None:
    assert [one["email"] for one in planhat.get("/endusers", sort=sort)] == expected


def test_fields_may_be_selected(planhat: Any) -> None:
    rows = planhat.get("/endusers", select="externalId,companyName,nope")

    assert rows[0].keys() == {"_id", "externalId", "companyName"}
    assert rows[3].keys() == {"_id", "companyName"}


def test_end_users_are_filtered_by_company_and_by_email(planhat: Any) -> None:
    (acme, beta) = (one["_id"] for one in planhat.world.objects("companies"))

    assert len(planhat.get("/endusers", companyId=acme)) == 3
    assert len(planhat.get("/endusers", companyId=f"{acme},{beta}")) == 4
    assert planhat.get("/endusers", companyId="0" * 24) == []
    assert [one["externalId"] for one in planhat.get("/endusers", email="U2@acme.io")] == ["u2"]
    assert planhat.get("/endusers", email="nope@acme.io") == []


@pytest.mark.parametrize("query", ["?externalId=beta", "?name=Beta", "?companyId=beta"])
def test_companies_ignore_filters(planhat: Any, query: str) -> None:
    assert len(planhat.get(f"/companies{query}")) == 2


@pytest.mark.parametrize(
    ("query", "names"),
    [
        ("", ["Acme", "Beta"]),
        ("?externalId=acme", ["Acme"]),
        ("?sourceId=s-acme", ["Acme"]),
        ("?externalId=acme&sourceId=nope", []),
        ("?externalId=nope", []),
        ("?status=prospect,customer", ["Beta"]),
        ("?externalId=acme&status=customer", []),
    ],
)
def test_lean_companies_are_filtered(planhat: Any, query: str, names: list[str]) -> None:
    found = planhat.get(f"/leancompanies{query}")

    assert [one["name"] for one in found] == names
    assert all(one.keys() <= {"_id", "name", "externalId", "sourceId", "slug"} for one in found)


@pytest.mark.parametrize(
    ("path", "body", "error"),
    [
        ("companies", {"name": "New", "externalId": "new"}, None),
        ("companies", {"externalId": "new"}, "name must be specified"),
        ("companies", {"name": "New", "externalId": "acme"}, "externalId duplicated"),
        ("endusers", {"email": "n@x.io", "companyId": "extid-acme"}, None),
        ("endusers", {"email": "n@acme.io"}, None),
        ("endusers", {"email": "n@nowhere.io"}, "companyId must be specified"),
        ("endusers", {"email": "n@x.io", "companyId": "extid-no"}, "companyId not found"),
        ("endusers", {"externalId": "n", "companyId": "extid-acme"}, "email must be specified"),
        ("assets", {"name": "A", "companyId": "extid-acme"}, None),
        ("assets", {"name": "A"}, "companyId must be specified"),
        ("projects", {"companyId": "extid-acme"}, "name must be specified"),
        ("users", {"email": "u@x.io"}, "nickName,firstName,lastName must be specified"),
        ("users", {"email": "u@x.io", "nickName": "u", "firstName": "u", "lastName": "u"}, None),
        ("companies", [], "body must be an object"),
    ],
)
def test_creation_needs_the_documented_fields(
    planhat: Any, path: str, body: Any, error: str | None
) -> None:
    before = planhat.world.count(path)
    answer = planhat.call("POST", f"/{path}", body)

    assert answer.status_code == (400 if error else 200)
    assert answer.json().get("message") == error
    assert planhat.world.count(path) == before + (error is None)


def test_a_created_user_is_inactive_and_creation_may_be_201(planhat: Any) -> None:
    planhat.knobs.created_status = 201
    body = {"email": "u@x.io", "nickName": "u", "firstName": "u", "lastName": "u"}
    answer = planhat.call("POST", "/users", body)

    assert (answer.status_code, answer.json()["inactive"]) == (201, True)


def test_an_update_changes_what_it_names_and_moves_updated_at(planhat: Any) -> None:
    planhat.emulator.clock.advance(60)
    changed = planhat.call("PUT", "/companies/extid-acme", {"custom": {"Plan": "Pro"}}).json()
    again = planhat.call("PUT", "/companies/extid-acme", {"custom": {"Seats": 5}}).json()

    assert (changed["name"], changed["custom"]) == ("Acme", {"Plan": "Pro"})
    assert again["custom"] == {"Plan": "Pro", "Seats": 5}
    assert again["updatedAt"] == "2026-03-11T10:31:00.000Z"
    assert again["createDate"] == "2026-03-11T10:30:00.000Z"


@pytest.mark.parametrize(("knob", "status"), [("refuse", 400), ("ignore", 200)])
def test_an_id_in_an_update_is_a_knob(planhat: Any, knob: str, status: int) -> None:
    planhat.knobs.id_in_update = knob
    acme = planhat.world.objects("companies")[0]["_id"]

    assert planhat.call("PUT", "/companies/extid-acme", {"_id": "x"}).status_code == status
    assert planhat.get("/companies/extid-acme")["_id"] == acme


def test_what_is_deleted_is_gone_from_every_index(planhat: Any) -> None:
    assert planhat.call("DELETE", "/endusers/extid-u2").json() == {
        "n": 1,
        "ok": 1,
        "deletedCount": 1,
    }
    assert planhat.call("DELETE", "/endusers/extid-u2").json()["deletedCount"] == 0
    assert planhat.get("/endusers", email="u2@acme.io") == []
    planhat.post("/analytics", {"externalId": "u2"})
    assert planhat.world.count("activities") == 0
