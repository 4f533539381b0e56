"""The pieces of work of a tenant, one function each; Dagster only gets their results."""

from __future__ import annotations

import json
import tempfile
import typing as t
from contextlib import closing
from datetime import datetime, timezone
from pathlib import Path

from orchestrate import commands, database, pieces, sums
from orchestrate.errors import PieceError
from orchestrate.running import run

if t.TYPE_CHECKING:
    from collections.abc import Mapping

    from orchestrate.connections import Tenant
    from orchestrate.logs import Log
    from orchestrate.pieces import Piece

Say = t.Callable[[str], object]


class Partitions(t.NamedTuple):
    """What the history of a tenant is cut into, and what the tap's plan says of it all."""

    apps: list[str]
    spans: list[str]
    plan: dict[str, t.Any]


class Work:
    """Runs what there is to do for one tenant."""

    def __init__(self, tenant: Tenant, environment: Mapping[str, str], say: Say) -> None:
        self._tenant = tenant
        self._environment = commands.settings(tenant, environment)
        self._say = say

    def tables(self) -> Log:
        """Make the tables of all streams, before several workers write into them; read the apps."""
        state_id = f"{self._tenant.name}-tables"
        environment = {**self._environment, **commands.of_tables(self._tenant)}
        log, _ = run(commands.load(state_id, again=True), environment, self._say)
        return log

    def partitions(self) -> Partitions:
        """Ask the tap's plan for the time there is, and the table of apps for the apps."""
        tenant = self._tenant
        environment = {**self._environment, **commands.of_plan(tenant)}
        _, written = run(commands.plan(), environment, self._say)
        plan = json.loads(written)
        bounds = [(each["start"], each["end"]) for each in plan["streams"] if each.get("start")]
        spans: list[str] = []
        if bounds:
            start = min(_moment(start) for start, _ in bounds)
            end = min(_moment(end) for _, end in bounds)
            spans = list(pieces.spans(start, end, tenant.history.cut, tenant.zone))
        with closing(database.connect(self._environment)) as connection:
            apps = tenant.apps or database.apps(connection, tenant.schema)
        return Partitions([str(app) for app in apps], spans, plan)

    def piece(self, piece: Piece) -> Log:
        """Load a piece of the history; the same each time, as no state is read.

        Raises:
            PieceError: it failed, or the tables have not been made.
        """
        tenant = self._tenant
        with closing(database.connect(self._environment)) as connection:
            tables = ["sync_windows", *tenant.streams]
            lacking = database.missing(connection, tenant.schema, tables)
        if lacking:
            told = f"{tenant.schema} has no table {lacking[0]}"
            raise PieceError(f"{told}: materialize {tenant.name}/tables first")
        environment = {**self._environment, **commands.of_piece(tenant, piece)}
        state_id = f"{tenant.name}-history-{piece.key}"
        log, _ = run(commands.load(state_id, again=True), environment, self._say)
        return log

    def compare(self, piece: Piece) -> tuple[dict[str, int], dict[str, int]]:
        """Return what Pendo counts for a piece now, and what is loaded, per event stream."""
        streams = self._tenant.streams
        asked = sums.aggregations(
            piece,
            streams,
            period=self._environment.get("TAP_PENDO_PERIOD", "hour"),
            exclude_list=self._environment.get("TAP_PENDO_EXCLUDE_LIST", "apply"),
        )
        environment = {**self._environment, "TAP_PENDO_AGGREGATIONS": json.dumps(asked)}
        with tempfile.TemporaryDirectory() as folder:
            catalog = Path(folder, "catalog.json")
            catalog.write_text(json.dumps(sums.catalog(streams)))
            _, messages = run(commands.read(catalog), environment, self._say)
        with closing(database.connect(self._environment)) as connection:
            loaded = database.sums(connection, self._tenant.schema, piece, streams)
        return sums.read(messages, streams), loaded

    def increments(self, target: str, now: datetime | None = None) -> Log:
        """Load what is new since the last time, by the state that Meltano keeps."""
        tenant = self._tenant
        start = pieces.month_before(now or datetime.now(timezone.utc), tenant.zone)
        environment = {**self._environment, **commands.of_increments(tenant, start)}
        tap = "tap-pendo-for-planhat" if target == "target-planhat" else "tap-pendo"
        command = commands.load(f"{tenant.name}-to-{target}", again=False, tap=tap, target=target)
        log, _ = run(command, environment, self._say)
        return log


def _moment(text: str) -> datetime:
    # Python 3.10's fromisoformat does not know "Z"
    return datetime.fromisoformat(text.replace("Z", "+00:00"))
