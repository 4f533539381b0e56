"""docs/loading.md: what it says to type, on a PostgreSQL and with files of BATCH."""

from __future__ import annotations

import typing as t

import yaml

from tests.documents import all_blocks

if t.TYPE_CHECKING:
    from pathlib import Path

    from with_demo.postgres import Server

    from tests.conftest import TapRunner, Warehouse

PAGE = "docs/loading.md"
NEWEST, STATEMENTS = [block.text for block in all_blocks(PAGE) if block.language == "sql"]
[CONFIGURED] = [block.text for block in all_blocks(PAGE) if block.language == "yaml"]


def test_the_user_that_loads_gets_its_settings(postgres: Server) -> None:
    with postgres.connect() as connection:
        connection.execute("create role loader")
        connection.execute(STATEMENTS.encode())
        found = connection.execute("select rolconfig from pg_roles where rolname = 'loader'")
        assert found.fetchall() == [(["random_page_cost=1.1", "work_mem=4MB"],)]
        connection.rollback()


def test_the_newest_of_rows_that_were_added_are_found(tap: TapRunner, warehouse: Warehouse) -> None:
    warehouse.load(tap.run(select=("feature_events",)))
    [(rows,)] = warehouse.rows("select count(*) from feature_events")
    # as a loader leaves it that adds each row
    warehouse.execute(
        f"create table {warehouse.schema}.twice as table {warehouse.schema}.feature_events"
    )
    warehouse.execute(
        f"insert into {warehouse.schema}.twice table {warehouse.schema}.feature_events"
    )

    newest = warehouse.rows(NEWEST.replace("tap_pendo.feature_events", f"{warehouse.schema}.twice"))

    assert len(newest) == rows > 0


def test_events_are_loaded_from_files(tap: TapRunner, warehouse: Warehouse, tmp_path: Path) -> None:
    [plugin] = yaml.safe_load(CONFIGURED)
    assert plugin["name"] == "tap-pendo"
    batch = plugin["config"]["batch_config"]
    assert batch["storage"]["root"] == "file:///srv/pendo"
    batch["storage"]["root"] = tmp_path.as_uri()

    output = tap.run(select=("feature_events",), batch_config=batch)
    warehouse.load(output)

    assert list(tmp_path.iterdir())
    [(rows,)] = warehouse.rows("select count(*) from feature_events")
    assert rows > 0
