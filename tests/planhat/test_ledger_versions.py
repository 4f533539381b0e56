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
from target_planhat.ledger import tables
from target_planhat.ledger_command import Wish

from tests.planhat.ledgers import LATER, U2, whole
from tests.planhat.running import day, event

if t.TYPE_CHECKING:
    from tests.planhat.running import TargetRunner

HERE = Path(__file__).parent


@pytest.fixture
def first(target: TargetRunner, either_ledger: str) -> str:
    """Lay a ledger of version 1, written by that version: 2 of u2 sent, 3 claimed, 4 parked."""
    script = (HERE / f"version_1.{either_ledger}.sql").read_text(encoding="utf-8")
    token = hashlib.sha256(target.planhat.tenant_token.encode()).hexdigest()
    mine = f"UPDATE planhat_tenants SET token_hash = '{token}'"
    if either_ledger == "sqlite":
        with contextlib.closing(sqlite3.connect(target.folder / "ledger.db")) as connection:
            connection.executescript(f"{script}{mine};")
    else:
        with connected(target) as there:
            there.exec_driver_sql(script + mine)
            there.commit()
    return either_ledger


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


@pytest.mark.usefixtures("first")
def test_a_ledger_of_version_1_goes_on_where_it_was(target: TargetRunner) -> None:
    target.planhat.world.add("endusers", {"externalId": "nobody", "companyId": "extid-acme"})
    report = target.run(*whole(event(day(9, 8), count=6, read=LATER), read=LATER))

    # the 3 whose post nobody has heard of are taken as sent
    assert target.error is None
    assert target.sums == {U2: 6 - 2 - 3, ("nobody", "Export", "2026-03-09"): 4}
    assert report["rules"][0]["earlier"] == {"sent": 1}
    with connected(target) as connection:
        assert connection.execute(sa.select(tables.version.c.version)).scalar_one() == 2
        made = {column["name"] for column in sa.inspect(connection).get_columns("planhat_items")}
        claims = connection.execute(sa.select(tables.items.c.claimed_by)).scalars().all()
    assert made == set(tables.items.c.keys())
    assert claims == [None, None]


@pytest.mark.usefixtures("first")
def test_looking_at_a_ledger_of_version_1_leaves_it_as_it_is(target: TargetRunner) -> None:
    told = json.loads(target.target().ledger(Wish(), "json"))
    assert told["rules"][0]["unanswered"] == {"items": 1, "amount": 3}
    with connected(target) as connection:
        assert connection.execute(sa.select(tables.version.c.version)).scalar_one() == 1
