"""What the command line says of wrong settings that the SDK would stumble over, and of a stop."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import typing as t

import pytest

if t.TYPE_CHECKING:
    from pathlib import Path

    from tests.conftest import TapRunner

JSONL = {"format": "jsonl", "compression": "gzip"}
FAKE = {"users": {"username": "fake.name()"}}


@pytest.mark.parametrize(
    ("given", "logged"),
    [
        ({"batch_config": {"storage": {"root": "file:///x"}}}, "batch_config.encoding.format"),
        ({"batch_config": {"encoding": JSONL}}, "batch_config.storage.root"),
        (
            {"faker_config": {"locale": "nowhere"}, "stream_maps": FAKE},
            "setting `faker_config.locale` must be a locale of Faker",
        ),
        ({"app_ids": ["-323232", "x"]}, "setting `app_ids.1` must be a whole number"),
    ],
)
def test_a_setting_of_the_sdk_that_is_wrong_gives_one_line(
    given: dict[str, t.Any],
    logged: str,
    tap: TapRunner,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    result, output = tap.cli(tmp_path, **given)

    assert result.exit_code == 1
    [line] = [r.getMessage() for r in caplog.records if r.levelname == "ERROR"]
    assert logged in line
    assert output == []


def test_a_package_that_is_missing_for_batch_files_is_named(
    tap: TapRunner, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    given = {"encoding": JSONL, "storage": {"root": "s3://bucket"}}
    result, _ = tap.cli(tmp_path, batch_config=given, start_date="2026-03-11T10:00Z")

    assert result.exit_code == 1
    assert "needs a package that is not installed: Install s3fs" in caplog.text


def test_ids_of_apps_may_be_texts(tap: TapRunner) -> None:
    assert tap.tap(app_ids=["-323232"]).run.settings.app_ids == (-323232,)


def test_an_error_names_the_address_that_was_asked(
    tap: TapRunner, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    result, _ = tap.cli(tmp_path, "--test", integration_key="another")

    assert result.exit_code == 1
    assert f"asked at {tap.pendo.url}" in caplog.text


@pytest.mark.parametrize(
    ("module", "name"), [("tap_pendo", "TAP_PENDO_LOGLEVEL"), ("target_planhat", "LOGLEVEL")]
)
def test_a_log_level_that_does_not_exist_gives_one_line(module: str, name: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", module, "--version"],
        env={**os.environ, name: "nope"},
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 1
    assert done.stderr == f"{name} must be one of debug, info, warning, error, critical\n"


def test_a_record_that_meltano_would_not_pass_on_is_named(
    tap: TapRunner, caplog: pytest.LogCaptureFixture
) -> None:
    page = tap.pendo.world.definitions["page"][0]
    tap.pendo.world.add_definition("page", {**page, "id": "large", "description": "x" * 6_000_000})
    output = tap.run(select=("pages",))

    [warning] = [r.getMessage() for r in caplog.records if "elt.buffer_size" in r.getMessage()]
    assert "pages: a record (`id` large) has 6,00" in warning
    assert "large" in {row["id"] for row in output.records("pages")}


def test_a_run_that_is_stopped_says_so(tap: TapRunner, tmp_path: Path) -> None:
    tap.pendo.faults.add({"kind": "delay", "seconds": 30, "times": None, "source": "visitors"})
    config = {**tap.config, "start_date": "2026-03-11T10:00Z"}
    (tmp_path / "config.json").write_text(json.dumps(config))
    command = [sys.executable, "-m", "tap_pendo", "--config", str(tmp_path / "config.json")]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout
        # the first message: it reads
        process.stdout.readline()
        process.send_signal(signal.SIGINT)
        _, log = process.communicate()

    assert process.returncode == 128 + signal.SIGINT
    assert "Stopped by SIGINT; the next run resumes from the last STATE that was written" in log
