"""Rows a second through a whole pipe of Meltano into PostgreSQL.

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
from pathlib import Path
from tempfile import TemporaryDirectory

from psycopg import sql
from with_demo.postgres import embedded_postgres

from benchmarks.figures import OURS, PLAIN, Options, Series, alternating
from benchmarks.running import ROOT, FailedError, Run, measured, program
from benchmarks.taps import EVENTS, Pendo, pendo

if t.TYPE_CHECKING:
    from collections.abc import Iterator

    from with_demo.postgres import Server

# rows for a row of `--size`: a hundred thousand of a million
_SHARE = 0.1
MELTANO = "meltano run, into PostgreSQL"
LONGER = "meltano run, into PostgreSQL, ten times the rows"
_FEW = 48
_BIN = Path(sys.executable).parent
_SELECTED = [f"{stream}.*" for stream in ("sync_windows", "features", EVENTS)]
_SCHEMAS = {OURS: "of_ours", PLAIN: "of_plain"}
_TAPS = {OURS: "tap-pendo", PLAIN: "plain-tap"}
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
            prefix, said = "PLAIN_TAP_", {"stream": EVENTS}
        said |= self.pendo.settings
        kept = {k: v for k, v in os.environ.items() if not k.startswith(_LEFT_OUT)}
        return {
            **kept,
            **{prefix + name.upper(): value for name, value in said.items()},
            **self.database.environment(),
            "TARGET_POSTGRES_DEFAULT_TARGET_SCHEMA": _SCHEMAS[contender],
            "PATH": f"{self.folder}{os.pathsep}{_BIN}{os.pathsep}{kept['PATH']}",
            "HOME": str(self.folder),
        }

    def run(self, rows: int, contender: str) -> Run:
        """Run a tap into an empty schema and count what arrives.

        Raises:
            FailedError: not all has arrived, or more.
        """
        schema = _SCHEMAS[contender]
        with self.database.connect() as connection:
            dropping = sql.SQL("drop schema if exists {} cascade")
            connection.execute(dropping.format(sql.Identifier(schema)))
        suffix = f"--state-id-suffix={next(_STATES)}"
        command = [str(_BIN / "meltano"), "run", suffix, _TAPS[contender], "target-postgres"]
        took = measured(
            command, folder=self.folder / schema, environment=self.environment(contender)
        )
        with self.database.connect() as connection:
            counting = sql.SQL("select count(*) from {}").format(sql.Identifier(schema, EVENTS))
            (found,) = connection.execute(counting).fetchone() or (0,)
        if found != rows:
            raise FailedError(f"{contender}: {found} rows arrived instead of {rows}")
        return took


def pipe(options: Options) -> Iterator[list[Series]]:
    """Measure both projects, and again with ten times the rows."""
    rows = max(1, round(options.size * _SHARE))
    with TemporaryDirectory() as name, embedded_postgres(Path(name) / "postgres") as database:
        folder = Path(name) / "projects"
        _make_projects(folder)
        # Meltano makes its database in a project's first run
        with pendo(_FEW, features=_FEW) as few:
            for contender in _SCHEMAS:
                Place(few, database, folder).run(_FEW, contender)
        for case, size in ((MELTANO, rows), (LONGER, rows * 10)):
            with pendo(size) as served:
                run = Place(served, database, folder).run
                runs = {(case, one): functools.partial(run, size, one) for one in _SCHEMAS}
                yield alternating(runs, size, options.rounds)


def _make_projects(folder: Path) -> None:
    """Make both projects; their plugins are those of this environment: no index is asked."""
    text = (ROOT / "meltano.yml").read_text(encoding="utf-8")
    of_ours = re.sub(r"^    pip_url: .*\n", "", text, flags=re.MULTILINE)
    of_plain = Path(__file__).with_name("plain.yml").read_text(encoding="utf-8")
    for contender, content in ((OURS, of_ours), (PLAIN, of_plain)):
        project = folder / _SCHEMAS[contender]
        project.mkdir(parents=True)
        (project / "meltano.yml").write_text(content, encoding="utf-8")
    command = shlex.join(program("benchmarks.contenders.plain_tap"))
    executable = folder / "plain-tap"
    executable.write_text(
        f'#!/bin/sh\nPYTHONPATH={shlex.quote(str(ROOT))} exec {command} "$@"\n', encoding="utf-8"
    )
    executable.chmod(0o700)
