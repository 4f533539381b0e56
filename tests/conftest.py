"""What the tests share: an emulated Pendo, the tap as one calls it, and a real PostgreSQL."""

from __future__ import annotations

import contextlib
import gc
import io
import json
import random
import typing as t
from collections import defaultdict
from datetime import datetime, timedelta, timezone

import psycopg
import pytest
from click.testing import CliRunner
from emulation.serving import base_url, listening, served
from hypothesis import HealthCheck
from hypothesis import settings as examples
from pendo_emulator.server import Emulator
from pendo_emulator.world import World
from tap_pendo import tap as tap_module
from tap_pendo.api import client as tap_client
from tap_pendo.calendar import from_ms
from tap_pendo.catalog import CATALOG
from target_postgres.target import TargetPostgres
from with_demo.postgres import embedded_postgres

# a busy machine is slow, and not wrong
CALM = examples(deadline=None, suppress_health_check=list(HealthCheck))
examples.register_profile("default", CALM, derandomize=True, max_examples=30)
# other examples each time; a failure prints how to repeat it
examples.register_profile("nightly", CALM, max_examples=300, print_blob=True)

if t.TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from click.testing import Result
    from starlette.types import ASGIApp, Receive, Scope, Send
    from with_demo.postgres import Server

Message = dict[str, t.Any]
# A Wednesday; four days after the clock went forward in New York
NOW = datetime(2026, 3, 11, 12, 34, 56, tzinfo=timezone.utc)


def pytest_addoption(parser: pytest.Parser) -> None:
    """Take --all."""
    parser.addoption("--all", action="store_true", help="whole matrices instead of a sample")
    parser.addoption("--seed", type=int, help="of what is random: 0, but with --all any")


def pytest_configure(config: pytest.Config) -> None:
    """Choose what is random, and how much of it: the same each time, unless --all is given."""
    examples.load_profile("nightly" if config.getoption("all") else "default")
    if config.getoption("seed") is None:
        # the processes of xdist are given what is found here
        config.option.seed = random.randrange(10**6) if config.getoption("all") else 0


def pytest_report_header(config: pytest.Config) -> str:
    """Print what a random test is repeated with."""
    return f"--seed={config.getoption('seed')}"


@pytest.fixture
def draw(request: pytest.FixtureRequest) -> random.Random:
    """Give what a test draws from: by its name and `--seed`."""
    return random.Random(f"{request.config.getoption('seed')} {request.node.name}")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Without --all, leave out what is marked `whole`, and most cases of what is marked `some`."""
    if config.getoption("all"):
        return
    cases: dict[str, list[pytest.Item]] = defaultdict(list)
    for item in items:
        marker = item.get_closest_marker("some")
        if marker:
            cases[item.nodeid.partition("[")[0]].append(item)
    left_out = {item.nodeid for item in items if item.get_closest_marker("whole")}
    for each in cases.values():
        marker = t.cast("pytest.Mark", each[0].get_closest_marker("some"))
        there = [item for item in each if item.nodeid not in left_out]
        kept = random.Random(0).sample(there, min(marker.args[0], len(there)))
        left_out.update(item.nodeid for item in there if item not in kept)
    config.hook.pytest_deselected(items=[i for i in items if i.nodeid in left_out])
    items[:] = [item for item in items if item.nodeid not in left_out]


@pytest.fixture(autouse=True)
def _garbage(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep from both plugins what is for a process that is theirs alone: nothing would be freed."""
    monkeypatch.setattr(gc, "freeze", lambda: None)
    monkeypatch.setattr(gc, "set_threshold", lambda *_: None)


class Place:
    """An address at which one application after the other is served."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.application: ASGIApp | None = None

    def pendo(self, world: World) -> Emulator:
        """Serve a Pendo from now on, with its clock at NOW."""
        emulator = Emulator(world, "us")
        emulator.clock.set(NOW.isoformat())
        emulator.url, self.application = self.url, emulator.application()
        return emulator

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer as the application that is served now does."""
        assert self.application
        await self.application(scope, receive, send)


@pytest.fixture(scope="session")
def _place() -> Iterator[Place]:
    with listening("127.0.0.1", 0) as sock:
        place = Place(base_url(sock))
        with served(place, sock):
            yield place


@pytest.fixture
def pendo(_place: Place) -> Emulator:
    """Serve a Pendo of its own for each test, with its clock at NOW."""
    return _place.pendo(World(events_per_day=100, visitors=300))


@pytest.fixture
def tap(pendo: Emulator, monkeypatch: pytest.MonkeyPatch) -> TapRunner:
    """Give the tap, ready for that Pendo and on its clock; nothing waits before it tries again."""
    monkeypatch.setattr(tap_client, "FIRST_WAIT", 0.0)
    monkeypatch.setattr(tap_module, "utc_now", lambda: from_ms(pendo.clock.now()))
    return TapRunner(pendo)


class Output(list[Message]):
    """The messages of a run."""

    @property
    def state(self) -> Message:
        """The last state; what the next run begins with."""
        states = [m["value"] for m in self if m["type"] == "STATE"]
        return json.loads(json.dumps(states[-1])) if states else {}

    def records(self, stream: str) -> list[Message]:
        """The records of a stream."""
        return [m["record"] for m in self if m["type"] == "RECORD" and m["stream"] == stream]

    @property
    def text(self) -> str:
        """The messages as lines, as a target reads them."""
        return "".join(json.dumps(m) + "\n" for m in self)


def costly(select: Iterable[str]) -> list[str]:
    """Give those streams that the setting `costly_streams` must name."""
    names = set(select)
    return [row.name for row in CATALOG if not row.by_default and row.name in names]


class TapRunner:
    """Runs the tap in this process, as its command line does."""

    def __init__(self, pendo: Emulator) -> None:
        self.pendo = pendo
        self.config: dict[str, t.Any] = {
            "api_url": pendo.url,
            "integration_key": pendo.key,
            "start_date": (NOW - timedelta(days=5)).isoformat(),
            "max_calls_per_second": 100,
        }
        self.exit_code = 0

    def tap(
        self, *, state: Message | None = None, select: tuple[str, ...] = (), **settings: t.Any
    ) -> tap_module.TapPendo:
        """Make a tap; `select` names the streams, also costly ones, all by default."""
        config = {**self.config, "costly_streams": costly(select), **settings}
        given = {k: v for k, v in config.items() if v is not None}
        made = tap_module.TapPendo(config=given, setup_mapper=False)
        if state:
            made.load_state(state)
        for name, stream in made.streams.items():
            if select:
                stream.selected = name in {*select, "sync_windows"}
        # the SCHEMA messages of streams that are off by default follow the selection at this time
        made.setup_mapper()
        return made

    def run(
        self, *, state: Message | None = None, select: tuple[str, ...] = (), **settings: t.Any
    ) -> Output:
        """Run to the end; the exit code is kept."""
        return self.collect(self.tap(state=state, select=select, **settings))

    def collect(self, made: tap_module.TapPendo) -> Output:
        """Run a tap that is made already."""
        out = io.StringIO()
        with contextlib.redirect_stdout(out):
            self.exit_code = made.sync()
        return Output(json.loads(line) for line in out.getvalue().split("\n") if line)

    def cli(
        self, folder: Path, *entry: str, state: Message | None = None, **settings: t.Any
    ) -> tuple[Result, Output]:
        """Call the command line with files for settings and state, as Meltano does."""
        config = {k: v for k, v in {**self.config, **settings}.items() if v is not None}
        (folder / "config.json").write_text(json.dumps(config))
        arguments = ["--config", str(folder / "config.json"), *entry]
        if state:
            (folder / "state.json").write_text(json.dumps(state))
            arguments += ["--state", str(folder / "state.json")]
        result = CliRunner().invoke(tap_module.TapPendo.get_singer_command(), arguments)
        lines = [line for line in result.stdout.split("\n") if line.startswith('{"type"')]
        return result, Output(json.loads(line) for line in lines)


@pytest.fixture(scope="session")
def postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Start one PostgreSQL for all tests."""
    with embedded_postgres(tmp_path_factory.mktemp("with space") / "postgres") as server:
        yield server


class Warehouse:
    """A schema of its own in PostgreSQL, filled by target-postgres as it is."""

    def __init__(self, server: Server, schema: str) -> None:
        self.schema = schema
        self.config = {
            "host": server.host,
            "port": server.port,
            "user": server.user,
            "password": server.password,
            "database": server.database,
            "default_target_schema": schema,
            "dialect+driver": "postgresql+psycopg",
            # as in meltano.yml
            "use_copy": True,
        }
        self._dsn = (
            f"host={server.host} port={server.port} user={server.user} "
            f"password={server.password} dbname={server.database}"
        )

    def load(self, output: Output, *, validate: bool = False) -> None:
        """Load the messages of a run, as meltano.yml does or with the target's validation."""
        target = TargetPostgres(config={**self.config, "validate_records": validate})
        # the processes of its own would outlive it, and keep their connections
        target.max_parallelism = 1
        with contextlib.redirect_stdout(io.StringIO()):
            target.listen(io.StringIO(output.text))
        for sink in target._sinks_active.values():  # noqa: SLF001 - nothing else closes them
            sink.connector._engine.dispose()  # noqa: SLF001 - as above

    def execute(self, sql: str) -> None:
        """Change something."""
        with psycopg.connect(self._dsn) as connection:
            connection.execute(sql.encode())

    def rows(self, sql: str) -> list[tuple[t.Any, ...]]:
        """Ask; tables are looked for in the schema."""
        with psycopg.connect(self._dsn) as connection:
            connection.execute(f'set search_path to "{self.schema}"'.encode())
            return connection.execute(sql.encode()).fetchall()


@pytest.fixture
def warehouse(postgres: Server, request: pytest.FixtureRequest) -> Warehouse:
    """Give each test an empty schema."""
    name = "".join(c if c.isalnum() else "_" for c in request.node.name.lower())[:50]
    return Warehouse(postgres, f"t_{name}")
