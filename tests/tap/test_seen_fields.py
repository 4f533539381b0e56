"""Fields that users have seen in real payloads have columns of their own, of the right type."""

from __future__ import annotations

import typing as t

import pytest
from tap_pendo.calendar import from_text

if t.TYPE_CHECKING:
    from tests.conftest import TapRunner

WHOLE = ("pages", "features", "guides", "track_types", "metadata_visitors", "users")


def kinds(records: list[dict[str, t.Any]], name: str) -> set[type]:
    return {type(record.get(name)) for record in records}


def test_definitions_leave_nothing_in_extra(tap: TapRunner) -> None:
    output = tap.run(select=WHOLE)
    assert tap.exit_code == 0
    assert not [r for name in WHOLE for r in output.records(name) if r.get("extra")]
    pages, guides = output.records("pages"), output.records("guides")
    for record in (*pages, *output.records("features")):
        assert record["app_ids"] == [record["app_id"]]
    assert {page["rulesjson"][:1] for page in pages} == {"[", ""}
    assert {g["auto_create_feedback"] for g in guides} == {False}
    assert all(from_text(g["valid_through"]) for g in guides)
    assert {g["translation_states"] for g in guides} == {"{}", '{"de-DE":{"state":"translated"}}'}
    assert kinds(output.records("metadata_visitors"), "cardinality") == {int}
    assert "-42" in {user["id"] for user in output.records("users")}


def test_pages_of_several_apps_come_with_each_of_them(tap: TapRunner) -> None:
    page = tap.pendo.world.definitions["page"][0]
    tap.pendo.world.add_definition(
        "page", {**page, "id": "shared", "appId": 1, "appIds": [1, page["appId"]]}
    )
    output = tap.run(select=("pages",), app_ids=[page["appId"]])
    assert "shared" in {each["id"] for each in output.records("pages")}


def test_metadata_that_the_description_lacks_is_a_time_and_hashes_are_whole(tap: TapRunner) -> None:
    output = tap.run(select=("visitors", "accounts"))
    for name in ("visitors", "accounts"):
        metadata = [r["metadata"] for r in output.records(name) if r["metadata"].get("auto")]
        groups = [g for m in metadata for key, g in m.items() if key.startswith("auto")]
        sent = [g["lastmetadataupdate_agent"] for g in groups if "lastmetadataupdate_agent" in g]
        assert sent
        assert all(from_text(text) for text in sent)
        assert max(m["auto"]["idhash"] for m in metadata) > 2**31
        (schema,) = (m["schema"] for m in output if m["type"] == "SCHEMA" and m["stream"] == name)
        auto = schema["properties"]["metadata"]["properties"]["auto"]["properties"]
        assert auto["lastmetadataupdate_agent"]["format"] == "date-time"
        assert "maximum" not in auto["idhash"]


@pytest.mark.parametrize("field", ["recording_first_active_ts", "recording_last_active_ts"])
def test_recordings_have_their_activity(field: str, tap: TapRunner) -> None:
    output = tap.run(select=("session_recordings",))
    recordings = [r for r in output.records("session_recordings") if not r["is_broken"]]
    assert recordings
    assert not [r for r in recordings if r.get("extra")]
    for record in recordings:
        assert record["start_time"] <= record[field] <= record["end_time"]
        starts = record["recording_inactivity_period_start_times"]
        ends = record["recording_inactivity_period_end_times"]
        assert all(a < b for a, b in zip(starts, ends, strict=True))
