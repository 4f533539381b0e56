"""What a server says is quoted without the key, and without ids and other values of the request."""

from __future__ import annotations

import html
import json
import logging
import re
import typing as t
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tap_pendo import redaction
from tap_pendo.api.queries import literal

if t.TYPE_CHECKING:
    from collections.abc import Callable

    from tests.conftest import TapRunner

ODD_KEY = 'Secret+/k%2"\\&y-of-{0}.us'
NAME = "X-Pendo-Integration-Key"
ESCAPES: list[Callable[[str], str]] = [
    str,
    str.upper,
    json.dumps,
    lambda text: json.dumps(json.dumps(text)),
    lambda text: quote(text, safe=""),
    lambda text: quote(text, safe="").lower(),
    quote_plus,
    html.escape,
    lambda text: json.dumps(text).replace("/", "\\/"),
    lambda text: re.sub("(....)", r"\\u\1", text.encode("utf-16-be").hex()),
]
escapes = pytest.mark.parametrize("escape", ESCAPES)


def pipeline(*steps: t.Any) -> list[t.Any]:
    source = {"featureEvents": {"appId": 'expandAppIds("*")', "blacklist": "apply"}}
    return [{"source": source}, *steps]


def body(*steps: t.Any) -> dict[str, t.Any]:
    return {"request": {"name": "all", "pipeline": pipeline(*steps)}}


@escapes
def test_a_key_with_odd_characters_is_masked_in_every_spelling(
    escape: Callable[[str], str],
) -> None:
    shown = redaction.said(f"bad header {NAME}: {escape(ODD_KEY)}; host", [ODD_KEY], [])
    assert shown.replace('"', "") == f"bad header {NAME}: …; host"


def test_the_key_is_in_no_message_of_a_run(
    tap: TapRunner, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    headers = {NAME.lower(): [escape(tap.pendo.key) for escape in ESCAPES]}
    text = json.dumps({"error": "blocked", "headers": headers})
    fault = {"kind": "status", "status": 400, "times": None, "text": text}
    tap.pendo.faults.add({**fault, "path": "/api/v1/feature"}, {**fault, "source": "pageEvents"})
    tap.run(select=("features", "page_events"))
    assert tap.exit_code == 1
    assert caplog.text.count("blocked") >= 2
    assert tap.pendo.key.lower() not in redaction.said(caplog.text, [], []).lower()


STEPS = [
    {"filter": 'visitorId == "mia@acme.example"'},
    {"filter": "visitorId == `mia@acme.example`"},
    {"filter": "contains(['mia@acme.example', \"x\"], visitorId)"},
    {"filter": 'visitorId == "mia@acme.example'},
    {"eval": {"who": 'if(visitorId == "mia@acme.example", 1, 0)'}},
    {"select": {"who": '"mia@acme.example"'}},
    {"set": {"who": "mia@acme.example"}},
    {"set": {"who": {"of": ["mia@acme.example"]}}},
    {"switch": {"who": {"visitorId": [{"value": "a", "==": "mia@acme.example"}]}}},
    {"segment": {"id": "mia@acme.example"}},
    {"segment": {"source": {"visitors": None}, "filter": 'visitorId == "mia@acme.example"'}},
    {"group": {"group": ["appId"], "fields": {"n": {"countIf": '"mia@acme.example" == a'}}}},
    {"fork": [[{"filter": 'visitorId == "mia@acme.example"'}], [{"cat": None}]]},
    {"spawn": [pipeline({"set": {"who": "mia@acme.example"}}), pipeline()]},
    {"merge": {"fields": ["a"], "pipeline": [{"source": {"guides": {"id": "mia@acme.example"}}}]}},
    {"merge": {"fields": ["a"], "pipeline": [{"cat": None}, {"set": {"a": "mia@acme.example"}}]}},
    {"nobodyKnowsThis": {"x": "mia@acme.example"}},
]  # fmt: skip


def test_values_of_own_pipelines_are_masked_in_what_pendo_says(
    tap: TapRunner, caplog: pytest.LogCaptureFixture
) -> None:
    text = 'bad pipeline: cannot parse "mia@acme.example" or MIA@acme.example of visitorId'
    own = [
        {"name": f"own_{at}", "pipeline": pipeline(step), "primary_keys": ["visitorId"]}
        for at, step in enumerate(STEPS)
    ]
    names = tuple(each["name"] for each in own)
    fault = {"kind": "status", "status": 400, "times": None, "text": text}
    tap.pendo.faults.add({**fault, "source": "featureEvents"})
    tap.run(select=names, aggregations=own)
    for name in names:
        said = "/api/v1/aggregation: 400 bad pipeline: cannot parse"
        assert f'{name} failed: {said} "…" or … of visitorId' in caplog.text
    assert "mia@acme" not in caplog.text.lower()


def test_values_of_sources_are_masked() -> None:
    steps = [
        {"source": {"guideEvents": {"guideId": "g-1", "guideStepId": ["s-1", "s-2"]}}},
        {"source": {"const": [{"who": "mia"}]}},
    ]
    for step in steps:
        found = redaction.values_in({"request": {"pipeline": [step]}})
        assert redaction.said("no g-1 s-1 s-2 mia here", [], found).count("…") in {1, 3}


def test_names_of_fields_and_operators_stay_readable() -> None:
    request = body({"filter": 'visitorId == "mia"'}, {"sort": ["-visitorId"]})
    text = "bad pipeline: bad filter at visitorId of featureEvents: unknown step type 'sorted'"
    assert redaction.said(text, [], redaction.values_in(request)) == text


def test_a_short_value_does_not_tear_words() -> None:
    found = redaction.values_in(body({"set": {"kind": "a"}}))
    assert redaction.said("a bad pipeline at 'a'", [], found) == "… bad pipeline at '…'"


@pytest.mark.parametrize("found", [None, {}, {"request": 1}, {"request": {"pipeline": "x"}}])
def test_a_request_without_steps_has_no_values(found: t.Any) -> None:
    assert not [*redaction.values_in(found)]


def test_a_page_is_shown_without_its_tags() -> None:
    page = "<!DOCTYPE html>\n<html><head><title>403 Forbidden</title></head></html>"
    assert redaction.said(page, [], []) == "403 Forbidden"


odd_texts = st.text("ab \"\\'`%+&<;/\n\u2028é🦊u00", min_size=1, max_size=12)


@given(odd_texts, st.sampled_from([str, *ESCAPES[2:]]))
def test_ids_with_quotes_and_backslashes_are_masked_raw_and_escaped(
    key: str, escape: Callable[[str], str]
) -> None:
    for written in (key, literal(key), json.dumps(literal(key))):
        shown = redaction.said(f"unexpected {escape(written)} at 1", [], [key])
        left = shown.removeprefix("unexpected").removesuffix("at 1")
        assert not set(left) - set("… +\"'")
