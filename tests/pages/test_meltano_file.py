"""meltano.yml as Meltano reads it, and what docs/running.md says of it, run."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import typing as t
from datetime import date, datetime, timedelta, timezone
from pathlib import Path

import pytest
import yaml
from pendo_emulator.server import serve
from pendo_emulator.world import World
from tap_pendo.catalog import CATALOG
from tap_pendo.errors import TapError
from tap_pendo.tap import TapPendo

from tests.documents import ROOT, all_blocks

SCRIPTS = Path(sys.executable).parent


@pytest.fixture
def copy(tmp_path: Path) -> Copy:
    return Copy(tmp_path)


def test_meltano_lists_the_settings_offline(copy: Copy) -> None:
    listed = copy.meltano(
        "config", "list", "--all", "tap-pendo", TAP_PENDO_INTEGRATION_KEY="hush-hush"
    )

    assert "TAP_PENDO_LOOKBACK_DAYS" in listed
    assert "hush-hush" not in listed
    assert "integration_key" in listed


def test_meltano_compiles_job_and_schedule_offline(copy: Copy) -> None:
    copy.meltano("compile")
    listed = json.loads(copy.meltano("schedule", "list", "--format=json"))

    assert listed["schedules"]["job"][0]["cron_interval"] == "0 */6 * * *"


def test_settings_from_the_environment_are_understood(copy: Copy) -> None:
    config = copy.config_of_tap(
        TAP_PENDO_INTEGRATION_KEY="hush-hush",
        TAP_PENDO_APP_IDS="[1, -323232]",
        TAP_PENDO_LOOKBACK_DAYS="2.5",
        TAP_PENDO_INCLUDE_ANONYMOUS_VISITORS="true",
        TAP_PENDO_START_DATE="2026-01-31",
    )

    assert config.keys().isdisjoint({"api_url", "end_date", "stream_maps", "batch_config"})
    settings = TapPendo(config=config, setup_mapper=False).run.settings
    assert settings.app_ids == (-323232, 1)
    assert settings.lookback_days == timedelta(days=2.5)
    assert settings.include_anonymous_visitors is True
    assert settings.start_date == datetime(2026, 1, 31, tzinfo=timezone.utc)


def test_bad_text_is_left_to_the_tap(copy: Copy) -> None:
    """Meltano would take 01.02.2026 for the second of January, and show tracebacks for others."""
    given = {
        "start_date": ("01.02.2026", "setting `start_date` is not a date"),
        "end_date": ("yesterday", "setting `end_date` is not a date"),
        "region": ("us9", "setting `region` must be one of us"),
        "lookback_days": ("soon", "setting `lookback_days` must be a number"),
    }
    texts = {f"TAP_PENDO_{name.upper()}": value for name, (value, _) in given.items()}
    config = copy.config_of_tap(**texts, TAP_PENDO_INTEGRATION_KEY="hush-hush")
    good = {name: value for name, value in config.items() if name not in given}

    for name, (_, logged) in given.items():
        with pytest.raises(TapError, match=logged):
            TapPendo(config={**good, name: config[name]}, setup_mapper=False)


def test_settings_from_dotenv_and_config_arrive(copy: Copy) -> None:
    (copy.root / ".env").write_text("TAP_PENDO_INTEGRATION_KEY=hush-hush\n")
    copy.configure(
        {"lookback_hours": 1.5, "app_ids": [7], "region": "eu", "start_date": date(2025, 1, 1)}
    )

    config = copy.config_of_tap()

    assert config["integration_key"] == "hush-hush"
    assert float(config["lookback_hours"]) == 1.5
    assert config["app_ids"] == [7]
    assert config["region"] == "eu"
    assert config["start_date"] == "2025-01-01"
    TapPendo(config=config, setup_mapper=False)


def test_both_blocks_of_the_usage_job_can_run(copy: Copy) -> None:
    copy.meltano("run", "--no-install", "--dry-run", "usage", TAP_PENDO_INTEGRATION_KEY="k")


def test_the_target_tells_about_itself_through_meltano(copy: Copy) -> None:
    content = _content(copy.root)
    # without it Meltano looks for the executable in PATH
    del content["plugins"]["loaders"][0]["pip_url"]
    (copy.root / "meltano.yml").write_text(yaml.safe_dump(content))
    path = f"{SCRIPTS}{os.pathsep}{os.environ['PATH']}"
    command = ("invoke", "--no-install", "target-planhat", "--about", "--format=json")
    said = json.loads(copy.meltano(*command, PATH=path))

    assert said["name"] == "target-planhat"
    assert "tenant_token" in said["settings"]["properties"]


def test_the_tap_for_planhat_reads_what_the_rules_name_and_nothing_costly(
    copy: Copy,
) -> None:
    start = datetime.now(timezone.utc) - timedelta(days=3)
    with serve(World(events_per_day=200, visitors=100)) as pendo:
        copy.configure({"start_date": start.isoformat(), "api_url": pendo.url})
        said = copy.meltano(
            *("invoke", "--no-install", "tap-pendo-for-planhat"),
            TAP_PENDO_INTEGRATION_KEY=pendo.key,
            PATH=f"{SCRIPTS}{os.pathsep}{os.environ['PATH']}",
        )
    messages = [json.loads(line) for line in said.splitlines() if line.startswith('{"type"')]
    fields = {m["stream"]: m["schema"]["properties"] for m in messages if m["type"] == "SCHEMA"}
    filled = {message["stream"] for message in messages if message["type"] == "RECORD"}
    loaders = _content(ROOT)["plugins"]["loaders"]
    [rules] = [each["config"] for each in loaders if each["name"] == "target-planhat"]

    for rule in (*rules["activities"], *rules["metrics"]):
        named = {rule.get("value", "num_events"), rule.get("date", "hour"), "account_id"}
        assert rule["stream"] in filled
        assert named | set(rule.get("info", {}).values()) <= fields[rule["stream"]].keys()
    definitions_of_names = {"features", "pages", "track_types", "guides"}
    assert {"sync_windows", "accounts", "visitors", *definitions_of_names} <= filled
    assert not {"events", "page_events", "guide_events", "single_events"} & filled


def test_a_plan_is_asked_for_through_meltano(copy: Copy) -> None:
    start = datetime.now(timezone.utc) - timedelta(days=2)
    with serve(World(events_per_day=50, visitors=100)) as pendo:
        copy.configure({"start_date": start.isoformat(), "api_url": pendo.url})
        plan = json.loads(
            copy.meltano(
                *("invoke", "--no-install", "tap-pendo", "--plan", "--format=json"),
                TAP_PENDO_INTEGRATION_KEY=pendo.key,
                PATH=f"{SCRIPTS}{os.pathsep}{os.environ['PATH']}",
            )
        )

    found = {entry["stream"]: entry for entry in plan["streams"]}
    assert found["visitors"]["rows"] == 100
    assert len(found["feature_events"]["windows"]) in {2, 3}
    assert {entry["problem"] for entry in found.values()} == {None}


def test_the_selection_of_the_readme_leaves_out_and_adds_what_it_says(copy: Copy) -> None:
    texts = [text for text in blocks("docs/running.md", "yaml") if "  select:" in text]
    [block] = map(yaml.safe_load, texts)
    start = datetime.now(timezone.utc) - timedelta(days=2)
    with serve(World(events_per_day=50, visitors=100)) as pendo:
        copy.configure({"start_date": start.isoformat(), "api_url": pendo.url})
        copy.in_environment(block)
        done = copy.run(
            *("--log-level=info", "invoke", "--no-install", "tap-pendo"),
            TAP_PENDO_INTEGRATION_KEY=pendo.key,
            PATH=f"{SCRIPTS}{os.pathsep}{os.environ['PATH']}",
        )
    messages = [json.loads(line) for line in done.stdout.splitlines() if '"type"' in line[:8]]
    columns = {
        m["stream"]: m["schema"]["properties"].keys() for m in messages if m["type"] == "SCHEMA"
    }
    costly = {row.name for row in CATALOG if not row.by_default}
    wanted = {row.name for row in CATALOG} - costly - {"events"} | {"guides_seen", "polls_seen"}

    assert columns.keys() == wanted
    assert "remote_ip" not in columns["page_events"]
    assert "remote_ip" in columns["feature_events"]
    (line,) = [line for line in done.stderr.splitlines() if "`costly_streams` names them" in line]
    assert set(re.split(r"[ ,]+", line.partition("not read: ")[2])) >= costly - wanted
    assert "guides_seen" not in line


def blocks(page: str, language: str) -> list[str]:
    return [block.text for block in all_blocks(page) if block.language == language]


class Copy:
    """The project in a folder of its own, with no network to ask the Hub."""

    def __init__(self, root: Path) -> None:
        self.root = root
        shutil.copy(ROOT / "meltano.yml", root)

    def meltano(self, *arguments: str, **environment: str) -> str:
        """Run Meltano there; its output."""
        return self.run("--log-level=error", *arguments, **environment).stdout

    def run(self, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
        """Run Meltano there, to a good end."""
        kept = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(("TAP_", "TARGET_", "MELTANO_"))
        }
        done = subprocess.run(
            [SCRIPTS / "meltano", *arguments],
            cwd=self.root,
            env={
                **kept,
                "HOME": str(self.root),
                "NO_COLOR": "1",
                # nobody listens on the discard port
                "MELTANO_HUB_URL": "http://127.0.0.1:9",
                **environment,
            },
            check=False,
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stderr[-2000:]
        return done

    def in_environment(self, extractors: list[dict[str, t.Any]]) -> None:
        """Write that for the environment in which everything runs by default."""
        content = _content(self.root)
        content["environments"][0]["config"] = {"plugins": {"extractors": extractors}}
        (self.root / "meltano.yml").write_text(yaml.safe_dump(content))

    def configure(self, settings: dict[str, t.Any]) -> None:
        """Give the tap settings in meltano.yml."""
        self._change_tap(config=settings)

    def config_of_tap(self, **environment: str) -> dict[str, t.Any]:
        """What the tap finds in its --config; a stand-in for it prints the file."""
        stand_in = self.root / "print-config"
        stand_in.write_text(
            '#!/bin/sh\nwhile [ "$1" != --config ]; do shift; done\nexec cat "$2"\n'
        )
        stand_in.chmod(0o755)
        self._change_tap(executable="./print-config")
        printed = self.meltano("invoke", "--no-install", "tap-pendo", "--discover", **environment)
        return json.loads(printed)

    def _change_tap(self, **changes: t.Any) -> None:
        content = _content(self.root)
        tap = content["plugins"]["extractors"][0]
        # without it Meltano looks for the executable here, not in an environment of its own
        tap.pop("pip_url", None)
        tap.update(changes)
        (self.root / "meltano.yml").write_text(yaml.safe_dump(content))


def _content(root: Path) -> t.Any:
    return yaml.safe_load((root / "meltano.yml").read_text())
