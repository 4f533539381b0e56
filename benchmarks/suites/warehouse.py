"""What a row takes on its way from Pendo into PostgreSQL, the first time and read again."""

from __future__ import annotations

import contextlib
import dataclasses
import itertools
import json
import typing as t
import urllib.request
from datetime import datetime
from pathlib import Path
from tempfile import TemporaryDirectory

from psycopg import sql

from benchmarks.figures import OURS
from benchmarks.product import HOUR_MS, to_ms
from benchmarks.running import FailedError, measured, serving
from benchmarks.suites.pendo import Pendo, pendo
from benchmarks.suites.pipe import SCHEMAS, Place, make_projects, meltano_run
from benchmarks.watching import Watched, cpu_of_parent, watched

if t.TYPE_CHECKING:
    from collections.abc import Iterator

    from with_demo.postgres import Server

DAYS = 5
DAY_MS = 24 * HOUR_MS
_NOW, _END = "2026-03-20T00:00:00Z", "2026-03-18T00:00:00+00:00"
_STREAM = "feature_events"
_ITEM = ("visitor_id", "account_id", "feature_id")
_TAP, _TARGET, _MELTANO = "tap-pendo", "target-postgres", "meltano"
_PROGRAMS = (_MELTANO, _TAP, _TARGET)
_TABLES = sql.Identifier(SCHEMAS[OURS], _STREAM)


@contextlib.contextmanager
def loading(database: Server, folder: Path, events: int) -> Iterator[Loading]:
    """Serve an emulated Pendo with so many raw feature events a day."""
    arguments = ("--port", "0", "--now", _NOW, "--events-per-day", events)
    with (
        serving("pendo_emulator", *arguments) as served,
        pendo(0) as empty,
        TemporaryDirectory() as files,
    ):
        projects = folder / "projects"
        make_projects(projects)
        full = Pendo({**served, "end": _END}, DAYS, Path(files))
        place, nothing = (Place(one, database, projects) for one in (full, empty))
        # Meltano makes its database in a project's first run
        _run(nothing)
        yield Loading(place, nothing, Path(files))


@dataclasses.dataclass(frozen=True)
class Loading:
    """A place to load from, one without any rows, and a folder for files."""

    place: Place
    nothing: Place
    folder: Path
    _numbers: t.ClassVar[t.Iterator[int]] = itertools.count()

    def run(self) -> dict[str, tuple[str, float]]:
        """Load nothing, then rows into an empty schema, then the same rows again."""
        name = sql.Identifier(SCHEMAS[OURS])
        self._ask(sql.SQL("drop schema if exists {} cascade").format(name))
        start, _ = _run(self.nothing)
        first, server = _run(self.place)
        (rows, events) = self._ask(
            sql.SQL("select count(*), sum(num_events)::bigint from {}").format(_TABLES)
        )
        if not rows:
            raise FailedError("no rows arrived")
        sizes = self._sizes()
        again, server_again = _run(self.place)
        written = self._sizes()
        packed = self._packed()

        def each(seconds: float) -> tuple[str, float]:
            return "CPU us", seconds / rows * 1e6

        def of(name: str, took: Watched) -> tuple[str, float]:
            return each(took.cpu[name] - start.cpu[name])

        return {
            "run without rows": ("CPU s", sum(start.cpu.values())),
            "run without rows, by the clock": ("s", start.wall),
            "run into PostgreSQL, all processes at once": ("MB", max(first.memory, again.memory)),
            "row, tap-pendo": of(_TAP, first),
            "row, Meltano": of(_MELTANO, first),
            "row, target-postgres": of(_TARGET, first),
            "row read again, target-postgres": of(_TARGET, again),
            "row, PostgreSQL": each(server),
            "row read again, PostgreSQL": each(server_again),
            "row in PostgreSQL, table": ("bytes", sizes[0] / rows),
            "row in PostgreSQL, index of its key": ("bytes", sizes[1] / rows),
            "row in PostgreSQL, read again once, table": ("bytes", written[0] / rows),
            "row in PostgreSQL, read again once, index of its key": ("bytes", written[1] / rows),
            "row in PostgreSQL, vacuumed, table": ("bytes", packed[0] / rows),
            "row in PostgreSQL, vacuumed, index of its key": ("bytes", packed[1] / rows),
            **self._read(int(rows)),
            "row of the emulated product": ("events", int(events) / rows),
        }

    def _read(self, rows: int) -> dict[str, tuple[str, float]]:
        """Read once more, by the tap alone, to see what it is sent and what it writes."""
        file = self.folder / f"{next(self._numbers)}.jsonl"
        measured(self.place.pendo.ours("sync_windows", _STREAM), kept=file)
        written, state, items = 0, "", set()
        for line in file.read_text(encoding="utf-8").splitlines():
            message = json.loads(line)
            if message["type"] == "STATE":
                state = json.dumps(message["value"]["bookmarks"])
            elif message["type"] == "RECORD" and message["stream"] == _STREAM:
                written += len(line.encode()) + 1
                row = message["record"]
                place = tuple(row.get(name) for name in _ITEM)
                items.add((*place, row["hour"][:10]))
        file.unlink()
        return {
            "row in an answer of Pendo": ("bytes", self._answered()),
            "row as a line of tap-pendo": ("bytes", written / rows),
            "rows of a visitor, feature and day": ("rows", rows / len(items)),
            "state of one stream": ("bytes", len(state)),
        }

    def _answered(self) -> float:
        """Bytes of a row in the answer for the last day."""
        settings = self.place.pendo.settings
        end = to_ms(datetime.fromisoformat(settings["end_date"]))
        series = {"period": "hourRange", "first": end - DAY_MS, "last": end - 1}
        source = {"featureEvents": {"appId": 'expandAppIds("*")'}, "timeSeries": series}
        asked = urllib.request.Request(  # noqa: S310 - ours
            f"{settings['api_url']}/api/v1/aggregation",
            json.dumps({"request": {"pipeline": [{"source": source}]}}).encode(),
            {"x-pendo-integration-key": settings["integration_key"]},
        )
        with urllib.request.urlopen(asked, timeout=60) as answer:  # noqa: S310 - ours
            body = answer.read()
        return len(body) / len(json.loads(body)["results"])

    def _sizes(self) -> tuple[float, float]:
        """Bytes of the table, and of its index."""
        table, whole = self._ask(
            sql.SQL("select pg_table_size({0}), pg_total_relation_size({0})").format(
                sql.Literal(f"{SCHEMAS[OURS]}.{_STREAM}")
            )
        )
        return table, whole - table

    def _packed(self) -> tuple[float, float]:
        """The same, without rows that are gone."""
        with self.place.database.connect() as connection:
            connection.autocommit = True
            connection.execute("set statement_timeout = 0")
            connection.execute(sql.SQL("vacuum full {}").format(_TABLES))
        return self._sizes()

    def _ask(self, statement: sql.Composed) -> t.Any:
        with self.place.database.connect() as connection:
            found = connection.execute(statement)
            return found.fetchone() if found.description else None


def _run(place: Place) -> tuple[Watched, float]:
    """Run Meltano; give what was seen of its programs, and CPU seconds of the server."""
    with place.database.connect() as connection:
        pid = connection.info.backend_pid
        before = cpu_of_parent(pid)
        command = meltano_run("tap-pendo", "target-postgres")
        folder = place.folder / SCHEMAS[OURS]
        took = watched(command, _PROGRAMS, folder, place.environment(OURS))
        return took, cpu_of_parent(pid) - before
