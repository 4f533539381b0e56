"""The emulator's own paths, and its command line."""

import json
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import requests
from pendo_emulator.product.calendar import DAY
from pendo_emulator.server import serve
from pendo_emulator.switches import SWITCHES

NOW = "2026-03-11T10:30:00.000Z"


@pytest.fixture
def admin(new_world: Any) -> Any:
    """Call the admin paths of a fresh emulator, without a key."""
    with serve(new_world()) as emulator, requests.Session() as session:

        def call(verb: str, path: str, body: Any = None, status: int = 200) -> Any:
            url = f"{emulator.url}/_emulator{path}"
            answer = session.request(verb, url, json=body, timeout=10)
            assert answer.status_code == status, answer.text
            return answer.json()

        call.emulator = emulator  # type: ignore[attr-defined]
        yield call


def test_state(admin: Any) -> None:
    state = admin("GET", "/")

    assert (state["now"], state["region"]) == (NOW, "us")
    assert state["counts"]["visitors"] == 400
    assert state["knobs"]["collation"] == "bytewise"


def test_clock(admin: Any) -> None:
    assert admin("POST", "/clock", {"advance_seconds": 90})["now"] == "2026-03-11T10:31:30.000Z"
    assert admin("POST", "/clock", {"now": "2026-05-01"})["now"] == "2026-05-01T00:00:00.000Z"


def test_faults(admin: Any) -> None:
    url = admin.emulator.url + "/api/v1/page"
    headers = {"x-pendo-integration-key": admin.emulator.key}
    admin("POST", "/faults", [{"kind": "status", "times": None}])

    assert requests.get(url, headers=headers, timeout=10).status_code == 500
    admin("DELETE", "/faults")
    assert requests.get(url, headers=headers, timeout=10).status_code == 200


def test_knobs_are_set_one_by_one(admin: Any) -> None:
    admin("POST", "/knobs", {"sort_keys": 1})
    knobs = admin("POST", "/knobs", {"hour_alignment": "local"})

    assert (knobs["sort_keys"], knobs["hour_alignment"]) == (1, "local")
    assert admin.emulator.knobs.sort_keys == 1


def test_switches(admin: Any) -> None:
    known = admin("GET", "/switches")
    admin("POST", "/switches/split-rows")

    assert {"name", "about", "fatal"} == known[0].keys()
    assert [one["name"] for one in known] == [one.name for one in SWITCHES]
    assert admin.emulator.knobs.split_rows


def test_retag(admin: Any) -> None:
    entities = admin.emulator.world.activity.entities["pageEvents"]
    span = {"first": "2026-03-08", "last": admin.emulator.clock.now()}
    asked = f"source=pageEvents&first=2026-03-09&last={span['last']}"
    order = {"source": "pageEvents", "from": entities[0].id, "to": entities[1].id, **span}

    def tagged() -> set[str]:
        return {row[1] for row in admin("GET", f"/truth/sums?{asked}")}

    assert entities[0].id in tagged()
    admin("POST", "/retag", order)
    assert entities[0].id not in tagged()
    admin("POST", "/retag", {**order, "from": entities[1].id, "to": None})
    assert entities[1].id not in tagged()


def test_events_and_truth(admin: Any) -> None:
    first, last = admin.emulator.clock.now() // DAY * DAY - DAY, "2026-03-11"
    span = f"first={first}&last={last}"

    def total() -> int:
        return sum(row[3] for row in admin("GET", f"/truth/sums?source=pageEvents&{span}"))

    before = total()
    event = {"source": "pageEvents", "ts": first + 5, "visitorId": "x", "pageId": "p"}
    assert admin("POST", "/events", [event, event]) == {"events": 2}
    assert total() == before + 2
    found = admin("GET", f"/truth/count?kind=pageEvents&{span}&period=day")
    assert found["events"] == before + 2
    assert 0 < found["rows"] < before + 2
    assert admin("GET", "/truth/count?kind=accounts") == {"rows": 40, "events": 0}


def test_definitions(admin: Any) -> None:
    admin("POST", "/definitions/page", {"id": "a/b", "appId": -323232})

    assert admin("DELETE", "/definitions/page/a/b") == {"removed": True}
    assert admin("DELETE", "/definitions/page/a/b") == {"removed": False}


def test_calls(admin: Any) -> None:
    requests.get(admin.emulator.url + "/api/v1/page", timeout=10)

    assert admin("GET", "/calls")["calls"] == [{"path": "/api/v1/page", "source": "", "count": 1}]
    admin("DELETE", "/calls")
    assert admin("GET", "/calls")["calls"] == []


@pytest.mark.parametrize(
    ("verb", "path", "body"),
    [
        ("POST", "/clock", {"now": "soon"}),
        ("POST", "/faults", [{"kind": "nope"}]),
        ("POST", "/knobs", {"nope": 1}),
        ("POST", "/events", [{}]),
        ("POST", "/switches/nope", None),
        ("POST", "/retag", {"source": "events", "from": "x", "to": None, "first": 0, "last": 1}),
        ("POST", "/retag", {}),
        ("DELETE", "/definitions/nope/1", None),
        ("GET", "/truth/sums?source=pageEvents", None),
        ("GET", "/truth/sums?source=nope&first=0&last=1", None),
        ("GET", "/truth/count?kind=events", None),
    ],
)
def test_bad_input_is_a_400_with_the_reason(admin: Any, verb: str, path: str, body: Any) -> None:
    error = admin(verb, path, body, status=400)["error"]
    assert error
    assert "KeyError" not in error


def test_what_a_path_needs_is_named(admin: Any) -> None:
    asked = ("GET", "/truth/sums?source=pageEvents"), ("DELETE", "/definitions/nothing/x")
    errors = [admin(*one, status=400)["error"] for one in asked]

    assert [error.partition(" is missing or not known")[0] for error in errors] == [
        "`first`",
        "`nothing`",
    ]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_command_line(tmp_path: Path, number: signal.Signals) -> None:
    command = [sys.executable, "-W", "error", "-m", "pendo_emulator"]
    options = ["--now", NOW, "--region", "eu", "--key", "my-key", "--timezone", "Asia/Kolkata"]
    url_file = tmp_path / "url"
    with subprocess.Popen(
        [*command, *options, "--url-file", str(url_file)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout
        ready = json.loads(process.stdout.readline())
        with requests.Session() as session:
            session.headers["x-pendo-integration-key"] = "my-key"
            verified = session.get(ready["url"] + "/api/v1/token/verify", timeout=10).json()
            process.send_signal(number)
            output, errors = process.communicate(timeout=10)

    assert ready == {**ready, "key": "my-key", "region": "eu", "now": NOW}
    assert verified == {"valid": True, "writeAccess": False}
    assert url_file.read_text(encoding="utf-8").strip() == ready["url"]
    assert (process.returncode, output, errors) == (0, "", "")


def test_command_line_makes_a_key_of_its_own() -> None:
    with subprocess.Popen(
        [sys.executable, "-m", "pendo_emulator"], stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout
        ready = json.loads(process.stdout.readline())
        process.terminate()

    assert len(ready["key"]) > 30


def test_command_line_makes_it_difficult() -> None:
    options = ["--fault", "few-sort-fields", "--fault", "throttled", "--key", "my-key"]
    with subprocess.Popen(
        [sys.executable, "-m", "pendo_emulator", *options], stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout
        url = json.loads(process.stdout.readline())["url"]
        headers = {"x-pendo-integration-key": "my-key"}
        page = requests.get(f"{url}/api/v1/page", headers=headers, timeout=10)
        knobs = requests.get(f"{url}/_emulator/", timeout=10).json()["knobs"]
        process.terminate()

    assert (page.status_code, knobs["max_sort_fields"]) == (429, 2)


def test_command_line_names_the_known_faults() -> None:
    command = [sys.executable, "-m", "pendo_emulator", "--fault", "nope"]
    ended = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)

    assert ended.returncode == 2
    assert "invalid choice: 'nope'" in ended.stderr
    assert "long-windows-time-out" in ended.stderr
