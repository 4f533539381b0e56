"""`costly_streams`: what is off by default is read only if it is named, whatever is selected."""

from __future__ import annotations

import json
import logging
import typing as t

import pytest
from tap_pendo.catalog import CATALOG
from tap_pendo.config.settings import report_stream
from tap_pendo.tap import TapPendo

if t.TYPE_CHECKING:
    from pathlib import Path

    from tests.conftest import Output, TapRunner

COSTLY = {row.name for row in CATALOG if not row.by_default}
TOLD = "read only if `costly_streams` names them; selected, but not read: "


def catalog_of(
    tap: TapRunner, select: set[str] | None = None, **settings: t.Any
) -> dict[str, t.Any]:
    """Discover; select these streams, or all, as Meltano's `*.*` does."""
    catalog = TapPendo(config={**tap.config, **settings}).catalog_dict
    for entry in catalog["streams"]:
        (root,) = (m["metadata"] for m in entry["metadata"] if not m["breadcrumb"])
        root["selected"] = select is None or entry["tap_stream_id"] in select
    return json.loads(json.dumps(catalog))


def read(tap: TapRunner, catalog: dict[str, t.Any], **settings: t.Any) -> Output:
    return tap.collect(TapPendo(config={**tap.config, **settings}, catalog=catalog))


def streams(output: Output) -> set[str]:
    return {m["stream"] for m in output if m["type"] == "SCHEMA"}


def left_out(caplog: pytest.LogCaptureFixture) -> list[list[str]]:
    """Give the names in each line that tells what is not read."""
    lines = [r.getMessage() for r in caplog.records if TOLD in r.getMessage()]
    return [line.partition(TOLD)[2].split(", ") for line in lines]


def test_with_everything_selected_only_the_costly_streams_that_are_named_are_read(
    tap: TapRunner, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    named = {"guides_seen", "guide_order"}
    reports = tap.pendo.world.listed("report", tap.pendo.clock.now())
    report = next(each["id"] for each in reports if each["type"] == "Page Report")
    settings: dict[str, t.Any] = {"costly_streams": sorted(named), "report_ids": [report]}
    output = read(tap, catalog_of(tap, **settings), **settings)
    assert tap.exit_code == 0
    # a report is named by `report_ids`; all of them once more as JSON are not
    own = {row.name for row in CATALOG} - COSTLY | {report_stream(report)}
    assert streams(output) == own | named
    (names,) = left_out(caplog)
    assert set(names) == COSTLY - named
    assert not [path for path, _ in tap.pendo.calls.counts if "{id}/history" in path]


def test_without_a_catalogue_those_named_are_read_and_nothing_is_said(
    tap: TapRunner, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    settings = {"costly_streams": ["server_names"]}
    assert "server_names" in streams(tap.run(**settings))
    assert not left_out(caplog)


def test_one_that_is_named_and_not_selected_is_not_read(tap: TapRunner) -> None:
    settings = {"costly_streams": ["server_names"]}
    catalog = catalog_of(tap, {"applications"}, **settings)
    assert streams(read(tap, catalog, **settings)) == {"applications"}


def test_a_selection_of_costly_streams_alone_says_why_nothing_is_read(
    tap: TapRunner, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    output = read(tap, catalog_of(tap, {"visitor_history"}))
    assert not streams(output)
    assert left_out(caplog) == [["visitor_history"]]
    assert "No stream is selected: nothing is read" in caplog.text


def test_discovery_and_plan_follow_the_setting(
    tap: TapRunner, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    named = ["single_events"]
    result, _ = tap.cli(tmp_path, "--discover", costly_streams=named)
    catalog = json.loads(result.stdout)
    defaults = {
        entry["tap_stream_id"]: m["metadata"]["selected-by-default"]
        for entry in catalog["streams"]
        for m in entry["metadata"]
        if not m["breadcrumb"]
    }
    assert {name for name, on in defaults.items() if not on} == COSTLY - {*named}
    (tmp_path / "catalog.json").write_text(json.dumps(catalog_of(tap)))
    plan = ("--plan", "--format=json")
    for entry in ((), ("--catalog", str(tmp_path / "catalog.json"))):
        result, _ = tap.cli(tmp_path, *plan, *entry, costly_streams=named)
        planned = {entry["stream"] for entry in json.loads(result.stdout)["streams"]}
        assert planned & COSTLY == {*named}
    (names,) = left_out(caplog)
    assert set(names) == COSTLY - {*named}


@pytest.mark.parametrize(
    ("names", "said"),
    [
        (["visitors_history"], "name 1 is not a stream; perhaps `visitor_history` is meant"),
        (["guides_seen", "*"], "name 2 is not a stream; it must be one of guide_history, "),
        (["events"], "`events` is not a costly stream; it is read if it is selected"),
        (["report_results_r1"], "`report_results_r1` is not a costly stream"),
        (["uses"], "`uses` is not a costly stream"),
    ],
)
def test_names_of_no_costly_stream_are_refused(
    names: list[str],
    said: str,
    tap: TapRunner,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    own = {"name": "uses", "primary_keys": ["id"], "pipeline": [{"source": {"features": None}}]}
    result, _ = tap.cli(
        tmp_path, "--discover", costly_streams=names, report_ids=["r1"], aggregations=[own]
    )
    assert result.exit_code == 1
    (line,) = [r.getMessage() for r in caplog.records if r.levelname == "ERROR"]
    assert line.startswith("setting `costly_streams`: ")
    assert said in line
    assert "visitors_history" not in line
