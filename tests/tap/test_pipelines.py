"""The setting `aggregations`: what may stand in it, and the requests that it makes."""

from __future__ import annotations

import json
import typing as t
from datetime import datetime, timedelta, timezone

import pytest
from tap_pendo.calendar import Window, to_ms
from tap_pendo.config import custom_aggregations
from tap_pendo.config.custom_aggregations import PipelineError

if t.TYPE_CHECKING:
    from pathlib import Path

    from tests.conftest import TapRunner

START = datetime(2026, 3, 1, tzinfo=timezone.utc)
DAY = Window(START, START + timedelta(days=1))
SERIES = {"period": "dayRange", "first": to_ms(DAY.start), "last": to_ms(DAY.end) - 1}
SOURCE = {"source": {"events": None}}
STEPS = [SOURCE, {"group": {"group": ["accountId"]}}]
DAILY = {"name": "mine", "primary_keys": ["window_start"], "grain": "day"}
SNAPSHOT = {"name": "mine", "primary_keys": ["accountId"]}


def pipeline_of(entry: dict[str, t.Any]) -> t.Any:
    return custom_aggregations.read(entry).body(DAY)["request"]["pipeline"]


@pytest.mark.parametrize(
    "pipeline",
    [
        STEPS,
        {
            "request": {"pipeline": STEPS, "name": "from the UI"},
            "response": {"location": "request"},
        },
        {"pipeline": STEPS},
        [{"source": {"events": None, "timeSeries": {"period": "dayRange", "count": -1}}}, STEPS[1]],
        [{"source": {"events": None}, "timeSeries": {"period": "dayRange", "count": -1}}, STEPS[1]],
        [{"source": {"events": None, "timeSeries": "$window"}}, STEPS[1]],
    ],
)
def test_the_window_goes_into_the_first_source(pipeline: t.Any) -> None:
    found = pipeline_of({**DAILY, "pipeline": pipeline})
    assert found == [{"source": {"events": None, "timeSeries": SERIES}}, STEPS[1]]


def test_the_window_goes_wherever_it_is_named() -> None:
    branches = [[{"source": {source: None, "timeSeries": "$window"}}] for source in ("a", "b")]
    entry = {**DAILY, "pipeline": [{"spawn": branches}, {"join": {"fields": ["visitorId"]}}]}
    found = pipeline_of(entry)
    assert [b[0]["source"]["timeSeries"] for b in found[0]["spawn"]] == [SERIES, SERIES]
    # and the entry itself is not changed by it
    assert pipeline_of(entry) == found


def test_a_snapshot_is_sent_as_it_is() -> None:
    own = [{"source": {"events": None, "timeSeries": {"period": "dayRange", "count": -7}}}]
    read = custom_aggregations.read({**SNAPSHOT, "pipeline": own})
    assert read.body()["request"]["pipeline"] == own


def test_a_payload_keeps_what_else_it_says() -> None:
    payload = {"response": {"location": "request"}, "request": {"name": "n", "pipeline": STEPS}}
    body = custom_aggregations.read({**SNAPSHOT, "pipeline": payload}).body()
    assert body == {**payload, "response": {"location": "request", "mimeType": "application/json"}}


UI_REQUEST = {"name": "n", "pipeline": STEPS, "streamId": "s-1", "params": {}, "requestId": "r-1"}
UI_SENT = {
    "response": {"mimeType": "application/json"},
    "request": {"name": "n", "pipeline": STEPS, "requestId": "r-1"},
}


@pytest.mark.parametrize(
    "payload",
    [
        {"response": {"mimeType": "application/json"}, "requests": [UI_REQUEST]},
        {"response": None, "requests": [UI_REQUEST]},
        {"response": {"mimeType": "text/csv"}, "request": [UI_REQUEST]},
        {"requests": [UI_REQUEST], "request": None},
        [UI_REQUEST],
        UI_REQUEST,
    ],
)
def test_a_payload_of_pendos_interface_is_taken(payload: t.Any) -> None:
    assert custom_aggregations.read({**SNAPSHOT, "pipeline": payload}).body() == UI_SENT


def test_parameters_of_a_request_are_kept_and_the_answer_comes_in_the_response() -> None:
    request = {**UI_REQUEST, "params": {"a": 1}}
    payload = {"response": {"location": "stream"}, "requests": [request]}
    body = custom_aggregations.read({**SNAPSHOT, "pipeline": payload}).body()
    assert body["request"]["params"] == {"a": 1}
    assert body["response"] == {"location": "request", "mimeType": "application/json"}


def test_a_pipeline_may_stand_in_a_file(tmp_path: Path) -> None:
    file = tmp_path / "pipeline.json"
    file.write_text(json.dumps(STEPS))
    read = custom_aggregations.read({**SNAPSHOT, "pipeline_file": str(file)})
    assert read.body()["request"]["pipeline"] == STEPS


@pytest.mark.parametrize(
    ("entry", "said"),
    [
        (SNAPSHOT, "one of `pipeline` and `pipeline_file`"),
        ({**SNAPSHOT, "pipeline": STEPS, "pipeline_file": "x"}, "one of `pipeline`"),
        ({**SNAPSHOT, "pipeline_file": "absent.json"}, "cannot be read (FileNotFoundError)"),
        ({**SNAPSHOT, "pipeline": {"requests": []}}, "a payload with `request.pipeline`"),
        ({**SNAPSHOT, "pipeline": ["source"]}, "it must be a list of steps"),
        ({**SNAPSHOT, "pipeline": {"requests": [{"name": "x"}]}}, "with one of `requests`"),
        (
            {**SNAPSHOT, "pipeline": {"requests": [UI_REQUEST, {"pipeline": STEPS}]}},
            "2 requests (n, number 2); it must have one",
        ),
        ({**SNAPSHOT, "grain": "day", "pipeline": STEPS}, "must hold `window_start`"),
        ({**SNAPSHOT, "pipeline": [{"source": {"timeSeries": "$window"}}]}, "`grain` only"),
        ({**DAILY, "pipeline": [{"spawn": []}]}, "its first step has no source"),
        ({**SNAPSHOT, "pipeline": STEPS, "schema": {"type": "object"}}, "`properties`"),
        *(
            ({"name": "mine", "primary_keys": [key], "pipeline": STEPS}, "that can be columns")
            for key in ("", "k" * 64, "ä" * 32, 'a"b', "a\0b", "ctid", "extra")
        ),
    ],
)
def test_an_entry_that_contradicts_itself(entry: dict[str, t.Any], said: str) -> None:
    with pytest.raises(PipelineError) as error:
        custom_aggregations.read(entry)
    assert said in str(error.value)


def test_a_file_that_is_not_json(tmp_path: Path) -> None:
    (tmp_path / "p.json").write_text("[")
    with pytest.raises(PipelineError, match="`pipeline_file` is not JSON"):
        custom_aggregations.read({**SNAPSHOT, "pipeline_file": str(tmp_path / "p.json")})


@pytest.mark.parametrize(
    ("entries", "said"),
    [
        ("{", "setting `aggregations` must be a list"),
        ([{"name": "x"}], "setting `aggregations.0.primary_keys` is missing"),
        ([{**SNAPSHOT, "pipeline": STEPS, "keys": 1}], "unknown setting `aggregations.0.keys`"),
        ([{**SNAPSHOT, "name": "a b", "pipeline": STEPS}], "letters, digits and _"),
        ([{**SNAPSHOT, "grain": "week", "pipeline": STEPS}], "must be one of hour, day"),
        (
            [{**SNAPSHOT, "primary_keys": [], "pipeline": STEPS}],
            "a list; its length must be at least 1",
        ),
        ([{**SNAPSHOT, "name": "visitors", "pipeline": STEPS}], "there is a stream of this name"),
        ([{**SNAPSHOT, "name": "n" * 64, "pipeline": STEPS}], "at most 63 bytes"),
        ([{**SNAPSHOT, "pipeline": STEPS}] * 2, "`aggregations.1` (mine): there is a stream"),
    ],
)
def test_what_is_wrong_with_the_setting_is_said_in_one_line(
    entries: t.Any, said: str, tap: TapRunner, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    result, _ = tap.cli(tmp_path, "--discover", aggregations=entries)
    assert result.exit_code == 1
    lines = [record.getMessage() for record in caplog.records if record.levelname == "ERROR"]
    assert len(lines) == 1
    assert said in lines[0]
