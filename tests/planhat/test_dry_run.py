"""A dry run works on a copy of the ledger: nobody waits for it, and nothing of it stays."""

from __future__ import annotations

import typing as t

import pytest
import sqlalchemy as sa
from target_planhat.ledger import schema
from target_planhat.ledger.database import Database

from tests.planhat.ledgers import LATER, U2, feed, opened, whole
from tests.planhat.running import day, event, window
from tests.planhat.test_ledger_versions import connected

if t.TYPE_CHECKING:
    from tests.planhat.running import TargetRunner


def rows(target: TargetRunner) -> dict[str, list[tuple[t.Any, ...]]]:
    """Give all rows of the ledger."""
    with connected(target) as connection:
        return {
            table.name: [tuple(row) for row in connection.execute(sa.select(table))]
            for table in schema.metadata.sorted_tables
        }


@pytest.mark.usefixtures("either_ledger")
def test_a_run_need_not_wait_for_a_dry_run(target: TargetRunner) -> None:
    target.run(*whole(event(day(9, 8), count=2), event(day(9, 8), "nobody", 4)))
    with opened(target, dry_run=True) as dry:
        feed(dry, whole(event(day(9, 8), count=7, read=LATER), read=LATER)[:-1])
        dry.state(1)
        # it has written the same items, and is not over
        report = target.run(*whole(event(day(9, 8), count=5, read=LATER), read=LATER))
        dry.finish()
    assert (target.error, report["sent"]) == (None, 1)
    assert target.sums == {U2: 5}


@pytest.mark.usefixtures("either_ledger")
def test_a_dry_run_knows_what_the_ledger_knows_and_leaves_it(target: TargetRunner) -> None:
    target.config["activities"] = [{"stream": "feature_events", "info": {"m": "num_minutes"}}]
    first = event(day(9, 8), count=2, num_minutes=1)
    parked = event(day(8, 8), "nobody", 4, num_minutes=2)
    target.run(*whole(first, parked), window(day(8), day(9)))
    before = rows(target)
    target.planhat.world.add("endusers", {"externalId": "nobody", "companyId": "extid-acme"})
    more = event(day(9, 8), count=5, read=LATER, num_minutes=1)
    report = target.run(*whole(more, read=LATER), dry_run=True)

    assert report["sent"] == 1
    [rule] = report["rules"]
    assert rule["earlier"] == {"sent": 1}
    assert {at: of["sent_amount"] for at, of in rule["days"].items()} == {
        "2026-03-08": 4,
        "2026-03-09": 5 - 2,
    }
    assert rows(target) == before


@pytest.mark.usefixtures("either_ledger")
def test_looking_lets_a_run_begin(target: TargetRunner) -> None:
    target.run(*whole(event(day(9, 8), count=2)))
    url, token = target.config["ledger_url"], target.planhat.tenant_token
    look = Database(url, token, must_exist=True, to_look=True)
    assert look.execute(sa.select(sa.func.count()).select_from(schema.items)).scalar_one() == 1
    look.close()
    target.run(*whole(event(day(9, 8), count=5, read=LATER), read=LATER))
    assert target.sums == {U2: 5}


def test_the_first_preview_keeps_its_ledger_on_disk(target: TargetRunner) -> None:
    with opened(target, dry_run=True) as run:
        database = run._db  # noqa: SLF001 - nothing else tells where it is
        [mode] = database.connection.exec_driver_sql("PRAGMA journal_mode").scalars()
        run.finish()
    assert mode != "memory"
    assert not (target.folder / "ledger.db").exists()


def test_a_dry_run_on_postgresql_without_a_ledger_makes_none(
    target: TargetRunner, ledger_in_postgres: str
) -> None:
    target.config["ledger_url"] = ledger_in_postgres
    report = target.run(*whole(event(day(9, 8))), dry_run=True)

    assert report["sent"] == 1
    with connected(target) as connection:
        assert sa.inspect(connection).get_table_names() == []
    target.run(dry_run=True, require_ledger=True)
    assert "does not exist" in str(target.error)
