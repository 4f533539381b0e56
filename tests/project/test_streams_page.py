"""docs/streams.md: every stream and column of the golden catalogue, and how they are joined."""

from __future__ import annotations

import json
import re
import typing as t

import pytest

from tools.docs.stream_pages import RELATIONS, relations

if t.TYPE_CHECKING:
    from pathlib import Path

# ids that name no row of any stream
ELSEWHERE = {
    "agent_id",
    "analytics_session_id",
    "conversation_id",
    "event_id",
    "feedback_product_id",
    "item_id",
    "message_id",
    "old_visitor_id",
    "push_application_id",
    "recording_id",
    "recording_session_id",
    "resource_center_id",
    "root_version_id",
    "row_id",
    "stable_version_id",
    "subscription_id",
    "tab_id",
    "template_id",
    "ui_element_id",
}


@pytest.fixture
def page(project: Path) -> str:
    return (project / "docs" / "streams.md").read_text()


@pytest.fixture
def streams(project: Path) -> dict[str, dict[str, t.Any]]:
    catalog = json.loads((project / "tests" / "golden" / "catalog.json").read_text())
    return {entry["tap_stream_id"]: entry for entry in catalog["streams"]}


def test_every_stream_and_column_is_described(
    page: str, streams: dict[str, dict[str, t.Any]]
) -> None:
    sections = dict(re.findall(r"^## (\w+)\n(.*?)(?=^## |\Z)", page, re.DOTALL | re.MULTILINE))
    for name, entry in streams.items():
        columns = re.findall(r"^\| (\*\*)?`(\w+)`", sections[name], re.MULTILINE)

        assert {column for _, column in columns} == entry["schema"]["properties"].keys()
        assert {column for bold, column in columns if bold} == set(entry["key_properties"])


def test_relations_lead_to_keys(streams: dict[str, dict[str, t.Any]]) -> None:
    found = relations(streams)

    assert {one.path for one in found} == RELATIONS.keys()
    for one in found:
        assert one.to_column in streams[one.to]["key_properties"]


def test_every_id_leads_somewhere_or_is_known_not_to(streams: dict[str, dict[str, t.Any]]) -> None:
    joined = {(one.stream, one.column) for one in relations(streams)}
    loose = {
        column
        for name, entry in streams.items()
        for column in entry["schema"]["properties"]
        if column.endswith("_id") and (name, column) not in joined
        # the keys to which the others lead
        if [column] != entry["key_properties"] or column == "row_id"
    }

    assert loose == ELSEWHERE


def test_pictures_show_each_relation_once(page: str, streams: dict[str, dict[str, t.Any]]) -> None:
    drawn = re.findall(r'^    (\w+) [|}]o--o[|{] (\w+) : "(.+)"$', page, re.MULTILINE)
    shown = sorted(
        (stream, to, column) for stream, to, columns in drawn for column in columns.split(", ")
    )

    assert shown == sorted((one.stream, one.to, one.column) for one in relations(streams))


def test_links_lead_to_sections(page: str) -> None:
    links = set(re.findall(r"\]\(#([^)]+)\)", page))

    assert links
    assert links <= set(re.findall(r"^## (\w+)$", page, re.MULTILINE))
