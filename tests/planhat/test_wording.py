"""Planhat's words fit on a line and tell nobody's id, address or token."""

from __future__ import annotations

import html
import json
import re
import typing as t
from urllib.parse import quote

import pytest
from target_planhat.redaction import error_message, identities

if t.TYPE_CHECKING:
    from collections.abc import Callable


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
    assert error_message(body, ["a1", "b 2", 'ä"c', ""]) == expected


TOKEN = 'eyJ.a/b+c="d\\e%2f'


@pytest.mark.parametrize(
    "escape",
    [
        str,
        str.upper,
        json.dumps,
        lambda text: json.dumps(json.dumps(text)),
        lambda text: json.dumps(text).replace("/", "\\/"),
        lambda text: quote(text, safe=""),
        html.escape,
        lambda text: re.sub("(....)", r"\\u\1", text.encode("utf-16-be").hex()),
    ],
)
def test_a_token_that_a_gateway_echoes_is_masked(escape: Callable[[str], str]) -> None:
    body = json.dumps({"headers": {"authorization": f"Bearer {escape(TOKEN)}"}, "status": 403})
    shown = error_message(body.encode(), [TOKEN])
    assert shown.replace('"', "") == "{headers:{authorization:Bearer …},status:403}"


def test_identities_are_whatever_says_who_an_item_is_about() -> None:
    items = [
        {"externalId": "v", "companyId": "extid-acme", "action": "Used", "count": 1, "email": None},
        {"dimensionId": "d", "cId": "beta"},
        "no item",
    ]

    assert identities(items) == {"v", "extid-acme", "acme", "beta"}
