"""The emulator's own paths, its command line, and seeds."""

import json
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import requests
from planhat_emulator.world import World
from with_demo.emulators import emulator


@pytest.fixture
def admin(planhat: Any) -> Any:
    """Call the emulator's own paths, without a token."""

    def call(verb: str, path: str, body: Any = None, status: int = 200) -> Any:
        url = f"{planhat.emulator.url}/_emulator{path}"
        answer = planhat.session.request(verb, url, json=body, timeout=10)
        assert answer.status_code == status, answer.text
        return answer.json()

    return call


def test_state_is_the_same_on_both_hosts(admin: Any, planhat: Any) -> None:
    state = admin("GET", "/")
    other = requests.get(f"{planhat.emulator.analytics_url}/_emulator/", timeout=10).json()

    assert state == other
    assert state["analytics_url"] == planhat.emulator.analytics_url != planhat.emulator.url
    assert (state["now"], state["counts"]["endusers"]) == ("2026-03-11T10:30:00.000Z", 4)
    assert state["knobs"]["rate_limit"] == 200


def test_clock_knobs_and_faults_are_set(admin: Any, planhat: Any) -> None:
    assert admin("POST", "/clock", {"advance_seconds": 90})["now"] == "2026-03-11T10:31:30.000Z"
    admin("POST", "/knobs", {"activity_answer": "text"})
    assert admin("POST", "/knobs", {"processed": "stored"})["activity_answer"] == "text"
    admin("POST", "/faults", [{"kind": "status", "times": None}])
    assert planhat.call("GET", "/users").status_code == 500
    admin("DELETE", "/faults")
    assert planhat.call("GET", "/users").status_code == 200


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/knobs", {"activity_answer": "xml"}),
        ("/knobs", {"nope": 1}),
        ("/faults", [{"kind": "nope"}]),
        ("/clock", {"now": "soon"}),
        ("/seed", {"nope": 1}),
        ("/seed", {"endusers": [{"companyId": "extid-nope"}]}),
    ],
)
def test_bad_orders_are_a_400_with_the_reason(admin: Any, path: str, body: Any) -> None:
    assert admin("POST", path, body, status=400)["error"]


def test_what_is_stored_can_be_asked_for(admin: Any, planhat: Any) -> None:
    item = {"action": "x", "date": "2026-03-10", "info": {"a": 1}}
    planhat.post("/analytics/bulk", [{"externalId": "u2", "count": 3, **item}, {"id": "nobody"}])
    planhat.post("/analytics", {"externalId": "new", "companyExternalId": "beta", **item})
    planhat.post("/dimensiondata", {"dimensionId": "d", "value": 2, "externalId": "acme"})
    (activity,) = admin("GET", "/activities?externalId=u2&action=x")

    assert (activity["count"], activity["date"]) == (3, "2026-03-10T00:00:00.000Z")
    assert [one["value"] for one in admin("GET", "/points?dimensionId=d")] == [2]
    assert [one["item"] for one in admin("GET", "/failed")] == [{"id": "nobody"}]
    assert [one["externalId"] for one in admin("GET", "/created")] == ["new"]
    assert admin("GET", "/truth/activity_sums")[0] == ["u2", "x", "2026-03-10", 3]
    assert admin("GET", "/truth/point_sums") == [["d", "Company", "acme", "2026-03-11", 2]]
    assert admin("GET", "/truth/count?kind=activities") == {"rows": 2}
    assert "unknown kind" in admin("GET", "/truth/count?kind=nope", status=400)["error"]


def test_a_summary_adds_up_what_each_company_has(admin: Any, planhat: Any) -> None:
    items = [
        {"externalId": "u2", "count": 3},
        {"externalId": "u2", "cId": "beta", "count": 2.5},
        {"externalId": "new", "cId": "beta"},
        {"externalId": "nobody"},
        {},
    ]
    points = [
        {"dimensionId": "d", "value": 2, "externalId": "acme"},
        {"dimensionId": "d", "value": 2, "externalId": "u2", "model": "EndUser"},
        {"dimensionId": "d", "value": 2, "externalId": "nope"},
    ]
    planhat.post("/analytics/bulk", items)
    planhat.post("/dimensiondata", points)
    acme, beta = (one["_id"] for one in planhat.world.objects("companies"))

    assert admin("GET", "/summary") == {
        "companies": [
            {"id": acme, "name": "Acme", "activities": 2, "count": 5.5, "points": 2},
            {"id": beta, "name": "Beta", "activities": 1, "count": 1, "points": 0},
        ],
        "metrics": [["d", "Company", 1], ["d", "EndUser", 1]],
        "created": 1,
        "failed": [
            ["activity", "neither externalId nor email", 1],
            ["activity", "no such end user, and no company to create one in", 1],
            ["metric", "Company with this externalId not found", 1],
        ],
    }


def test_calls_are_reported_and_forgotten(admin: Any, planhat: Any) -> None:
    planhat.call("GET", "/users")
    report = admin("GET", "/calls")
    admin("DELETE", "/calls")

    assert report["calls"] == [{"path": "/users", "verb": "GET", "count": 1}]
    assert [(one["path"], one["status"]) for one in report["log"]] == [("/users", 200)]
    assert admin("GET", "/calls")["calls"] == []
    assert planhat.call("GET", "/users").headers["x-ratelimit-remaining"] == "199"


def test_seeds_are_made_up_or_given(admin: Any) -> None:
    counts = admin("POST", "/seed", {"assets": 2, "projects": [{"name": "P"}], "users": 1})

    assert counts == {"companies": 2, "endusers": 4, "assets": 3, "projects": 2, "users": 2}


def test_made_up_end_users_belong_to_their_companies_in_turn() -> None:
    world = World()
    world.seed(companies=3, endusers=300)
    users = world.objects("endusers")

    assert (
        users[4].items()
        >= {
            "externalId": "enduser-5",
            "email": "enduser-5@company-2.example",
            "companyId": world.objects("companies")[1]["_id"],
        }.items()
    )
    assert len({one["_id"] for one in users}) == 300
    world.take_activities([{"email": "new@company-3.example"}], bulk=False)
    assert world.created[0]["companyId"] == world.objects("companies")[2]["_id"]


def test_command_line_serves_until_it_is_told_to_stop(tmp_path: Path) -> None:
    (tmp_path / "seeds").write_text('{"companies": [{"externalId": "acme", "name": "Acme"}]}')
    options = ["--companies", "2", "--endusers", "5", "--seed-file", str(tmp_path / "seeds")]
    options += ["--key", "k", "--tenant-token", "t", "--now", "2026-03-11", "--url-file"]
    options += [str(tmp_path / "url"), "--knob", "activity_answer=text", "--knob", "rate_limit=2"]
    options += ["--fault", '{"kind": "status", "status": 429, "path": "/users"}']
    command = [sys.executable, "-m", "planhat_emulator", *options]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        ready = json.loads(process.stdout.readline())
        headers = {"Authorization": "Bearer k"}
        users = requests.get(ready["url"] + "/users", headers=headers, timeout=10)
        state = requests.get(ready["analytics_url"] + "/_emulator/", timeout=10).json()
        process.send_signal(signal.SIGTERM)
        code = process.wait(timeout=10)

    assert list(ready) == ["url", "key", "analytics_url", "tenant_token", "now"]
    assert (ready["key"], ready["tenant_token"], users.status_code, code) == ("k", "t", 429, 0)
    assert (tmp_path / "url").read_text() == ready["url"] + "\n"
    assert (state["counts"]["companies"], state["counts"]["endusers"]) == (3, 5)
    assert state["now"] == "2026-03-11T00:00:00.000Z"
    assert (state["knobs"]["activity_answer"], state["knobs"]["rate_limit"]) == ("text", 2)


@pytest.mark.parametrize(
    "options", [["--knob", "nope=1"], ["--fault", "{}"], ["--fault", "nope"], ["--now", "soon"]]
)
def test_bad_options_are_said_in_one_line(options: list[str]) -> None:
    command = [sys.executable, "-m", "planhat_emulator", *options]
    ended = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)

    assert ended.returncode == 2
    assert ended.stderr.startswith("planhat-emulator: ")
    assert ended.stderr.count("\n") == 1


def test_with_demo_can_start_it_and_count(tmp_path: Path) -> None:
    options = ["--companies", "3"]
    log = tmp_path / "log"
    with emulator("planhat_emulator", options, log=log, check=lambda: None) as planhat:
        headers = {"Authorization": f"Bearer {planhat.key}"}
        answer = requests.get(f"{planhat.url}/companies", headers=headers, timeout=10)
        assert planhat.count("companies") == len(answer.json()) == 3
