"""Conversion: nothing is lost, nothing is guessed, customers' own names stay."""

from __future__ import annotations

import typing as t

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tap_pendo.catalog import CATALOG
from tap_pendo.catalog.stream_specs import EventSpec, ListSpec
from tap_pendo.records.fields import (
    ANY_AS_TEXT,
    BOOLEAN,
    ID,
    INTEGER,
    LIST,
    NUMBER,
    OBJECT,
    STRING,
    TIME,
    ConversionError,
    Type,
    snake_case,
)
from tap_pendo.records.inference import Metadata

MISFIT = object()


@pytest.mark.parametrize(
    ("kind", "value", "expected"),
    [
        (STRING, "a", "a"),
        (STRING, 5, "5"),
        (STRING, True, "true"),
        (STRING, {"a": 1}, MISFIT),
        (INTEGER, 5, 5),
        (INTEGER, "-7", -7),
        (INTEGER, 5.0, 5),
        (INTEGER, 5.5, MISFIT),
        (INTEGER, True, MISFIT),
        (INTEGER, 2**63, MISFIT),
        (INTEGER, "x", MISFIT),
        (NUMBER, 1, 1.0),
        (NUMBER, "1.5", 1.5),
        (NUMBER, "nan", MISFIT),
        (NUMBER, 10**400, MISFIT),
        (NUMBER, False, MISFIT),
        (BOOLEAN, True, True),
        (BOOLEAN, "False", False),
        (BOOLEAN, 1, MISFIT),
        (TIME, 1700000000123, "2023-11-14T22:13:20.123Z"),
        (TIME, 1700000000123.0, "2023-11-14T22:13:20.123Z"),
        (TIME, 0, None),
        (TIME, "0001-01-01T00:00:00Z", None),
        (TIME, "", None),
        (TIME, "2026-01-01T00:00:00Z", "2026-01-01T00:00:00.000Z"),
        (TIME, 10**18, MISFIT),
        (TIME, "soon", MISFIT),
        (TIME, True, MISFIT),
        (TIME, [], MISFIT),
        (ANY_AS_TEXT, [1, "a"], '[1,"a"]'),
        (ANY_AS_TEXT, {}, "{}"),
        (ANY_AS_TEXT, 1.5, "1.5"),
        (ANY_AS_TEXT, "04", "04"),
        (ID, "", None),
        (ID, "a", "a"),
        (OBJECT, {"a": 1}, {"a": 1}),
        (OBJECT, [], MISFIT),
        (LIST, [1, "a"], [1, "a"]),
        (LIST, "a", MISFIT),
    ],
)
def test_values(kind: Type, value: t.Any, expected: t.Any) -> None:
    try:
        fitted = kind.fit(value)
    except ConversionError:
        fitted = MISFIT
    assert fitted == expected
    assert expected is MISFIT or type(fitted) is type(expected)


@pytest.mark.parametrize(
    ("pendo", "column"),
    [
        ("visitorId", "visitor_id"),
        ("uTurnCount", "u_turn_count"),
        ("contentUrlCss", "content_url_css"),
        ("remoteIp", "remote_ip"),
        ("lastKeyFrameTimestamp", "last_key_frame_timestamp"),
        ("rulesjson", "rulesjson"),
    ],
)
def test_names(pendo: str, column: str) -> None:
    assert snake_case(pendo) == column


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=5,
)
SHAPES = [
    row.shape if isinstance(row, ListSpec) else row.record_shape
    for row in CATALOG
    if isinstance(row, (ListSpec, EventSpec))
]


@given(st.sampled_from(SHAPES), st.data())
def test_any_row_fits_its_schema_and_keeps_what_does_not(t_shape: t.Any, data: t.Any) -> None:
    names = st.sampled_from([f.pendo for f in t_shape.fields]) | st.text(max_size=6)
    row = data.draw(st.dictionaries(names, json_values, max_size=6))
    record = t_shape.record(row)
    jsonschema.validate(record, {"type": "object", "properties": t_shape.properties()})
    columns = {f.pendo: f.name for f in t_shape.fields}
    for name, value in row.items():
        kept = record.get(columns.get(name, "")), record.get("extra", {}).get(name)
        assert value is None or any(part is not None for part in kept) or value in (0, "", 0.0)


def test_nested_fields_are_renamed_and_customers_are_not() -> None:
    guide = next(row for row in CATALOG if row.name == "guides")
    assert isinstance(guide, ListSpec)
    record = guide.shape.record(
        {
            "id": "g",
            "steps": [{"guideStepX": 1, "pollIds": ["p"], "lastUpdatedAt": 1700000000000}],
            "attributes": {"badge": None, "isAnnouncement": True},
            "newField": {"camelCase": 1},
        }
    )
    step = record["steps"][0]
    assert step["poll_ids"] == ["p"]
    assert step["last_updated_at"] == "2023-11-14T22:13:20.000Z"
    assert step["extra"] == {"guideStepX": 1}
    assert record["attributes"] == {"badge": None, "isAnnouncement": True}
    assert record["extra"] == {"newField": {"camelCase": 1}}


DESCRIPTION = {
    "auto": {"firstvisit": {"Type": "time"}},
    "custom": {
        "planName": {"Type": "string"},
        "seats": {"Type": "integer"},
        "renewal": {"Type": "time"},
        "odd": {"Type": ""},
        "tags": {"Type": "list", "ElementType": "string"},
        "extra": {"Type": "boolean"},
    },
    "broken": None,
}


def test_metadata_is_typed_and_misfits_are_kept() -> None:
    described = Metadata.described(DESCRIPTION)
    assert described.unknown == ("custom.odd",)
    fitted, misfits = described.fit(
        {
            "auto": {"firstvisit": 1700000000000, "lastvisit": 1700000000000},
            "auto_123": {"firstvisit": 1700000000000},
            "custom": {
                "planName": "Pro",
                "seats": "many",
                "renewal": 1700000000000,
                "odd": [{}],
                "tags": [1, "a"],
                "extra": True,
                "unknownField": {"x": 1},
            },
            "salesforce": {"Amount": 5},
            "strange": 7,
        }
    )
    assert misfits == {"metadata.custom.seats": "many"}
    assert fitted["auto"]["lastvisit"] == fitted["auto_123"]["firstvisit"]
    assert fitted["custom"]["seats"] is None
    assert fitted["custom"]["renewal"] == "2023-11-14T22:13:20.000Z"
    assert fitted["custom"]["unknownField"] == {"x": 1}
    assert fitted["salesforce"] == {"Amount": 5}
    assert fitted["strange"] == 7


@given(
    st.dictionaries(
        st.sampled_from(["auto", "custom", "auto_1", "x"]),
        st.dictionaries(st.sampled_from([*DESCRIPTION["custom"], "y"]), json_values, max_size=4)  # type: ignore[misc]
        | json_values,
        max_size=3,
    )
)
def test_any_metadata_fits_its_schema(metadata: dict[str, t.Any]) -> None:
    described = Metadata.described(DESCRIPTION)
    fitted, _ = described.fit(metadata)
    schema = described.schema()
    for group in fitted.keys() & schema["properties"].keys():
        if isinstance(fitted[group], dict):
            jsonschema.validate({group: fitted[group]}, schema)


@pytest.mark.parametrize("answer", [None, [], "x", {"custom": []}, {"custom": {"a": None}}])
def test_an_unreadable_description_never_stops_a_run(answer: t.Any) -> None:
    assert Metadata.described(answer).schema()["type"] == ["object", "null"]
