"""Ledgers that earlier versions wrote: their tables are brought to this version, and go on."""

from __future__ import annotations

import contextlib
import hashlib
import json
import sqlite3
import typing as t
from pathlib import Path

import pytest
import sqlalchemy as sa
from target_planhat.ledger import schema
from target_planhat.reporting.ledger_cli import LedgerAction

from tests.planhat.ledgers import LATER, U2, whole
from tests.planhat.running import day, event

if t.TYPE_CHECKING:
    from tests.planhat.running import TargetRunner

HERE = Path(__file__).parent


@pytest.fixture
def first(target: TargetRunner, either_ledger: str) -> None:
    """Lay a ledger of version 1."""
    lay(1, target, either_ledger)


@pytest.fixture(params=[1, 3])
def earlier(request: pytest.FixtureRequest, target: TargetRunner, either_ledger: str) -> int:
    """Lay a ledger of an earlier version."""
    version = int(request.param)
    lay(version, target, either_ledger)
    return version


def lay(version: int, target: TargetRunner, kind: str) -> None:
    """Lay a ledger that was written by that version: 2 of u2 sent, 3 claimed, 4 parked."""
    script = (HERE / f"version_{version}.{kind}.sql").read_text(encoding="utf-8")
    token = hashlib.sha256(target.planhat.tenant_token.encode()).hexdigest()
    mine = f"UPDATE planhat_tenants SET token_hash = '{token}'"
    if kind == "sqlite":
        with contextlib.closing(sqlite3.connect(target.folder / "ledger.db")) as connection:
            connection.executescript(f"{script}{mine};")
    else:
        with connected(target) as there:
            there.exec_driver_sql(script + mine)
            there.commit()


@contextlib.contextmanager
def connected(target: TargetRunner) -> t.Iterator[sa.Connection]:
    """Connect to the ledger."""
    url = sa.make_url(target.config["ledger_url"])
    if url.get_backend_name() == "postgresql":
        url = url.set(drivername="postgresql+psycopg")
    engine = sa.create_engine(url, poolclass=sa.pool.NullPool)
    with engine.connect() as connection:
        yield connection
    engine.dispose()


@pytest.mark.usefixtures("earlier")
def test_a_ledger_of_an_earlier_version_goes_on_where_it_was(target: TargetRunner) -> None:
    target.planhat.world.add("endusers", {"externalId": "nobody", "companyId": "extid-acme"})
    report = target.run(*whole(event(day(9, 8), count=6, read=LATER), read=LATER))

    # the 3 whose post nobody has heard of are taken as sent
    assert target.error is None
    assert target.sums == {U2: 6 - 2 - 3, ("nobody", "Export", "2026-03-09"): 4}
    assert report["rules"][0]["earlier"] == {"sent": 1}
    with connected(target) as connection:
        version = connection.execute(sa.select(schema.version.c.version)).scalar_one()
        found = sa.inspect(connection)
        made = {
            name: {column["name"] for column in found.get_columns(name)}
            for name in schema.metadata.tables
        }
        claims = connection.execute(sa.select(schema.items.c.claimed)).scalars().all()
    assert version == schema.VERSION
    assert made == {name: set(table.c.keys()) for name, table in schema.metadata.tables.items()}
    assert claims == [None, None]


@pytest.mark.usefixtures("first")
def test_who_was_forgotten_by_version_1_stays_forgotten(target: TargetRunner) -> None:
    plain = hashlib.sha256(b"ada@acme.example").hexdigest()
    with connected(target) as connection:
        connection.execute(schema.forgotten.insert().values(tenant_id=1, id_hash=plain))
        connection.commit()
    report = target.run(*whole(event(day(9, 8), "Ada@acme.example", read=LATER), read=LATER))

    assert report["ignored"] == 1
    with connected(target) as connection:
        [kept] = connection.execute(sa.select(schema.forgotten.c.id_hash)).scalars()
    assert kept != plain


def test_a_dry_run_on_a_ledger_of_an_earlier_version_leaves_it_as_it_is(
    target: TargetRunner, earlier: int
) -> None:
    report = target.run(*whole(event(day(9, 8), count=6, read=LATER), read=LATER), dry_run=True)

    assert (target.error, report["sent"]) == (None, 1)
    with connected(target) as connection:
        assert connection.execute(sa.select(schema.version.c.version)).scalar_one() == earlier


def test_looking_at_a_ledger_of_an_earlier_version_leaves_it_as_it_is(
    target: TargetRunner, earlier: int
) -> None:
    told = json.loads(target.target().ledger(LedgerAction(), "json"))
    assert told["rules"][0]["unanswered"] == {"items": 1, "amount": 3}
    with connected(target) as connection:
        assert connection.execute(sa.select(schema.version.c.version)).scalar_one() == earlier


@pytest.mark.usefixtures("first")
def test_a_rule_of_version_1_gets_a_new_name_once_it_is_known_what_it_selects(
    target: TargetRunner,
) -> None:
    messages = whole(event(day(9, 8), count=6, read=LATER), read=LATER)
    named = [{"stream": "feature_events", "name": "use"}]
    target.run(*messages, activities=named)
    assert "the ledger knows feature_events, no longer configured" in str(target.error)

    target.run(*messages, require_ledger=True)
    target.run(*messages, activities=named)
    assert (target.error, target.sums) == (None, {U2: 6 - 2 - 3})
