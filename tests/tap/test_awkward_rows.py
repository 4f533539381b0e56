"""Rows that no table can hold as they are: nothing is lost without a word, nothing ends a load."""

from __future__ import annotations

import json
import logging
import typing as t

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tap_pendo.calendar import from_text, to_ms
from tap_pendo.catalog import CATALOG
from tap_pendo.catalog.stream_specs import ChildSpec, SyncWindowsSpec, UsersSpec
from tap_pendo.errors import BrokenBodyError
from tap_pendo.streams.message_writer import without_nul

if t.TYPE_CHECKING:
    from collections.abc import Iterator

    from pendo_emulator.pipeline.table import Chunk

    from tests.conftest import TapRunner, Warehouse

Row = dict[str, t.Any]
FEATURES = ("feature_events",)
HOUR = to_ms(from_text("2026-03-11T03:00:00Z"))
HISTORY = {"start_date": "2026-03-11T03:00Z", "end_date": "2026-03-11T04:00Z"}

# one needs an agent's id, one a call for each visitor, and one has no rows here
LEFT_OUT = {"agentic_events", "visitor_history", "metadata_parent_accounts"}
WITHOUT_NEW_FIELDS = (ChildSpec, UsersSpec, SyncWindowsSpec)

json_values = st.recursive(
    st.none() | st.integers() | st.text(st.sampled_from("a\0b\\")),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.text(st.sampled_from("a\0")), inner, max_size=4)
    ),
)


@given(json_values)
def test_no_nul_is_left_and_no_entry_is_lost(value: t.Any) -> None:
    cleaned = without_nul(value)
    assert "\\u0000" not in json.dumps(cleaned).replace("\\\\", "")
    assert entries(cleaned) == entries(value)
    if "\0" not in repr_all(value):
        assert cleaned is value


def entries(value: t.Any) -> int:
    """Count entries, deep."""
    if isinstance(value, dict):
        return len(value) + sum(map(entries, value.values()))
    return len(value) + sum(map(entries, value)) if isinstance(value, list) else 0


def repr_all(value: t.Any) -> str:
    return json.dumps(value).replace("\\\\", "").replace("\\u0000", "\0")


def events(*rows: Row) -> list[Row]:
    own = {"source": "featureEvents", "ts": HOUR + 5, "visitorId": "v", "featureId": "f"}
    return [{**own, **row} for row in rows]


def test_texts_with_nul_load_and_keep_their_ids_apart(
    tap: TapRunner, warehouse: Warehouse, caplog: pytest.LogCaptureFixture
) -> None:
    tap.pendo.world.inject(
        events(
            {"visitorId": "nul\0visitor"},
            {"visitorId": "nulvisitor"},
            {"visitorId": "deep", "properties": {"a\0": [{"b": "c\0d"}], "a": 1}},
        )
    )
    output = tap.run(select=FEATURES, **HISTORY)
    assert tap.exit_code == 0
    assert "\\u0000" not in output.text
    records = {r["row_id"]: r for r in output.records("feature_events")}
    both = [r for r in records.values() if r["visitor_id"] == "nulvisitor"]
    assert len(both) == 2
    (deep,) = [r for r in records.values() if r["visitor_id"] == "deep"]
    assert deep["properties"] == {"a_": [{"b": "cd"}], "a": 1}
    warned = [r.getMessage() for r in caplog.records if "U+0000" in r.getMessage()]
    assert len(warned) == 1
    assert warned[0].startswith("feature_events: ")
    warehouse.load(output, validate=True)
    assert warehouse.rows("select count(*) from feature_events") == [(len(records),)]


def test_metadata_and_lists_with_nul_are_cleaned_too(
    tap: TapRunner, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    somebody = {"visitorId": "v\0", "metadata": {"custom": {"k\0": "x\0y"}, "auto": {}}}
    monkeypatch.setattr(type(tap.pendo.world), "visitors", lambda *_, **__: iter([somebody]))
    tap.pendo.world.add_definition("feature", {"id": "f0", "appId": -323232, "name": "n\0ame"})
    output = tap.run(select=("visitors", "features"))
    assert tap.exit_code == 0
    assert "\\u0000" not in output.text
    assert [v["visitor_id"] for v in output.records("visitors")] == ["v"]
    assert "name" in {f["name"] for f in output.records("features")}
    assert sum("U+0000" in r.getMessage() for r in caplog.records) == 2


@pytest.mark.whole
def test_no_stream_hands_nul_on(
    tap: TapRunner, warehouse: Warehouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Loading relies on it: meltano.yml does not let target-postgres look for NUL again."""
    kind = type(tap.pendo.world)
    field = {"Type": "string", "DisplayName": "new\0", "ElementType": "", "ElementFormat": ""}
    monkeypatch.setattr(kind, "metadata_schema", lambda *_: {"custom": {"new\0": field}})
    odd = {"new\0": ["a\0b", {"c\0": "d"}]}
    tap.pendo.faults.add({"kind": "extra_fields", "fields": odd, "times": None})
    report = tap.run(select=("reports",)).records("reports")[0]["id"]
    read = tuple(tap.tap(report_ids=[report]).streams.keys() - LEFT_OUT)

    output = tap.run(select=read, report_ids=[report])

    assert tap.exit_code == 0
    records = [message for message in output if message["type"] == "RECORD"]
    assert "\\u0000" not in json.dumps(records)
    own_rows = {row.name for row in CATALOG if not isinstance(row, WITHOUT_NEW_FIELDS)}
    odd_streams = {each["stream"] for each in records if '"new' in json.dumps(each["record"])}
    assert odd_streams >= own_rows - LEFT_OUT
    warehouse.load(output, validate=True)


@pytest.fixture
def answered(monkeypatch: pytest.MonkeyPatch) -> t.Callable[..., None]:
    """Let Pendo's rows of feature events be these."""

    def answer(*rows: Row, broken_after: tuple[int, ...] = ()) -> None:
        broken = list(broken_after)
        own = {"hour": HOUR, "visitorId": "v", "accountId": "a", "appId": 1, "featureId": "f"}
        made = [{**own, "numEvents": 1, **row} for row in rows]

        def blocks(_: t.Any, body: Row, *__: t.Any, **___: t.Any) -> Iterator[Chunk]:
            assert body["request"]["name"] == "featureEvents"
            if broken:
                yield [dict(row) for row in made[: broken.pop()]]
                raise BrokenBodyError("the answer broke off")
            yield [dict(row) for row in made]

        monkeypatch.setattr("tap_pendo.api.client.PendoClient.rows", blocks)

    return answer


def warnings(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [
        r.getMessage()
        for r in caplog.records
        if r.levelno == logging.WARNING and r.getMessage().startswith("feature_events")
    ]


def test_rows_without_a_time_are_counted_in_one_warning(
    answered: t.Callable[..., None], tap: TapRunner, caplog: pytest.LogCaptureFixture
) -> None:
    odd = ({"hour": None}, {"hour": "soon"}, {"hour": True})
    answered(*odd, {}, broken_after=(1, 3))
    output = tap.run(select=FEATURES, **HISTORY)
    assert tap.exit_code == 0
    assert len(output.records("feature_events")) == 1
    assert len(output.records("sync_windows")) == 1
    (warned,) = warnings(caplog)
    assert warned.startswith("feature_events from 2026-03-11T03:00:00.000Z to 2026-03-11T04:")
    assert warned.endswith("3 rows without `hour` are left out")


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        (({"numEvents": 2**63}, {}), {"num_events": None, "extra": {"numEvents": 2**63 + 1}}),
        (
            ({"numEvents": 2**62}, {"numEvents": 2**62}),
            {"num_events": None, "extra": {"numEvents": 2**63}},
        ),
        (({"numEvents": "many"}, {}), {"num_events": 1, "extra": {"numEvents": "many"}}),
        (({"x": 1, "y": 2}, {"x": 1, "y": 3}), {"num_events": 2, "extra": {"x": 1}}),
    ],
)
def test_what_does_not_add_up_is_said(
    rows: tuple[Row, ...],
    expected: Row,
    answered: t.Callable[..., None],
    tap: TapRunner,
    caplog: pytest.LogCaptureFixture,
) -> None:
    answered(*rows)
    output = tap.run(select=FEATURES, **HISTORY)
    assert tap.exit_code == 0
    (record,) = output.records("feature_events")
    assert {name: record.get(name) for name in expected} == expected
    (warned,) = warnings(caplog)
    assert record["row_id"] in warned
    assert "`numEvents`" in warned or "`y`" in warned


@pytest.mark.whole
def test_columns_of_any_type_load_when_they_are_flattened(
    tap: TapRunner, warehouse: Warehouse
) -> None:
    plain = tap.run()
    output = tap.run(flattening_enabled=True, flattening_max_depth=3)
    assert tap.exit_code == 0
    warehouse.load(output)
    for stream in ("visitors", "visitor_accounts", "poll_events", "guides"):
        ((rows,),) = warehouse.rows(f"select count(*) from {stream}")
        assert rows == len(plain.records(stream))
