"""Bad input: one clear line on every entry, exit code 1, no traceback, no value of a setting."""

from __future__ import annotations

import json
import logging
import subprocess
import sys
import typing as t

import pytest
from click.testing import CliRunner
from tap_pendo.api import client
from tap_pendo.config import validation
from tap_pendo.tap import TapPendo

if t.TYPE_CHECKING:
    from pathlib import Path

    from pendo_emulator.server import Emulator

    from tests.conftest import TapRunner

ENTRIES = [[], ["--discover"], ["--test"]]
# settings, what the line must name, what it must say is allowed
CASES: list[tuple[dict[str, t.Any], str, str]] = [
    ({"integration_key": None}, "integration_key", "required"),
    ({"integration_key": ""}, "integration_key", "at least one"),
    ({"integration_key": "not-a-known-key"}, "integration_key", "has not been revoked"),
    ({"integration_key": "two words-xyzzy"}, "integration_key", "without spaces"),
    ({"integration_key": "two\nlines-xyzzy"}, "integration_key", "without spaces"),
    ({"integration_key": "hidden-xyzzy\u200b"}, "integration_key", "printable characters"),
    ({"integration_key": " \n"}, "integration_key", "at least one"),
    ({"region": "mars-xyzzy"}, "region", "us, us1, eu, jpn, au"),
    ({"api_url": "ftp://xyzzy.example"}, "api_url", "https://"),
    ({"start_date": "yesterday-xyzzy"}, "start_date", "ISO 8601"),
    ({"end_date": "31.12.2025"}, "end_date", "ISO 8601"),
    ({"start_date": "2026-02-03", "end_date": "2026-02-02"}, "start_date", "before `end_date`"),
    ({"app_ids": [-323232, 987654321987654]}, "app_ids", "-323232"),
    ({"app_ids": ["xyzzy-app"]}, "app_ids", "a whole number"),
    ({"period": "week-xyzzy"}, "period", "hour, day"),
    ({"timezone": "Mars/Olympus-xyzzy"}, "timezone", "Europe/Berlin"),
    ({"lookback_days": -7531}, "lookback_days", "at least 0"),
    ({"lookback_hours": "xyzzy"}, "lookback_hours", "number"),
    ({"backfill_order": "xyzzy"}, "backfill_order", "newest_first"),
    ({"include_anonymous_visitors": "xyzzy"}, "include_anonymous_visitors", "true or false"),
    ({"exclude_list": "only-xyzzy"}, "exclude_list", "apply, ignore"),
    ({"concurrency": -7531}, "concurrency", "at least 1"),
    ({"max_calls_per_second": 7531}, "max_calls_per_second", "at most 100"),
    ({"request_timeout": -7531}, "request_timeout", "above 0"),
    ({"page_size": -7531}, "page_size", "at least 1"),
    ({"integation_key": "xyzzy-secret"}, "integation_key", "integration_key"),
]


def values(settings: dict[str, t.Any]) -> set[str]:
    """Values that are wrong and telling enough to be looked for."""
    flat = [v for value in settings.values() for v in (value if type(value) is list else [value])]
    return {str(v) for v in flat if v not in (None, "", -323232)}


@pytest.mark.parametrize("entry", ENTRIES, ids=["run", "discover", "test"])
@pytest.mark.parametrize(("settings", "named", "allowed"), CASES, ids=[str(c[0]) for c in CASES])
def test_a_bad_setting(
    entry: list[str],
    settings: dict[str, t.Any],
    named: str,
    allowed: str,
    tap: TapRunner,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    config = {k: v for k, v in {**tap.config, **settings}.items() if v is not None}
    file = tmp_path / "config.json"
    file.write_text(json.dumps(config))
    caplog.set_level(logging.DEBUG, logger="tap-pendo")
    result = CliRunner().invoke(TapPendo.get_singer_command(), ["--config", str(file), *entry])
    assert result.exit_code == 1
    assert isinstance(result.exception, SystemExit)
    errors = [r.getMessage() for r in caplog.records if r.levelno >= logging.ERROR]
    assert len(errors) == 1
    assert "\n" not in errors[0]
    assert named in errors[0]
    assert allowed in errors[0]
    told = caplog.text + result.output
    assert not [v for v in values({**settings, "k": tap.pendo.key}) if v in told]
    assert "Traceback" not in told
    assert '"RECORD"' not in result.output


@pytest.mark.parametrize("entry", ENTRIES, ids=["run", "discover", "test"])
def test_the_process_itself_says_one_line(
    entry: list[str], pendo: Emulator, tmp_path: Path
) -> None:
    file = tmp_path / "config.json"
    file.write_text(json.dumps({"api_url": pendo.url, "integration_key": "xyzzy-refused"}))
    ended = subprocess.run(
        [sys.executable, "-m", "tap_pendo", "--config", str(file), *entry],
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 1
    assert ended.stdout == ""
    assert sum("ERROR" in line for line in ended.stderr.splitlines()) == 1
    assert "Traceback" not in ended.stderr
    assert "xyzzy" not in ended.stderr


@pytest.mark.parametrize("entry", ENTRIES, ids=["run", "discover", "test"])
def test_a_key_of_another_region(
    entry: list[str],
    pendo: Emulator,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from pendo_emulator.server import serve  # noqa: PLC0415 - only here

    with serve(pendo.world, region="eu", keys=pendo.keys) as europe:
        regions = {"us": pendo.url, "eu": europe.url}
        for module in (client, validation):
            monkeypatch.setattr(module, "REGIONS", regions)
        monkeypatch.setattr("tap_pendo.config.settings.REGIONS", regions)
        file = tmp_path / "config.json"
        file.write_text(json.dumps({"integration_key": pendo.other_region_key}))
        result = CliRunner().invoke(TapPendo.get_singer_command(), ["--config", str(file), *entry])
    assert result.exit_code == 1
    errors = [r.getMessage() for r in caplog.records if r.levelno >= logging.ERROR]
    assert len(errors) == 1
    assert "valid in region eu: set `region` to it" in errors[0]
    assert pendo.other_region_key not in caplog.text


@pytest.mark.parametrize(
    ("option", "content"),
    [("--config", "{"), ("--config", "[1]"), ("--state", "{oops"), ("--catalog", "[1]")],
)
def test_a_file_that_cannot_be_read(
    option: str, content: str, tap: TapRunner, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    config, file = tmp_path / "config.json", tmp_path / "file.json"
    config.write_text(json.dumps(tap.config))
    file.write_text(content)
    command = ["--config", str(config), option, str(file)]
    result = CliRunner().invoke(TapPendo.get_singer_command(), command)
    assert result.exit_code == 1
    errors = [r.getMessage() for r in caplog.records if r.levelno >= logging.ERROR]
    assert len(errors) == 1
    assert option in errors[0]


def test_a_state_that_cannot_be_read_fails_its_stream_only(
    tap: TapRunner, caplog: pytest.LogCaptureFixture
) -> None:
    state = {"bookmarks": {"feature_events": {"covered_from": "soon", "covered_to": 7}}}
    output = tap.run(state=state)
    assert tap.exit_code == 1
    assert "state: `covered_from` of feature_events must be a date, such as 2026-" in caplog.text
    assert output.records("page_events")
    assert output.state["bookmarks"]["feature_events"] == state["bookmarks"]["feature_events"]


@pytest.mark.parametrize(
    ("stream", "mark", "must_be"),
    [
        ("visitors", {"replication_key_value": 1700000000000}, "a date, such as 2026-01-31T"),
        ("visitors", {"replication_key_value": "0001-01-01T00:00:00+14:00"}, "a date, such as"),
        ("accounts", {"replication_key_value": True}, "a date, such as"),
        ("visitors", {"streams": "visitors"}, "a list of texts"),
        ("feature_events", {"covered_to": 1700000000000}, "a date, such as"),
        ("feature_events", {"start": {}}, "a date, such as"),
        ("page_events", {"read_at": "soon"}, "a date, such as"),
        ("page_events", {"period": 5}, "a text"),
        ("page_events", {"app_ids": [5]}, "a text"),
        ("visitor_history", {"begun": "somebody@acme.example"}, "an object with"),
    ],
)
def test_a_mark_of_another_type_fails_its_stream_in_one_line(
    stream: str,
    mark: dict[str, t.Any],
    must_be: str,
    tap: TapRunner,
    caplog: pytest.LogCaptureFixture,
) -> None:
    state = {"bookmarks": {stream: mark}}
    output = tap.run(state=state, select=(stream, "features"))
    assert tap.exit_code == 1
    errors = [r.getMessage() for r in caplog.records if r.levelno >= logging.ERROR]
    (name,) = mark
    assert len(errors) == 2
    assert errors[0].startswith(f"{stream} failed: state: `{name}` of {stream} must be {must_be}")
    assert errors[1] == f"Run ended; failed: {stream}"
    assert "somebody" not in caplog.text
    assert output.records("features")
    assert output.state["bookmarks"][stream] == mark


BOM = "\ufeff"


@pytest.mark.parametrize("mark", ["", BOM], ids=["plain", "with_bom"])
def test_files_may_begin_with_a_byte_order_mark(mark: str, tap: TapRunner, tmp_path: Path) -> None:
    catalog = tap.tap(select=("visitors",)).catalog_dict
    state = {"bookmarks": {"visitors": {"replication_key_value": "2026-03-01T00:00:00Z"}}}
    command = []
    for name, content in (("config", tap.config), ("catalog", catalog), ("state", state)):
        file = tmp_path / name
        file.write_text(mark + json.dumps(content), encoding="utf-8")
        command += [f"--{name}", str(file)]
    result = CliRunner().invoke(TapPendo.get_singer_command(), command)
    assert result.exit_code == 0
    assert result.stdout.splitlines()[-1].startswith('{"type":"STATE"')


def test_settings_from_the_environment(tap: TapRunner, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TAP_PENDO_APP_IDS", "[-323232]")
    monkeypatch.setenv("TAP_PENDO_LOOKBACK_DAYS", "1.5")
    monkeypatch.setenv("TAP_PENDO_INCLUDE_ANONYMOUS_VISITORS", "True")
    monkeypatch.setenv("TAP_PENDO_END_DATE", "")
    made = TapPendo(config=dict(tap.config), parse_env_config=True, setup_mapper=False)
    assert made.run.settings.app_ids == (-323232,)
    assert made.run.settings.lookback_days.total_seconds() == 1.5 * 86400
    assert made.run.settings.include_anonymous_visitors is True


@pytest.mark.parametrize("around", [("", "\n"), (" ", "\r\n"), ("\t", "\u00a0")])
@pytest.mark.parametrize("from_environment", [False, True])
def test_white_space_around_the_key_is_what_copying_added(
    around: tuple[str, str],
    from_environment: bool,
    tap: TapRunner,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    key = tap.pendo.key.join(around)
    config = {**tap.config, "integration_key": key}
    if from_environment:
        monkeypatch.setenv("TAP_PENDO_INTEGRATION_KEY", key)
        del config["integration_key"]
    file = tmp_path / "config.json"
    file.write_text(json.dumps(config))
    arguments = ["--config", str(file), "--config", "ENV", "--test"]
    result = CliRunner().invoke(TapPendo.get_singer_command(), arguments)
    assert result.exit_code == 0
    assert "Pendo accepts the integration_key" in result.stdout
