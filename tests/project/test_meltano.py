"""meltano.yml: says of the plugins what they say of themselves, and works without Meltano Hub."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import typing as t
from pathlib import Path

import pytest
import yaml

from tests.documents import ROOT, pages

Definition = dict[str, t.Any]

SCRIPTS = Path(sys.executable).parent
PLUGINS = ("tap-pendo", "target-planhat", "target-postgres")


@pytest.fixture
def definitions(project: Path) -> dict[str, Definition]:
    """Give the plugins that are defined in full, not those that inherit."""
    plugins = [each for kind in _content(project)["plugins"].values() for each in kind]
    return {each["name"]: each for each in plugins if "inherit_from" not in each}


@pytest.mark.parametrize("name", PLUGINS)
def test_capabilities_and_settings_are_those_of_the_plugin(
    name: str, definitions: dict[str, Definition]
) -> None:
    about = _about(name)
    settings = [setting["name"] for setting in definitions[name]["settings"]]

    assert set(definitions[name]["capabilities"]) == set(about["capabilities"])
    assert set(settings) <= about["settings"]["properties"].keys()


@pytest.mark.parametrize("name", ["tap-pendo", "target-planhat"])
def test_settings_are_described_as_the_plugin_describes_them(
    name: str, definitions: dict[str, Definition]
) -> None:
    rules = _about(name)["settings"]["properties"]
    settings = {setting["name"]: setting for setting in definitions[name]["settings"]}

    assert list(settings) == list(rules)
    for setting, rule in zip(settings.values(), rules.values(), strict=True):
        assert setting["kind"] == _meltano_kind(rule)
        assert setting["label"] == rule["title"]
        choices = ", ".join(str(each) for each in rule.get("enum", ()) if each is not None)
        one_of = f" One of {choices}." if choices else ""
        assert setting["description"] == rule["description"] + one_of
        assert setting.get("value") == rule.get("default")
        assert setting.get("sensitive", False) == rule.get("secret", False)


def _about(name: str) -> Definition:
    command = [SCRIPTS / name, "--about", "--format=json"]
    said = subprocess.run(command, check=True, capture_output=True, text=True)
    return json.loads(said.stdout)


def _meltano_kind(rule: Definition) -> str:
    (kind,) = {name for name in rule["type"] if name != "null"}
    # as text these reach the tap, which says in one line what is wrong
    return "string" if kind == "number" else kind


@pytest.mark.parametrize("name", PLUGINS)
def test_every_setting_is_explained(name: str, definitions: dict[str, Definition]) -> None:
    for setting in definitions[name]["settings"]:
        for key in ("kind", "label", "description"):
            assert setting.get(key), f"{name}: {setting['name']} has no {key}"


def test_secrets_are_masked_and_never_written_down(
    project: Path, definitions: dict[str, Definition]
) -> None:
    sensitive = {
        (plugin, setting["name"])
        for plugin, definition in definitions.items()
        for setting in definition["settings"]
        if setting.get("sensitive")
    }

    assert sensitive == {
        ("tap-pendo", "integration_key"),
        ("target-planhat", "tenant_token"),
        ("target-planhat", "api_token"),
        ("target-planhat", "ledger_url"),
        ("target-postgres", "password"),
        ("target-postgres", "sqlalchemy_url"),
    }
    for plugin, name in sensitive:
        setting = next(s for s in definitions[plugin]["settings"] if s["name"] == name)
        assert "value" not in setting
        assert f"{name}:" not in (project / "meltano.yml").read_text()


def test_no_plugin_needs_the_hub(definitions: dict[str, Definition]) -> None:
    for name, definition in definitions.items():
        assert definition["namespace"], name
        assert definition["pip_url"].endswith(" -c constraints.txt"), name


def test_each_selection_in_the_pages_selects_something() -> None:
    """With patterns that only leave out, Meltano selects nothing."""
    texts = [(page, (ROOT / page).read_text(encoding="utf-8")) for page in pages()]
    texts += [(file.name, file.read_text()) for file in (ROOT / "hub").rglob("*.yml")]
    found = [
        (page, yaml.safe_load(patterns))
        for page, text in texts
        for patterns in re.findall(r"select: (\[[^\]]*\])", text)
    ]

    with_a_selection = {page for page, _ in found}
    assert {"docs/running.md", "docs/operating.md", "docs/first-sync.md"} <= with_a_selection
    for page, patterns in found:
        assert any(not pattern.startswith("!") for pattern in patterns), page


def _content(root: Path) -> t.Any:
    return yaml.safe_load((root / "meltano.yml").read_text())
