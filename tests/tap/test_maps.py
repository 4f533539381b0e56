"""Stream maps: what is misspelt is an error, and what fails on a record fails its stream only."""

from __future__ import annotations

import gzip
import hashlib
import json
import logging
import typing as t
from urllib.parse import urlparse

import pytest

if t.TYPE_CHECKING:
    from pathlib import Path

    from tests.conftest import Output, TapRunner

    Record = dict[str, t.Any]

EVENTS = "feature_events"
SECRET = "config['salt'] + xyzzy"


def errors(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [r.getMessage() for r in caplog.records if r.levelno >= logging.ERROR]


# the setting, and what the line says
MISSPELT: list[tuple[Record, str]] = [
    (
        {"visitorz": {"visitor_id": SECRET}},
        "`visitorz` must be a stream, or a pattern with `*` that matches some; did you mean `visi",
    ),
    ({"visitorz": None}, "`visitorz` must be a stream"),
    ({"visitorz": "__NULL__"}, "`visitorz` must be a stream"),
    ({"Visitors": {"visitor_id": SECRET}}, "`Visitors` must be a stream"),
    ({"*_eventz": {"visitor_id": SECRET}}, "`*_eventz` must be a stream"),
    ({"xyzzy9": {}}, "must be one of sync_windows, applications, "),
    (
        {"people": {"__source__": "visitorz", "visitor_id": SECRET}},
        "`people.__source__` must be a stream, or a pattern with `*` that matches some; did you",
    ),
    ({"report_results_2": {"a": SECRET}}, "`report_results_2` must be a stream"),
]
UNREADABLE: list[tuple[Record, str]] = [
    (
        {"visitors": {"visitor_id": "md5(xyzzy"}},
        "setting `stream_maps.visitors.visitor_id`: Failed to parse expression: '(' was never",
    ),
    ({"visitors": {"x": " "}}, "setting `stream_maps.visitors.x`: Failed to parse expression: it"),
    ({"visitors": {"__filter__": "xyzzy ="}}, "setting `stream_maps.visitors.__filter__`: Failed"),
]


@pytest.mark.parametrize("entry", [(), ("--discover",), ("--test",)], ids=["run", "disc", "test"])
@pytest.mark.parametrize(("maps", "said"), [*MISSPELT, *UNREADABLE], ids=lambda v: str(v)[:30])
def test_what_names_no_stream_and_what_is_no_expression(
    maps: Record,
    said: str,
    entry: tuple[str, ...],
    tap: TapRunner,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    result, output = tap.cli(tmp_path, *entry, stream_maps=maps, report_ids=["report-1"])
    assert result.exit_code == 1
    (line,) = errors(caplog)
    assert said in line
    assert "\n" not in line
    assert "xyzzy" not in line.replace("xyzzy9", "")
    assert not output
    assert not tap.pendo.calls.counts


@pytest.mark.parametrize(
    ("maps", "said"),
    [
        (
            {"visitors": {"visitr_id": None}},
            "setting `stream_maps.visitors.visitr_id`: no stream has such a field; did you mean `v",
        ),
        (
            {"visitors": {"metadata.agent.email": "__NULL__"}},
            "setting `stream_maps.visitors.metadata.agent.email`: no stream has such a field",
        ),
        (
            {"visitors": {"visitor_id": None}},
            "setting `stream_maps` is not valid: Removing key property 'visitor_id' is not",
        ),
        (
            {"visitors": {"__key_properties__": ["xyz"]}},
            "setting `stream_maps` is not valid: Invalid key properties for 'visitors': [xyz]",
        ),
        (
            {"visitors": {"__alias__": "bad(xyzzy", "visitor_id": "md5(visitor_id)"}},
            "setting `stream_maps` is not valid: Failed to evaluate simpleeval expressions",
        ),
        ({"__elze__": {"x": "xyzzy"}}, "setting `stream_maps` is not valid: Option '__elze__:…'"),
    ],
    ids=lambda v: str(v)[:40],
)
def test_the_sentence_of_the_sdk_is_passed_on(
    maps: Record, said: str, tap: TapRunner, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    result, output = tap.cli(tmp_path, stream_maps=maps)
    assert result.exit_code == 1
    (line,) = errors(caplog)
    assert line.startswith(said)
    assert not output


def test_names_that_are_right(tap: TapRunner) -> None:
    maps: Record = {
        "people": {"__source__": "visitors", "visitor_id": "md5(visitor_id)"},
        "*_events": {"visitor_id": "md5(visitor_id)", "remote_ip": None, "poll_response": None},
        "features": {"__alias__": "tags"},
        "report_results_report_1": None,
        "__else__": None,
    }
    output = tap.run(
        select=("visitors", EVENTS, "features", "pages"), stream_maps=maps, report_ids=["report-1"]
    )
    assert tap.exit_code == 0
    assert {m["stream"] for m in output if "stream" in m} == {"people", EVENTS, "tags"}


@pytest.mark.parametrize(
    ("said", "wanted"),
    [
        ({"acct": "account_id"}, lambda r: r["acct"] == r["account_id"]),
        ({"acct": "md5(account_id)"}, lambda r: (r["acct"] is None) == (r["account_id"] is None)),
        ({"__filter__": "account_id is not None"}, lambda r: r["account_id"] is not None),
        ({"ip": "sha256(remote_ip)"}, lambda r: (r["ip"] is None) == (r["remote_ip"] is None)),
        ({"place": "_['country'] or 'none'"}, lambda r: r["place"] == (r["country"] or "none")),
    ],
    ids=lambda v: str(v)[:30] if isinstance(v, dict) else "",
)
@pytest.mark.parametrize("flat", [{}, {"flattening_enabled": True, "flattening_max_depth": 1}])
def test_a_mapped_record_has_every_field(
    said: Record, wanted: t.Callable[[Record], bool], flat: Record, tap: TapRunner
) -> None:
    output = tap.run(select=("guide_events",), stream_maps={"guide_events": said}, **flat)
    assert tap.exit_code == 0
    records = output.records("guide_events")
    assert records
    (schema,) = (m for m in output if m["type"] == "SCHEMA" and m["stream"] == "guide_events")
    names = schema["schema"]["properties"].keys()
    assert all(record.keys() <= names for record in records)
    assert all(map(wanted, records))


FAILING = [
    ("md5(visitr_id)", "the name `visitr_id` is not defined; did you mean `visitor_id`?"),
    ("md6(visitor_id)", "the function `md6` is not defined"),
    ("1 + None", "TypeError: unsupported operand type(s) for +: 'int' and 'NoneType'"),
    ("md5(5)", "AttributeError: 'int' object has no attribute 'encode'"),
    ("int(visitor_id)", "ValueError"),
    ("visitor_id.nothing", "AttributeDoesNotExist"),
    ("json.loads(visitor_id)", "JSONDecodeError"),
]


@pytest.mark.parametrize(("expression", "said"), FAILING)
def test_a_map_that_fails_fails_its_stream_only(
    expression: str, said: str, tap: TapRunner, caplog: pytest.LogCaptureFixture
) -> None:
    maps = {EVENTS: {"x": expression}}
    output = tap.run(select=(EVENTS, "visitors", "track_events"), stream_maps=maps)
    assert tap.exit_code == 1
    failed, ended = errors(caplog)
    assert failed == (
        f"{EVENTS} failed: setting `stream_maps`, {EVENTS}, `x`: the expression fails on a record: "
        f"{said}"
    )
    assert ended == f"Run ended; failed: {EVENTS}"
    ids = {record["visitor_id"] for record in output.records("visitors")}
    assert not [one for one in ids if len(one) > 2 and one in failed]
    assert not output.state["bookmarks"].get(EVENTS)
    assert output.records("track_events")
    assert output.state["bookmarks"]["track_events"]["covered_to"]


def test_a_filter_that_fails(tap: TapRunner, caplog: pytest.LogCaptureFixture) -> None:
    maps = {"features": {"__filter__": "nam == 'x'"}}
    output = tap.run(select=("features", "pages"), stream_maps=maps)
    assert (
        "features, `__filter__`: the expression fails on a record: the name `nam`"
        in errors(caplog)[0]
    )
    assert {m["stream"] for m in output if m["type"] == "ACTIVATE_VERSION"} == {"pages"}


def test_a_map_of_rows_within_rows_fails_these_only(
    tap: TapRunner, caplog: pytest.LogCaptureFixture
) -> None:
    select = ("guides", "guide_steps", "visitors", "visitor_applications")
    maps = {name: {"x": "md5(visitr)"} for name in ("guide_steps", "visitor_applications")}
    output = tap.run(select=select, stream_maps=maps)
    assert tap.exit_code == 1
    assert errors(caplog)[-1] == "Run ended; failed: guide_steps, visitor_applications"
    assert len(output.records("guides")) == tap.pendo.world.count("guide")
    assert {m["stream"] for m in output if m["type"] == "ACTIVATE_VERSION"} == {"guides"}
    # what failed is read whole by the next run, though the visitors' bookmark has moved
    again = tap.run(select=select, state=output.state)
    whole = tap.run(select=select)
    ids = {row["visitor_id"] for row in whole.records("visitor_applications")}
    assert {row["visitor_id"] for row in again.records("visitor_applications")} == ids


def test_no_mark_moves_over_a_window_that_is_not_logged(
    tap: TapRunner, caplog: pytest.LogCaptureFixture
) -> None:
    output = tap.run(select=(EVENTS,), stream_maps={"sync_windows": {"x": "md5(strem)"}})
    assert tap.exit_code == 1
    assert errors(caplog)[-1] == f"Run ended; failed: sync_windows, {EVENTS}"
    assert not output.state["bookmarks"].get(EVENTS)


def batched(output: Output, stream: str) -> list[Record]:
    """Read the rows of a stream, from its messages and files."""
    found = output.records(stream)
    for message in output:
        if message["type"] == "BATCH" and message["stream"] == stream:
            for file in message["manifest"]:
                with gzip.open(urlparse(file).path, "rt") as lines:
                    found += map(json.loads, lines)
    return found


def test_batch_files_hold_nothing_that_is_to_be_mapped(tap: TapRunner, tmp_path: Path) -> None:
    batch = {
        "encoding": {"format": "jsonl", "compression": "gzip"},
        "storage": {"root": tmp_path.as_uri()},
    }
    maps = {EVENTS: {"visitor_id": "md5(visitor_id)"}}
    streams = (EVENTS, "track_events")
    output = tap.run(select=streams, stream_maps=maps, batch_config=batch)
    assert tap.exit_code == 0
    assert {m["stream"] for m in output if m["type"] == "BATCH"} == {"track_events"}
    plain = {r["visitor_id"] for r in tap.run(select=streams).records(EVENTS)}
    hashed = {r["visitor_id"] for r in batched(output, EVENTS)}
    assert hashed == {hashlib.md5(v.encode()).hexdigest() for v in plain}
