"""What a run does when Pendo refuses, fails, or the process is told to end."""

from __future__ import annotations

import json
import logging
import re
import signal
import subprocess
import sys
import typing as t
from datetime import datetime, timedelta

import pytest
from tap_pendo.calendar import UTC

if t.TYPE_CHECKING:
    from pathlib import Path

    from tests.conftest import Output, TapRunner, Warehouse

SOMEBODY = "somebody@acme.example"
LIST_ROW = "tap_pendo.streams.lists.ListStream.record"
DEFINITIONS = ("applications", "pages", "features", "track_types", "guides")


def by_content(records: list[dict[str, t.Any]]) -> list[str]:
    return sorted(json.dumps(record, sort_keys=True) for record in records)


def activated(output: Output) -> set[str]:
    return {m["stream"] for m in output if m["type"] == "ACTIVATE_VERSION"}


def last_line(caplog: pytest.LogCaptureFixture) -> str:
    return [r.getMessage() for r in caplog.records if r.name == "tap-pendo"][-1]


@pytest.mark.some(1)
@pytest.mark.parametrize(
    ("stream", "fault"),
    [
        ("guides", {"path": "/api/v1/guide"}),
        ("page_events", {"source": "pageEvents"}),
        ("visitors", {"source": "visitors"}),
    ],
)
def test_a_stream_that_is_not_allowed_is_skipped(
    stream: str, fault: dict[str, t.Any], tap: TapRunner, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    tap.pendo.faults.add({"kind": "status", "status": 403, "times": None, **fault})
    output = tap.run()
    assert tap.exit_code == 0
    assert not output.records(stream)
    assert not [m for m in output if m["type"] == "ACTIVATE_VERSION" and m["stream"] == stream]
    assert not output.state["bookmarks"][stream]
    assert output.records("features")
    assert output.records("poll_events") or output.records("guide_events")
    assert last_line(caplog) == f"Run ended; skipped: {stream}"


def test_a_stream_that_fails_does_not_stop_the_others(
    tap: TapRunner, caplog: pytest.LogCaptureFixture
) -> None:
    text = "bad pipeline: bad source: unexpected parameters"
    fault = {"kind": "status", "status": 400, "times": None, "source": "trackEvents", "text": text}
    tap.pendo.faults.add(fault)
    output = tap.run()
    assert tap.exit_code == 1
    assert text in caplog.text
    assert last_line(caplog) == "Run ended; failed: track_events"
    assert output.records("guide_events")
    assert not output.state["bookmarks"]["track_events"]


def test_a_stream_that_breaks_off_goes_on_from_its_last_whole_window(tap: TapRunner) -> None:
    select = ("feature_events",)
    tap.pendo.faults.add(
        {"kind": "status", "status": 400, "times": None, "source": "featureEvents", "after": 3}
    )
    history = {"start_date": "2026-02-01", "concurrency": 1}
    first = tap.run(select=select, **history)
    assert tap.exit_code == 1
    assert len(first.records("sync_windows")) == 3
    marks = first.state["bookmarks"]["feature_events"]
    assert marks["covered_from"] == first.records("sync_windows")[-1]["window_start"]
    tap.pendo.faults.clear()
    second = tap.run(select=select, state=first.state, lookback_hours=0, **history)
    assert tap.exit_code == 0
    both = [
        w["window_start"] for w in [*first.records("sync_windows"), *second.records("sync_windows")]
    ]
    assert len(both) == len(set(both))
    whole = {r["row_id"] for r in tap.run(select=select, **history).records("feature_events")}
    assert {r["row_id"] for run in (first, second) for r in run.records("feature_events")} == whole


def broken(*_: object, **__: object) -> t.NoReturn:
    raise KeyError(SOMEBODY)


def test_what_nobody_expected_in_a_stream_is_told_with_its_place(
    tap: TapRunner, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    caplog.set_level(logging.DEBUG)
    monkeypatch.setattr(LIST_ROW, broken)
    output = tap.run(select=("features", "track_events"))
    assert tap.exit_code == 1
    (line, _) = (r.getMessage() for r in caplog.records if r.levelno >= logging.ERROR)
    assert re.fullmatch(r"features failed: unexpected KeyError at streams/lists\.py:\d+", line)
    assert "streams/lists.py" in caplog.text
    assert "somebody" not in caplog.text
    assert output.records("track_events")


@pytest.mark.parametrize("entry", [(), ("--discover",), ("--test",)])
def test_what_nobody_expected_in_a_run_is_told_with_its_place(
    entry: tuple[str, ...],
    tap: TapRunner,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("tap_pendo.api.client.PendoClient.access", broken)
    result, _ = tap.cli(tmp_path, *entry)
    assert result.exit_code == 1
    (line,) = (r.getMessage() for r in caplog.records if r.levelno >= logging.ERROR)
    assert re.fullmatch(r"The run failed: unexpected KeyError at config/validation\.py:\d+", line)
    assert "somebody" not in caplog.text + result.output


def test_a_key_that_is_revoked_on_the_way_ends_the_run(
    tap: TapRunner, caplog: pytest.LogCaptureFixture
) -> None:
    tap.pendo.faults.add({"kind": "status", "status": 403, "times": None, "after": 30})
    output = tap.run()
    assert tap.exit_code == 1
    errors = [r.getMessage() for r in caplog.records if r.levelno >= logging.ERROR]
    assert len(errors) == 1
    assert "refuses the `integration_key`" in errors[0]
    assert not output.records("poll_events")


def test_definitions_are_activated_once_after_their_records(tap: TapRunner) -> None:
    output = tap.run()
    for name in DEFINITIONS:
        of_stream = [m for m in output if m.get("stream") == name]
        kinds = [m["type"] for m in of_stream]
        assert kinds == ["SCHEMA", *["RECORD"] * len(output.records(name)), "ACTIVATE_VERSION"]
        assert {m["version"] for m in of_stream[1:]} == {of_stream[-1]["version"]}


def test_definitions_are_never_activated_by_a_failed_read(tap: TapRunner) -> None:
    fault = {"kind": "truncate", "bytes": 300, "times": None}
    paths = ("page", "feature", "tracktype", "guide")
    tap.pendo.faults.add(*({**fault, "path": f"/api/v1/{path}"} for path in paths))
    tap.pendo.faults.add({**fault, "source": "apps"})
    output = tap.run()
    assert tap.exit_code == 1
    assert activated(output).isdisjoint(DEFINITIONS)


def test_definitions_are_never_activated_by_a_read_of_some_apps(tap: TapRunner) -> None:
    output = tap.run(app_ids=[-323232])
    assert output.records("features")
    assert activated(output).isdisjoint(DEFINITIONS)
    # what belongs to the subscription is whole
    assert {"segments", "metadata_visitors"} <= activated(output)


def test_definitions_are_never_activated_by_a_dry_run(
    tap: TapRunner, capsys: pytest.CaptureFixture[str]
) -> None:
    made = tap.tap()
    selected = [stream for stream in made.streams.values() if stream.selected]
    made.run_sync_dry_run(dry_run_record_limit=10_000, streams=selected)
    made.message_writer.flush()
    text = capsys.readouterr().out
    assert '"RECORD"' in text
    assert '"ACTIVATE_VERSION"' not in text


def test_the_check_says_what_the_key_may_do(tap: TapRunner, tmp_path: Path) -> None:
    result, output = tap.cli(tmp_path, "--test")
    assert result.exit_code == 0
    assert not output
    assert result.stdout.splitlines() == [
        "Pendo accepts the integration_key in this region.",
        "The key has no write access; reading should not need it (unverified).",
        "Aggregation is allowed.",
        "The key sees 4 apps.",
    ]
    result, _ = tap.cli(tmp_path, "--test", integration_key=tap.pendo.write_key)
    assert "The key has write access" in result.stdout


def test_the_check_tells_that_aggregation_is_not_allowed(
    tap: TapRunner, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    tap.pendo.faults.add(
        {"kind": "status", "status": 403, "times": None, "path": "/api/v1/aggregation"}
    )
    result, _ = tap.cli(tmp_path, "--test")
    assert result.exit_code == 1
    assert "Aggregation is not allowed to this key" in caplog.text


def test_more_apps_than_before_are_read_from_the_start(
    tap: TapRunner, caplog: pytest.LogCaptureFixture
) -> None:
    select = ("feature_events",)
    everything = tap.run(select=select)
    one = tap.run(select=select, app_ids=[-323232])
    wider = tap.run(select=select, state=one.state, lookback_hours=0)
    assert "all is read again" in caplog.text
    ids = {r["row_id"] for r in wider.records("feature_events")}
    assert ids == {r["row_id"] for r in everything.records("feature_events")}
    # fewer apps go on where they were; then all apps again lack what was not read meanwhile
    fewer = tap.run(select=select, state=everything.state, app_ids=[-323232])
    assert len(fewer.records("sync_windows")) == 1
    assert fewer.state["bookmarks"]["feature_events"]["app_ids"] == "-323232"


def test_people_that_changed_and_people_never_stamped(tap: TapRunner) -> None:
    first = tap.run(select=("visitors",))
    tap.pendo.clock.advance(6 * 3600)
    second = tap.run(select=("visitors",), state=first.state)
    everybody = {v["visitor_id"]: v for v in first.records("visitors")}
    again = {v["visitor_id"]: v for v in second.records("visitors")}
    assert 0 < len(again) < len(everybody)
    never = {k for k, v in everybody.items() if "last_updated_at" not in v}
    assert never
    assert never <= again.keys()
    bookmark = first.state["bookmarks"]["visitors"]["replication_key_value"]
    changed = {k for k, v in again.items() if v.get("last_updated_at", "") >= bookmark}
    assert again.keys() == changed | never
    now = tap.run(select=("visitors",)).records("visitors")
    merged = {v["visitor_id"]: v for v in [*first.records("visitors"), *again.values()]}
    for visitor in (*merged.values(), *now):
        del visitor["read_at"]
    assert merged == {v["visitor_id"]: v for v in now}


def test_batch_files_hold_the_same_rows(tap: TapRunner, tmp_path: Path) -> None:
    import gzip  # noqa: PLC0415 - only here
    from urllib.parse import urlparse  # noqa: PLC0415 - only here

    plain = tap.run()
    batch = {
        "encoding": {"format": "jsonl", "compression": "gzip"},
        "storage": {"root": tmp_path.as_uri()},
    }
    output = tap.run(batch_config=batch)
    assert tap.exit_code == 0
    for stream in ("visitors", "feature_events", "guide_events"):
        rows = []
        for message in output:
            if message["type"] == "BATCH" and message["stream"] == stream:
                for file in message["manifest"]:
                    with gzip.open(urlparse(file).path, "rt") as lines:
                        rows += [json.loads(line) for line in lines]
        assert by_content(rows) == by_content(plain.records(stream))
    kinds = [(m["type"], m.get("stream")) for m in output]
    assert kinds.index(("RECORD", "sync_windows")) > kinds.index(("BATCH", "events"))


def test_rows_that_are_gone_are_marked_in_spite_of_batch_files(
    tap: TapRunner, tmp_path: Path, warehouse: Warehouse
) -> None:
    """Rows in BATCH files carry no version: these streams do without them."""
    batch = {
        "encoding": {"format": "jsonl", "compression": "gzip"},
        "storage": {"root": tmp_path.as_uri()},
    }
    streams = ("pages", "page_rules", "users", "feature_events")
    first = tap.run(select=streams, batch_config=batch)
    assert {m["stream"] for m in first if m["type"] == "BATCH"} == {"feature_events"}
    warehouse.load(first)
    assert warehouse.rows("select count(*) > 0, count(read_at) = count(*) from feature_events") == [
        (True, True)
    ]
    gone = first.records("pages")[0]["id"]
    tap.pendo.world.remove_definition("page", gone)
    tap.pendo.clock.advance(3600)
    warehouse.load(tap.run(select=streams, batch_config=batch))
    for table, key in (("pages", "id"), ("page_rules", "page_id")):
        marked = f"select distinct {key} from {table} where _sdc_deleted_at is not null"
        assert warehouse.rows(marked) == [(gone,)]
    assert warehouse.rows("select count(*) > 0, count(_sdc_deleted_at) from users") == [(True, 0)]


def test_a_signal_ends_the_run_with_whole_lines_and_the_last_state(
    tap: TapRunner, tmp_path: Path
) -> None:
    delay = {"kind": "delay", "seconds": 30, "times": 1, "source": "featureEvents", "after": 2}
    tap.pendo.faults.add(delay)
    now = datetime.now(UTC)
    tap.pendo.clock.set(now.isoformat())
    config = {**tap.config, "start_date": (now - timedelta(days=20)).isoformat(), "concurrency": 1}
    (tmp_path / "config.json").write_text(json.dumps(config))
    command = [sys.executable, "-m", "tap_pendo", "--config", str(tmp_path / "config.json")]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as process:
        assert process.stdout
        lines = []
        for line in process.stdout:
            lines.append(line)
            if '"sync_windows"' in line and '"feature_events"' in line and '"RECORD"' in line:
                break
        process.send_signal(signal.SIGTERM)
        lines += process.stdout.readlines()
        assert process.wait(timeout=10) == 128 + signal.SIGTERM
    messages = [json.loads(line) for line in lines]
    assert messages[-1]["type"] == "STATE"
    windows = [m["record"] for m in messages if m.get("stream") == "sync_windows" and "record" in m]
    finished = [w for w in windows if w["stream"] == "feature_events"]
    marks = messages[-1]["value"]["bookmarks"]["feature_events"]
    assert marks["covered_from"] == min(w["window_start"] for w in finished)
    assert "track_events" not in messages[-1]["value"]["bookmarks"]
