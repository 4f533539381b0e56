"""Bulk upserts: matching, uniqueness, status and the arrays of the answer."""

from typing import Any

import pytest

ACME = "extid-acme"
NONE = {
    "created": 0,
    "createdErrors": [],
    "insertsKeys": [],
    "updated": 0,
    "updatedErrors": [],
    "updatesKeys": [],
    "nonupdates": 0,
    "modified": [],
    "upsertedIds": [],
    "permissionErrors": [],
}


def _put(planhat: Any, path: str, *items: Any) -> tuple[int, dict[str, Any]]:
    answer = planhat.call("PUT", f"/{path}", list(items))
    return answer.status_code, answer.json()


def _counts(body: dict[str, Any]) -> tuple[int, int, int, int, int]:
    errors = len(body["createdErrors"]), len(body["updatedErrors"])
    return (body["created"], body["updated"], body["nonupdates"], *errors)


def test_created_updated_and_unchanged_objects_are_told_apart(planhat: Any) -> None:
    acme = planhat.world.objects("companies")[0]["_id"]
    status, body = _put(
        planhat,
        "companies",
        {"externalId": "new", "name": "New"},
        {"externalId": "acme", "name": "Acme Inc"},
        {"externalId": "beta", "name": "Beta"},
    )
    new = planhat.world.objects("companies")[-1]["_id"]

    assert status == 200
    assert body == {
        **NONE,
        "created": 1,
        "insertsKeys": [{"_id": new, "externalId": "new"}],
        "updated": 1,
        "updatesKeys": [{"_id": acme, "externalId": "acme"}],
        "nonupdates": 1,
        "modified": [acme],
        "upsertedIds": [new],
    }


def test_updated_at_moves_even_when_nothing_changes(planhat: Any) -> None:
    planhat.emulator.clock.advance(60)
    _put(planhat, "companies", {"externalId": "beta"})

    assert planhat.get("/companies/extid-beta")["updatedAt"] == "2026-03-11T10:31:00.000Z"


def test_an_empty_array_does_nothing(planhat: Any) -> None:
    assert _put(planhat, "companies") == (200, NONE)


@pytest.mark.parametrize(
    ("path", "item", "counts"),
    [
        ("companies", {"sourceId": "s-acme", "name": "X"}, (0, 1, 0, 0, 0)),
        ("companies", {"sourceId": "s-acme", "externalId": "acme2"}, (0, 1, 0, 0, 0)),
        ("companies", {"sourceId": "s-acme", "externalId": "beta"}, (0, 0, 0, 0, 1)),
        ("companies", {"sourceId": "s-beta", "externalId": "beta"}, (0, 1, 0, 0, 0)),
        ("companies", {"name": "No key"}, (1, 0, 0, 0, 0)),
        ("companies", {"externalId": "new"}, (0, 0, 0, 1, 0)),
        ("endusers", {"externalId": "u2", "email": "u2@acme.io"}, (0, 0, 1, 0, 0)),
        ("endusers", {"externalId": "u2", "companyId": ACME, "position": "x"}, (0, 1, 0, 0, 0)),
        ("endusers", {"email": "only@acme.io", "externalId": "u9"}, (0, 1, 0, 0, 0)),
        ("endusers", {"email": "new@acme.io"}, (1, 0, 0, 0, 0)),
        ("endusers", {"email": "new@nowhere.io"}, (0, 0, 0, 1, 0)),
        ("endusers", {"email": "n@x.io", "companyId": "extid-no"}, (0, 0, 0, 1, 0)),
        ("endusers", {"externalId": "new", "companyId": ACME}, (0, 0, 0, 1, 0)),
        ("endusers", {"externalId": "u1"}, (0, 0, 0, 1, 0)),
        ("endusers", {"externalId": "u1", "companyId": ACME, "position": "x"}, (0, 1, 0, 0, 0)),
        ("assets", {"externalId": "a1", "value": 5}, (0, 1, 0, 0, 0)),
        ("assets", {"externalId": "a2", "name": "A"}, (0, 0, 0, 1, 0)),
        ("assets", {"externalId": "a2", "name": "A", "companyId": ACME}, (1, 0, 0, 0, 0)),
        ("projects", {"externalId": "p1", "arr": 5}, (0, 1, 0, 0, 0)),
        ("users", {"email": "user-1@planhat.example", "nickName": "u"}, (0, 1, 0, 0, 0)),
        ("companies", 7, (0, 0, 0, 1, 0)),
    ],
)
def test_items_are_matched_by_their_keys(
    planhat: Any, path: str, item: Any, counts: tuple[int, ...]
) -> None:
    before = planhat.world.count(path)
    status, body = _put(planhat, path, item)

    assert _counts(body) == counts
    assert status == (400 if counts[3] or counts[4] else 200)
    assert planhat.world.count(path) == before + counts[0]


def test_an_email_that_several_have_matches_none(planhat: Any) -> None:
    planhat.world.add("endusers", {"email": "only@acme.io", "companyId": ACME})
    _, body = _put(planhat, "endusers", {"email": "only@acme.io", "companyId": ACME})

    assert body["created"] == 1


@pytest.mark.parametrize(("knob", "counts"), [("company", (1, 0)), ("tenant", (0, 1))])
def test_the_scope_of_external_ids_is_a_knob(
    planhat: Any, knob: str, counts: tuple[int, int]
) -> None:
    planhat.knobs.external_id_scope = knob
    item = {"externalId": "u2", "email": "u2@beta.io", "companyId": "extid-beta"}
    _, body = _put(planhat, "endusers", item)

    assert (body["created"], body["updated"]) == counts
    beta = planhat.world.objects("companies")[1]["_id"]
    assert len(planhat.get("/endusers", companyId=beta)) == 2


@pytest.mark.parametrize(("knob", "status"), [(206, 206), (400, 400)])
def test_a_partial_success_has_its_own_status(planhat: Any, knob: int, status: int) -> None:
    planhat.knobs.partial_status = knob
    items = {"name": "New", "externalId": "new"}, {"externalId": "nameless"}
    answered, body = _put(planhat, "companies", *items)

    assert (answered, _counts(body)) == (status, (1, 0, 0, 1, 0))
    assert planhat.world.count("companies") == 3


@pytest.mark.parametrize(
    ("knob", "entry"),
    [
        ("string", "name must be specified"),
        ("object", {"item": {"externalId": "x"}, "message": "name must be specified"}),
    ],
)
def test_the_form_of_error_entries_is_a_knob(planhat: Any, knob: str, entry: Any) -> None:
    planhat.knobs.error_entries = knob

    assert _put(planhat, "companies", {"externalId": "x"})[1]["createdErrors"] == [entry]


@pytest.mark.parametrize(("knob", "created", "errors"), [("later", 1, 2), ("all", 0, 3)])
def test_keys_that_come_twice_in_a_payload_are_duplicated(
    planhat: Any, knob: str, created: int, errors: int
) -> None:
    planhat.knobs.duplicated_items = knob
    planhat.knobs.error_entries = "string"
    _, body = _put(planhat, "companies", *[{"externalId": "new", "name": "New"}] * 3)

    assert body["created"] == created
    texts = body["createdErrors"] + body["updatedErrors"]
    assert texts == ["externalId duplicated"] * errors


@pytest.mark.parametrize(
    ("first", "second", "created"),
    [
        ({"externalId": "n", "companyId": ACME}, {"externalId": "n", "companyId": "extid-beta"}, 2),
        ({"externalId": "n", "companyId": ACME}, {"externalId": "n", "companyId": ACME}, 1),
        ({"externalId": "n1", "companyId": ACME}, {"externalId": "n2", "companyId": ACME}, 2),
        ({"companyId": ACME}, {"companyId": ACME}, 1),
    ],
)
def test_end_users_are_duplicated_within_a_company(
    planhat: Any, first: dict[str, str], second: dict[str, str], created: int
) -> None:
    planhat.knobs.match_by_email = "uncontradicted"
    items = [{"email": "n@x.io", **one} for one in (first, second)]

    assert _put(planhat, "endusers", *items)[1]["created"] == created


@pytest.mark.parametrize(
    ("fields", "error"),
    [
        ({"externalId": ["x"]}, "externalId must be a string"),
        ({"sourceId": {"a": 1}}, "sourceId must be a string"),
        ({"email": 7}, "email must be a string"),
        ({"domains": "x.io"}, "domains must be an array"),
        ({"custom": 7}, "custom must be an object"),
    ],
)
def test_fields_of_another_type_are_errors(
    planhat: Any, fields: dict[str, Any], error: str
) -> None:
    planhat.knobs.error_entries = "string"
    status, body = _put(planhat, "companies", {"name": "New", **fields})

    assert (status, body["createdErrors"], planhat.world.count("companies")) == (400, [error], 2)


@pytest.mark.parametrize(("knob", "counts"), [("always", (0, 1)), ("uncontradicted", (1, 0))])
def test_an_email_of_an_end_user_with_another_external_id_is_a_knob(
    planhat: Any, knob: str, counts: tuple[int, int]
) -> None:
    planhat.knobs.match_by_email = knob
    item = {"externalId": "u3", "email": "u2@acme.io", "companyId": ACME}
    _, body = _put(planhat, "endusers", item)

    assert (body["created"], body["updated"]) == counts


@pytest.mark.parametrize(("knob", "status"), [(400, 400), (413, 413)])
def test_more_than_5000_items_are_refused(planhat: Any, knob: int, status: int) -> None:
    planhat.knobs.too_many_items = knob
    items = [{"externalId": f"n{n}", "name": "n"} for n in range(5001)]

    assert planhat.call("PUT", "/companies", items).status_code == status
    assert planhat.world.count("companies") == 2
    assert _put(planhat, "companies", *items[:5000])[1]["created"] == 5000


@pytest.mark.parametrize(
    ("knob", "item", "created"),
    [
        ("email", {"email": "n@x.io"}, 1),
        ("email", {"externalId": "n"}, 0),
        ("key", {"externalId": "n"}, 1),
        ("key", {"sourceId": "n"}, 1),
        ("key", {"firstName": "n"}, 0),
    ],
)
def test_what_a_new_end_user_needs_is_a_knob(
    planhat: Any, knob: str, item: dict[str, str], created: int
) -> None:
    planhat.knobs.end_user_needs = knob

    assert _put(planhat, "endusers", {"companyId": ACME, **item})[1]["created"] == created


@pytest.mark.parametrize(("knob", "status", "errors"), [("error", 400, 1), ("ignored", 200, 0)])
def test_an_end_user_without_a_company_is_a_knob(
    planhat: Any, knob: str, status: int, errors: int
) -> None:
    planhat.knobs.end_user_without_company = knob
    answered, body = _put(planhat, "endusers", {"email": "n@nowhere.io"})

    assert (answered, len(body["createdErrors"]), body["created"]) == (status, errors, 0)
    assert planhat.world.count("endusers") == 4


@pytest.mark.parametrize(
    ("knob", "status", "stored"), [("clear", 200, None), ("ignore", 200, "x"), ("refuse", 400, "x")]
)
def test_null_is_a_knob(planhat: Any, knob: str, status: int, stored: str | None) -> None:
    _put(planhat, "companies", {"externalId": "acme", "city": "x", "custom": {"a": 1, "b": 2}})
    planhat.knobs.nulls = knob
    item = {"externalId": "acme", "city": None}

    assert _put(planhat, "companies", item)[0] == status
    assert planhat.get("/companies/extid-acme")["city"] == stored
    _put(planhat, "companies", {"externalId": "acme", "custom": {"a": None}})
    assert ("a" in planhat.get("/companies/extid-acme")["custom"]) == (knob != "clear")


@pytest.mark.parametrize(
    ("knob", "status", "custom"),
    [("keep", 200, {"a": 1, "b": 2}), ("drop", 200, {"a": 1}), ("refuse", 400, None)],
)
def test_unknown_custom_fields_are_a_knob(
    planhat: Any, knob: str, status: int, custom: dict[str, int] | None
) -> None:
    planhat.knobs.unknown_custom = knob
    planhat.world.custom_fields["companies"].add("a")

    item = {"externalId": "acme", "custom": {"a": 1, "b": 2}}
    assert _put(planhat, "companies", item)[0] == status
    assert planhat.get("/companies/extid-acme").get("custom") == custom


def test_an_end_user_that_moves_is_found_in_its_new_company(planhat: Any) -> None:
    acme, beta = (one["_id"] for one in planhat.world.objects("companies"))
    key = planhat.get("/endusers/extid-u2")["_id"]
    _put(planhat, "endusers", {"_id": key, "companyId": beta, "externalId": "u3"})

    assert [len(planhat.get("/endusers", companyId=one)) for one in (acme, beta)] == [2, 2]
    assert planhat.get("/endusers/extid-u3")["companyId"] == beta
    assert planhat.call("GET", "/endusers/extid-u2").status_code == 404
