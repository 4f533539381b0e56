"""Columns of reports: what a table can hold, also when the report changes between runs."""

from __future__ import annotations

import json
import tracemalloc
import typing as t

import pytest
from tap_pendo.api.client import PendoClient
from tap_pendo.config.settings import report_stream
from tap_pendo.records.inference import is_column

if t.TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.conftest import Output, TapRunner, Warehouse

Rows = list[dict[str, t.Any]]
Answering = t.Callable[[Rows], None]
STREAM = "report_results_r1"
PATH = "/api/v1/report/{id}/results.json"


@pytest.fixture
def answering(monkeypatch: pytest.MonkeyPatch) -> Answering:
    """Give a function that says what rows every report has from now on."""
    answers: list[Rows] = []

    def answered(*_: t.Any, **__: t.Any) -> Iterator[Rows]:
        yield [dict(row) for row in answers[-1]]

    monkeypatch.setattr(PendoClient, "list_rows", answered)
    return answers.append


def read(tap: TapRunner) -> Output:
    output = tap.run(report_ids=["r1"], select=(STREAM,))
    assert tap.exit_code == 0
    return output


ODD = ["", "a" * 64, "ü" * 32, 'q"uo', "ctid", "tab\tx", "_sdc_batched_at", "row_id", "extra"]


def test_columns_that_no_table_can_have_are_kept_in_extra(
    tap: TapRunner, warehouse: Warehouse, answering: Answering
) -> None:
    answering([{**dict.fromkeys(ODD, 1), "a" * 63: 1, "Name": "A", "name": "a", "50 %": 2}])
    warehouse.load(read(tap))
    ((extra, *others),) = warehouse.rows(
        f'select extra, "{"a" * 63}", "Name", name, "50 %" from {STREAM}'
    )
    assert extra == dict.fromkeys(ODD, 1)
    assert others == [1, "A", "a", 2]


@pytest.mark.some(2)
@pytest.mark.parametrize("values", [(None, "x", None), (None, 1, None), (1, None), ("x", None)])
def test_a_column_may_be_null_in_a_whole_read(
    values: tuple[t.Any, ...], tap: TapRunner, warehouse: Warehouse, answering: Answering
) -> None:
    for value in values:
        answering([{"id": str(value), "c": value}])
        warehouse.load(read(tap))
    found = {row[0] for row in warehouse.rows(f"select c from {STREAM}")}
    assert found == set(values)


def test_a_column_of_the_catalogue_keeps_its_type_and_new_ones_are_in_extra(
    tap: TapRunner, warehouse: Warehouse, answering: Answering
) -> None:
    answering([{"c": 1}])
    made = tap.tap(report_ids=["r1"])
    catalog = made.catalog_dict
    for entry in catalog["streams"]:
        [root] = (each for each in entry["metadata"] if not each["breadcrumb"])
        root["metadata"]["selected"] = entry["tap_stream_id"] == STREAM
    config = {**tap.config, "report_ids": ["r1"]}
    for rows in ([{"c": 1}], [{"c": "x", "new": "n"}]):
        answering(rows)
        warehouse.load(
            tap.collect(type(made)(config=config, catalog=json.loads(json.dumps(catalog))))
        )
    current = f"select c, extra from {STREAM} where _sdc_deleted_at is null"
    assert warehouse.rows(current) == [(None, {"c": "x", "new": "n"})]


def test_a_report_is_not_held_in_memory(
    tap: TapRunner, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    blocks, rows_of_block = 120, 500

    def answered(*_: t.Any, **__: t.Any) -> Iterator[Rows]:
        for block in range(blocks):
            yield [
                {"n": block * rows_of_block + n, "text": "x" * 500} for n in range(rows_of_block)
            ]

    monkeypatch.setattr(PendoClient, "list_rows", answered)
    tracemalloc.start()
    result, _ = tap.cli(tmp_path, "--discover", report_ids=["r1", "r2"])
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert result.exit_code == 0
    properties = {
        s["stream"]: s["schema"]["properties"] for s in json.loads(result.stdout)["streams"]
    }
    assert {"n", "text"} <= properties[STREAM].keys()
    # both are 66 MB; what waits for the rest of an answer is on disk beyond 16 MB
    assert most < 32 * 1024 * 1024


@pytest.mark.parametrize("answer", [{"results": [{"a": 1}]}, [1, 2], [{"a": 1}, "b"], "text"])
def test_an_answer_that_is_no_list_of_objects_fails_at_once(
    answer: t.Any, tap: TapRunner, caplog: pytest.LogCaptureFixture
) -> None:
    body = json.dumps(answer)
    fault = {"kind": "status", "status": 200, "text": body, "path": PATH, "times": None}
    tap.pendo.faults.add(fault)
    tap.run(report_ids=["r1"], select=(STREAM,))
    assert tap.exit_code == 1
    assert f"{STREAM} failed: {PATH}: the answer is not a list of objects" in caplog.text
    assert tap.pendo.calls.counts[PATH, ""] == 2


@pytest.mark.parametrize("answer", [None, []])
def test_a_report_without_rows_may_be_null(answer: t.Any, tap: TapRunner) -> None:
    body = json.dumps(answer)
    fault = {"kind": "status", "status": 200, "text": body, "path": PATH, "times": None}
    tap.pendo.faults.add(fault)
    output = tap.run(report_ids=["r1"], select=(STREAM,))
    assert tap.exit_code == 0
    assert not output.records(STREAM)


def test_a_report_that_breaks_off_comes_whole_and_once(tap: TapRunner) -> None:
    reports = tap.pendo.world.listed("report", tap.pendo.clock.now())
    report = next(each["id"] for each in reports if each["type"] == "Page Report")
    name = report_stream(report)
    whole = tap.run(report_ids=[report], select=(name,)).records(name)
    tap.pendo.faults.add({"kind": "cut", "bytes": 300, "path": PATH, "times": 3})
    again = tap.run(report_ids=[report], select=(name,)).records(name)
    assert tap.exit_code == 0
    assert {r["row_id"] for r in whole} == {r["row_id"] for r in again}
    assert len(whole) == len(again) > 5


def test_nul_is_taken_out_of_every_stream_of_a_report(tap: TapRunner) -> None:
    reports = {r["name"]: r["id"] for r in tap.run(select=("reports",)).records("reports")}
    report = reports["Page views by day"]
    fault = {"kind": "extra_fields", "fields": {"odd": "a\0b"}, "times": None, "path": PATH}
    tap.pendo.faults.add(fault)
    names = ("report_results", report_stream(report))
    output = tap.run(report_ids=[report], select=names)
    for name in names:
        assert output.records(name)
    assert "\\u0000" not in output.text


@pytest.mark.parametrize(
    ("report_ids", "said"),
    [(["a-b", "a_b"], "streams of the same name"), (["r" * 50], "too long to name a table")],
)
def test_reports_that_cannot_name_a_table_each_are_refused(
    report_ids: list[str],
    said: str,
    tap: TapRunner,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    result, _ = tap.cli(tmp_path, "--discover", report_ids=report_ids)
    assert result.exit_code == 1
    (line,) = [r.getMessage() for r in caplog.records if r.levelname == "ERROR"]
    assert "setting `report_ids`" in line
    assert said in line
    assert report_ids[0] not in line


def test_names_of_columns() -> None:
    assert not [name for name in ODD[:7] if is_column(name)]
    assert all(map(is_column, ("a" * 63, "ü" * 31, "50 %", "(x)", "a.b", "$")))
