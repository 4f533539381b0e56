"""Each of the first 13 streams from recorded answers, with the network blocked.

The cassettes in this folder are recorded against the emulated Pendo, not a live account:

    RECORD=emulator ./do test tests/tap/test_cassettes.py --record-mode=rewrite

Against a live account (they then hold customers' data, so they go to a folder that git ignores):

    RECORD=live TAP_PENDO_INTEGRATION_KEY=… ./do test tests/tap/test_cassettes.py \
        --record-mode=rewrite --allowed-hosts='.*'
"""

from __future__ import annotations

import json
import os
import re
import typing as t
from datetime import timedelta
from pathlib import Path

import jsonschema
import pytest
from emulation.clock import Clock
from pendo_emulator.server import serve
from pendo_emulator.world import World
from tap_pendo import tap as tap_module
from tap_pendo.api import client
from tap_pendo.calendar import from_text, to_text
from tap_pendo.config import settings

from tests.conftest import NOW, TapRunner

if t.TYPE_CHECKING:
    from collections.abc import Iterator

RECORD = os.environ.get("RECORD", "")
FOLDER = Path(__file__).parent / ("cassettes-live" if RECORD == "live" else "cassettes")
HOST = client.REGIONS["us"]
STREAMS = [
    *("accounts", "applications", "events", "feature_events", "features", "guide_events", "guides"),
    *("page_events", "pages", "poll_events", "track_events", "track_types", "visitors"),
]
UNTOLD = {"date", "server", "set-cookie", "content-length", "transfer-encoding"}


@pytest.fixture(scope="module")
def emulator() -> Iterator[str]:
    """Serve a small Pendo to record from; when replaying there is none."""
    if RECORD != "emulator":
        yield HOST
        return
    world = World(events_per_day=170, visitors=120, accounts=40, clock=Clock(to_text(NOW)))
    with serve(world) as pendo:
        os.environ["TAP_PENDO_INTEGRATION_KEY"] = pendo.key
        yield pendo.url


@pytest.fixture(scope="module")
def vcr_cassette_dir() -> str:
    """Say where the cassettes lie."""
    return str(FOLDER)


@pytest.fixture(scope="module")
def vcr_config(emulator: str) -> dict[str, t.Any]:
    """Keep keys, hosts and the time of recording out of the cassettes; tell bodies apart."""

    def request(one: t.Any) -> t.Any:
        one.uri = one.uri.replace(emulator, HOST)
        return one

    def response(one: t.Any) -> t.Any:
        for name in [n for n in one["headers"] if n.lower() in UNTOLD]:
            del one["headers"][name]
        return one

    return {
        "filter_headers": [("x-pendo-integration-key", "REDACTED"), "User-Agent"],
        "before_record_request": request,
        "before_record_response": response,
        "decode_compressed_response": True,
        "match_on": ["method", "scheme", "host", "path", "query", "body"],
    }


@pytest.fixture
def recorded(emulator: str, monkeypatch: pytest.MonkeyPatch) -> TapRunner:
    """Give a tap on the clock of the recording."""
    clock = FOLDER / "now.txt"
    if RECORD:
        clock.parent.mkdir(exist_ok=True)
        clock.write_text(to_text(NOW if RECORD == "emulator" else tap_module.utc_now()))
    now = from_text(clock.read_text())
    monkeypatch.setattr(tap_module, "utc_now", lambda: now)
    monkeypatch.setitem(settings.REGIONS, "us", emulator)
    runner = TapRunner.__new__(TapRunner)
    runner.config = {
        "integration_key": os.environ.get("TAP_PENDO_INTEGRATION_KEY", "replayed"),
        "start_date": to_text(now - timedelta(hours=27)),
        "concurrency": 1,
    }
    return runner


@pytest.mark.vcr
@pytest.mark.block_network(allowed_hosts=["127.0.0.1"] if RECORD else [])
@pytest.mark.parametrize("stream", STREAMS)
def test_a_recorded_stream(stream: str, recorded: TapRunner) -> None:
    output = recorded.run(select=(stream,))
    assert recorded.exit_code == 0
    assert output.records(stream)
    schema = next(m for m in output if m["type"] == "SCHEMA" and m["stream"] == stream)["schema"]
    valid = jsonschema.Draft7Validator(schema)
    for record in output.records(stream):
        valid.validate(record)
    if RECORD != "live":
        told = json.dumps(output.records(stream)[:5], indent=1, sort_keys=True) + "\n"
        file = FOLDER / f"{stream}.json"
        if RECORD:
            file.write_text(told)
        assert told == file.read_text()


def test_the_cassettes_hold_no_key_and_no_address_of_the_recording() -> None:
    files = sorted(FOLDER.glob("*.yaml"))
    assert len(files) == len(STREAMS)
    for file in files:
        text = file.read_text()
        keys = re.findall(r"x-pendo-integration-key:\s*- (\S+)", text)
        assert set(keys) == {"REDACTED"}
        assert "127.0.0.1" not in text
        assert HOST in text
