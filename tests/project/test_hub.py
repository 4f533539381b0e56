"""hub/: definitions as Meltano Hub wants them, saying what the plugins say of themselves."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import typing as t
from pathlib import Path

import pytest
import yaml
from jsonschema import Draft7Validator
from referencing import Registry, Resource

Definition = dict[str, t.Any]

FILES = {
    "tap-pendo": "hub/extractors/tap-pendo--pendo-planhat.yml",
    "target-planhat": "hub/loaders/target-planhat--pendo-planhat.yml",
}
# what the plugin's page on the Hub shows
PAGE = (
    *("definition", "description", "docs", "domain_url", "keywords", "label", "logo_url"),
    *("maintenance_status", "next_steps", "pip_url", "prereq", "quality", "repo"),
    *("settings_preamble", "usage"),
)
# Meltano Hub's schemas/, from its repository
SCHEMAS = Path("..", "shared", "hub-schemas")


@pytest.fixture(scope="module", params=FILES)
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def definition(name: str, project: Path) -> Definition:
    return _loaded(project / FILES[name])


@pytest.fixture(scope="module")
def about(name: str) -> Definition:
    command = [Path(sys.executable).with_name(name), "--about", "--format=json"]
    said = subprocess.run(command, check=True, capture_output=True, text=True)
    return json.loads(said.stdout)


def test_the_definition_fits_the_schema_of_the_hub(
    name: str, definition: Definition, project: Path
) -> None:
    folder = _schemas(project)
    resources = []
    for path in folder.rglob("*.json"):
        schema = json.loads(path.read_text())
        # its files are found by where they are, not by their $id, which would say otherwise
        del schema["$id"]
        resources.append((path.resolve().as_uri(), Resource.from_contents(schema)))
    registry: Registry[t.Any] = Registry().with_resources(resources)
    kind = Path(FILES[name]).parent.name
    root = (folder / "plugin_definitions" / f"{kind}.schema.json").resolve().as_uri()
    validator = Draft7Validator({"$ref": root}, registry=registry)

    assert [error.message for error in validator.iter_errors(definition)] == []
    # and it is not silent
    assert list(validator.iter_errors({**definition, "quality": "good"}))
    assert list(validator.iter_errors({**definition, "settings": [{"label": "no name"}]}))


def test_names_are_those_of_the_file(name: str, definition: Definition) -> None:
    path = Path(FILES[name])

    assert path.name == f"{definition['name']}--{definition['variant']}.yml"
    assert definition["executable"] == definition["name"] == name
    assert definition["namespace"] == name.replace("-", "_")
    assert definition["label"] in {"Pendo", "Planhat"}


def test_capabilities_and_pythons_are_those_of_the_plugin(
    definition: Definition, about: Definition
) -> None:
    assert set(definition["capabilities"]) == set(about["capabilities"])
    assert definition["supported_python_versions"] == about["supported_python_versions"]
    # structured logs are what the parser reads
    assert definition["log_parser"] == "singer-sdk"
    assert "structured-logging" in about["capabilities"]


def test_each_setting_says_what_the_plugin_says_of_it(
    definition: Definition, about: Definition
) -> None:
    rules = about["settings"]["properties"]
    settings = {setting["name"]: setting for setting in definition["settings"]}

    assert list(settings) == list(rules)
    for setting, rule in zip(settings.values(), rules.values(), strict=True):
        allowed = [each for each in rule.get("enum", ()) if each is not None]
        assert setting["label"] == rule["title"]
        assert setting["description"] == rule["description"]
        assert setting.get("value") == rule.get("default")
        assert setting.get("sensitive", False) == rule.get("secret", False)
        assert [each["value"] for each in setting.get("options", ())] == allowed
        if "placeholder" in setting:
            assert setting["placeholder"] != setting.get("value")


def test_about_as_markdown_says_all_that_one_needs(name: str, about: Definition) -> None:
    command = [Path(sys.executable).with_name(name), "--about", "--format=markdown"]
    text = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    table = [line.strip("| ").split(" | ") for line in text.splitlines() if line.startswith("| ")]
    rows = {cells[0]: [cell.strip() for cell in cells[1:]] for cells in table[1:]}
    settings = about["settings"]["properties"]

    assert text.startswith(f"# `{name}`\n\n{about['description']}\n")
    # settings of settings have rows of their own
    assert [setting for setting in rows if "." not in setting] == list(settings)
    for setting, rule in settings.items():
        required, default, description = rows[setting]
        assert required == str(setting in about["settings"]["required"])
        assert default == str(rule.get("default"))
        assert len(description.split()) > 2, setting
        # the table has no column for them
        allowed = [each for each in rule.get("enum", ()) if each is not None]
        assert [each for each in allowed if f"`{each}`" not in description] == [], setting


def test_required_settings_are_in_each_valid_group(
    definition: Definition, about: Definition
) -> None:
    names = {setting["name"] for setting in definition["settings"]}

    for group in definition["settings_group_validation"]:
        assert set(about["settings"]["required"]) <= set(group) <= names


@pytest.mark.parametrize("key", PAGE)
def test_nothing_of_the_page_is_missing(key: str, definition: Definition) -> None:
    assert definition[key]


def test_the_definitions_agree_with_meltano_yml(
    name: str, definition: Definition, project: Path
) -> None:
    defined = _loaded(project / "meltano.yml")["plugins"]
    [ours] = [each for kind in defined.values() for each in kind if each["name"] == name]
    kinds = {setting["name"]: setting["kind"] for setting in ours["settings"]}

    for key in ("namespace", "executable", "log_parser", "settings_group_validation", "select"):
        assert definition.get(key) == ours.get(key), key
    assert {each["name"]: each["kind"] for each in definition["settings"]} == kinds


def test_pages_that_the_definitions_link_to_exist(definition: Definition, project: Path) -> None:
    text = json.dumps(definition)
    pages = re.findall(rf"{re.escape(definition['repo'])}/blob/main/([\w./-]+)", text)

    assert pages
    assert [page for page in pages if not (project / page).exists()] == []


def test_the_repository_is_named_as_in_the_readmes(name: str, project: Path) -> None:
    overlay = _loaded(project / "hub" / "overlay.yml")
    readme = (project / name / "README.md").read_text()

    assert f"git+{overlay['repository']}#subdirectory={name}" in readme


def test_the_overlay_adds_only_to_settings_that_exist(name: str, project: Path) -> None:
    overlay = _loaded(project / "hub" / "overlay.yml")["plugins"][name]["settings"]
    settings = {setting["name"] for setting in _loaded(project / FILES[name])["settings"]}

    assert overlay.keys() <= settings


def test_keys_are_sorted_as_the_hub_wants_them(definition: Definition) -> None:
    assert list(definition) == sorted(definition)
    for setting in definition["settings"]:
        assert list(setting) == sorted(setting)


def _schemas(project: Path) -> Path:
    folder = project / SCHEMAS
    if not folder.exists():
        pytest.skip(f"the schemas of Meltano Hub are not in {SCHEMAS}")
    return folder


def _loaded(path: Path) -> t.Any:
    return yaml.safe_load(path.read_text())
