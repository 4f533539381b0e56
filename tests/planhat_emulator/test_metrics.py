"""Custom metrics: what is a point, what is an error, and how points are read back."""

from typing import Any

import pytest

POINT = {"dimensionId": "active", "value": 5, "externalId": "acme", "date": "2026-03-10"}
DAY = 20_522  # 2026-03-10, in days since 1970


def _put(planhat: Any, *items: Any) -> Any:
    answer = planhat.post("/dimensiondata", list(items))
    assert answer.status_code == 200
    return answer.json()


@pytest.mark.parametrize("body", [POINT, [POINT], [{**POINT, "model": "Company"}]])
def test_an_object_or_an_array_is_stored(planhat: Any, body: Any) -> None:
    answer = planhat.post("/dimensiondata", body)

    assert answer.json() == {"processed": 1, "errors": []}
    assert planhat.world.point_sums() == {("active", "Company", "acme", "2026-03-10"): 5}


def test_an_empty_array_is_answered_with_200(planhat: Any) -> None:
    assert _put(planhat) == {"processed": 0, "errors": []}


@pytest.mark.parametrize(
    ("model", "key"), [("EndUser", "u2"), ("Asset", "a1"), ("Project", "p1"), (None, "acme")]
)
def test_points_are_about_objects_of_four_models(planhat: Any, model: str, key: str) -> None:
    _put(planhat, {**POINT, "model": model, "externalId": key})

    assert [(one.model, one.of["externalId"]) for one in planhat.world.points()] == [
        (model or "Company", key)
    ]


@pytest.mark.parametrize(
    ("change", "error"),
    [
        ({"dimensionId": None}, "dimensionId must be specified"),
        ({"value": None}, "value must be specified"),
        ({"externalId": ""}, "externalId must be specified"),
        ({"externalId": 7}, "dimensionId and externalId must be strings"),
        ({"value": "5"}, "value must be a number"),
        ({"value": True}, "value must be a number"),
        ({"value": [1]}, "value must be a number"),
        ({"value": 10**400}, "value must be a number"),
        ({"model": ["Company"]}, "model must be one of Company, EndUser, Asset, Project"),
        ({"date": 10**18}, "date must be a valid date"),
        ({"model": "company"}, "model must be one of Company, EndUser, Asset, Project"),
        ({"model": "User"}, "model must be one of Company, EndUser, Asset, Project"),
        ({"date": "soon"}, "date must be a valid date"),
        ({"date": ""}, "date must be a valid date"),
        ({"externalId": "nope"}, "Company with this externalId not found"),
    ],
)
def test_a_bad_item_is_an_error_and_its_siblings_are_stored(
    planhat: Any, change: dict[str, Any], error: str
) -> None:
    bad = {**POINT, **change}
    answer = _put(planhat, bad, POINT)

    assert answer == {"processed": 2, "errors": [{"item": bad, "error": error}]}
    assert planhat.world.count("points") == 1
    assert [(one.kind, one.item, one.reason) for one in planhat.world.failed] == [
        ("metric", bad, error)
    ]


def test_a_missing_field_is_named_as_planhat_names_it(planhat: Any) -> None:
    item = {"value": 1, "externalId": "my_id", "model": "Company"}

    assert _put(planhat, item)["errors"] == [
        {"item": item, "error": "dimensionId must be specified"}
    ]


@pytest.mark.parametrize(
    ("knob", "setting", "change", "errors", "stored"),
    [
        ("unmatched_metrics", "silent", {"externalId": "nope"}, [], 0),
        ("unmatched_metrics", "silent", {"value": "x"}, ["value must be a number"], 0),
        ("metric_errors", "generic", {"value": "x"}, ["invalid item"], 0),
        ("numeric_strings", "accept", {"value": "5.5"}, [], 1),
        ("numeric_strings", "accept", {"value": "x"}, ["value must be a number"], 0),
        ("numeric_strings", "accept", {"value": "inf"}, ["value must be a number"], 0),
        ("model_case", "any", {"model": "COMPANY"}, [], 1),
        ("dimension_ids", "any", {"dimensionId": "Process Runs"}, [], 1),
        (
            "dimension_ids",
            "strict",
            {"dimensionId": "Process Runs"},
            ["dimensionId must have no spaces or special characters"],
            0,
        ),
        ("ambiguous", "drop", {"model": "EndUser", "externalId": "u1"}, None, 0),
        ("ambiguous", "last", {"model": "EndUser", "externalId": "u1"}, [], 1),
    ],
)
def test_knobs(
    planhat: Any,
    knob: str,
    setting: str,
    change: dict[str, Any],
    errors: list[str] | None,
    stored: int,
) -> None:
    setattr(planhat.knobs, knob, setting)
    answer = _put(planhat, {**POINT, **change})

    if errors is not None:
        assert [one["error"] for one in answer["errors"]] == errors
    assert planhat.world.count("points") == stored
    assert planhat.world.count("failed") == 1 - stored


@pytest.mark.parametrize(("knob", "expected"), [("total", 3), ("stored", 1)])
def test_what_processed_counts_is_a_knob(planhat: Any, knob: str, expected: int) -> None:
    planhat.knobs.processed = knob

    assert _put(planhat, POINT, {}, {**POINT, "externalId": "nope"})["processed"] == expected


def test_values_of_a_day_stand_side_by_side(planhat: Any) -> None:
    for value, hour in ((5, "00"), (4.5, "10"), (-1, "23")):
        _put(planhat, {**POINT, "value": value, "date": f"2026-03-10T{hour}:00:00Z"})
    key = ("active", "Company", "acme", "2026-03-10")

    assert (planhat.world.point_sums()[key], planhat.world.point_lasts()[key]) == (8.5, -1)


def test_without_a_date_a_point_is_of_today(planhat: Any) -> None:
    _put(planhat, {**POINT, "date": None})

    assert [one.day for one in planhat.world.points()] == [DAY + 1]


def _read(planhat: Any, **query: Any) -> list[tuple[str, float]]:
    return [(one["time"], one["value"]) for one in planhat.get("/dimensiondata", **query)]


def test_points_are_read_back_by_company_dimension_and_day(planhat: Any) -> None:
    (acme, beta) = planhat.world.objects("companies")
    days = ["2026-03-08", "2026-03-09", "2026-03-10"]
    _put(planhat, *({**POINT, "date": day, "value": n} for n, day in enumerate(days)))
    _put(planhat, {**POINT, "dimensionId": "other", "value": 9})
    _put(planhat, {**POINT, "externalId": "beta", "value": 8})
    times = [f"{day}T00:00:00.000Z" for day in days]

    assert _read(planhat, cId=acme["_id"], dimid="active", **{"from": DAY - 1, "to": DAY}) == [
        (times[1], 1),
        (times[2], 2),
    ]
    assert _read(planhat, cId=beta["_id"]) == [(times[2], 8)]
    assert _read(planhat, dimid="other") == [(times[2], 9)]
    assert _read(planhat, dimid="active", limit=2, offset=1)[0] == (times[1], 1)
    assert len(_read(planhat)) == 5


def test_a_point_read_back_has_planhats_shape(planhat: Any) -> None:
    company = planhat.world.objects("companies")[0]
    _put(planhat, POINT)
    (point,) = planhat.get("/dimensiondata")

    assert int(point.pop("_id")[:8], 16) == DAY * 86_400
    assert point == {
        "dimensionId": "active",
        "time": "2026-03-10T00:00:00.000Z",
        "value": 5,
        "model": "Company",
        "parentId": company["_id"],
        "companyId": company["_id"],
        "companyName": "Acme",
    }


@pytest.mark.parametrize(("knob", "values"), [("all", [5, 6]), ("company", [5])])
def test_whose_points_a_company_has_is_a_knob(planhat: Any, knob: str, values: list[int]) -> None:
    planhat.knobs.read_back = knob
    _put(planhat, POINT, {**POINT, "model": "Asset", "externalId": "a1", "value": 6})
    company = planhat.world.objects("companies")[0]

    assert [value for _, value in _read(planhat, cId=company["_id"])] == values


def test_a_range_may_be_asked_for(planhat: Any) -> None:
    planhat.knobs.read_back_needs_range = True

    assert planhat.call("GET", "/dimensiondata?from=1").status_code == 400
    assert _read(planhat, **{"from": 1, "to": 2}) == []


@pytest.mark.parametrize(("token", "status"), [(None, 401), ("bad", 401), ("good", 200)])
def test_metrics_may_need_the_api_token(planhat: Any, token: str | None, status: int) -> None:
    planhat.knobs.metrics_need_token = True
    value = planhat.emulator.api_token if token == "good" else token
    headers = {"Authorization": f"Bearer {value}"} if value else {}

    assert planhat.post("/dimensiondata", [POINT], headers=headers).status_code == status
    assert planhat.world.count("points") == (status == 200)
