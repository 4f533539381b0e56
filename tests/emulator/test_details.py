"""The history of a visitor, and the results of reports."""

import base64
from typing import Any
from urllib.parse import quote

import pytest
import requests
from emulation.clock import Clock
from pendo_emulator.product.calendar import DAY, HOUR
from pendo_emulator.product.random_values import VISITOR_IDS
from pendo_emulator.server import serve
from pendo_emulator.world import World

BASE64 = {"x-pendo-base64-encoded-params": "true"}
TYPES = {"untagged", "page", "feature", "guide"}


@pytest.mark.parametrize(
    ("path", "headers", "status"),
    [
        ("visitor/null", {}, 404),
        ("visitor/nobody/history?starttime=1773100000000", {}, 404),
        ("visitor/null/history", {}, 400),
        ("visitor/null/history?starttime=yesterday", {}, 400),
        ("visitor/!!!/history", BASE64, 400),
        ("visitor/null/history", BASE64, 400),
    ],
)
def test_what_is_not_there(pendo: Any, path: str, headers: Any, status: int) -> None:
    assert pendo.get(f"/api/v1/{path}", headers=headers).status_code == status


@pytest.fixture(scope="module")
def busy() -> Any:
    """An emulator of few visitors who do much."""
    clock = Clock("2026-03-11T10:30:00Z")
    with serve(World(clock=clock, visitors=40, accounts=9, events_per_day=1500)) as emulator:
        yield emulator


def _history(emulator: Any, visitor: str, start: int) -> list[dict[str, Any]]:
    path = f"/api/v1/visitor/{quote(visitor, safe='')}/history?starttime={start}"
    headers = {"x-pendo-integration-key": emulator.key}
    answer = requests.get(emulator.url + path, headers=headers, timeout=10)
    assert answer.status_code == 200, answer.text
    rows: list[dict[str, Any]] = answer.json()
    return rows


def test_a_history_is_what_the_visitor_did(busy: Any) -> None:
    world = busy.world
    start = world.clock.now() - 3 * DAY - 20 * 60_000  # within an hour
    rows = []
    for person in world.people.visitors:
        told = _history(busy, person.id, start)
        assert len(told) == world.history_count(person.id, start)
        rows += told
    needed = {"type", "ts", "lastTs", "duration", "appId", "parsedUserAgent"}

    assert all(needed <= row.keys() for row in rows)
    assert all(start <= row["ts"] <= row["lastTs"] < start + DAY + HOUR for row in rows)
    assert all(row["duration"] == row["lastTs"] - row["ts"] for row in rows)
    assert any(row["duration"] for row in rows)
    assert {row["type"] for row in rows} == TYPES
    assert {row["type"] for row in rows if "guideStepId" in row} == {"guide"}
    assert {row["type"] for row in rows if "untaggedUrl" in row} == {"untagged"}
    assert {"version" in row["parsedUserAgent"] for row in rows} == {True, False}


def test_days_of_a_history_do_not_overlap(busy: Any) -> None:
    world = busy.world
    person = max(world.people.visitors, key=lambda one: one.every == 1)
    start = world.clock.now() - 9 * DAY - 12_345
    days = [_history(busy, person.id, start + day * DAY) for day in range(3)]
    halves = [_history(busy, person.id, start + day * DAY // 2) for day in range(5)]
    every = [repr(row) for day in days for row in day]

    assert sum(map(len, days)) == sum(
        world.history_count(person.id, start + day * DAY) for day in range(3)
    )
    assert every
    assert set(every) <= {repr(row) for half in halves for row in half}


def test_what_is_put_in_is_in_the_history(new_world: Any) -> None:
    with serve(new_world()) as emulator:
        start = emulator.clock.now() - DAY
        before = emulator.world.history_count("null", start)
        emulator.world.inject(
            [{"source": "pageEvents", "ts": start + 1, "visitorId": "null", "pageId": "p"}]
        )
        rows = _history(emulator, "null", start)

        assert emulator.world.history_count("null", start) == before + 1 == len(rows)
        assert {"type": "page", "ts": start + 1, "pageId": "p"}.items() <= rows[0].items()


@pytest.mark.parametrize("status", [422, 400])
def test_a_history_reaches_back_180_days(own: Any, status: int) -> None:
    own.emulator.knobs.old_history = status
    now = own.emulator.clock.now()
    path = "/api/v1/visitor/null/history?starttime="
    answers = [own.get(f"{path}{now - days * DAY - 1}").status_code for days in (179, 180, 400)]
    own.emulator.knobs.old_history = 422

    assert answers == [200, status, status]
    assert own.get(f"{path}{now + DAY}").json() == []


@pytest.mark.parametrize("key", VISITOR_IDS)
def test_odd_ids_are_found_percent_encoded_and_in_base64(own: Any, key: str) -> None:
    query = f"history?starttime={own.emulator.clock.now() - 9 * DAY}"
    plain = own.get(f"/api/v1/visitor/{quote(key, safe='')}/{query}")
    standard = quote(base64.b64encode(key.encode()).decode(), safe="")
    urlsafe = base64.urlsafe_b64encode(key.encode()).decode().rstrip("=")
    paths = [f"/api/v1/visitor/{one}/{query}" for one in (standard, urlsafe)]

    assert plain.status_code == 200
    assert [own.get(path, headers=BASE64).json() for path in paths] == [plain.json()] * 2
    assert own.emulator.calls.counts["/api/v1/visitor/{id}/history", ""] >= 3


def _reports(pendo: Any, query: str = "?expand=*") -> dict[str, Any]:
    return {one["name"]: one for one in pendo.get(f"/api/v1/report{query}").json()}


def test_only_public_reports_are_listed(pendo: Any, world: Any) -> None:
    reports = _reports(pendo)
    private = [one for one in world.definitions["report"] if not one["shared"]]

    assert len(reports) == world.count("report") == 6
    assert len(private) == 1
    assert all(one["shared"] for one in reports.values())
    assert pendo.get(f"/api/v1/report/{private[0]['id']}/results.json").status_code == 404
    assert len(_reports(pendo, "")) == 5  # one is of another app
    assert {"lastUpdatedByUser" in one for one in reports.values()} == {True, False}
    assert {"description" in one for one in reports.values()} == {True, False}


def test_users_overlap_between_objects_and_lack_fields(pendo: Any) -> None:
    def users(path: str) -> dict[str, list[int]]:
        found: dict[str, list[int]] = {}
        for one in pendo.get(f"/api/v1/{path}?expand=*").json():
            for role in ("createdByUser", "lastUpdatedByUser", "ownedByUser"):
                if role in one:
                    found.setdefault(one[role]["id"], []).append(len(one[role]))
        return found

    pages, reports = users("page"), users("report")
    assert pages.keys() & reports.keys()
    assert reports.keys() - pages.keys()  # somebody who has left
    assert any(len(set(sizes)) > 1 for sizes in reports.values())


def test_results_have_the_columns_of_the_report(pendo: Any) -> None:
    columns = {}
    for name, report in _reports(pendo).items():
        if "aggregation" not in report:
            continue
        rows = pendo.get(f"/api/v1/report/{report['id']}/results.json").json()
        wanted = [field["field"] for field in report["aggregation"]["fields"]]
        again = pendo.call(
            "POST",
            "/api/v1/aggregation",
            json={"request": {"pipeline": report["aggregation"]["pipeline"]}},
        )
        assert rows == again.json()["results"]
        assert all(set(row) <= set(wanted) for row in rows)
        columns[name] = (tuple(wanted), len(rows))

    assert len({names for names, _ in columns.values()}) == 5
    assert sorted(count > 0 for _, count in columns.values()) == [False, True, True, True, True]


def test_a_funnel_has_no_results(pendo: Any) -> None:
    report = _reports(pendo)["From trial to plan"]

    answer = pendo.get(f"/api/v1/report/{report['id']}/results.json")
    assert (answer.status_code, "funnel" in answer.text) == (400, True)
    assert pendo.get("/api/v1/report/unknown/results.json").status_code == 404
