"""User activities: who they are about, what is dropped, what is answered."""

from typing import Any

import pytest

DAY = "2026-03-10"


def _who(planhat: Any) -> list[str | None]:
    return [one.end_user.get("email") for one in planhat.world.activities()]


@pytest.mark.parametrize("path", ["/analytics", "/analytics/bulk"])
def test_an_activity_is_stored_with_what_it_says(planhat: Any, path: str) -> None:
    item = {
        "externalId": "u2",
        "action": "Used X",
        "date": "2026-03-10T23:59:59.999Z",
        "count": 7,
        "weight": 2,
        "info": {"minutes": 3},
    }
    bulk = path.endswith("bulk")
    answer = planhat.post(path, [item] if bulk else item)
    (stored,) = planhat.world.activities("u2", "Used X")

    assert answer.json() == {"processed": 1, "errors": []}
    assert (stored.count, stored.weight, stored.info) == (7 if bulk else 1, 2, {"minutes": 3})
    assert planhat.world.activity_sums() == {("u2", "Used X", DAY): 7 if bulk else 1}


@pytest.mark.parametrize(
    "item",
    [
        {"externalId": "u2"},
        {"euExtId": "u2"},
        {"id": "u2"},
        {"externalId": "u2", "euExtId": "u2", "companyExternalId": "acme", "cId": "acme"},
        {"email": "U2@Acme.io"},
        {"externalId": "unknown", "email": "u2@acme.io"},
        {"externalId": "u2", "email": "unknown@acme.io"},
    ],
)
def test_bulk_finds_an_end_user_by_every_spelling(planhat: Any, item: dict[str, Any]) -> None:
    planhat.post("/analytics/bulk", [item])

    assert _who(planhat) == ["u2@acme.io"]


@pytest.mark.parametrize("name", ["euExtId", "id"])
def test_the_single_path_knows_modern_names_only(planhat: Any, name: str) -> None:
    planhat.post("/analytics", {name: "u2"})

    assert planhat.world.count("activities") == 0
    assert [one.reason for one in planhat.world.failed] == ["neither externalId nor email"]


@pytest.mark.parametrize("company", [{"companyExternalId": "beta"}, {"cId": "beta"}])
def test_the_company_decides_between_end_users_of_one_external_id(
    planhat: Any, company: dict[str, str]
) -> None:
    planhat.post("/analytics/bulk", [{"externalId": "u1", **company}])

    assert _who(planhat) == ["u1@beta.io"]


@pytest.mark.parametrize(
    ("knob", "expected"), [("first", ["u1@acme.io"]), ("last", ["u1@beta.io"]), ("drop", [])]
)
def test_without_a_company_a_knob_decides(planhat: Any, knob: str, expected: list[str]) -> None:
    planhat.knobs.ambiguous = knob
    planhat.post("/analytics", {"externalId": "u1"})

    assert _who(planhat) == expected
    assert planhat.world.count("failed") == 1 - len(expected)


@pytest.mark.parametrize(
    ("knob", "expected"), [("externalId", "u2@acme.io"), ("email", "only@acme.io")]
)
def test_a_knob_decides_between_keys_that_disagree(planhat: Any, knob: str, expected: str) -> None:
    planhat.knobs.precedence = knob
    planhat.post("/analytics", {"externalId": "u2", "email": "only@acme.io"})

    assert _who(planhat) == [expected]


@pytest.mark.parametrize(
    ("item", "created"),
    [
        ({"externalId": "new", "companyExternalId": "acme", "name": "N"}, {"name": "N"}),
        ({"email": "new@beta.io"}, {"email": "new@beta.io"}),
        ({"externalId": "new", "email": "new@BETA.io"}, {"externalId": "new"}),
        ({"externalId": "new", "companyExternalId": "nowhere"}, None),
        ({"externalId": "new"}, None),
        ({"email": "new@nowhere.io"}, None),
        ({"companyExternalId": "acme"}, None),
        ({"externalId": "", "email": None}, None),
    ],
)
def test_an_unknown_end_user_is_created_where_the_company_is_known(
    planhat: Any, item: dict[str, Any], created: dict[str, str] | None
) -> None:
    answer = planhat.post("/analytics", {"action": "x", **item})
    made = planhat.world.created

    assert (answer.status_code, answer.json()["errors"]) == (200, [])
    assert planhat.world.count("activities") == len(made) == (created is not None)
    assert planhat.world.count("endusers") == 4 + len(made)
    assert planhat.world.count("failed") == 1 - len(made)
    if created:
        assert made[0].items() >= created.items()
        assert made[0]["companyId"] in {one["_id"] for one in planhat.world.objects("companies")}


@pytest.mark.parametrize(
    ("knob", "item", "created"),
    [
        ("never", {"externalId": "new", "companyExternalId": "acme"}, 0),
        ("always", {"externalId": "new"}, 1),
        ("always", {}, 0),
    ],
)
def test_creation_is_a_knob(planhat: Any, knob: str, item: dict[str, str], created: int) -> None:
    planhat.knobs.create_end_users = knob
    planhat.post("/analytics", item)

    assert len(planhat.world.created) == planhat.world.count("activities") == created


@pytest.mark.parametrize(("knob", "created"), [("existing", 0), ("create", 1)])
def test_an_end_user_of_another_company_is_a_knob(planhat: Any, knob: str, created: int) -> None:
    planhat.knobs.company_mismatch = knob
    planhat.post("/analytics", {"externalId": "u2", "companyExternalId": "beta"})

    assert len(planhat.world.created) == created
    assert planhat.world.count("activities") == 1


def test_what_is_dropped_is_not_kept_for_later(planhat: Any) -> None:
    item = {"externalId": "late", "action": "x"}
    planhat.post("/analytics/bulk", [item])
    planhat.world.add("endusers", {"externalId": "late", "companyId": "extid-acme"})

    assert planhat.world.count("activities") == 0
    planhat.post("/analytics/bulk", [item])
    assert planhat.world.count("activities") == 1


def test_nothing_is_deduplicated(planhat: Any) -> None:
    for _ in range(2):
        planhat.post("/analytics/bulk", [{"externalId": "u2", "action": "x", "date": DAY}] * 2)

    assert planhat.world.activity_sums() == {("u2", "x", DAY): 4}


@pytest.mark.parametrize(
    ("date", "expected"),
    [
        ("2026-03-10", DAY),
        ("2026-03-10T23:30:00", DAY),
        ("2026-03-11T00:30:00+01:00", DAY),
        (1_773_100_800_000, DAY),
        (None, "2026-03-11"),
    ],
)
def test_dates_are_days_of_utc(planhat: Any, date: Any, expected: str) -> None:
    planhat.post("/analytics", {"externalId": "u2", "action": "x", "date": date})

    assert list(planhat.world.activity_sums()) == [("u2", "x", expected)]


@pytest.mark.parametrize("date", ["yesterday", "", "2026-13-01", True, [1], -1, 10**18, 1.5])
@pytest.mark.parametrize(("knob", "stored"), [("drop", 0), ("now", 1)])
def test_a_bad_date_is_a_knob(planhat: Any, date: Any, knob: str, stored: int) -> None:
    planhat.knobs.bad_date = knob
    planhat.post("/analytics", {"externalId": "u2", "date": date})

    assert planhat.world.count("activities") == stored
    assert planhat.world.count("failed") == 1 - stored


@pytest.mark.parametrize(
    "bad",
    [
        7,
        "x",
        None,
        [],
        {},
        {"externalId": ["u2"]},
        {"externalId": 7, "email": {"a": 1}},
        {"externalId": "u2", "count": "3"},
        {"externalId": "u2", "weight": None},
        {"externalId": "u2", "action": ["x"]},
    ],
)
def test_bad_items_are_dropped_and_their_siblings_stored(planhat: Any, bad: Any) -> None:
    answer = planhat.post("/analytics/bulk", [bad, {"externalId": "u2"}])

    assert (answer.status_code, answer.json()["errors"]) == (200, [])
    assert (planhat.world.count("activities"), planhat.world.failed[0].item) == (1, bad)


@pytest.mark.parametrize(
    ("form", "text", "kind"),
    [
        ("json", '{"processed":2,"errors":[]}', "application/json"),
        ("text", "OK", "text/plain; charset=utf-8"),
        ("empty", "", None),
    ],
)
@pytest.mark.parametrize("path", ["/analytics", "/analytics/bulk"])
def test_the_form_of_the_answer_is_a_knob(
    planhat: Any, form: str, text: str, kind: str | None, path: str
) -> None:
    planhat.knobs.activity_answer = form
    planhat.knobs.wrong_form = "accept"
    answer = planhat.post(path, [{"externalId": "u2"}, {"externalId": "unknown"}])

    assert (answer.status_code, answer.text) == (200, text)
    assert answer.headers.get("Content-Type") == kind


def test_what_is_dropped_may_be_reported(planhat: Any) -> None:
    planhat.knobs.report_unmatched = True
    items = [{"externalId": "u2"}, {"externalId": "unknown"}]
    errors = planhat.post("/analytics/bulk", items).json()["errors"]

    assert [one["item"] for one in errors] == [items[1]]
    assert "no such end user" in errors[0]["error"]


@pytest.mark.parametrize(
    ("path", "body"), [("/analytics", [{"externalId": "u2"}]), ("/analytics/bulk", {"id": "u2"})]
)
@pytest.mark.parametrize(
    ("knob", "status", "stored"), [("refuse", 400, 0), ("sink", 200, 0), ("accept", 200, None)]
)
def test_an_array_on_the_single_path_and_an_object_on_bulk_is_a_knob(
    planhat: Any, path: str, body: Any, knob: str, status: int, stored: int | None
) -> None:
    planhat.knobs.wrong_form = knob
    answer = planhat.post(path, body)
    # an object is read by the single path's names
    expected = stored if stored is not None else int(path == "/analytics")

    assert (answer.status_code, planhat.world.count("activities")) == (status, expected)
