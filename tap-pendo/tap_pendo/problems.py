"""What is wrong with a configuration: one clear line for each setting, and never a value."""

from __future__ import annotations

import typing as t
from zoneinfo import ZoneInfo

from tap_pendo import pipelines, settings
from tap_pendo.catalog import CATALOG
from tap_pendo.inferring import is_column

if t.TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from jsonschema import ValidationError

_FIRST_YEAR, _LAST_YEAR = 2000, 2200


def problems(
    config: Mapping[str, t.Any], errors: Iterable[ValidationError], known: Iterable[str]
) -> list[str]:
    """Say what is wrong with a configuration, a line for each setting, without values.

    Args:
        config: the configuration.
        errors: what the JSON schema finds.
        known: the names of all settings, the SDK's included.
    """
    lines = [_line(error, sorted(known)) for error in errors]
    return lines or list(_beyond_schema(config))


def _line(error: ValidationError, known: list[str]) -> str:
    found: t.Any = error.instance
    name = ".".join(str(part) for part in error.absolute_path)
    if error.validator == "additionalProperties":
        rules: t.Any = error.schema
        allowed = sorted(rules["properties"]) if name else known
        unknown = ", ".join(f"`{_dotted(name, key)}`" for key in sorted(set(found) - set(allowed)))
        return f"unknown setting {unknown}: known are {', '.join(allowed)}"
    if error.validator == "required":
        wanted: t.Any = error.validator_value
        missing = ", ".join(f"`{_dotted(name, key)}`" for key in wanted if key not in found)
        return f"setting {missing} is missing: it is required"
    return f"setting `{name}` is not valid: allowed is {_allowed(error)}"


def _dotted(*parts: str) -> str:
    return ".".join(part for part in parts if part)


def _allowed(error: ValidationError) -> str:
    rule: t.Any = error.validator
    limit: t.Any = error.validator_value
    if rule == "enum":
        return "one of " + ", ".join(str(v) for v in limit if v is not None)
    if rule == "type":
        return " or ".join(v for v in _as_list(limit) if v != "null")
    if rule == "pattern":
        names = {
            "integration_key": "printable characters without spaces, at least one",
            "name": "letters, digits and _, no digit first",
        }
        return names.get(str(error.path[-1]), "a URL that begins with https:// or http://")
    comparisons = {
        "minItems": "a list; items at least",
        "minimum": "at least",
        "maximum": "at most",
        "exclusiveMinimum": "a number above",
    }
    if rule in comparisons:
        return f"{comparisons[rule]} {limit}"
    return f"what its schema says ({rule})"


def _as_list(value: t.Any) -> list[str]:
    return value if isinstance(value, list) else [value]


def _own_streams(config: Mapping[str, t.Any]) -> Iterable[str]:
    reports = dict.fromkeys(config.get("report_ids") or ())
    names = [settings.report_stream(report) for report in reports]
    if len(set(names)) < len(names):
        yield "setting `report_ids`: some give streams of the same name; allowed is one of them"
    if not all(map(is_column, names)):
        yield "setting `report_ids`: some are too long to name a table; allowed are Pendo's ids"
    taken = [*(row.name for row in CATALOG), *names]
    yield from pipelines.problems(config.get("aggregations") or (), taken)


def _beyond_schema(config: Mapping[str, t.Any]) -> Iterable[str]:
    moments = {}
    for name in ("start_date", "end_date"):
        try:
            moments[name] = settings.moment(config, name)
        except (ValueError, OverflowError):
            yield f"setting `{name}` is not a date: allowed is ISO 8601, such as 2026-01-31"
        else:
            moment = moments[name]
            if moment and not _FIRST_YEAR <= moment.year <= _LAST_YEAR:
                years = f"{_FIRST_YEAR} to {_LAST_YEAR}"
                yield f"setting `{name}` is out of range: allowed are the years {years}"
    yield from _own_streams(config)
    start, end = moments.get("start_date"), moments.get("end_date")
    if start and end and start >= end:
        yield "setting `start_date` is not before `end_date`: allowed is an earlier date"
    try:
        ZoneInfo(config["timezone"])
    except (KeyError, ValueError, OSError):
        yield "setting `timezone` is not known: allowed is an IANA name, such as Europe/Berlin"
