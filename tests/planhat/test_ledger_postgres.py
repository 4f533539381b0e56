"""A ledger in PostgreSQL: several runs at once, lost connections, and what SQLite would allow."""

from __future__ import annotations

import contextlib
import io
import json
import subprocess
import sys
import threading
import typing as t
from concurrent.futures import ThreadPoolExecutor

import pytest
import sqlalchemy as sa
from target_planhat.errors import TargetError
from target_planhat.ledger import schema as tables
from target_planhat.ledger.database import Database
from target_planhat.ledger.reference_data import Known
from target_planhat.planhat.endpoints import PlanhatClient

from tests.planhat.ledgers import LATER, U2, feed, opened, whole
from tests.planhat.running import (
    EVENTS,
    WINDOWS,
    day,
    event,
    record,
    schema,
    window,
)

if t.TYPE_CHECKING:
    from collections.abc import Callable

    from with_demo.postgres import Server

    from tests.planhat.running import Message, TargetRunner


@pytest.fixture
def shared(target: TargetRunner, ledger_in_postgres: str) -> TargetRunner:
    """Give the target with its ledger in PostgreSQL."""
    target.config["ledger_url"] = ledger_in_postgres
    return target


def hang_up(server: Server) -> None:
    """End all connections to PostgreSQL."""
    with server.connect() as connection:
        connection.execute(
            "select pg_terminate_backend(pid) from pg_stat_activity "
            "where datname is not null and pid <> pg_backend_pid()"
        )


class Breaking(io.StringIO):
    """Input at whose end something happens before it goes on."""

    def __init__(self, first: list[Message], then: Callable[[], None], rest: list[Message]) -> None:
        lines = [json.dumps(message) + "\n" for message in (*first, *rest)]
        super().__init__("".join(lines))
        self._left, self._then = len(first), then

    def readline(self, *size: t.Any) -> str:
        """Give the next line."""
        if self._left == 0:
            self._then()
        self._left -= 1
        return super().readline(*size)


def test_rows_that_arrive_are_counted_before_they_are_joined(shared: TargetRunner) -> None:
    """PostgreSQL joins temporary tables row with row else: the square of their number."""
    known: list[dict[str, float]] = []

    def look(connection: sa.Connection, cursor: t.Any, statement: str, *_: t.Any) -> None:
        del cursor
        if f"insert into {tables.facts.name}" in statement:
            asked = "select relname, reltuples from pg_class where relpersistence = 't'"
            known.append({row[0]: row[1] for row in connection.exec_driver_sql(asked)})

    shared.config["activities"] = [
        {"stream": "feature_events", "info": {"minutes": "num_minutes", "app": "app_id"}}
    ]
    sa.event.listen(sa.Engine, "before_cursor_execute", look)
    try:
        shared.run(*whole(*(event(day(9, hour), num_minutes=2) for hour in range(8, 13))))
    finally:
        sa.event.remove(sa.Engine, "before_cursor_execute", look)

    (counts,) = known
    assert counts["staged"] == counts["arriving"] == 5
    assert counts["staged_facts"] == 10


def test_two_processes_at_once_send_everything_once(shared: TargetRunner) -> None:
    hours = [
        event(day(9, n % 24), v, 1 + n, feature=f"f{1 + n % 2}")
        for n in range(40)
        for v in ("u1", "u2", "nobody")
    ]
    messages = whole(*hours)
    shared.config.pop("report_path")
    shared.config.pop("rejects_path")
    (shared.folder / "config.json").write_text(json.dumps(shared.config))
    command = [sys.executable, "-m", "target_planhat", "--config", "config.json"]
    text = "".join(json.dumps(message) + "\n" for message in messages)

    def process(_: int) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            command, cwd=shared.folder, input=text, capture_output=True, text=True, check=False
        )

    with ThreadPoolExecutor(3) as pool:
        ended = list(pool.map(process, range(3)))

    assert [(one.returncode, one.stdout) for one in ended] == [(0, '{"at": 1}\n')] * 3
    truth: dict[t.Any, float] = {}
    for one in hours:
        fields = one["record"]
        name = {"f1": "Export", "f2": "Search"}[fields["feature_id"]]
        if fields["visitor_id"] != "nobody":
            key = (fields["visitor_id"], name, "2026-03-09")
            truth[key] = truth.get(key, 0) + fields["num_events"]
    assert shared.sums == truth


def test_a_connection_lost_while_reading_ends_in_one_line_and_loses_nothing(
    shared: TargetRunner, postgres: Server
) -> None:
    first, rest = whole(event(day(9, 8), count=2))[:6], whole(event(day(9, 8), count=2))[6:]
    with pytest.raises(TargetError) as raised:
        shared.target().listen(Breaking(first, lambda: hang_up(postgres), rest))
    assert "the ledger in PostgreSQL" in raised.value.message
    assert "\n" not in raised.value.message

    shared.run(*whole(event(day(9, 8), count=2)))
    assert (shared.error, shared.sums) == (None, {U2: 2})


def test_a_connection_lost_while_posting_leaves_what_was_posted_in_doubt(
    shared: TargetRunner, postgres: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    post = PlanhatClient.post_activities

    def meanwhile(client: PlanhatClient, bodies: list[t.Any]) -> list[t.Any]:
        hang_up(postgres)
        return post(client, bodies)

    with monkeypatch.context() as patch:
        patch.setattr(PlanhatClient, "post_activities", meanwhile)
        shared.run(*whole(event(day(9, 8), count=2)))
    assert "the ledger in PostgreSQL" in str(shared.error)
    assert "\n" not in str(shared.error)

    shared.run(*whole(event(day(9, 8), count=3, read=LATER), read=LATER))
    assert shared.sums == {U2: 3}


def test_several_first_runs_at_once_make_the_tables_once(ledger_in_postgres: str) -> None:
    def first(token: int) -> int:
        database = Database(ledger_in_postgres, f"tenant {token}")
        database.close()
        return database.tenant_id

    with ThreadPoolExecutor(4) as pool:
        assert len(set(pool.map(first, range(4)))) == 4


def test_a_dry_run_on_a_ledger_that_is_not_there_makes_none(shared: TargetRunner) -> None:
    report = shared.run(*whole(event(day(9, 8), count=2)), dry_run=True)
    assert report["sent"] == 1

    shared.run(require_ledger=True)
    assert "does not exist" in str(shared.error)


def test_a_dry_run_changes_nothing(shared: TargetRunner, postgres: Server) -> None:
    shared.run(*whole(event(day(9, 8), count=2), event(day(9, 8), "nobody")))
    before = content(shared, postgres)
    report = shared.run(*whole(event(day(9, 8), count=5, read=LATER), read=LATER), dry_run=True)

    assert report["sent"] == 1
    assert content(shared, postgres) == before
    assert shared.sums == {U2: 2}


def content(target: TargetRunner, server: Server) -> dict[str, list[t.Any]]:
    """Give all rows of all tables of the ledger."""
    place = target.config["ledger_url"].rpartition("%3D")[2]
    with server.connect() as connection:
        connection.execute(f"set search_path to {place}".encode())
        return {
            name: sorted(connection.execute(f"select * from {name}".encode()).fetchall(), key=repr)
            for name in tables.metadata.tables
        }


def test_a_missing_driver_is_said_in_one_line(
    shared: TargetRunner, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "psycopg", None)
    shared.run()

    assert shared.error is not None
    assert "psycopg" in shared.error
    assert "target-planhat[postgresql]" in shared.error


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"password": "xyzzy-word"}, "password authentication failed"),
        ({"database": "xyzzy-nowhere"}, "does not exist"),
        ({"port": 1}, "refused"),
    ],
    ids=["password", "database", "port"],
)
def test_a_server_that_refuses_is_said_in_one_line_without_the_password(
    wrong: dict[str, t.Any], said: str, shared: TargetRunner
) -> None:
    url = sa.make_url(shared.config["ledger_url"]).set(**wrong)
    password = str(url.password)
    shared.run(ledger_url=url.render_as_string(hide_password=False))

    assert shared.error is not None
    assert said in shared.error
    assert "\n" not in shared.error
    assert password not in shared.error


def test_names_that_postgresql_cannot_hold_are_kept_with_a_sign_in_place(
    shared: TargetRunner,
) -> None:
    shared.run(
        WINDOWS,
        schema("features", "id", "name"),
        record("features", id="f1", name="Ex\0port"),
        EVENTS,
        event(day(9, 8)),
        window(day(9), day(10)),
    )

    assert shared.error is None
    assert shared.sums == {("u2", "Ex\ufffdport", "2026-03-09"): 1}


def test_two_ledgers_of_a_database_do_not_hold_each_other_up(
    shared: TargetRunner, postgres: Server
) -> None:
    with opened(shared) as one:
        feed(one, whole(event(day(9, 8), count=2)))
        one.finish()
        with postgres.connect() as connection:
            connection.execute("create schema ledger_beside")
        beside = shared.config["ledger_url"].rpartition("%3D")[0] + "%3Dledger_beside"
        report = shared.run(*whole(event(day(9, 8), count=2)), ledger_url=beside)

    assert report["sent"] == 1


def test_runs_that_write_the_same_rows_in_another_order_do_not_block_each_other_for_ever(
    ledger_in_postgres: str, postgres: Server
) -> None:
    with (
        contextlib.closing(Database(ledger_in_postgres, "tenant")) as one,
        contextlib.closing(Database(ledger_in_postgres, "tenant")) as other,
        postgres.connect() as connection,
        ThreadPoolExecutor(1) as pool,
    ):
        connection.autocommit = True
        passed = threading.Event()

        def backwards() -> None:
            Known(other).name("features", {"f2": "Other"})
            passed.set()
            Known(other).name("features", {"f1": "Other"})
            other.commit()

        Known(one).name("features", {"f1": "One"})
        ended = pool.submit(backwards)
        waiting = "select 1 from pg_locks where not granted"
        while not (passed.is_set() or connection.execute(waiting).fetchone()):
            pass
        Known(one).name("features", {"f2": "One"})
        one.commit()
        ended.result()
        assert Known(one).named("features", {"f1", "f2"}) == {"f1": "Other", "f2": "Other"}
