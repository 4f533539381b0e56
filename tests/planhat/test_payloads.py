"""What Planhat gets: both spellings, plain numbers, explicit dates, no nulls."""

from __future__ import annotations

import json
import typing as t

from target_planhat.planhat import posts
from target_planhat.value_parsing import iso

DATE = 1773187200000
ACTIVITY: dict[str, t.Any] = {
    "external_id": "v1",
    "email": None,
    "company_external_id": "acme",
    "action": "Clicked Export",
    "date": DATE,
    "count": 7.0,
    "weight": 1.0,
    "info": {"minutes": 3.0, "share": 0.5, "app": "1"},
}


def test_an_activity() -> None:
    assert posts.activity(**ACTIVITY) == {
        "externalId": "v1",
        "euExtId": "v1",
        "companyExternalId": "acme",
        "cId": "acme",
        "action": "Clicked Export",
        "date": "2026-03-11T00:00:00.000Z",
        "count": 7,
        "weight": 1,
        "info": {"minutes": 3, "share": 0.5, "app": "1"},
    }


def test_whole_numbers_are_written_without_a_fraction() -> None:
    body = posts.activity(**{**ACTIVITY, "weight": 0.5})

    assert '"count": 7,' in json.dumps(body)
    assert '"weight": 0.5' in json.dumps(body)
    assert '"minutes": 3,' in json.dumps(body)


def test_what_is_not_known_is_left_out() -> None:
    unmatched = {"external_id": None, "email": "a@b.c", "company_external_id": None, "info": {}}
    body = posts.activity(**{**ACTIVITY, **unmatched})

    assert body.keys() == {"email", "action", "date", "count", "weight"}
    assert "info" not in posts.activity(**{**ACTIVITY, "info": {"url": None}})


def test_a_weight_or_count_of_nothing_is_said() -> None:
    body = posts.activity(**{**ACTIVITY, "weight": 0.0, "count": 0})

    assert (body["weight"], body["count"]) == (0, 0)


def test_a_point_of_a_metric() -> None:
    body = posts.metric(
        dimension_id="active", value=12.0, external_id="acme", model="Company", date=DATE
    )

    assert json.dumps(body) == (
        '{"dimensionId": "active", "value": 12, "externalId": "acme", "model": "Company", '
        '"date": "2026-03-11T00:00:00.000Z"}'
    )


def test_dates_have_milliseconds_and_utc() -> None:
    assert iso(DATE + 1) == "2026-03-11T00:00:00.001Z"
