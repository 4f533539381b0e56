"""docs/moving-over.md: what it says is here is here."""

from __future__ import annotations

import json
import re
import typing as t

import pytest
from tap_pendo.config.settings import SCHEMA

if t.TYPE_CHECKING:
    from pathlib import Path

Row = list[str]


@pytest.fixture
def text(project: Path) -> str:
    return (project / "docs" / "moving-over.md").read_text(encoding="utf-8")


@pytest.fixture
def columns(project: Path) -> dict[str, set[str]]:
    """Give the columns of each stream."""
    catalogue = json.loads((project / "tests" / "golden" / "catalog.json").read_text())
    return {
        stream["tap_stream_id"]: set(stream["schema"]["properties"])
        for stream in catalogue["streams"]
    }


def rows(text: str) -> list[Row]:
    """Read the rows of the first table."""
    lines = [line for line in text.splitlines() if line.startswith("| ")]
    return [[cell.strip() for cell in line.split("|")[1:-1]] for line in lines[2:]]


def part(text: str, peer: str) -> list[Row]:
    """Read the table of a peer."""
    found = re.search(rf"<!-- columns: {peer} -->\n(.*?)<!-- end -->", text, re.DOTALL)
    assert found
    return rows(found[1])


def named(cell: str) -> list[str]:
    return re.findall(r"`([^`]+)`", cell)


def renamed(cell: str) -> list[str]:
    """Give the first name behind each arrow: the column here, where it is one."""
    return [name for told in cell.split(";") for name in re.findall(r"→ `(\w+)`", told)]


def test_settings_of_the_singer_io_tap_have_settings_here(text: str) -> None:
    table = rows(text.split("### Settings")[1].split("### State", maxsplit=1)[0])
    here = {name for row in table for name in named(row[1])}

    assert len(table) == 10
    assert here <= SCHEMA["properties"].keys()
    # the only one without any
    assert [row[0] for row in table if not row[1]] == ["`events_date_window`"]


def test_columns_of_the_singer_io_tap_are_here(text: str, columns: dict[str, set[str]]) -> None:
    table = part(text, "singer-io")

    assert len(table) == 15
    for stream, same, others in table:
        here = columns[stream.strip("`")]
        assert {*named(same), *renamed(others)} <= here, stream


@pytest.mark.parametrize(("peer", "file"), [("singer-io", "singer_io"), ("fivetran", "fivetran")])
def test_each_column_of_the_other_is_spoken_of(
    peer: str, file: str, text: str, project: Path
) -> None:
    golden = project / "tests" / "golden" / f"{file}_columns.json"
    theirs: dict[str, list[str]] = json.loads(golden.read_text())
    told = {row[0].strip("`"): " ".join(row[1:]) for row in part(text, peer)}

    assert told.keys() == theirs.keys()
    for table, columns in theirs.items():
        # one sentence below the table speaks of it
        names = {*named(told[table]), "_fivetran_synced"}
        alike = tuple(name.removesuffix("…") for name in names if name.endswith("…"))
        silent = {name for name in columns if name not in names and not name.startswith(alike)}
        assert not silent or "all others → " in told[table], (table, silent)


def test_tables_of_hevo_are_here(text: str, columns: dict[str, set[str]]) -> None:
    table = part(text, "hevo")

    assert len(table) == 13
    assert {name for row in table for cell in row[1:] for name in named(cell)} <= columns.keys()


def test_tables_and_columns_of_fivetran_are_here(text: str, columns: dict[str, set[str]]) -> None:
    table = part(text, "fivetran")

    assert len(table) == 17
    for theirs, stream, same, others in table:
        here = columns[stream.strip("`")]
        assert {*named(same), *renamed(others)} <= here, theirs
    further = re.search(
        r"further\s+tables\s+have\s+these\s+names\s+here:\s+(.*?)\.\n", text, re.DOTALL
    )
    assert further
    assert set(named(further[1])) <= columns.keys()
