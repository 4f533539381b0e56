"""Ordered faults and counted calls."""

import threading
import time
from collections.abc import Iterator
from email.utils import parsedate_to_datetime
from typing import Any

import pytest
import requests
from pendo_emulator.server import Emulator, serve
from pendo_emulator.world import World

IDENTITY = {"Accept-Encoding": "identity"}


@pytest.mark.parametrize(
    ("fault", "status", "reason", "text"),
    [
        ({"status": 429}, 429, "Too Many Requests", ""),
        ({"status": 408}, 408, "Request Timeout", ""),
        ({"status": 403}, 403, "Forbidden", ""),
        ({"status": 400, "text": "no such thing"}, 400, "Bad Request", "no such thing"),
        ({"text": "Unexpected error occurred"}, 500, None, "Unexpected error occurred"),
        ({"status": 503}, 503, None, ""),
    ],
)
def test_a_status_comes_as_often_as_ordered(
    own: Any, fault: dict[str, Any], status: int, reason: str | None, text: str
) -> None:
    own.emulator.faults.add({"kind": "status", "times": 2, **fault})
    answers = [own.get("/api/v1/page") for _ in range(3)]

    assert [answer.status_code for answer in answers] == [status, status, 200]
    assert reason in (None, answers[0].reason)
    assert answers[0].text == text
    assert "Retry-After" not in answers[0].headers


@pytest.mark.parametrize("form", ["seconds", "http-date"])
def test_retry_after(new_world: Any, form: str) -> None:
    world = new_world()
    world.knobs.retry_after = form
    with serve(world) as emulator:
        emulator.faults.add({"kind": "status", "status": 429, "retry_after": 30})
        headers = {"x-pendo-integration-key": emulator.key}
        answer = requests.get(emulator.url + "/api/v1/page", headers=headers, timeout=10)
    value = answer.headers["Retry-After"]

    if form == "seconds":
        assert value == "30"
    else:
        assert 25 < parsedate_to_datetime(value).timestamp() - time.time() < 31


def test_faults_are_matched_by_path_and_source_and_may_wait(own: Any) -> None:
    own.emulator.faults.add(
        {"kind": "status", "path": "/api/v1/guide"},
        {"kind": "status", "source": "accounts", "after": 1, "times": None},
    )

    assert [own.get("/api/v1/page").status_code, own.get("/api/v1/guide").status_code] == [200, 500]
    assert own.aggregate("visitors").status_code == 200
    assert [own.aggregate("accounts").status_code for _ in range(3)] == [200, 500, 500]


def test_a_fault_may_befall_long_windows_only(own: Any) -> None:
    own.emulator.faults.add({"kind": "status", "status": 408, "times": None, "hours": 24})

    def status(count: int) -> int:
        series = {"period": "hourRange", "first": "now()", "count": -count}
        code: int = own.aggregate("events", None, series).status_code
        return code

    assert [status(hours) for hours in (1, 24, 25)] == [200, 200, 408]
    assert own.aggregate("visitors").status_code == 200
    assert own.get("/api/v1/page").status_code == 200


def test_faults_come_one_after_the_other(own: Any) -> None:
    own.emulator.faults.add(
        {"kind": "status", "status": 429, "times": 2}, {"kind": "null_results"}, {"kind": "status"}
    )
    answers = [own.aggregate("visitors") for _ in range(5)]

    assert [answer.status_code for answer in answers] == [429, 429, 500, 200, 200]
    assert answers[3].json() == {"results": None}


@pytest.mark.parametrize("headers", [IDENTITY, {"Accept-Encoding": "gzip"}])
@pytest.mark.parametrize("place", [{"rows": 3}, {"rows": 0}, {"bytes": 100_000}])
def test_a_cut_ends_the_connection_in_the_body(
    own: Any, headers: dict[str, str], place: dict[str, int]
) -> None:
    own.emulator.faults.add({"kind": "cut", **place})

    with pytest.raises(requests.exceptions.ChunkedEncodingError):
        own.aggregate("visitors", headers=headers)
    assert len(own.rows("visitors")) == 418


@pytest.mark.parametrize("place", [{"rows": 3}, {"bytes": 100_000}])
def test_a_truncated_answer_looks_whole_to_http(own: Any, place: dict[str, int]) -> None:
    own.emulator.faults.add({"kind": "truncate", **place})
    answer = own.aggregate("visitors", headers=IDENTITY)

    assert answer.status_code == 200
    with pytest.raises(requests.exceptions.JSONDecodeError):
        answer.json()
    if "bytes" in place:
        assert len(answer.content) == 100_000
    else:
        assert answer.content.count(b'"visitorId"') == 3


def test_lists_may_be_cut_too(own: Any) -> None:
    own.emulator.faults.add({"kind": "truncate", "bytes": 10})

    assert len(own.get("/api/v1/page").content) == 10


def test_a_delay_comes_before_the_answer(own: Any) -> None:
    own.emulator.faults.add({"kind": "delay", "seconds": 5})

    with pytest.raises(requests.exceptions.ReadTimeout):
        own.session.get(own.emulator.url + "/api/v1/page", timeout=0.05)


def test_a_trickle_comes_bit_by_bit(own: Any) -> None:
    own.emulator.faults.add({"kind": "trickle", "bytes": 5_000, "seconds": 0.001})
    whole = own.aggregate("accounts", None, None, {"sort": ["accountId"]})

    assert len(whole.json()["results"]) == 40
    own.emulator.faults.add({"kind": "trickle", "bytes": 1, "seconds": 5})
    with pytest.raises(requests.exceptions.ConnectionError):
        own.session.get(own.emulator.url + "/api/v1/page", timeout=0.05, headers=IDENTITY)


def test_extra_fields(own: Any) -> None:
    own.emulator.faults.add({"kind": "extra_fields", "fields": {"surprise": 1}, "times": None})

    assert {row["surprise"] for row in own.rows("visitors")} == {1}
    assert {row["surprise"] for row in own.rows("apps")} == {1}


@pytest.mark.parametrize(("status", "expected"), [({}, 413), ({"status": 408}, 408)])
def test_a_large_answer_is_refused(own: Any, status: dict[str, int], expected: int) -> None:
    own.emulator.faults.add({"kind": "too_large", "bytes": 60_000, "times": None, **status})
    small = own.aggregate("visitors", None, None, {"limit": 10})
    large = own.aggregate("visitors")

    assert [small.status_code, large.status_code] == [200, expected]
    assert len(small.json()["results"]) == 10
    assert own.get("/api/v1/feature?expand=*").status_code == 200


def test_extra_fields_of_lists(own: Any) -> None:
    own.emulator.faults.add({"kind": "extra_fields", "fields": {"surprise": 1}, "times": None})

    assert {one["surprise"] for one in own.get("/api/v1/page").json()} == {1}
    assert "surprise" not in own.get("/api/v1/token/verify").json()


def test_extra_fields_of_lists_that_are_no_objects(own: Any) -> None:
    own.emulator.knobs.unknown_shapes = "strings"
    own.emulator.faults.add({"kind": "extra_fields", "fields": {"surprise": 1}, "times": None})
    names = own.get("/api/v1/servername").json()
    report = next(one for one in own.get("/api/v1/report").json() if "aggregation" in one)
    own.emulator.knobs.unknown_shapes = "objects"

    assert all(isinstance(name, str) for name in names)
    assert report["surprise"] == 1


def test_verify_may_refuse(own: Any) -> None:
    own.emulator.faults.add({"kind": "verify"})

    assert own.get("/api/v1/token/verify").json()["valid"] is False
    assert own.get("/api/v1/token/verify").json()["valid"] is True


@pytest.mark.parametrize("fault", [{}, {"kind": "nope"}, {"kind": "cut", "nope": 1}])
def test_bad_faults_are_refused(own: Any, fault: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"kind|nope"):
        own.emulator.faults.add(fault)


@pytest.fixture
def idle(world: World) -> Iterator[Emulator]:
    """An emulator that nobody has called."""
    with serve(world) as emulator:
        yield emulator


def test_calls_are_counted(idle: Emulator) -> None:
    for source in ("visitors", "visitors", "nope"):
        body = {"request": {"pipeline": [{"source": {source: None}}]}}
        _call(idle, "POST", "/api/v1/aggregation", json=body)
    _call(idle, "GET", "/api/v1/page")
    calls = idle.calls

    assert calls.counts["/api/v1/page", ""] == 1
    assert calls.counts["/api/v1/aggregation", "visitors"] == 2
    assert calls.statuses == {200: 3, 400: 1}
    assert calls.most_at_once == 1
    assert 1 <= calls.most_per_second["/api/v1/aggregation"] <= 3


def test_calls_at_once_are_counted(idle: Emulator) -> None:
    idle.faults.add({"kind": "delay", "seconds": 0.3, "times": None})
    threads = [threading.Thread(target=_call, args=(idle, "GET", "/api/v1/page")) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert idle.calls.most_at_once == 4


def _call(emulator: Emulator, verb: str, path: str, **options: Any) -> None:
    headers = {"x-pendo-integration-key": emulator.key}
    requests.request(verb, emulator.url + path, headers=headers, timeout=10, **options)
