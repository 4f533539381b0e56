"""docs/first-sync.md: its files are written, its commands and statements run, in its order."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import typing as t
from datetime import datetime, timedelta, timezone
from pathlib import Path

import psycopg
import pytest
import yaml
from emulation.clock import Clock
from pendo_emulator.server import serve
from pendo_emulator.world import World
from with_demo.postgres import embedded_postgres

from tests.documents import blocks
from tests.tables import event_sums

if t.TYPE_CHECKING:
    from collections.abc import Iterator

    from pendo_emulator.server import Emulator
    from with_demo.postgres import Server

PAGE = "docs/first-sync.md"
[INSTALL] = blocks(PAGE, "Install", "sh")
[PLUGINS] = blocks(PAGE, "Say what to read, and where to put it", "yaml")
[SECRETS] = blocks(PAGE, "Say what to read, and where to put it", "ini")
[RUN] = blocks(PAGE, "Run", "sh")
[CRON] = blocks(PAGE, "On a schedule", "text")
USED, READ = blocks(PAGE, "Look", "sql")
# they make and fill an environment from the package index; here this one is used
ONLINE = ("python3 -m venv .venv\n", ". .venv/bin/activate\n", 'pip install "meltano>=4.4,<5"\n')
DAYS = 4


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Server]:
    """Start a PostgreSQL of its own, with the empty database of the page."""
    with embedded_postgres(tmp_path / "postgres") as server:
        with server.connect() as connection:
            connection.autocommit = True
            connection.execute("create database warehouse")
        yield server


@pytest.fixture
def pendo() -> Iterator[Emulator]:
    """Serve a Pendo at the time of the processes, which then stands still."""
    now = datetime.now(timezone.utc).isoformat()
    with serve(World(events_per_day=200, visitors=200, accounts=20, clock=Clock(now))) as emulator:
        yield emulator


def environment(folder: Path) -> dict[str, str]:
    """As on a new machine, whose PATH has the programs of this environment."""
    scripts = Path(sys.executable).parent
    ours = ("TAP_", "TARGET_", "MELTANO", "VIRTUAL_ENV")
    return {
        **{k: v for k, v in os.environ.items() if not k.startswith(ours)},
        "HOME": str(folder),
        "MELTANO_SEND_ANONYMOUS_USAGE_STATS": "false",
        "NO_COLOR": "1",
        "PATH": f"{scripts}{os.pathsep}{os.environ['PATH']}",
    }


def plugins(pendo: Emulator, server: Server) -> str:
    """Give what is added to meltano.yml, with the addresses and the first day of this test."""
    text = re.sub(r"^    pip_url: .*\n", "", PLUGINS, flags=re.MULTILINE)
    for said, meant in (
        ("region: eu", f"api_url: {pendo.url}"),
        ("'2026-01-01'", f"'{start(pendo).isoformat()}'"),
        ("value: 5432", f"value: {server.port}"),
    ):
        assert text.count(said) == 1
        text = text.replace(said, meant)
    return text


def start(pendo: Emulator) -> datetime:
    now = datetime.fromtimestamp(pendo.clock.now() / 1000, timezone.utc)
    return now.replace(minute=0, second=0, microsecond=0) - timedelta(days=DAYS)


def shell(script: str, folder: Path, settings: dict[str, str]) -> str:
    """Run a block of commands, the way one pastes it."""
    done = subprocess.run(
        ["sh", "-e", "-c", script],
        cwd=folder,
        env=settings,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, (done.stdout + done.stderr)[-3000:]
    return done.stdout + done.stderr


def rows(said: str) -> int:
    """Rows of uses of features, from the line of the stream's end."""
    found = re.search(r"feature_events: ok; ([\d,]+) rows, ", said)
    assert found, said[-3000:]
    return int(found[1].replace(",", ""))


def ask(server: Server, sql: str) -> list[tuple[t.Any, ...]]:
    dsn = (
        f"host=localhost port={server.port} user={server.user} password={server.password} "
        "dbname=warehouse"
    )
    with psycopg.connect(dsn) as connection:
        return connection.execute(sql.encode()).fetchall()


def secrets(pendo: Emulator, server: Server) -> str:
    values = {
        "TAP_PENDO_INTEGRATION_KEY": pendo.key,
        "TARGET_POSTGRES_USER": server.user,
        "TARGET_POSTGRES_PASSWORD": server.password,
    }
    assert re.findall(r"^(\w+)=…$", SECRETS, re.MULTILINE) == list(values)
    return re.sub(r"^(\w+)=…$", lambda m: f"{m[1]}={values[m[1]]}", SECRETS, flags=re.MULTILINE)


def test_from_nothing_to_what_is_used_most(
    tmp_path: Path, pendo: Emulator, database: Server
) -> None:
    settings = environment(tmp_path)
    install = INSTALL
    for line in ONLINE:
        assert line in install
        install = install.replace(line, "")
    shell(install, tmp_path, settings)
    project = tmp_path / "pendo"
    assert ".env" in (project / ".gitignore").read_text().split()
    with (project / "meltano.yml").open("a") as file:
        file.write(plugins(pendo, database))
    (project / ".env").write_text(secrets(pendo, database))

    said = shell(RUN, project, settings)

    read = rows(said)
    assert "Run completed" in said
    names = {one["id"]: one["name"] for one in pendo.world.listed("feature", pendo.clock.now())}
    sums: dict[str, int] = {}
    for (_, feature, _), count in event_sums(
        pendo.world, "featureEvents", start(pendo), "hour"
    ).items():
        sums[feature] = sums.get(feature, 0) + count
    most = sorted(sums.values(), reverse=True)[:10]
    used = ask(database, USED)
    assert [int(uses) for *_, uses in used] == most
    assert {name for name, *_ in used} <= set(names.values())
    assert [(stream, since) for stream, since, _ in ask(database, READ)] == [
        ("feature_events", start(pendo).replace(tzinfo=None))
    ]

    when, entry = CRON.split("  ", maxsplit=1)
    assert len(when.split()) == 5
    entry = entry.replace("/srv/usage/pendo", f"'{project}'").replace("../.venv/bin/", "")
    # with the state of the run before
    assert 0 < rows(shell(entry, tmp_path, settings)) < read
    assert ask(database, USED) == used


def test_what_the_page_configures_is_as_in_the_projects_own_file(
    project_file: dict[str, t.Any],
) -> None:
    written = yaml.safe_load(PLUGINS)["plugins"]
    for kind, [plugin] in written.items():
        own = next(one for one in project_file["plugins"][kind] if one["name"] == plugin["name"])
        settings = {one["name"]: one for one in own["settings"]}

        assert set(plugin.get("capabilities", ())) <= set(own["capabilities"])
        for setting in plugin["settings"]:
            of = settings[setting["name"]]
            assert setting == {name: of[name] for name in setting}
            assert {"value", "sensitive"} & of.keys() <= {*setting, "value"}


@pytest.fixture
def project_file() -> dict[str, t.Any]:
    """Give the meltano.yml of this project."""
    found: dict[str, t.Any] = yaml.safe_load(
        (Path(__file__).parents[2] / "meltano.yml").read_text()
    )
    return found
