"""Validates a configuration: one clear line for each problem, and never a value."""

from __future__ import annotations

import typing as t
from zoneinfo import ZoneInfo

from target_planhat.config import rule_parser, settings

if t.TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from jsonschema import ValidationError

    from target_planhat.rule_model import Rule

_PATTERNS = {
    "tenant_token": "the tenant's UUID: printable characters without spaces, / ? # % and \\",
    "api_token": "printable characters, at least one",
    "region": "lower-case letters and digits, such as eu3",
    "api_url": "a URL that begins with https:// or http://",
    "analytics_url": "a URL that begins with https:// or http://",
    "ledger_url": "sqlite:///FILE or postgresql://…",
    "name": "a text of at most 200 characters, none of them a control character",
    "stream": "letters, digits and _, and must not begin with a digit",
}
_LIMITS = {
    "minimum": "at least {}",
    "maximum": "at most {}",
    "minLength": "a text; length at least {}",
}
_TYPES = {
    "string": "a text",
    "number": "a number",
    "integer": "an integer",
    "boolean": "a boolean",
    "array": "an array",
    "object": "an object",
}


def problems(config: Mapping[str, t.Any], errors: Iterable[ValidationError]) -> list[str]:
    """Return a line for each problem of a configuration, without values.

    Args:
        config: the configuration.
        errors: those of the JSON schema.
    """
    lines = [_line(error, config) for error in errors]
    return lines or list(_beyond_schema(config))


def _line(error: ValidationError, config: Mapping[str, t.Any]) -> str:
    value: t.Any = error.instance
    schema: t.Any = error.schema
    place = _place(error, config)
    path = ".".join(map(str, error.absolute_path))
    if error.validator == "additionalProperties":
        allowed = list(schema["properties"])
        unknown = ", ".join(f"`{_dotted(path, key)}`" for key in sorted(set(value) - set(allowed)))
        return f"unknown setting {unknown}; must be one of {', '.join(allowed)}"
    if error.validator == "required":
        required: t.Any = error.validator_value
        missing = ", ".join(f"`{_dotted(path, key)}`" for key in required if key not in value)
        return f"setting {missing} is missing: it is required"
    return f"{place} must be {_allowed(error)}"


def _place(error: ValidationError, config: Mapping[str, t.Any]) -> str:
    """Return the name of the setting, and that of the rule if it has one."""
    path = list(error.absolute_path)
    place = f"setting `{'.'.join(map(str, path))}`"
    if len(path) > 2 and path[-1] != "name":  # noqa: PLR2004 - setting, number, field
        rule = config[str(path[0])][path[1]]
        if isinstance(rule, dict) and isinstance(rule.get("name"), str):
            return f"{place} (rule {rule['name']})"
    return place


def _dotted(*parts: str) -> str:
    return ".".join(part for part in parts if part)


def _allowed(error: ValidationError) -> str:
    rule: t.Any = error.validator
    limit: t.Any = error.validator_value
    if rule == "enum":
        return "one of " + ", ".join(map(str, limit))
    if rule == "type":
        names = limit if isinstance(limit, list) else [limit]
        return " or ".join(_TYPES[name] for name in names if name != "null")
    if rule == "pattern":
        return _PATTERNS[str(error.path[-1])]
    return _LIMITS[rule].format(limit)


def _beyond_schema(config: Mapping[str, t.Any]) -> Iterable[str]:
    try:
        settings.first_day(config)
    except ValueError:
        yield "setting `since` must be a date of the years 2000 to 2099, such as 2026-01-31"
    try:
        ZoneInfo(config["timezone"])
    except (KeyError, ValueError, OSError):
        yield "setting `timezone` must be an IANA name, such as Europe/Berlin"
    rules, lines = rule_parser.read(config)
    yield from lines
    if "api_token" not in config:
        yield from _without_api_token(config, rules)


def _without_api_token(config: Mapping[str, t.Any], rules: Iterable[Rule]) -> Iterable[str]:
    """Refuse what reads from Planhat, which only its REST API with an `api_token` can."""
    if config.get("unmatched", "send") != "send":
        yield (
            f"setting `unmatched` is {config['unmatched']}, which needs `api_token`: without one, "
            "it must be send"
        )
    if config["create_end_users"]:
        yield "setting `create_end_users` needs `api_token`: without one, it must be false"
    for rule in rules:
        # Planhat may create an end user by the domain of an address that it does not know
        if rule.match.by != "externalId":
            yield (
                f"setting `{rule_parser.SETTINGS[rule.kind]}` (rule {rule.name}): `match.by` is "
                f"{rule.match.by}, which needs `api_token`: without one, it must be externalId"
            )
