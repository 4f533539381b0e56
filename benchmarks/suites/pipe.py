"""Rows a second through a whole pipe: into PostgreSQL and into an emulated Planhat.

Ours is the project as it is shipped; the other one has a tap and a target with their defaults.
"""

from __future__ import annotations

import dataclasses
import functools
import itertools
import json
import os
import re
import shlex
import sys
import typing as t
import urllib.request
from pathlib import Path
from tempfile import TemporaryDirectory

from psycopg import sql
from with_demo.postgres import embedded_postgres

from benchmarks.figures import OURS, PLAIN, Series, alternating
from benchmarks.running import ROOT, FailedError, Run, measured, program, serving
from benchmarks.suites.pendo import ROWS_A_DAY, Pendo, days_of, pendo

if t.TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from with_demo.postgres import Server

    from benchmarks.suites import Options

# rows for a row of `--size`: a hundred thousand of a million
SHARE = 0.1
MELTANO, SHELL = "meltano run, into PostgreSQL", "a pipe of the shell, into PostgreSQL"
LONGER = "meltano run, into PostgreSQL, ten times the rows"
PLANHAT = "meltano run, into planhat-emulator"
_FEW = 48
_BIN = Path(sys.executable).parent
_STREAM = "feature_events"
_SELECTED = [f"{stream}.*" for stream in ("sync_windows", "features", _STREAM)]
SCHEMAS = {OURS: "of_ours", PLAIN: "of_plain"}
_PLAIN_PROJECT = Path(__file__).with_name("plain.yml")
# each run has a state of its own
_STATES = itertools.count()
# what the caller's environment may say of the plugins
_LEFT_OUT = ("TAP_", "TARGET_", "MELTANO", "PG")


@dataclasses.dataclass(frozen=True)
class Place:
    """A Pendo to read, a database to load, and a folder in which both projects are."""

    pendo: Pendo
    database: Server
    folder: Path

    def environment(self, contender: str) -> dict[str, str]:
        """Give the settings that projects take from the environment."""
        if contender == OURS:
            prefix, said = "TAP_PENDO_", {"_select": json.dumps(_SELECTED)}
        else:
            prefix, said = "PLAIN_TAP_", {"stream": _STREAM}
        said |= self.pendo.settings
        kept = {k: v for k, v in os.environ.items() if not k.startswith(_LEFT_OUT)}
        return {
            **kept,
            **{prefix + name.upper(): value for name, value in said.items()},
            **self.database.environment(),
            "TARGET_POSTGRES_DEFAULT_TARGET_SCHEMA": SCHEMAS[contender],
            "PATH": f"{self.folder}{os.pathsep}{_BIN}{os.pathsep}{kept['PATH']}",
            "HOME": str(self.folder),
        }


def measure(options: Options) -> Iterator[list[Series]]:
    """Measure both pipes with Meltano and without, ours into Planhat, and then more rows."""
    rows = max(1, round(options.size * SHARE))
    with TemporaryDirectory() as name, embedded_postgres(Path(name) / "postgres") as database:
        folder = Path(name) / "projects"
        make_projects(folder)
        # Meltano makes its database in a project's first run
        with pendo(_FEW, features=_FEW) as few:
            for contender in SCHEMAS:
                _meltano(Place(few, database, folder), contender, _FEW)
        with pendo(rows) as many:
            place = Place(many, database, folder)
            for case, run in ((MELTANO, _meltano), (SHELL, _shell)):
                yield _both(case, run, place, rows, options.rounds)
            into_planhat = functools.partial(_planhat, place, _activities(rows))
            yield alternating({(PLANHAT, OURS): into_planhat}, rows, options.rounds)
        with pendo(rows * 10) as most:
            place = Place(most, database, folder)
            yield _both(LONGER, _meltano, place, rows * 10, options.rounds)


def _both(
    case: str, run: Callable[[Place, str, int], Run], place: Place, rows: int, rounds: int
) -> list[Series]:
    """Run ours and the other one in turn."""
    runs = {
        (case, contender): functools.partial(run, place, contender, rows) for contender in SCHEMAS
    }
    return alternating(runs, rows, rounds)


def make_projects(folder: Path) -> None:
    """Make both projects; their plugins are those of this environment: no index is asked."""
    text = (ROOT / "meltano.yml").read_text(encoding="utf-8")
    of_ours = re.sub(r"^    pip_url: .*\n", "", text, flags=re.MULTILINE)
    for contender, content in ((OURS, of_ours), (PLAIN, _PLAIN_PROJECT.read_text("utf-8"))):
        project = folder / SCHEMAS[contender]
        project.mkdir(parents=True)
        (project / "meltano.yml").write_text(content, encoding="utf-8")
    command = shlex.join(program("benchmarks.contenders.plain_tap"))
    executable = folder / "plain-tap"
    executable.write_text(
        f'#!/bin/sh\nPYTHONPATH={shlex.quote(str(ROOT))} exec {command} "$@"\n', encoding="utf-8"
    )
    executable.chmod(0o700)


def _meltano(place: Place, contender: str, rows: int) -> Run:
    """Run a tap into PostgreSQL by Meltano."""
    tap = {OURS: "tap-pendo", PLAIN: "plain-tap"}[contender]
    return _loaded(place, contender, rows, meltano_run(tap, "target-postgres"))


def meltano_run(tap: str, target: str) -> list[str]:
    """Give the command that runs a tap into a target by Meltano, with a state of its own."""
    return [str(_BIN / "meltano"), "run", f"--state-id-suffix={next(_STATES)}", tap, target]


def _shell(place: Place, contender: str, rows: int) -> Run:
    """Run the same programs with the same settings, as Meltano gives them, in the shell."""
    config = place.folder / "target-postgres.json"
    measured(
        [str(_BIN / "meltano"), "invoke", "--dump=config", "target-postgres"],
        kept=config,
        folder=place.folder / SCHEMAS[contender],
        environment=place.environment(contender),
    )
    if contender == OURS:
        tap = place.pendo.ours("sync_windows", _STREAM)
    else:
        tap = place.pendo.other(PLAIN, _STREAM)
    target = [str(_BIN / "target-postgres"), "--config", str(config)]
    home = f"set -o pipefail; cd {shlex.quote(str(ROOT))}"
    pipe = f"{home}; {shlex.join(tap)} | {shlex.join(target)}"
    return _loaded(place, contender, rows, ["bash", "-c", pipe])


def _loaded(place: Place, contender: str, rows: int, command: list[str]) -> Run:
    """Run a pipe into an empty schema and count what arrives."""
    schema = SCHEMAS[contender]
    name = sql.Identifier(schema)
    with place.database.connect() as connection:
        connection.execute(sql.SQL("drop schema if exists {} cascade").format(name))
    folder, environment = place.folder / schema, place.environment(contender)
    took = measured(command, folder=folder, environment=environment)
    counting = sql.SQL("select count(*) from {}").format(sql.Identifier(schema, _STREAM))
    with place.database.connect() as connection:
        (found,) = connection.execute(counting).fetchone() or (0,)
    if found != rows:
        raise FailedError(f"{contender}: {found} rows arrived instead of {rows}")
    return took


def _activities(rows: int) -> int:
    """Count the uses of a feature by a visitor on a day: those of a day's longest hour."""
    days = days_of(rows)
    fewest, more = divmod(rows, days * 24)
    return days * fewest + -(-more // 24)


def _planhat(place: Place, expected: int) -> Run:
    """Run ours into an emulated Planhat that has the end users and their companies."""
    seeds = ["--companies", "100", "--endusers", str(ROWS_A_DAY // 24)]
    with (
        serving("planhat_emulator", "--port", "0", *seeds) as planhat,
        TemporaryDirectory() as ledger,
    ):
        settings = {
            "TARGET_PLANHAT_TENANT_TOKEN": planhat["tenant_token"],
            "TARGET_PLANHAT_API_TOKEN": planhat["key"],
            "TARGET_PLANHAT_API_URL": planhat["url"],
            "TARGET_PLANHAT_ANALYTICS_URL": planhat["analytics_url"],
            "TARGET_PLANHAT_LEDGER_URL": f"sqlite:///{ledger}/ledger.db",
        }
        command = meltano_run("tap-pendo", "target-planhat")
        environment = {**place.environment(OURS), **settings}
        took = measured(command, folder=place.folder / SCHEMAS[OURS], environment=environment)
        count = f"{planhat['url']}/_emulator/truth/count?kind=activities"
        with urllib.request.urlopen(count, timeout=60) as answer:  # noqa: S310 - ours
            found = json.load(answer)["rows"]
    if found != expected:
        raise FailedError(f"{found} activities arrived instead of {expected}")
    return took
