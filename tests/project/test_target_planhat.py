"""target-planhat's command line: what it says of itself, and how it refuses a configuration."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

TARGET = Path(sys.executable).with_name("target-planhat")


@pytest.mark.parametrize("command", [[TARGET], [sys.executable, "-m", "target_planhat"]])
def test_a_missing_setting_is_one_line_before_anything_is_read(command: list[str]) -> None:
    reading, writing = os.pipe()
    try:
        # nothing is ever written, and the pipe stays open: whoever reads from it waits for ever
        done = subprocess.run(
            command, stdin=reading, capture_output=True, text=True, timeout=60, check=False
        )
    finally:
        os.close(reading)
        os.close(writing)

    assert done.returncode == 1
    assert done.stdout == ""
    assert "setting `tenant_token` is missing" in done.stderr
    assert "Traceback" not in done.stderr


def test_it_tells_its_settings_and_capabilities() -> None:
    about = json.loads(_said("--about", "--format=json"))

    assert about["name"] == "target-planhat"
    assert about["capabilities"] == ["about", "structured-logging"]
    assert "tenant_token" in about["settings"]["properties"]


def test_version_and_help_work() -> None:
    assert _said("--version").startswith("target-planhat v")
    assert "--about" in _said("--help")


def _said(*arguments: str) -> str:
    done = subprocess.run([TARGET, *arguments], check=True, capture_output=True, text=True)
    return done.stdout
