"""What happened to a tenant outlives its emulator, however that ends."""

import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import requests

COMPANIES = {"companies": [{"externalId": "acme", "name": "Acme", "domains": ["acme.io"]}]}
ITEMS = [
    {"externalId": "u1", "cId": "acme", "action": "x", "date": "2026-03-10", "count": 2},
    {"externalId": "u1", "action": "line\nbreak", "date": "2026-03-11"},
    {"externalId": "nobody"},
]
POINT = {"dimensionId": "d", "value": 1.5, "externalId": "acme", "date": "2026-03-11"}


class Tenant:
    """A running emulator."""

    def __init__(self, ready: dict[str, Any]) -> None:
        self.url, self.analytics = ready["url"], ready["analytics_url"]

    def post(self, path: str, body: Any) -> None:
        """Send something to the analytics host."""
        url = f"{self.analytics}{path}/secret-tenant"
        requests.post(url, json=body, timeout=10).raise_for_status()

    def call(self, verb: str, path: str, body: Any = None) -> Any:
        """Call the REST host."""
        headers = {"Authorization": "Bearer k"}
        answer = requests.request(verb, self.url + path, json=body, headers=headers, timeout=10)
        answer.raise_for_status()
        return answer.json()

    def holds(self) -> Any:
        """All that it holds, apart from the moments at which that came."""
        kinds = ("companies", "endusers", "_emulator/activities", "_emulator/points")
        found = [self.call("GET", f"/{kind}") for kind in (*kinds, "_emulator/failed")]
        for thing in (thing for things in found for thing in things):
            for moment in ("received", "createDate", "updatedAt"):
                thing.pop(moment, None)
        knobs = self.call("GET", "/_emulator/")["knobs"]
        return found, self.call("GET", "/_emulator/summary"), knobs


@contextmanager
def running(state: Path, *options: str, end: int = signal.SIGTERM) -> Iterator[Tenant]:
    command = [sys.executable, "-m", "planhat_emulator", "--state", str(state), "--key", "k"]
    command += ["--tenant-token", "secret-tenant", *options]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        try:
            yield Tenant(json.loads(process.stdout.readline()))
        finally:
            process.send_signal(end)


@pytest.fixture
def seeds(tmp_path: Path) -> tuple[str, ...]:
    """Options that fill a new tenant."""
    (tmp_path / "seeds").write_text(json.dumps(COMPANIES))
    return "--seed-file", str(tmp_path / "seeds"), "--endusers", "2"


@pytest.mark.parametrize("end", [signal.SIGTERM, signal.SIGKILL])
def test_what_was_answered_is_there_the_next_time(
    tmp_path: Path, seeds: tuple[str, ...], end: int
) -> None:
    with running(tmp_path / "state", *seeds, "--knob", "ambiguous=last", end=end) as tenant:
        tenant.call("POST", "/_emulator/knobs", {"processed": "stored"})
        tenant.post("/analytics/bulk", ITEMS)
        tenant.post("/analytics", {"email": "new@acme.io", "action": "y", "date": "2026-03-11"})
        tenant.post("/dimensiondata", POINT)
        tenant.call("PUT", "/endusers", [{"email": "u9@acme.io", "companyId": "extid-acme"}])
        tenant.call("PUT", "/companies/extid-acme", {"name": "Acme Ltd"})
        tenant.call("DELETE", "/endusers/extid-enduser-2")
        before = tenant.holds()
    with running(tmp_path / "state", *seeds, end=end) as tenant:
        after = tenant.holds()
        tenant.post("/analytics/bulk", ITEMS[:1])
    with running(tmp_path / "state") as tenant:
        last = tenant.holds()

    assert after == before
    found, summary, knobs = after
    assert [len(things) for things in found] == [1, 4, 3, 1, 1]
    assert (summary["companies"][0]["name"], summary["created"]) == ("Acme Ltd", 2)
    assert (knobs["ambiguous"], knobs["processed"]) == ("last", "stored")
    assert last[1]["companies"][0]["activities"] == summary["companies"][0]["activities"] + 1


def test_a_fault_spoils_the_same_items_again(tmp_path: Path, seeds: tuple[str, ...]) -> None:
    fault = {"kind": "partial", "indices": [0], "text": "no", "path": "/dimensiondata"}
    with running(tmp_path / "state", *seeds, "--fault", json.dumps(fault)) as tenant:
        tenant.post("/dimensiondata", [POINT, {**POINT, "value": 7}])
    with running(tmp_path / "state") as tenant:
        assert [one["value"] for one in tenant.call("GET", "/_emulator/points")] == [7]


def test_what_a_kill_cut_short_never_happened(tmp_path: Path, seeds: tuple[str, ...]) -> None:
    state = tmp_path / "state"
    with running(state, *seeds) as tenant:
        tenant.post("/dimensiondata", POINT)
        tenant.post("/dimensiondata", POINT)
    state.write_bytes(state.read_bytes()[:-20])
    with running(state) as tenant:
        tenant.post("/dimensiondata", {**POINT, "value": 7})
    with running(state) as tenant:
        assert [one["value"] for one in tenant.call("GET", "/_emulator/points")] == [1.5, 7]


def test_it_is_private_and_has_no_token(tmp_path: Path, seeds: tuple[str, ...]) -> None:
    with running(tmp_path / "state", *seeds) as tenant:
        tenant.post("/dimensiondata", POINT)

    assert (tmp_path / "state").stat().st_mode & 0o777 == 0o600
    assert "secret-tenant" not in (tmp_path / "state").read_text()


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        ("{}\n", "line 1 of "),
        ('{"at": 1}\n{"at": 2, "call": ["PUT", "/endusers/{id}", "nobody"]}\n', "what line 2 says"),
        ('{"at": 1}\n{"at": 2, "knobs": {"nope": 1}}\n', "what line 2 says"),
    ],
)
def test_a_file_that_is_none_is_refused_in_one_line(tmp_path: Path, lines: str, said: str) -> None:
    (tmp_path / "state").write_text(lines)
    command = [sys.executable, "-m", "planhat_emulator", "--state", str(tmp_path / "state")]
    ended = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)

    assert ended.returncode == 2
    assert ended.stderr.startswith(f"planhat-emulator: {said}")
    assert ended.stderr.count("\n") == 1
    assert (tmp_path / "state").read_text() == lines
