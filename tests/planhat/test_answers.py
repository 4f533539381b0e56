"""Which items an answer means, where Planhat echoes them in other shapes or not at all."""

from __future__ import annotations

import json
import typing as t

import pytest
from target_planhat.planhat.posts import METRIC_KEYS, of_post, of_upsert

Item = dict[str, t.Any]


def point(number: int, **other: t.Any) -> Item:
    date = f"2026-03-0{number}T00:00:00.000Z"
    return {
        "dimensionId": "d",
        "externalId": "acme",
        "model": "Company",
        "date": date,
        "value": number,
        **other,
    }


def fates(items: list[Item], errors: t.Any) -> str:
    body = json.dumps({"processed": len(items), "errors": errors}).encode()
    return "".join(one.fate[0] for one in of_post(items, body, METRIC_KEYS))


ONE, TWO, THREE = point(1), point(2), point(3)
SWAPPED = dict(reversed(TWO.items()))
TEXT = "not valid"


@pytest.mark.parametrize(
    ("errors", "expected"),
    [
        ([], "aaa"),
        (None, "aaa"),
        ([{"item": TWO, "error": TEXT}], "ara"),
        ([{"item": SWAPPED, "error": TEXT}], "ara"),
        ([{"item": TWO, "message": TEXT}], "ara"),
        ([{"item": TWO}], "ara"),
        ([{"item": {**TWO, "value": 2.0}, "error": TEXT}], "ara"),
        ([{"item": {**TWO, "weight": 1, "_id": "x"}, "error": TEXT}], "ara"),
        ([{"item": {**TWO, "date": None}, "error": TEXT}], "ddd"),
        ([{"item": {**TWO, "date": None}, "error": TEXT}, {"item": ONE, "error": TEXT}], "rdd"),
        ([{"item": None, "error": TEXT}], "ddd"),
        ([{"error": TEXT}], "ddd"),
        ([TEXT], "ddd"),
        ([TEXT, {"item": THREE, "error": TEXT}], "ddr"),
        (TEXT, "ddd"),
        ({"item": TWO, "error": TEXT}, "ara"),
        ([None], "ddd"),
        ([7], "ddd"),
        ([[]], "ddd"),
        ([{"item": one, "error": TEXT} for one in (ONE, TWO, THREE)], "rrr"),
    ],
)
def test_errors_are_given_to_the_items_that_they_mean_or_leave_doubt(
    errors: t.Any, expected: str
) -> None:
    assert fates([ONE, TWO, THREE], errors) == expected


@pytest.mark.parametrize(
    ("items", "errors", "expected"),
    [
        # equal items: which of them failed makes no difference
        ([ONE, ONE, TWO], [{"item": ONE}], "raa"),
        ([ONE, ONE, TWO], [{"item": ONE}, {"item": ONE}], "rra"),
        # items with the same keys, and an echo that equals none of them
        ([ONE, point(1, value=9), TWO], [{"item": {**ONE, "value": 5}}], "ddd"),
        ([ONE, point(1, value=9), TWO], [{"item": {**ONE, "value": 5}}] * 2, "rra"),
        ([ONE, point(1, value=9), TWO], [{"item": point(1, value=9)}], "ara"),
        # two errors of one item
        ([ONE, TWO], [{"item": ONE}, {"item": ONE}], "ra"),
    ],
)
def test_items_that_are_alike_are_told_apart_or_left_in_doubt(
    items: list[Item], errors: t.Any, expected: str
) -> None:
    assert fates(items, errors) == expected


@pytest.mark.parametrize("body", [None, b"", b"OK", b"<html>", b"[]", b'{"processed": 0}', b"\xff"])
def test_an_answer_without_errors_accepts_all(body: bytes | None) -> None:
    assert {one.fate for one in of_post([ONE, TWO], body, METRIC_KEYS)} == {"accepted"}


def test_each_of_many_errors_is_given_to_its_item() -> None:
    items = [point(1, externalId=f"e{n}") for n in range(10_000)]
    errors = [
        {"item": {**one, "extra": 1}, "error": f"{TEXT} {one['externalId']}"} for one in items
    ]

    assert fates(items, errors) == "r" * 10_000


# Upserts

ANN = {"externalId": "ann", "email": "ann@acme.example", "companyId": "extid-acme"}
BOB = {"externalId": "bob", "email": "bob@acme.example", "companyId": "extid-acme"}
BOB_TOO = {**BOB, "email": "bob@beta.example", "companyId": "extid-beta"}


@pytest.mark.parametrize(
    ("items", "answer", "expected"),
    [
        ([ANN, BOB], {"created": 2}, "aa"),
        ([ANN, BOB], {"created": 1, "nonupdates": 1}, "aa"),
        ([ANN, BOB], {"created": 1}, "rr"),
        ([ANN, BOB], {"created": 1, "insertsKeys": [{"_id": "1", "externalId": "ann"}]}, "ar"),
        ([ANN, BOB], {"updated": 1, "updatesKeys": [{"_id": "1", "email": BOB["email"]}]}, "ra"),
        ([ANN, BOB], {"nonupdates": 1, "createdErrors": [{"externalId": "bob"}]}, "ar"),
        (
            [ANN, BOB],
            {"nonupdates": 1, "updatedErrors": [{"keys": [{"email": ANN["email"]}]}]},
            "ra",
        ),
        ([ANN, BOB], {"nonupdates": 1, "createdErrors": ["externalId duplicated"]}, "rr"),
        ([ANN, BOB], {"nonupdates": 1, "createdErrors": ["bob duplicated"]}, "ar"),
        ([ANN, BOB], {"nonupdates": 1, "createdErrors": [{"code": 11000}]}, "rr"),
        ([ANN, BOB], {"nonupdates": 1, "createdErrors": "bob: no"}, "ar"),
        ([BOB, BOB_TOO], {"created": 1, "createdErrors": [{"item": BOB_TOO}]}, "ar"),
        ([BOB, BOB_TOO], {"created": 1, "createdErrors": [{"externalId": "bob"}]}, "rr"),
    ],
)
def test_only_who_is_confirmed_is_accepted(items: list[Item], answer: Item, expected: str) -> None:
    found = of_upsert(items, json.dumps(answer).encode())

    assert found is not None
    assert "".join(one.fate[0] for one in found) == expected


@pytest.mark.parametrize("body", [None, b"", b"OK", b"[]", b'{"message": "no"}'])
def test_another_body_is_no_answer_to_an_upsert(body: bytes | None) -> None:
    assert of_upsert([ANN], body) is None
