"""The command line: `./do dev scale-out`, beside an emulated Pendo and a PostgreSQL of its own."""

from __future__ import annotations

import argparse
import json
import os
import shutil
import sys
import tempfile
import time
import typing as t
from collections import Counter
from contextlib import closing
from datetime import date, datetime, timedelta, timezone
from pathlib import Path

import dagster as dg
from psycopg import sql

from orchestrate import database
from orchestrate.connections import FILE
from orchestrate.trial.kills import Killer
from orchestrate.trial.server import Dagster, dagster
from orchestrate.trial.truth import Pendo, loaded

if t.TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

APPS = (-323232, 5629499534213120, 6031122334455667)  # of the emulated Pendo
LATENCY = 0.15  # seconds before each answer
LIMIT = 25  # calls a second
_TICK = 0.5
_ENDS = ("COMPLETED", "FAIL", "CANCEL")


class Round(t.NamedTuple):
    """One back-fill: seconds, runs and steps that were tried again, calls, and what came of it."""

    workers: int
    pieces: int
    status: str
    seconds: float
    killed: dict[str, int]
    run_retries: int
    step_retries: int
    calls: int
    most_calls_per_second: int
    checks_passed: int
    equal: bool
    events: int


def main(arguments: Sequence[str] | None = None) -> int:
    """Back-fill once for each number of workers; 1 if anything is not as it should be."""
    options = _options(arguments)
    today = datetime.now(timezone.utc).date().replace(day=1)
    start = today
    for _ in range(options.months):
        start = (start - timedelta(days=1)).replace(day=1)
    with tempfile.TemporaryDirectory(prefix="scale-out-") as folder:
        home = Path(folder)
        environment = _environment(home, options, start, today)
        os.environ.update(environment)
        pendo = Pendo(os.environ["TAP_PENDO_API_URL"])
        pendo.delay(LATENCY)
        _set_pools(options.workers)
        _forget(options.workers)
        try:
            with dagster(environment, home / "dagster.log") as server:
                print(f"Dagster's pages: {server.url}", flush=True)
                trial = Trial(server, pendo, (start, today), options.kills, options.seed)
                rounds = [trial.round(workers) for workers in options.workers]
                if options.hold:
                    time.sleep(options.hold)
        finally:
            if options.log:
                shutil.copy(home / "dagster.log", options.log)
    return _show(rounds, options.json)


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="./do dev scale-out", description=__doc__)
    parser.add_argument("--months", type=int, default=12, help="of history (%(default)s)")
    parser.add_argument(
        "--apps", type=int, default=len(APPS), help="of the emulated product (%(default)s)"
    )
    parser.add_argument(
        "--workers", type=int, nargs="+", default=[4, 1], help="of each back-fill (4 1)"
    )
    parser.add_argument(
        "--kills", type=int, default=10, help="of processes, where there are several workers"
    )
    parser.add_argument("--seed", type=int, default=1, help="of what is killed (%(default)s)")
    parser.add_argument("--json", type=Path, help="write the figures into this file")
    parser.add_argument("--log", type=Path, help="keep Dagster's log in this file")
    parser.add_argument(
        "--hold", type=float, default=0, help="seconds for which Dagster's pages stay at the end"
    )
    return parser.parse_args(arguments)


def _environment(home: Path, options: argparse.Namespace, start: date, end: date) -> dict[str, str]:
    """Write the file of connections, a tenant for each number of workers, and the instance."""
    tenants = [
        {
            "name": _name(each),
            "schema": _name(each),
            "pendo": {
                "settings": {"api_url": os.environ["TAP_PENDO_API_URL"]},
                "secrets": {"integration_key": "TRIAL_KEY"},
            },
            "apps": list(APPS[: options.apps]),
            "history": {"from": start.isoformat(), "to": end.isoformat()},
            "workers": each,
            "max_calls_per_second": LIMIT,
        }
        for each in options.workers
    ]
    (home / "connections.json").write_text(json.dumps({"tenants": tenants}))
    shutil.copy(Path(__file__).parents[1] / "dagster.yaml", home)
    return {
        **os.environ,
        "DAGSTER_HOME": str(home),
        FILE: str(home / "connections.json"),
        "TRIAL_KEY": os.environ["TAP_PENDO_INTEGRATION_KEY"],
    }


def _name(workers: int) -> str:
    return f"with_{workers}"


def _set_pools(numbers: Sequence[int]) -> None:
    with dg.DagsterInstance.get() as instance:
        for each in numbers:
            instance.event_log_storage.set_concurrency_slots(f"pendo_{_name(each)}", each)


def _forget(numbers: Sequence[int]) -> None:
    """Drop what an earlier trial has loaded: with-demo keeps its database."""
    with closing(database.connect(os.environ)) as connection, connection:
        for each in numbers:
            name = sql.Identifier(_name(each))
            connection.execute(sql.SQL("drop schema if exists {} cascade").format(name))


class Trial(t.NamedTuple):
    """What the back-fills share: Dagster, Pendo, the time, and how many kills of which seed."""

    server: Dagster
    pendo: Pendo
    span: tuple[date, date]
    kills: int
    seed: int

    def round(self, workers: int) -> Round:
        """Make one back-fill to its end, and find out what came of it."""
        name = _name(workers)
        self.server.launch(f"{name}_tables")
        killer = Killer(self.seed, self.kills if workers > 1 else 0)
        with dg.DagsterInstance.get() as instance:
            apps, months = (
                instance.get_dynamic_partitions(f"{name}_{kind}") for kind in ("apps", "months")
            )
            keys = [f"{app}|{month}" for month in months for app in apps]
            self.pendo.forget_calls()
            began = time.monotonic()
            backfill = self.server.backfill([name, "history"], keys)
            status = self._watch(backfill, instance, (name, len(keys)), killer)
            seconds = time.monotonic() - began
            calls, most = self.pendo.calls()
            runs = instance.get_runs(dg.RunsFilter(tags={"dagster/backfill": backfill}))
            ids = [run.run_id for run in runs]
            retried = sum(1 for _ in _events(instance, ids, dg.DagsterEventType.STEP_UP_FOR_RETRY))
            checks = list(_events(instance, ids, dg.DagsterEventType.ASSET_CHECK_EVALUATION))
        with closing(database.connect(os.environ)) as connection:
            found = loaded(connection, name)
        start, end = (datetime(d.year, d.month, d.day, tzinfo=timezone.utc) for d in self.span)
        return Round(
            workers=workers,
            pieces=len(keys),
            status=status,
            seconds=round(seconds, 1),
            killed=dict(Counter(killer.killed)),
            run_retries=len(runs) - len(keys),
            step_retries=retried,
            calls=calls,
            most_calls_per_second=most,
            checks_passed=sum(e.asset_check_evaluation_data.passed for e in checks),
            equal=found == self.pendo.events(start, end, [int(app) for app in apps]),
            events=sum(found.values()),
        )

    def _watch(
        self,
        backfill: str,
        instance: dg.DagsterInstance,
        whole: tuple[str, int],
        killer: Killer,
    ) -> str:
        """Wait for the end; on the way kill at even distances, by the pieces that are done."""
        name, pieces = whole
        asset = dg.AssetKey([name, "history"])
        began, told = time.monotonic(), -1
        while not (status := self.server.status(backfill)).startswith(_ENDS):
            done = len(instance.get_materialized_partitions(asset))
            if done != told:
                told = done
                seconds = time.monotonic() - began
                print(f"{name}: {done} of {pieces} pieces, {seconds:.0f} s", flush=True)
            if len(killer.killed) < -(-killer.most * (done + 1) // (pieces + 1)):
                killer.kill()
            time.sleep(_TICK)
        return status


def _events(
    instance: dg.DagsterInstance, runs: Sequence[str], kind: dg.DagsterEventType
) -> Iterator[dg.DagsterEvent]:
    for run in runs:
        for entry in instance.all_logs(run, of_type=kind):
            if entry.dagster_event:
                yield entry.dagster_event


def _show(rounds: Sequence[Round], file: Path | None) -> int:
    if file:
        file.write_text(json.dumps([each._asdict() for each in rounds], indent=2) + "\n")
    for each in rounds:
        for name, value in each._asdict().items():
            print(f"{name:>24}  {value}")
        print()
    well = all(
        each.status == "COMPLETED_SUCCESS"
        and each.equal
        and each.checks_passed >= each.pieces
        and each.most_calls_per_second <= LIMIT
        for each in rounds
    )
    print("all as it should be" if well else "NOT as it should be")
    return 0 if well else 1


if __name__ == "__main__":
    sys.exit(main())
