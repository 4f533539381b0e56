"""docs/fivetran-views.sql: Fivetran's names, on what the tap and target-postgres have loaded."""

from __future__ import annotations

import json
import re
import typing as t
from datetime import timezone
from pathlib import Path

import pytest
from tap_pendo.calendar import to_text

if t.TYPE_CHECKING:
    from datetime import datetime

    from tests.conftest import Output, TapRunner, Warehouse

ROOT = Path(__file__).parents[2]
VIEWS = (ROOT / "docs" / "fivetran-views.sql").read_text(encoding="utf-8")
# what the staging models of fivetran/dbt_pendo read
COLUMNS: dict[str, list[str]] = json.loads(
    (ROOT / "tests" / "golden" / "fivetran_columns.json").read_text(encoding="utf-8")
)
STREAMS = dict(re.findall(r'view pendo\."?(\w+)"? as.*?from tap_pendo\.(\w+) as', VIEWS, re.DOTALL))


@pytest.fixture
def loaded(tap: TapRunner, warehouse: Warehouse) -> Output:
    """Load what the views read, and make them in a schema beside the tables'."""
    output = tap.run(select=tuple(STREAMS.values()))
    warehouse.load(output)
    sql = VIEWS.replace("tap_pendo.", f"{warehouse.schema}.")
    warehouse.execute(re.sub(r"\bpendo\b(?=[.;])", f"{warehouse.schema}_views", sql))
    return output


def view(warehouse: Warehouse, name: str) -> str:
    return f'{warehouse.schema}_views."{name}"'


def written(moment: datetime | None) -> str | None:
    """Write a time of the warehouse, which is UTC, as the tap does."""
    return to_text(moment.replace(tzinfo=timezone.utc)) if moment else None


def test_each_table_of_fivetran_has_its_columns_and_rows(
    loaded: Output, warehouse: Warehouse
) -> None:
    assert STREAMS.keys() == COLUMNS.keys()
    for name, columns in COLUMNS.items():
        found = warehouse.rows(
            "select column_name from information_schema.columns where "
            f"table_schema = '{warehouse.schema}_views' and table_name = '{name}'"
        )
        assert sorted(each for (each,) in found) == sorted(columns), name
        [(count,)] = warehouse.rows(f"select count(*) from {view(warehouse, name)}")
        assert count == len(loaded.records(STREAMS[name])) > 0, name
        ids = [each for each in columns if each in {"id", "_fivetran_id", "visitor_id", "page_id"}]
        for each in ids[:1]:
            nulls = f"select count(*) from {view(warehouse, name)} where {each} is null"
            assert warehouse.rows(nulls) == [(0,)] or name == "event", name


def test_figures_and_times_are_those_of_the_records(loaded: Output, warehouse: Warehouse) -> None:
    uses = loaded.records("feature_events")
    asked = view(warehouse, "feature_event")
    [(total, first)] = warehouse.rows(f'select sum(num_events), min("timestamp") from {asked}')
    assert total == sum(row["num_events"] for row in uses)
    assert f"{first:%Y-%m-%dT%H:%M}" == min(row["hour"] for row in uses)[:16]

    seen = {
        row["visitor_id"]: row["metadata"].get("auto", {}) for row in loaded.records("visitors")
    }
    asked = view(warehouse, "visitor_history")
    found = warehouse.rows(f"select id, first_visit, last_browser_name, account_id from {asked}")
    assert {id_: (written(begun), *others) for id_, begun, *others in found} == {
        id_: (auto.get("firstvisit"), auto.get("lastbrowsername"), auto.get("accountid"))
        for id_, auto in seen.items()
    }
    assert any(begun for _, begun, *_ in found)

    makers = {
        row["id"]: (row.get("created_by_user") or {}).get("id")
        for row in loaded.records("features")
    }
    groups = {
        row["id"]: (row.get("product_area") or {}).get("id") for row in loaded.records("features")
    }
    asked = view(warehouse, "feature_history")
    found = warehouse.rows(f"select id, created_by_user_id, group_id from {asked}")
    assert {(id_, maker, group) for id_, maker, group in found} == {
        (id_, maker, groups[id_]) for id_, maker in makers.items()
    }

    badges = {row["id"]: row["attributes"].get("badge") for row in loaded.records("guides")}
    asked = view(warehouse, "guide_history")
    found = warehouse.rows(f"select id, attribute_badge_color from {asked}")
    assert dict(found) == {id_: badge and badge["color"] for id_, badge in badges.items()}
    assert any(color for _, color in found)

    follow_ups = {row["id"]: row["attributes"].get("followUp") for row in loaded.records("polls")}
    found = warehouse.rows(f"select id, attribute_follow_up from {view(warehouse, 'poll')}")
    assert dict(found) == follow_ups


def test_rows_that_a_newer_read_did_not_find_are_left_out(
    loaded: Output, warehouse: Warehouse
) -> None:
    gone = loaded.records("guide_events")[0]["row_id"]
    stale = f"update {warehouse.schema}.guide_events set read_at = '2020-01-01' where row_id = "
    warehouse.execute(f"{stale}'{gone}'")
    counts = f"select count(*) from {view(warehouse, 'guide_event')}"

    assert warehouse.rows(counts) == [(len(loaded.records("guide_events")) - 1,)]
