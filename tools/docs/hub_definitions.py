"""Knows how a plugin is described to Meltano: the kinds of settings, and Meltano Hub's files."""

from __future__ import annotations

import typing as t

import yaml

if t.TYPE_CHECKING:
    from collections.abc import Mapping

Rule = dict[str, t.Any]
OVERLAY = "hub/overlay.yml"
_HEAD = "# Made by ./do fix of the plugin's --about and of overlay.yml.\n"


def kind(rule: Rule) -> str:
    """Meltano's name of a setting's type, from the setting's JSON Schema."""
    if "enum" in rule:
        return "options"
    if rule.get("format") == "date-time":
        return "date_iso8601"
    named = json_type(rule)
    return "decimal" if named == "number" else named


def meltano_kind(rule: Rule) -> str:
    """Text where Meltano 4.4.1 would not leave it to the tap to say what is wrong.

    It crashes on a `decimal` from the environment, shows a traceback for what is no option, and
    takes a date such as 01.02.2026 for another one.
    """
    named = kind(rule)
    return "string" if named in {"decimal", "options", "date_iso8601"} else named


def json_type(rule: Rule) -> str:
    """The type that is not null."""
    types = rule["type"] if isinstance(rule["type"], list) else [rule["type"]]
    return str(next(name for name in types if name != "null"))


def choices(rule: Rule) -> list[str]:
    """The values that are allowed, where they are listed."""
    return [str(value) for value in rule.get("enum", ()) if value is not None]


def definitions(overlay: str, abouts: Mapping[str, Rule]) -> dict[str, str]:
    """The definition of each plugin as YAML, by its path in the project.

    `overlay` is the text of OVERLAY, `abouts` what `--about --format=json` prints by plugin. Keys
    are sorted, as Hub's linter wants them.
    """
    repository = yaml.safe_load(overlay)["repository"]
    written = yaml.safe_load(overlay.replace("{repository}", repository))
    found = {}
    for name, about in abouts.items():
        added = written["plugins"][name]
        folder = added.pop("folder")
        entry = {**written["common"], "repo": repository, **definition(about, added)}
        path = f"hub/{folder}/{name}--{entry['variant']}.yml"
        found[path] = _HEAD + yaml.dump(entry, Dumper=_Dumper, allow_unicode=True, width=100)
    return found


def definition(about: Rule, added: Rule) -> Rule:
    """What Hub wants to know of a plugin, from its own words and what is added to them."""
    settings = about["settings"]["properties"]
    return {
        **added,
        "capabilities": sorted(about["capabilities"]),
        "executable": about["name"],
        "name": about["name"],
        "namespace": about["name"].replace("-", "_"),
        "settings": [
            _setting(name, rule, added.get("settings", {}).get(name, {}))
            for name, rule in settings.items()
        ],
        "supported_python_versions": about["supported_python_versions"],
    }


def _setting(name: str, rule: Rule, added: Rule) -> Rule:
    found: Rule = {
        "name": name,
        "label": rule["title"],
        "kind": meltano_kind(rule),
        "description": rule["description"],
        **added,
    }
    if rule.get("secret"):
        found["sensitive"] = True
    if "default" in rule:
        found["value"] = rule["default"]
    if allowed := choices(rule):
        found["options"] = [{"label": value, "value": value} for value in allowed]
    return found


class _Dumper(yaml.SafeDumper):
    """Writes texts of several lines as such."""

    def represent_text(self, text: str) -> yaml.ScalarNode:
        """A text, as a literal block if it has lines."""
        style = "|" if "\n" in text else None
        return self.represent_scalar("tag:yaml.org,2002:str", text, style=style)


_Dumper.add_representer(str, _Dumper.represent_text)
