"""A small tenant of its own for each test, and a client of it whose waits take no time."""

from __future__ import annotations

import typing as t
import uuid

import pytest
from emulation.clock import Clock
from planhat_emulator.server import serve
from planhat_emulator.world import World
from target_planhat import target as target_module
from target_planhat.ledger.database import Database
from target_planhat.planhat import http
from target_planhat.planhat.endpoints import PlanhatClient

from tests.planhat.running import TargetRunner

if t.TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from planhat_emulator.server import Emulator
    from with_demo.postgres import Server


class Time:
    """A clock that only sleeping moves."""

    def __init__(self) -> None:
        self.now = self.begun = 1000.0

    @property
    def slept(self) -> float:
        """Seconds that were slept in all."""
        return round(self.now - self.begun, 6)

    def clock(self) -> float:
        """Give the time."""
        return self.now

    def sleep(self, seconds: float) -> None:
        """Let time pass."""
        self.now += seconds


@pytest.fixture(scope="session", autouse=True)
def _compiled() -> Iterator[None]:
    """Let hundreds of runs in one process compile each statement once, not hundreds of times."""
    options: t.Callable[[Database], dict[str, t.Any]] = Database._options  # noqa: SLF001 - no seam
    cached = {"execution_options": {"compiled_cache": {}}}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Database, "_options", lambda self: {**options(self), **cached})
        yield


@pytest.fixture(scope="session")
def _served() -> Iterator[Emulator]:
    with serve() as emulator:
        yield emulator


@pytest.fixture
def planhat(_served: Emulator) -> Emulator:
    """Serve two companies and three end users; u1 is in both companies."""
    world = World(clock=Clock("2026-03-11T10:30:00Z"))
    world.seed(
        companies=[
            {"externalId": "acme", "name": "Acme", "sourceId": "s-acme"},
            {"externalId": "beta", "name": "Beta"},
        ],
        endusers=[
            {"externalId": "u1", "email": "u1@acme.example", "companyId": "extid-acme"},
            {"externalId": "u1", "email": "u1@beta.example", "companyId": "extid-beta"},
            {"externalId": "u2", "email": "u2@acme.example", "companyId": "extid-acme"},
        ],
        assets=[{"externalId": "a1", "name": "Asset", "companyId": "extid-acme"}],
        projects=[{"externalId": "p1", "name": "Project", "companyId": "extid-beta"}],
        users=1,
    )
    _served.renew(world)
    return _served


@pytest.fixture
def time() -> Time:
    """Give the time that the clients keep."""
    return Time()


@pytest.fixture
def connect(planhat: Emulator, time: Time) -> Iterator[Callable[..., PlanhatClient]]:
    """Make clients of that tenant, with other settings where they are given."""
    made = []

    def client(**settings: t.Any) -> PlanhatClient:
        given: dict[str, t.Any] = {
            "tenant_token": planhat.tenant_token,
            "api_token": planhat.api_token,
            "region": None,
            "api_url": planhat.url,
            "analytics_url": planhat.analytics_url,
            "timeout": 5,
            **settings,
        }
        made.append(PlanhatClient(clock=time.clock, sleep=time.sleep, **given))
        return made[-1]

    yield client
    for one in made:
        one.close()


@pytest.fixture
def client(connect: Callable[..., PlanhatClient]) -> PlanhatClient:
    """Give a client with the right settings."""
    return connect()


@pytest.fixture
def target(planhat: Emulator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> TargetRunner:
    """Give the target, ready for that tenant; nothing waits before it tries again."""
    monkeypatch.setattr(http, "FIRST_WAIT", 0.0)
    runner = TargetRunner(planhat, tmp_path)
    monkeypatch.setattr(target_module, "now", lambda: int(runner.now.timestamp() * 1000))
    planhat.knobs.rate_limit = None
    return runner


@pytest.fixture
def ledger_in_postgres(postgres: Server) -> str:
    """Give the URL of an empty ledger in PostgreSQL."""
    schema = f"ledger_{uuid.uuid4().hex}"
    with postgres.connect() as connection:
        connection.execute(f"create schema {schema}".encode())
    place = f"{postgres.user}:{postgres.password}@{postgres.host}:{postgres.port}"
    return f"postgresql://{place}/{postgres.database}?options=-csearch_path%3D{schema}"


@pytest.fixture
def ledger_is_shared(target: TargetRunner, ledger_in_postgres: str) -> None:
    """Let the target's ledger be in PostgreSQL, and the tables be made."""
    target.config["ledger_url"] = ledger_in_postgres
    Database(ledger_in_postgres, target.planhat.tenant_token).close()


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.whole)])
def either_ledger(request: pytest.FixtureRequest, target: TargetRunner) -> str:
    """Give a ledger in SQLite; with --all, run the test with one in PostgreSQL too."""
    if request.param == "postgresql":
        target.config["ledger_url"] = request.getfixturevalue("ledger_in_postgres")
    return str(request.param)
