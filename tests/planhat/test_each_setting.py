"""Each setting acts, through the command line: for each of them there is `test_setting_NAME`."""

from __future__ import annotations

import json
import stat
import typing as t
from datetime import timedelta

import pytest
from emulation.clock import Clock
from planhat_emulator.server import serve
from planhat_emulator.world import World
from target_planhat.config.settings import SCHEMA

from tests.planhat.command import Command
from tests.planhat.running import (
    EVENTS,
    FEATURES,
    WINDOWS,
    day,
    event,
    record,
    schema,
    state,
    window,
)

if t.TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from planhat_emulator.server import Emulator

    from tests.planhat.running import Message, TargetRunner

EXPORT = ("u2", "Export", "2026-03-09")
LOST_ANSWER = {"kind": "reset", "commit": True, "path": "/analytics/bulk", "times": 1}


@pytest.fixture
def command(target: TargetRunner, caplog: pytest.LogCaptureFixture) -> Command:
    return Command(target, caplog)


@pytest.fixture
def elsewhere() -> Iterator[Emulator]:
    """Serve another Planhat, whose only end user is u9."""
    world = World(clock=Clock("2026-03-11T10:30:00Z"))
    world.seed(
        companies=[{"externalId": "acme", "name": "Acme"}],
        endusers=[{"externalId": "u9", "email": "u9@acme.example", "companyId": "extid-acme"}],
        users=1,
    )
    with serve(world) as emulator:
        yield emulator


def events(*rows: Message) -> list[Message]:
    """Input with these rows of feature_events of March 8th and 9th, read whole."""
    return [WINDOWS, *FEATURES, EVENTS, *rows, window(day(8), day(10)), state({"at": 1})]


def test_every_setting_is_shown_to_act() -> None:
    prefix = "test_setting_"
    shown = {name.removeprefix(prefix) for name in globals() if name.startswith(prefix)}

    assert shown == SCHEMA["properties"].keys()


def test_setting_tenant_token(command: Command, elsewhere: Emulator) -> None:
    said = command.run(*events(event(day(9, 8))), tenant_token=elsewhere.tenant_token)
    assert said.code == 1

    assert command.run(*events(event(day(9, 8)))).code == 0
    assert command.target.sums == {EXPORT: 1}


def test_setting_api_token(command: Command) -> None:
    command.run(*events(event(day(9, 8), "nobody")), api_token=None)

    assert (command.report["sent"], command.report["parked"]) == (1, 0)
    assert not [call for call in command.target.planhat.calls.log if call.path == "/endusers"]


def test_setting_region(command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    hosts = set()

    def refuse(address: tuple[str, int], *_: t.Any, **__: t.Any) -> t.NoReturn:
        hosts.add(address[0])
        raise OSError("no network here")

    monkeypatch.setattr("urllib3.util.connection.create_connection", refuse)
    for name in ("HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
    said = command.run(*events(event(day(9, 8))), api_url=None, region="eu3")

    assert said.code == 1
    assert hosts == {"api-eu3.planhat.com"}


def test_setting_api_url(command: Command, elsewhere: Emulator) -> None:
    there = {"api_url": elsewhere.url, "api_token": elsewhere.api_token}
    command.run(*events(event(day(9, 8), "u9"), event(day(9, 8), "u2")), **there)

    assert (command.report["sent"], command.report["parked"]) == (1, 1)


def test_setting_analytics_url(command: Command, elsewhere: Emulator) -> None:
    there = {"analytics_url": elsewhere.analytics_url, "tenant_token": elsewhere.tenant_token}
    command.run(*events(event(day(9, 8), "u9")), **there, api_token=None)

    assert elsewhere.world.activity_sums() == {("u9", "Export", "2026-03-09"): 1}
    assert command.target.sums == {}


def test_setting_activities(command: Command) -> None:
    rule = {"stream": "feature_events", "only": ["f2"], "action": "Found {feature_name}"}
    rows = (event(day(9, 8)), event(day(9, 8), feature="f2"))
    command.run(*events(*rows), activities=[rule])

    assert command.target.sums == {("u2", "Found Search", "2026-03-09"): 1}


def test_setting_metrics(command: Command) -> None:
    rule = {"stream": "feature_events", "dimension_id": "uses"}
    command.run(*events(event(day(9, 8), count=3), event(day(9, 9), "u1")), metrics=[rule])

    sums = command.target.planhat.world.point_sums()
    assert sums == {("uses", "Company", "acme", "2026-03-09"): 4}


def test_setting_settle_hours(command: Command) -> None:
    command.run(*events(event(day(9, 8))), settle_hours=40)
    assert (command.report["waiting"], command.target.sums) == (1, {})

    command.run(*events(event(day(9, 8))), settle_hours=30)
    assert command.target.sums == {EXPORT: 1}


def test_setting_since(command: Command) -> None:
    command.run(*events(event(day(8, 23)), event(day(9, 0))), since="2026-03-09")

    assert command.target.sums == {EXPORT: 1}
    assert command.report["ignored"] == 1


def test_setting_timezone(command: Command) -> None:
    command.run(*events(event(day(8, 23)), event(day(8, 22))), timezone="Europe/Berlin")

    assert command.target.sums == {EXPORT: 1, ("u2", "Export", "2026-03-08"): 1}


@pytest.mark.parametrize(
    ("policy", "fate"), [("park", "parked"), ("skip", "rejected"), ("send", "sent")]
)
def test_setting_unmatched(policy: str, fate: str, command: Command) -> None:
    said = command.run(*events(event(day(9, 8), "nobody")), unmatched=policy)

    assert said.code == 0
    assert command.report[fate] == 1


def test_setting_park_days(command: Command) -> None:
    command.run(*events(event(day(9, 8), "nobody")))
    command.target.now += timedelta(days=3)
    command.run(park_days=3)
    assert command.report["rules"][0]["earlier"] == {}
    command.target.now += timedelta(days=1)
    command.run(park_days=3)
    assert command.report["rules"][0]["earlier"] == {"rejected": 1}


def test_setting_create_end_users(command: Command) -> None:
    told = (
        schema("visitors", "visitor_id", "metadata"),
        record("visitors", visitor_id="new", metadata={"agent": {"email": "new@acme.example"}}),
    )
    command.run(*told, *events(event(day(9, 8), "new")), create_end_users=True)

    assert command.target.sums == {("new", "Export", "2026-03-09"): 1}
    assert "1 end user was created" in command.report["notes"]


def test_setting_dry_run(command: Command) -> None:
    said = command.run(*events(event(day(9, 8))), dry_run=True)

    assert (said.code, said.states) == (0, [])
    assert (command.report["dry_run"], command.report["sent"]) == (True, 1)
    assert command.target.sums == {}


def test_setting_ledger_url(command: Command, tmp_path: Path) -> None:
    file = tmp_path / "other" / "ledger.db"
    command.run(*events(event(day(9, 8))), ledger_url=f"sqlite:///{file}")

    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert not (tmp_path / "ledger.db").exists()


def test_setting_require_ledger(command: Command, tmp_path: Path) -> None:
    said = command.run(*events(event(day(9, 8))), require_ledger=True)
    assert said.code == 1
    assert not (tmp_path / "ledger.db").exists()

    command.run()
    assert command.run(*events(event(day(9, 8))), require_ledger=True).code == 0
    assert command.target.sums == {EXPORT: 1}


@pytest.mark.parametrize(("policy", "doubled"), [("assume_sent", 2), ("resend", 4)])
def test_setting_in_doubt(policy: str, doubled: int, command: Command) -> None:
    messages = events(event(day(9, 8), count=2))
    command.target.planhat.faults.add(LOST_ANSWER)
    command.run(*messages, in_doubt=policy)
    assert command.report["in_doubt"] == 1

    command.run(*messages, in_doubt=policy)
    assert command.target.sums == {EXPORT: doubled}


def test_setting_report_path(command: Command, tmp_path: Path) -> None:
    command.run(*events(event(day(9, 8))), report_path=str(tmp_path / "elsewhere"))

    found = json.loads((tmp_path / "elsewhere" / "latest.json").read_text())
    assert found["sent"] == 1
    assert "<h1>" in (tmp_path / "elsewhere" / "latest.html").read_text()
    assert not (tmp_path / "reports").exists()


def test_setting_rejects_path(command: Command, tmp_path: Path) -> None:
    file = tmp_path / "elsewhere" / "rejects"
    rows = (event(day(9, 8), ""), event(day(9, 8), "nobody"))
    command.run(*events(*rows), rejects_path=str(file))

    lines = [json.loads(line) for line in file.read_text().splitlines()]
    assert [(line["fate"], line["reason"]) for line in lines] == [
        ("rejected", "`visitor_id` is empty"),
        ("parked", "Planhat has no end user with this externalId"),
    ]
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
