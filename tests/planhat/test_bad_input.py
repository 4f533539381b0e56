"""Bad input, through the command line: each of it is counted with its reason, or one clear line."""

from __future__ import annotations

import json
import sqlite3
import subprocess
import sys
import typing as t

import pytest

from tests.planhat.command import Command
from tests.planhat.running import (
    EVENTS,
    FEATURES,
    WINDOWS,
    day,
    event,
    record,
    schema,
    state,
    window,
)

if t.TYPE_CHECKING:
    from pathlib import Path

    from tests.planhat.command import Said
    from tests.planhat.running import Message, Record, TargetRunner

# what no line may show: it stands for values, ids and tokens alike
SECRET = "xyzzy"
OTHER_TENANT = f"{SECRET}-4a7c-tenant"
GOOD = event(day(9, 8), count=2)
U2 = ("u2", "Export", "2026-03-09")


@pytest.fixture
def command(target: TargetRunner, caplog: pytest.LogCaptureFixture) -> Command:
    return Command(target, caplog)


def events(*rows: Message) -> list[Message]:
    """Input with these rows of feature_events of March 9th, read whole."""
    return [WINDOWS, *FEATURES, EVENTS, *rows, window(day(9), day(10)), state({"at": 1})]


def the_line(said: Said, command: Command) -> str:
    """Give the one line of a run that failed, and sent nothing."""
    world = command.target.planhat.world
    assert said.code == 1
    [line] = said.errors
    assert "\n" not in line
    assert (world.count("activities"), world.count("points")) == (0, 0)
    assert_discreet(said, command)
    return line


def assert_discreet(said: Said, command: Command) -> None:
    planhat = command.target.planhat
    for text in (said.log, said.out, json.dumps(command.report)):
        assert "Traceback" not in text
        assert not [v for v in (SECRET, planhat.tenant_token, planhat.api_token) if v in text]


# Settings and files


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        ({"tenant_token": None}, ["setting `tenant_token` is missing"]),
        ({"tenant_token": OTHER_TENANT}, ["refuses the `tenant_token`", "tenant UUID"]),
        ({"tenant_token": "xyzzy/../x"}, ["setting `tenant_token` must be"]),
        ({"api_token": f"{SECRET}-token"}, ["refuses the `api_token`", "`api_url`"]),
        ({"region": "XYZZY_1"}, ["setting `region` must be", "such as eu3"]),
        ({"region": "xyzzy 1"}, ["setting `region` must be", "such as eu3"]),
        ({"api_url": "ftp://xyzzy"}, ["setting `api_url` must be", "https://"]),
        ({"analytics_url": "xyzzy"}, ["setting `analytics_url` must be", "https://"]),
        ({"settle_hours": "xyzzy"}, ["setting `settle_hours` must be", "number"]),
        ({"settle_hours": -1}, ["setting `settle_hours` must be", "at least 0"]),
        ({"since": "31.12.xyzzy"}, ["setting `since`", "such as 2026-01-31"]),
        ({"timezone": "Mars/xyzzy"}, ["setting `timezone` must be", "Europe/Berlin"]),
        ({"unmatched": "xyzzy"}, ["setting `unmatched`", "park, send, skip, fail"]),
        ({"unmatched": "park", "api_token": None}, ["setting `unmatched` is park", "`api_token`"]),
        ({"create_end_users": True, "api_token": None}, ["`create_end_users` needs `api_token`"]),
        ({"create_end_users": "xyzzy"}, ["setting `create_end_users`", "boolean"]),
        ({"dry_run": "xyzzy"}, ["setting `dry_run` must be", "boolean"]),
        ({"require_ledger": "xyzzy"}, ["setting `require_ledger` must be", "boolean"]),
        ({"require_ledger": True}, ["does not exist, and `require_ledger` is set"]),
        ({"park_days": 0}, ["setting `park_days` must be", "at least 1"]),
        ({"park_days": "xyzzy"}, ["setting `park_days` must be", "integer"]),
        *(
            ({"ledger_url": f"postgresql://me:a@{tail}"}, ["`@` must be written as %40"])
            for tail in ("xyzzy@h/d", "xyzzy/b@h/d")
        ),
        ({"ledger_url": "mysql://xyzzy@h/d"}, ["setting `ledger_url` must be", "sqlite:///"]),
        ({"in_doubt": "xyzzy"}, ["setting `in_doubt`", "assume_sent, resend"]),
        (
            {"tenant_tokn": "xyzzy"},
            ["unknown setting `tenant_tokn`", "must be one of tenant_token"],
        ),
        ({"activities": "xyzzy"}, ["setting `activities` must be", "array"]),
        (
            {"activities": [{"stream": "page_evnts"}]},
            ["setting `activities.0`", "`page_evnts`; must be one of feature_events, page_events"],
        ),
        (
            {"activities": [{"name": "a", "stream": "feature_events", "count": "num_evnts"}]},
            ["(rule a): `count` names the field `num_evnts`", "num_events, num_minutes"],
        ),
        (
            {"activities": [{"stream": "feature_events", "action": "{feature}"}]},
            ["setting `activities.0`: `action`", "feature_name"],
        ),
        (
            {"metrics": [{"stream": "visitors", "dimension_id": "d", "value": "v"}]},
            ["`stream` is `visitors`", "or an aggregation's name"],
        ),
    ],
    ids=str,
)
def test_a_bad_setting_is_one_line_before_anything_is_sent(
    settings: Record, named: list[str], command: Command
) -> None:
    line = the_line(command.run(*events(GOOD), **settings), command)

    assert [words for words in named if words not in line] == []


def test_a_token_that_is_refused_hints_at_the_region(
    command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("target_planhat.planhat.endpoints.API_URL", command.target.planhat.url)
    settings = {"api_url": None, "region": "eu3", "api_token": f"{SECRET}-of-us4"}
    line = the_line(command.run(*events(GOOD), **settings), command)

    assert "Planhat refuses the `api_token`" in line
    assert "`region`" in line


@pytest.mark.parametrize("setting", ["report_path", "rejects_path", "ledger_url"])
def test_a_place_that_cannot_be_written_to_is_told_before_anything_is_sent(
    setting: str, command: Command, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("")
    path = str(tmp_path / "file" / "below")
    value = f"sqlite:///{path}" if setting == "ledger_url" else path
    line = the_line(command.run(*events(GOOD), **{setting: value}), command)

    named = "the ledger" if setting == "ledger_url" else f"setting `{setting}`"
    assert named in line


@pytest.mark.parametrize("content", [None, b"xyzzy" * 1000], ids=["folder", "text"])
def test_a_ledger_that_is_none_is_told_before_anything_is_sent(
    content: bytes | None, command: Command, tmp_path: Path
) -> None:
    place = tmp_path / "place"
    if content is None:
        place.mkdir()
    else:
        place.write_bytes(content)
    line = the_line(command.run(*events(GOOD), ledger_url=f"sqlite:///{place}"), command)

    assert line.startswith(f"the ledger {place} cannot be used: ")


def test_a_ledger_in_use_by_another_run_is_told_before_anything_is_sent(command: Command) -> None:
    with sqlite3.connect(command.target.folder / "ledger.db") as other:
        other.execute("PRAGMA locking_mode = EXCLUSIVE")
        other.execute("CREATE TABLE t (x)")
        other.commit()
        line = the_line(command.run(*events(GOOD)), command)
    other.close()

    assert "is in use by another run: one at a time" in line


@pytest.mark.parametrize("content", [None, "", "{", "[1]", '"xyzzy"', b"\xff\xfe"], ids=repr)
def test_an_unreadable_config_is_one_line(
    content: str | bytes | None, command: Command, tmp_path: Path
) -> None:
    file = tmp_path / "settings.json"
    if content is None:
        file.mkdir()
    else:
        file.write_bytes(content if isinstance(content, bytes) else content.encode())
    line = the_line(command.call("--config", str(file)), command)

    assert line == f"--config {file}: it must be a readable JSON object"


def test_a_config_that_is_not_there_is_one_line(command: Command, tmp_path: Path) -> None:
    line = the_line(command.call("--config", str(tmp_path / "none.json")), command)

    assert "none.json: it must be a readable JSON object" in line


# What a SCHEMA tells


def test_a_rule_whose_field_the_stream_lacks_is_one_line_with_those_it_has(
    command: Command,
) -> None:
    rule = {"stream": "active", "dimension_id": "active", "value": "visitrs"}
    told = schema("active", "account_id", "window_start", "visitors")
    line = the_line(command.run(told, metrics=[rule]), command)

    assert "rule active: the stream active has no `visitrs`" in line
    assert "it has account_id, visitors, window_start" in line


@pytest.mark.parametrize("properties", [None, [], "xyzzy"])
def test_a_schema_without_properties_is_one_line(properties: t.Any, command: Command) -> None:
    told = {"type": "SCHEMA", "stream": "feature_events", "schema": {"properties": properties}}
    line = the_line(command.run(told), command)

    assert line == "the SCHEMA of the stream feature_events has no `properties`: it needs them"


def test_a_record_before_its_schema_is_one_line(command: Command) -> None:
    line = the_line(command.run(WINDOWS, *FEATURES, GOOD), command)

    assert "a record of the stream feature_events came before its SCHEMA" in line


def test_a_stream_that_does_not_come_is_told_with_those_that_did(command: Command) -> None:
    rule = {"stream": "activ_visitors", "dimension_id": "active", "value": "visitors"}
    said = command.run(*FEATURES, metrics=[rule])

    assert said.code == 0
    [note] = command.report["notes"]
    assert "active: the stream activ_visitors did not come" in note
    assert "features" in note
    # also where nobody wants a report
    assert note in command.run(*FEATURES, metrics=[rule], report_path=None).log


# Lines that are no messages


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("xyzzy", "is not JSON"),
        ('{"type": "RECORD", "stream": "features", "record": {"id": NaN}}', "is not JSON"),
        (b'{"type": "STATE", "value": "\xff"}', "is not JSON"),
        ("[" * 100_000, "is not JSON"),
        ('"xyzzy"', "is not a Singer message: its type must be one of RECORD, SCHEMA, STATE"),
        ("[1]", "is not a Singer message"),
        ("{}", "is not a Singer message"),
        ('{"type": "XYZZY"}', "is not a Singer message"),
        ('{"type": ["xyzzy"]}', "is not a Singer message"),
        ('{"type": "BATCH", "stream": "features"}', "is a BATCH message: unset `batch_config`"),
        ('{"type": "RECORD", "stream": "xyzzy"}', "is of type RECORD without `record`, an object"),
        ('{"type": "RECORD", "stream": "s", "record": []}', "is of type RECORD without `record`"),
        ('{"type": "RECORD", "stream": ["s"], "record": {}}', "is of type RECORD without `stream`"),
        ('{"type": "SCHEMA", "stream": "s", "schema": null}', "is of type SCHEMA without `schema`"),
        ('{"type": "STATE"}', "is of type STATE without `value`, a value"),
        ('{"type": "ACTIVATE_VERSION"}', "is of type ACTIVATE_VERSION without `stream`"),
    ],
    ids=lambda value: str(value)[:40],
)
def test_a_line_that_is_no_message_is_named_by_its_number(
    line: str | bytes, reason: str, command: Command
) -> None:
    before = "".join(json.dumps(m) + "\n" for m in FEATURES).encode() + b"\n"
    raw = line if isinstance(line, bytes) else line.encode()
    told = the_line(command.feed(before + raw + b"\n"), command)

    assert told.startswith(f"line {len(FEATURES) + 2} of the input {reason}")
    assert told.endswith(". Nothing is sent")


def test_input_that_breaks_off_within_a_line_sends_nothing_and_is_made_good_by_the_next_run(
    command: Command,
) -> None:
    text = "".join(json.dumps(m) + "\n" for m in events(GOOD, GOOD))
    told = the_line(command.feed(text[:-10]), command)
    assert told.endswith("is not JSON: the input breaks off there. Nothing is sent")
    assert command.report["outcome"] == "failed"
    assert command.report["rules"][0]["received"] == 2

    said = command.feed(text)
    assert said.code == 0
    assert command.target.sums == {U2: 4}


def test_input_that_ends_within_a_window_counts_its_rows_only_when_it_is_read_again(
    command: Command,
) -> None:
    messages = events(GOOD, event(day(9, 9), count=3))
    said = command.run(*messages[:-3])
    assert (said.code, said.states) == (0, [])
    assert command.target.sums == {}
    [reason] = command.report["rules"][0]["reasons"]
    assert (reason["fate"], reason["records"]) == ("ignored", 1)
    assert "its window was not read to the end" in reason["reason"]

    said = command.run(*messages)
    assert said.states == [{"at": 1}]
    assert command.target.sums == {U2: 5}


def test_no_input_at_all_is_a_run_of_nothing(command: Command) -> None:
    said = command.feed("")

    assert (said.code, said.out, command.report["received"]) == (0, "", 0)


def test_a_huge_line_is_read_as_any_other(command: Command) -> None:
    huge = event(day(9, 8), count=2, parameters={"text": SECRET * 2_000_000})
    said = command.run(*events(huge))

    assert said.code == 0
    assert command.target.sums == {U2: 2}
    assert_discreet(said, command)


# Records: each one is counted


@pytest.mark.parametrize(
    ("fields", "fate", "reason"),
    [
        ({"num_events": "xyzzy"}, "rejected", "`num_events` is not a number"),
        ({"num_events": True}, "rejected", "`num_events` is not a number"),
        ({"num_events": [SECRET]}, "rejected", "`num_events` is not a number"),
        ({"num_events": 10**40}, "rejected", "`num_events` is not a number of usable size"),
        ({"num_events": None}, "rejected", "`num_events` is missing"),
        ({"num_events": -1}, "rejected", "`num_events` is negative"),
        ({"hour": None}, "rejected", "no time: `hour` or `day` is missing"),
        ({"hour": ""}, "rejected", "no time: `hour` or `day` is missing"),
        ({"hour": "xyzzy"}, "rejected", "`hour` is not a time of the years 2000 to 2099"),
        ({"hour": "0001-01-01T00:00:00Z"}, "rejected", "`hour` is not a time of the years"),
        ({"hour": 1773043200}, "rejected", "`hour` is not a time of the years 2000 to 2099"),
        ({"read_at": "xyzzy"}, "rejected", "`read_at` is not a time of the years 2000 to 2099"),
        ({"visitor_id": ""}, "rejected", "`visitor_id` is empty"),
        ({"visitor_id": "  "}, "rejected", "`visitor_id` is empty"),
        ({"visitor_id": None}, "rejected", "`visitor_id` is empty"),
        ({"visitor_id": {SECRET: 1}}, "rejected", "`visitor_id` is neither text nor number"),
        ({"visitor_id": SECRET * 300}, "rejected", "`visitor_id` is longer than 1000 characters"),
        ({"visitor_id": f"{SECRET}\x00"}, "rejected", "`visitor_id` has a NUL character"),
        ({"visitor_id": f"_PENDO_T_{SECRET}"}, "ignored", "anonymous visitor"),
        ({"visitor_id": SECRET}, "parked", "Planhat has no end user with this externalId"),
        ({"feature_id": ""}, "rejected", "`feature_id` is empty, and the action names it"),
        ({"account_id": SECRET * 300}, "rejected", "`account_id` is longer than 1000"),
    ],
    ids=lambda value: str(value)[:40],
)
def test_a_bad_record_is_counted_with_its_reason_and_the_others_are_sent(
    fields: Record, fate: str, reason: str, command: Command
) -> None:
    bad = {**GOOD["record"], **fields}
    said = command.run(*events(GOOD, record("feature_events", **bad)))

    assert said.code == 0
    assert command.target.sums == {U2: 2}
    rule = command.report["rules"][0]
    assert (rule["received"], rule["sent"], rule[fate]) == (2, 1, 1)
    [told] = rule["reasons"]
    assert (told["fate"], told["records"]) == (fate, 1)
    assert reason in told["reason"]
    assert_discreet(said, command)


def test_a_record_without_a_time_is_never_of_now(command: Command) -> None:
    rule = {"stream": "health", "dimension_id": "health", "value": "score"}
    rows = [
        record("health", account_id="acme", score=5),
        record("health", account_id="acme", score=5, window_start="xyzzy"),
        record("health", account_id="acme", score=5, window_start=None),
    ]
    told = schema("health", "account_id", "score", "window_start")
    said = command.run(told, *rows, metrics=[rule])

    assert said.code == 0
    assert command.target.planhat.world.count("points") == 0
    assert command.report["rejected"] == 3
    assert_discreet(said, command)


# The process itself


@pytest.mark.some(1)
@pytest.mark.parametrize("lines", ["xyzzy\n", '{"type": "STATE", "value": {"xyz'])
def test_the_process_says_one_line_and_no_traceback(lines: str, target: TargetRunner) -> None:
    file = target.folder / "config.json"
    file.write_text(json.dumps(target.config))
    ended = subprocess.run(
        [sys.executable, "-m", "target_planhat", "--config", str(file)],
        input=lines,
        capture_output=True,
        text=True,
        check=False,
    )

    assert (ended.returncode, ended.stdout) == (1, "")
    assert sum("ERROR" in line for line in ended.stderr.splitlines()) == 1
    assert "Traceback" not in ended.stderr
    assert "xyz" not in ended.stderr


def test_settings_from_the_environment_are_read_and_told_alike(
    command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in command.config.items():
        monkeypatch.setenv(f"TARGET_PLANHAT_{name.upper()}", str(value))
    monkeypatch.setenv("TARGET_PLANHAT_METRICS", '[{"stream": "events", "dimension_id": "a"')
    line = the_line(command.call("--config", "ENV"), command)
    assert line == "setting `metrics` must be an array"

    rule = {"stream": "feature_events", "dimension_id": "a"}
    monkeypatch.setenv("TARGET_PLANHAT_METRICS", json.dumps([rule]))
    lines = "".join(json.dumps(m) + "\n" for m in events(GOOD))
    assert command.call("--config", "ENV", lines=lines).code == 0
    sums = command.target.planhat.world.point_sums()
    assert sums == {("a", "Company", "acme", "2026-03-09"): 2}


@pytest.mark.parametrize("from_environment", [False, True])
@pytest.mark.parametrize("around", [("", "\n"), (" \t", "\r\n"), ("\u00a0", " ")])
def test_white_space_around_secrets_is_what_copying_added(
    around: tuple[str, str],
    from_environment: bool,
    command: Command,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    ledger = f"sqlite:///{tmp_path / 'own.db'}"
    secrets = {name: command.config[name] for name in ("tenant_token", "api_token")}
    copied = {name: value.join(around) for name, value in {**secrets, "ledger_url": ledger}.items()}
    lines = "".join(json.dumps(m) + "\n" for m in events(GOOD))
    if from_environment:
        for name, value in {**command.config, **copied}.items():
            monkeypatch.setenv(f"TARGET_PLANHAT_{name.upper()}", str(value))
        said = command.call("--config", "ENV", lines=lines)
    else:
        said = command.feed(lines, **copied)

    assert said.code == 0
    assert command.report["sent"] == 1
    assert (tmp_path / "own.db").exists()


def test_input_from_a_file_is_told_by_its_line_too(command: Command, tmp_path: Path) -> None:
    settings, lines = tmp_path / "settings.json", tmp_path / "lines"
    settings.write_text(json.dumps(command.config))
    lines.write_bytes(b'\n{"type": "STATE", "value": "\xff"}\n')
    line = the_line(command.call("--config", str(settings), "--input", str(lines)), command)

    assert line == "line 2 of the input is not JSON. Nothing is sent"
