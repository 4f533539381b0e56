"""Who may call, which host has which path, bodies that are refused."""

import base64
from typing import Any

import pytest
import requests

MB = 1024 * 1024


def _basic(text: str) -> str:
    return "Basic " + base64.b64encode(text.encode()).decode()


@pytest.mark.parametrize(
    ("form", "status"),
    [
        ("Bearer {}", 200),
        ("bearer {}", 200),
        ("basic {}:", 200),
        ("basic {}:secret", 401),
        ("basic {}", 401),
        ("Basic !!!", 401),
        ("Bearer {}x", 401),
        ("{}", 401),
        ("Token {}", 401),
        ("", 401),
    ],
)
def test_the_token_is_bearer_or_basic(planhat: Any, form: str, status: int) -> None:
    value = form.format(planhat.emulator.api_token)
    if form.startswith("basic"):
        value = _basic(value.removeprefix("basic "))
    answer = planhat.call("GET", "/users?limit=1", headers={"Authorization": value})

    assert answer.status_code == status


def test_a_token_may_lose_its_validity(planhat: Any) -> None:
    planhat.emulator.tokens[planhat.emulator.api_token].valid = False

    assert planhat.call("GET", "/users").status_code == 401


def test_a_token_may_lack_the_permission_for_a_model(planhat: Any) -> None:
    planhat.emulator.tokens[planhat.emulator.api_token].denied = {"endusers"}
    bulk = planhat.call("PUT", "/endusers", [{"externalId": "x"}])

    assert planhat.call("GET", "/companies").status_code == 200
    assert planhat.call("GET", "/endusers").status_code == 403
    assert (bulk.status_code, len(bulk.json()["permissionErrors"])) == (403, 1)
    assert planhat.world.count("endusers") == 4


@pytest.mark.parametrize(
    ("host", "verb", "path"),
    [
        ("url", "GET", "/nothing"),
        ("url", "GET", "/activities"),
        ("url", "GET", "/companies/lean/x"),
        ("url", "DELETE", "/companies"),
        ("url", "POST", "/companies/extid-acme"),
        ("url", "POST", "/leancompanies"),
        ("url", "POST", "/dimensiondata/{tenant}"),
        ("url", "POST", "/analytics/bulk/{tenant}"),
        ("analytics_url", "GET", "/companies"),
        ("analytics_url", "GET", "/dimensiondata/{tenant}"),
        ("analytics_url", "POST", "/{tenant}/dimensiondata"),
        ("analytics_url", "POST", "/dimensiondata/"),
    ],
)
def test_unknown_paths_and_verbs_are_404(planhat: Any, host: str, verb: str, path: str) -> None:
    url = getattr(planhat.emulator, host) + path.format(tenant=planhat.emulator.tenant_token)
    headers = {"Authorization": f"Bearer {planhat.emulator.api_token}"}
    answer = planhat.session.request(verb, url, headers=headers, json=[], timeout=10)

    assert answer.status_code == 404


def test_analytics_needs_the_tenant_token_only(planhat: Any) -> None:
    assert planhat.post("/dimensiondata", []).status_code == 200
    assert planhat.emulator.calls.log[-1].authorization == ""


@pytest.mark.parametrize("path", ["/analytics/bulk", "/dimensiondata", "/analytics"])
@pytest.mark.parametrize(("knob", "status"), [(404, 404), (401, 401), ("sink", 200)])
def test_an_unknown_tenant_is_a_knob(planhat: Any, path: str, knob: Any, status: int) -> None:
    planhat.knobs.unknown_tenant = knob
    item = {"externalId": "u2", "dimensionId": "x", "value": 1}
    answer = planhat.post(path, item if path == "/analytics" else [item], tenant="unknown")

    assert answer.status_code == status
    assert planhat.world.count("activities") + planhat.world.count("points") == 0


@pytest.mark.parametrize("body", [b"{", b"", b"[1,]", b"7", b'"x"', b'[{"value": NaN}]', b"\xff"])
@pytest.mark.parametrize(("knob", "status"), [(400, 400), ("sink", 200)])
def test_what_is_no_json_is_a_knob(planhat: Any, body: bytes, knob: Any, status: int) -> None:
    planhat.knobs.malformed = knob
    headers = {"Content-Type": "application/json"}
    url = f"{planhat.emulator.analytics_url}/dimensiondata/{planhat.emulator.tenant_token}"
    answer = requests.post(url, data=body, headers=headers, timeout=10)

    assert (answer.status_code, planhat.world.count("failed")) == (status, 0)


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Content-Type": "application/json; charset=utf-8"}, 200),
        ({"Content-Type": "text/plain"}, 400),
        ({"Content-Type": "application/json", "Content-Encoding": "gzip"}, 415),
    ],
)
def test_a_body_must_be_plain_and_said_to_be_json(
    planhat: Any, headers: dict[str, str], status: int
) -> None:
    url = f"{planhat.emulator.analytics_url}/dimensiondata/{planhat.emulator.tenant_token}"

    assert requests.post(url, data=b"[]", headers=headers, timeout=10).status_code == status


@pytest.mark.parametrize(("knob", "status"), [(413, 413), (400, 400), ("sink", 200)])
def test_more_than_32_mb_is_a_knob(planhat: Any, knob: Any, status: int) -> None:
    planhat.knobs.too_large = knob
    body = [{"externalId": "u2", "info": {"text": "x" * (32 * MB)}}]

    assert planhat.post("/analytics/bulk", body).status_code == status
    assert planhat.world.count("activities") == 0


def test_32_mb_are_accepted(planhat: Any) -> None:
    planhat.knobs.max_body = 60
    items = [{"externalId": "u2", "info": {"text": "x" * 16}}]

    assert planhat.post("/analytics/bulk", items).status_code == 200
    assert planhat.post("/analytics/bulk", items * 2).status_code == 413


@pytest.mark.parametrize(
    ("form", "text", "kind"),
    [
        ("json", '{"message":"Unauthorized"}', "application/json"),
        ("text", "Unauthorized", "text/plain; charset=utf-8"),
        ("html", "<html><body>Unauthorized</body></html>", "text/html; charset=utf-8"),
    ],
)
def test_the_form_of_errors_is_a_knob(planhat: Any, form: str, text: str, kind: str) -> None:
    planhat.knobs.error_bodies = form
    answer = planhat.call("GET", "/users", headers={})

    assert (answer.text, answer.headers["Content-Type"]) == (text, kind)
