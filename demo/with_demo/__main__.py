"""Knows the command line of with-demo, and what runs beside COMMAND."""

from __future__ import annotations

import argparse
import os
import shutil
import sys
from contextlib import ExitStack, suppress
from datetime import datetime, timezone
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import psycopg

from with_demo.arrivals import compare, count_rows, read_ranges, show
from with_demo.deliveries import REPORTS, holds_anything, new_page, written
from with_demo.deliveries import show as show_deliveries
from with_demo.emulators import Emulator, emulator
from with_demo.planhat import Planhat, demo_planhat
from with_demo.postgres import HOST, Server, embedded_postgres
from with_demo.processes import Interrupted, Signals, StartError, noted_signals, run_command

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from contextlib import AbstractContextManager

    from with_demo.arrivals import Range
    from with_demo.deliveries import Summary

_DATABASE_SETTINGS = ("TARGET_POSTGRES_HOST", "TARGET_POSTGRES_SQLALCHEMY_URL")
_PLANHAT_SETTING = "TARGET_PLANHAT_TENANT_TOKEN"
_TARGETS = ("target-planhat", "target-postgres")
_NOT_FOUND, _NOT_RUN = 127, 126  # as shells have it


def main(arguments: Sequence[str] | None = None) -> int:
    """Run COMMAND beside the demo's servers; its exit code, 128+N for signal N."""
    options = _options(arguments)
    if shutil.which(options.command[0]) is None:
        return _fail(f"command not found: {options.command[0]}", _NOT_FOUND)
    with noted_signals() as signals:
        try:
            return _run(options, signals)
        except Interrupted as interrupted:
            return _fail(str(interrupted), 128 + interrupted.signum)
        except (StartError, OSError, psycopg.Error) as error:
            return _fail(_line(error), 1)


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="with-demo",
        usage="%(prog)s [--data DIR] [--now ISO] [--events-per-day N] [--visitors N] [--] COMMAND…",
        description="Runs COMMAND beside an emulated Pendo, an emulated Planhat and a PostgreSQL "
        "of its own, shows what arrived, and leaves nothing running. COMMAND finds them through "
        "TAP_PENDO_…, TARGET_PLANHAT_… and TARGET_POSTGRES_… in its environment; a Planhat (its "
        "tenant token) or a database that is named there already is used instead and left alone.",
        allow_abbrev=False,
    )
    parser.add_argument(
        "--data",
        metavar="DIR",
        type=Path,
        default=Path(".meltano", "with-demo"),
        help="keeps the database, Planhat and the logs (%(default)s); Meltano keeps its state "
        "elsewhere",
    )
    parser.add_argument(
        "--now",
        metavar="ISO",
        type=_instant,
        default=datetime.now(timezone.utc),
        help="the emulated Pendo's clock, which stands still (the current time)",
    )
    parser.add_argument(
        "--events-per-day", metavar="N", type=int, help="how busy the emulated product is"
    )
    parser.add_argument(
        "--visitors",
        metavar="N",
        type=int,
        help="how many identified visitors the emulated product has (3200), accounts in proportion",
    )
    parser.add_argument("command", metavar="COMMAND", nargs=argparse.REMAINDER)
    options = parser.parse_args(arguments)
    if options.command[:1] == ["--"]:
        del options.command[0]
    if not options.command:
        parser.error("no COMMAND to run")
    return options


def _instant(text: str) -> datetime:
    """A point in time out of ISO 8601, UTC where it names no zone."""
    instant = datetime.fromisoformat(text.replace("Z", "+00:00"))
    return instant if instant.tzinfo else instant.replace(tzinfo=timezone.utc)


class _Servers(NamedTuple):
    """What runs beside COMMAND; None for what the environment names instead."""

    database: Server | None
    pendo: Emulator
    planhat: Planhat | None


def _run(options: argparse.Namespace, signals: Signals) -> int:
    environment = dict(os.environ)
    with ExitStack() as running:
        servers = _start(options, environment, running, signals.check)
        rows = _count(servers.database)
        summary = servers.planhat.summary() if servers.planhat else None
        page = written(environment)
        try:
            code = run_command(options.command, environment, signals)
        except OSError as error:
            return _fail(f"cannot run {options.command[0]}: {error.strerror}", _NOT_RUN)
        named = {name for name in _TARGETS for word in options.command if name in word}
        told = (
            _arrivals(servers, rows, named, failed=code != 0),
            _deliveries(servers.planhat, summary, named),
            new_page(environment, page),
        )
        _say("\n\n".join(part for part in told if part))
        return code


def _start(
    options: argparse.Namespace,
    environment: dict[str, str],
    running: ExitStack,
    check: Callable[[], None],
) -> _Servers:
    """Start what the environment does not name, and name it there."""
    data = options.data.resolve()
    database = planhat = None
    if not any(environment.get(name) for name in _DATABASE_SETTINGS):
        database = running.enter_context(embedded_postgres(data / "postgres", check=check))
        environment.update(database.environment())
    pendo = running.enter_context(_pendo(options, data, check))
    environment.update(_no_proxy(environment))
    environment["TAP_PENDO_API_URL"] = pendo.url
    environment["TAP_PENDO_INTEGRATION_KEY"] = pendo.key
    if not environment.get(_PLANHAT_SETTING):
        planhat = running.enter_context(demo_planhat(data / "planhat", pendo, check))
        environment.update(planhat.environment(environment))
        environment[REPORTS] = environment.get(REPORTS) or str(data / "reports")
    return _Servers(database, pendo, planhat)


def _pendo(
    options: argparse.Namespace, data: Path, check: Callable[[], None]
) -> AbstractContextManager[Emulator]:
    data.mkdir(parents=True, exist_ok=True)
    settings = ["--now", options.now.isoformat()]
    if options.events_per_day is not None:
        settings += ["--events-per-day", str(options.events_per_day)]
    if options.visitors is not None:
        settings += ["--visitors", str(options.visitors)]
    return emulator("pendo_emulator", settings, log=data / "pendo-emulator.log", check=check)


def _no_proxy(environment: Mapping[str, str]) -> dict[str, str]:
    """The setting that keeps a proxy of the environment, if any, out of what runs on loopback."""
    named = environment.get("no_proxy") or environment.get("NO_PROXY")
    return dict.fromkeys(("no_proxy", "NO_PROXY"), f"{named},{HOST}" if named else HOST)


def _count(database: Server | None) -> dict[str, int]:
    if database is None:
        return {}
    with database.connect() as connection:
        return count_rows(connection)


def _arrivals(servers: _Servers, before: dict[str, int], named: set[str], *, failed: bool) -> str:
    """What arrived in PostgreSQL, as text; it does not fail if that cannot be found out.

    Nothing, if COMMAND is about Planhat and brought nothing here, or succeeded without naming
    target-postgres and left no stream's table: then it loads elsewhere, or not at all.
    """
    database = servers.database
    elsewhere = named == {"target-planhat"}
    if database is None:
        told = "The environment names the database: what arrived there is not shown."
        return "" if elsewhere else told
    try:
        with database.connect() as connection:
            after, ranges = count_rows(connection), read_ranges(connection)
    except psycopg.Error as error:
        return f"What arrived is not known: {_line(error)}"
    not_here = not after and not failed and "target-postgres" not in named
    if not_here or (elsewhere and after == before):
        return ""
    return show(compare(before, after, ranges, partial(_truth, servers.pendo)))


def _deliveries(planhat: Planhat | None, before: Summary | None, named: set[str]) -> str:
    """What arrived in Planhat, as text; nothing, if COMMAND is about something else."""
    wanted = "target-planhat" in named
    if planhat is None or before is None:
        told = "The environment names Planhat: what arrived there is not shown."
        return told if wanted else ""
    try:
        after: Summary = planhat.summary()
    except (OSError, ValueError) as error:
        return f"What arrived in Planhat is not known: {_line(error)}"
    told_anyway = not named and holds_anything(after)
    return show_deliveries(before, after) if wanted or told_anyway or after != before else ""


def _truth(pendo: Emulator, kind: str, known: Range | None) -> int | None:
    """How many rows Pendo has of a kind, in a range where that is known; None if it won't say."""
    limits: dict[str, str | int] = {}
    if known:
        # grouped rows are by the hour unless a setting of the tap says otherwise
        period = os.environ.get("TAP_PENDO_PERIOD") or "hour"
        limits = {"first": known.start, "last": known.end, "period": period}
    try:
        return pendo.count(kind, **limits)
    except (OSError, ValueError, KeyError):
        return None


def _line(error: Exception) -> str:
    return next(iter(str(error).splitlines()), type(error).__name__)


def _say(text: str) -> None:
    if not text:
        return
    with suppress(BrokenPipeError):
        print(text, flush=True)  # noqa: T201  (what the user waits for)
        return
    # whoever read our output is gone; Python must not find out again when it ends
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _fail(message: str, code: int) -> int:
    print(f"with-demo: {message}", file=sys.stderr)  # noqa: T201  (one line for the user)
    return code


if __name__ == "__main__":
    sys.exit(main())
