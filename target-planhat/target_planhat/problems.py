"""What is wrong with a configuration: one clear line for each problem, and never a value."""

from __future__ import annotations

import typing as t
from zoneinfo import ZoneInfo

from target_planhat import rule_reading, settings

if t.TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from jsonschema import ValidationError

    from target_planhat.rules import Rule

_PATTERNS = {
    "tenant_token": "the tenant's UUID: printable characters without spaces, / ? # % and \\",
    "api_token": "printable characters, at least one",
    "region": "small letters and digits, such as eu3",
    "api_url": "a URL that begins with https:// or http://",
    "analytics_url": "a URL that begins with https:// or http://",
    "ledger_url": "sqlite:///FILE or postgresql://…",
    "name": "a text without control characters, of 200 at most",
    "stream": "letters, digits and _, no digit first",
}
_LIMITS = {"minimum": "at least", "maximum": "at most", "minLength": "a text; characters at least"}


def problems(config: Mapping[str, t.Any], errors: Iterable[ValidationError]) -> list[str]:
    """Say what is wrong with a configuration, a line for each problem, without values.

    Args:
        config: the configuration.
        errors: what the JSON schema finds.
    """
    lines = [_line(error, config) for error in errors]
    return lines or list(_beyond_schema(config))


def _line(error: ValidationError, config: Mapping[str, t.Any]) -> str:
    found: t.Any = error.instance
    rules: t.Any = error.schema
    place = _place(error, config)
    path = ".".join(map(str, error.absolute_path))
    if error.validator == "additionalProperties":
        allowed = list(rules["properties"])
        unknown = ", ".join(f"`{_dotted(path, key)}`" for key in sorted(set(found) - set(allowed)))
        return f"unknown setting {unknown}: known are {', '.join(allowed)}"
    if error.validator == "required":
        wanted: t.Any = error.validator_value
        missing = ", ".join(f"`{_dotted(path, key)}`" for key in wanted if key not in found)
        return f"setting {missing} is missing: it is required"
    return f"{place} is not valid: allowed is {_allowed(error)}"


def _place(error: ValidationError, config: Mapping[str, t.Any]) -> str:
    """Name the setting, and the rule if it has a name."""
    path = list(error.absolute_path)
    said = f"setting `{'.'.join(map(str, path))}`"
    if len(path) > 2 and path[-1] != "name":  # noqa: PLR2004 - setting, number, field
        rule = config[str(path[0])][path[1]]
        if isinstance(rule, dict) and isinstance(rule.get("name"), str):
            return f"{said} (rule {rule['name']})"
    return said


def _dotted(*parts: str) -> str:
    return ".".join(part for part in parts if part)


def _allowed(error: ValidationError) -> str:
    rule: t.Any = error.validator
    limit: t.Any = error.validator_value
    if rule == "enum":
        return "one of " + ", ".join(map(str, limit))
    if rule == "type":
        names = limit if isinstance(limit, list) else [limit]
        return " or ".join(name for name in names if name != "null")
    if rule == "pattern":
        return _PATTERNS[str(error.path[-1])]
    return f"{_LIMITS[rule]} {limit}"


def _beyond_schema(config: Mapping[str, t.Any]) -> Iterable[str]:
    try:
        settings.first_day(config)
    except ValueError:
        yield "setting `since` is no date of the years 2000 to 2099: allowed is such as 2026-01-31"
    try:
        ZoneInfo(config["timezone"])
    except (KeyError, ValueError, OSError):
        yield "setting `timezone` is not known: allowed is an IANA name, such as Europe/Berlin"
    rules, lines = rule_reading.read(config)
    yield from lines
    if "api_token" not in config:
        yield from _without_api_token(config, rules)


def _without_api_token(config: Mapping[str, t.Any], rules: Iterable[Rule]) -> Iterable[str]:
    """Refuse what Planhat must be read for: only its REST API can be, with an `api_token`."""
    if config.get("unmatched", "send") != "send":
        yield (
            f"setting `unmatched` is {config['unmatched']}, which needs `api_token`: without one, "
            "allowed is send"
        )
    if config["create_end_users"]:
        yield "setting `create_end_users` needs `api_token`: without one, allowed is false"
    for rule in rules:
        if rule.match.by == "sourceId":
            yield (
                f"setting `{rule_reading.SETTINGS[rule.kind]}` (rule {rule.name}): `match.by` is "
                "sourceId, which needs `api_token`: without one, allowed are externalId and, for "
                "end users, email"
            )
