"""Ordered faults, the limits of calls, and the log of requests."""

import threading
from email.utils import parsedate_to_datetime
from typing import Any

import pytest
import requests

ITEMS = [{"externalId": "u2", "action": "x"}]


def _post(planhat: Any, **options: Any) -> requests.Response:
    answer: requests.Response = planhat.post("/analytics/bulk", ITEMS, **options)
    return answer


@pytest.mark.parametrize(
    ("fault", "status", "text", "kind"),
    [
        ({}, 500, "", "text/plain; charset=utf-8"),
        ({"text": "oops"}, 500, "oops", "text/plain; charset=utf-8"),
        (
            {"text": "oops", "form": "html"},
            500,
            "<html><body>oops</body></html>",
            "text/html; charset=utf-8",
        ),
        (
            {"status": 400, "text": "no", "form": "json"},
            400,
            '{"message":"no"}',
            "application/json",
        ),
        ({"status": 413}, 413, "", None),
        ({"status": 429, "text": "Too many requests"}, 429, "Too many requests", None),
        ({"status": 502}, 502, "", None),
        ({"status": 503}, 503, "", None),
        ({"status": 504}, 504, "", None),
    ],
)
@pytest.mark.parametrize("commit", [False, True])
def test_a_status_comes_as_often_as_ordered_before_or_after_the_effect(
    planhat: Any, fault: dict[str, Any], status: int, text: str, kind: str | None, commit: bool
) -> None:
    planhat.emulator.faults.add({"kind": "status", "times": 2, "commit": commit, **fault})
    answers = [_post(planhat) for _ in range(3)]

    assert [answer.status_code for answer in answers] == [status, status, 200]
    assert answers[0].text == text
    assert kind in (None, answers[0].headers["Content-Type"])
    assert "Retry-After" not in answers[0].headers
    assert planhat.world.count("activities") == (3 if commit else 1)


@pytest.mark.parametrize(
    ("spelling", "old", "new"),
    [("old", True, False), ("new", False, True), ("both", True, True), (None, False, False)],
)
def test_a_429_has_the_headers_that_are_ordered(
    planhat: Any, spelling: str | None, old: bool, new: bool
) -> None:
    fault = {"kind": "status", "status": 429, "headers": spelling, "retry_after": 7}
    planhat.emulator.faults.add(fault)
    headers = _post(planhat).headers

    assert headers["Retry-After"] == "7"
    assert (headers.get("X-Rate-Limit-Remaining") == "0") is old
    assert (headers.get("x-ratelimit-reset") == "7") is new


@pytest.mark.parametrize(("commit", "stored"), [(False, 0), (True, 1)])
@pytest.mark.parametrize("path", ["/analytics/bulk", "/endusers"])
def test_a_reset_comes_before_or_after_the_effect(
    planhat: Any, commit: bool, stored: int, path: str
) -> None:
    planhat.emulator.faults.add({"kind": "reset", "commit": commit, "path": path})

    with pytest.raises(requests.exceptions.ConnectionError) as broken:
        if path == "/endusers":
            planhat.call("PUT", path, [{"email": "n@acme.io"}])
        else:
            _post(planhat)
    assert not isinstance(broken.value, requests.exceptions.Timeout)
    assert planhat.world.count("activities") + planhat.world.count("endusers") - 4 == stored
    assert _post(planhat).status_code == 200


@pytest.mark.parametrize(("commit", "stored"), [(False, 0), (True, 1)])
def test_a_time_out_comes_before_or_after_the_effect(
    planhat: Any, commit: bool, stored: int
) -> None:
    planhat.emulator.faults.add({"kind": "time_out", "commit": commit, "seconds": 30})
    url = f"{planhat.emulator.analytics_url}/analytics/bulk/{planhat.emulator.tenant_token}"

    with pytest.raises(requests.exceptions.ReadTimeout):
        requests.post(url, json=ITEMS, timeout=0.3)
    assert planhat.world.count("activities") == stored
    assert planhat.emulator.calls.log[0].status == 0


def test_a_time_out_ends(planhat: Any) -> None:
    planhat.emulator.faults.add({"kind": "time_out", "seconds": 0.01})

    with pytest.raises(requests.exceptions.ConnectionError):
        _post(planhat)


@pytest.mark.parametrize(("text", "expected"), [("", '{"processed":1,'), ("<html>", "<html>")])
def test_a_malformed_answer_comes_after_the_effect(planhat: Any, text: str, expected: str) -> None:
    planhat.emulator.faults.add({"kind": "malformed", "text": text})
    answer = _post(planhat)

    assert (answer.status_code, planhat.world.count("activities")) == (200, 1)
    assert answer.text.startswith(expected[:13])
    with pytest.raises(requests.exceptions.JSONDecodeError):
        answer.json()


def test_a_delay_comes_before_the_effect(planhat: Any) -> None:
    planhat.emulator.faults.add({"kind": "delay", "seconds": 5})
    url = f"{planhat.emulator.analytics_url}/analytics/bulk/{planhat.emulator.tenant_token}"

    with pytest.raises(requests.exceptions.ReadTimeout):
        requests.post(url, json=ITEMS, timeout=0.3)
    assert planhat.world.count("activities") == 0


@pytest.mark.parametrize("path", ["/analytics/bulk", "/dimensiondata"])
def test_items_at_chosen_indices_are_errors(planhat: Any, path: str) -> None:
    planhat.emulator.faults.add({"kind": "partial", "indices": [1, 3], "text": "no"})
    items = [
        {"externalId": "acme", "email": "u2@acme.io", "dimensionId": f"d{n}", "value": n}
        for n in range(4)
    ]
    answer = planhat.post(path, items)

    assert answer.json()["errors"] == [{"item": items[n], "error": "no"} for n in (1, 3)]
    assert planhat.world.count("activities") + planhat.world.count("points") == 2
    assert [one.reason for one in planhat.world.failed] == ["no", "no"]


def test_upserts_may_fail_at_chosen_indices(planhat: Any) -> None:
    planhat.emulator.faults.add({"kind": "partial", "indices": [0, 1], "text": "no"})
    items = [{"externalId": key, "name": "X"} for key in ("new", "acme", "beta")]
    answer = planhat.call("PUT", "/companies", items)
    body = answer.json()

    assert answer.status_code == 206
    assert body["createdErrors"] == [{"item": items[0], "message": "no"}]
    assert body["updatedErrors"] == [{"item": items[1], "message": "no"}]
    assert (body["updated"], planhat.world.count("companies")) == (1, 2)


@pytest.mark.parametrize("status", [200, 400])
def test_items_that_hold_a_text_fail_alone(planhat: Any, status: Any) -> None:
    planhat.emulator.knobs.failed_items = status
    planhat.emulator.faults.add({"kind": "partial", "holding": '"bad"', "text": "no"})
    sent = [{"externalId": "u2", "action": action} for action in ("x", "bad", "y")]
    answer = planhat.post("/analytics/bulk", sent)

    assert answer.status_code == status
    assert answer.json() == {"processed": 3, "errors": [{"item": sent[1], "error": "no"}]}
    assert [one.action for one in planhat.world.activities()] == ["x", "y"]


def test_an_item_that_holds_a_text_fails_with_all_that_is_sent_with_it(planhat: Any) -> None:
    fault = {"kind": "status", "status": 400, "holding": '"bad"', "times": None}
    planhat.emulator.faults.add(fault)
    sent = [{"externalId": "u2", "action": action} for action in ("x", "bad", "y")]

    assert planhat.post("/analytics/bulk", sent).status_code == 400
    assert planhat.post("/analytics/bulk", [sent[0], sent[2]]).status_code == 200
    assert [one.action for one in planhat.world.activities()] == ["x", "y"]


def test_faults_are_chosen_by_path_and_verb_and_may_wait(planhat: Any) -> None:
    planhat.emulator.faults.add(
        {"kind": "status", "path": "/companies/{id}"},
        {"kind": "status", "path": "/endusers*", "verb": "PUT", "status": 503, "times": None},
        {"kind": "status", "path": "/users", "after": 1},
    )

    def status(verb: str, path: str) -> int:
        code: int = planhat.call(verb, path, {}).status_code
        return code

    assert status("GET", "/companies") == 200
    assert [status("GET", "/companies/extid-acme") for _ in range(2)] == [500, 200]
    assert status("GET", "/endusers/extid-u2") == 200
    assert [status("PUT", path) for path in ("/endusers", "/endusers/extid-u2")] == [503, 503]
    assert [status("GET", "/users") for _ in range(3)] == [200, 500, 200]


def test_faults_of_several_stages_befall_one_call(planhat: Any) -> None:
    planhat.emulator.faults.add(
        {"kind": "partial"}, {"kind": "status", "commit": True}, {"kind": "delay"}
    )

    assert _post(planhat).status_code == 500
    assert (planhat.world.count("activities"), planhat.world.count("failed")) == (0, 1)


@pytest.mark.parametrize("fault", [{}, {"kind": "nope"}, {"kind": "reset", "nope": 1}])
def test_bad_faults_are_refused(planhat: Any, fault: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"kind|nope"):
        planhat.emulator.faults.add(fault)


# Limits


def test_the_quota_is_200_calls_a_minute_of_rest(planhat: Any) -> None:
    planhat.knobs.hard_limit = None
    answers = [planhat.call("GET", "/users") for _ in range(201)]
    over = answers[-1]

    assert [one.status_code for one in answers] == [200] * 200 + [429]
    assert over.json() == {"message": "Too many requests"}
    assert over.headers["X-Rate-Limit-Limit"] == over.headers["x-ratelimit-limit"] == "200"
    assert over.headers["X-Rate-Limit-Remaining"] == over.headers["x-ratelimit-remaining"] == "0"
    assert answers[0].headers["x-ratelimit-remaining"] == "199"
    assert over.headers["x-ratelimit-reset"] == "60"
    assert "Retry-After" not in over.headers
    assert _post(planhat).status_code == 200
    planhat.emulator.clock.advance(60)
    assert planhat.call("GET", "/users").status_code == 200


def test_the_hard_limit_is_of_one_second(planhat: Any) -> None:
    planhat.knobs.hard_limit, planhat.knobs.rate_limit = 3, None
    codes = [planhat.call("GET", "/users").status_code for _ in range(4)]
    planhat.emulator.clock.advance(1)

    assert codes == [200, 200, 200, 429]
    assert planhat.call("GET", "/users").status_code == 200


@pytest.mark.parametrize(("knob", "old", "new"), [("old", 1, 0), ("new", 0, 1), ("none", 0, 0)])
def test_the_spelling_of_the_headers_is_a_knob(planhat: Any, knob: str, old: int, new: int) -> None:
    planhat.knobs.rate_headers = knob
    headers = planhat.call("GET", "/users").headers

    assert "X-Rate-Limit-Limit" in headers if old else "X-Rate-Limit-Limit" not in headers
    assert "x-ratelimit-limit" in headers if new else "x-ratelimit-limit" not in headers


@pytest.mark.parametrize("form", ["seconds", "http-date"])
def test_retry_after_is_a_knob(planhat: Any, form: str) -> None:
    planhat.knobs.rate_limit, planhat.knobs.rate_window = 0, 90
    planhat.knobs.retry_after = form
    value = planhat.call("GET", "/users").headers["Retry-After"]

    if form == "seconds":
        assert value == "90"
    else:
        moment = parsedate_to_datetime(value).timestamp() * 1000
        assert moment == planhat.emulator.clock.now() + 90_000


def test_calls_at_once_are_limited(planhat: Any) -> None:
    planhat.knobs.most_parallel = 2
    planhat.emulator.faults.add({"kind": "delay", "seconds": 0.4, "times": None})
    codes: list[int] = []
    headers = {"Authorization": f"Bearer {planhat.emulator.api_token}"}

    def call() -> None:
        url = planhat.emulator.url + "/users"
        codes.append(requests.get(url, headers=headers, timeout=10).status_code)

    threads = [threading.Thread(target=call) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert planhat.emulator.calls.most_at_once == 4
    assert 429 in codes


# The log


def test_requests_are_logged_with_their_items(planhat: Any) -> None:
    planhat.emulator.calls.keep_bodies = True
    planhat.post("/analytics/bulk", ITEMS * 3)
    planhat.call("PUT", "/companies", {})
    calls = planhat.emulator.calls
    bulk, upsert = calls.log

    assert (bulk.verb, bulk.path, bulk.items, bulk.status) == ("POST", "/analytics/bulk", 3, 200)
    assert (bulk.authorization, bulk.committed) == ("", True)
    assert bulk.size == len(bulk.body) > 0
    assert (upsert.authorization, upsert.status, upsert.committed) == ("Bearer", 400, False)
    assert calls.counts["/analytics/bulk", "POST"] == 1
    assert calls.items("/analytics/bulk") == 3
    assert calls.statuses == {200: 1, 400: 1}


def test_bodies_that_come_again_are_counted(planhat: Any) -> None:
    planhat.emulator.faults.add({"kind": "status", "times": 1})
    for items in (ITEMS, ITEMS, ITEMS, ITEMS * 2):
        planhat.post("/analytics/bulk", items)

    assert sorted(planhat.emulator.calls.bodies("/analytics/bulk").values()) == [1, 2]


def test_no_token_is_in_the_log(planhat: Any) -> None:
    _post(planhat)
    planhat.call("GET", "/companies/extid-acme")
    report = str(planhat.emulator.calls.report())

    assert planhat.emulator.tenant_token not in report
    assert planhat.emulator.api_token not in report
    assert "acme" not in report
