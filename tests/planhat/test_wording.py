"""Planhat's words fit on a line and tell nobody's id, address or token."""

from __future__ import annotations

import pytest
from target_planhat.wording import identities, said


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (None, ""),
        (b"", ""),
        (b"Not found", "Not found"),
        (b'{"message": "Not found"}', "Not found"),
        (b'{"error": "Not\\n found"}', "Not found"),
        (b'{"error": {"code": 7}}', '{"code":7}'),
        (b'{"statusCode": 404}', '{"statusCode":404}'),
        (b"<html><body>\n<h1>Bad\tgateway</h1></body></html>", "Bad gateway"),
        (b"\xff\xfe", "\ufffd\ufffd"),
        (b"x" * 5000, "x" * 300),
        (b"no ann@acme.example here", "no … here"),
        (b"no a1 here, but a12", "no … here, but a12"),
        (b'no "a1"', 'no "…"'),
        (b"no b 2 here", "no … here"),
        (b"no b  2 here", "no … here"),
        (b'{"item": {"id": "\\u00e4\\"c"}}', '{"item":{"id":"…"}}'),
    ],
)
def test_an_answer_is_told_on_one_line(body: bytes | None, expected: str) -> None:
    assert said(body, ["a1", "b 2", 'ä"c', ""]) == expected


def test_identities_are_whatever_says_who_an_item_is_about() -> None:
    items = [
        {"externalId": "v", "companyId": "extid-acme", "action": "Used", "count": 1, "email": None},
        {"dimensionId": "d", "cId": "beta"},
        "no item",
    ]

    assert identities(items) == {"v", "extid-acme", "acme", "beta"}
