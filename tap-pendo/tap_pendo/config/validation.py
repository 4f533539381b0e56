"""What is wrong with a configuration: one clear line for each setting, and never a value."""

from __future__ import annotations

import difflib
import typing as t
from zoneinfo import ZoneInfo

from tap_pendo.api.client import FEW_TRIES, KEY_REFUSED, MAX_TRIES, REGIONS, PendoClient
from tap_pendo.config import custom_aggregations, settings, stream_maps
from tap_pendo.errors import (
    ForbiddenError,
    NotJsonError,
    RefusedError,
    StreamError,
    TapError,
)
from tap_pendo.records.inference import is_column

if t.TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from jsonschema import ValidationError

    from tap_pendo.api.client import Access
    from tap_pendo.config.run_context import Run

_FIRST_YEAR, _LAST_YEAR = 2000, 2200
_TYPES = {
    "array": "a list",
    "boolean": "true or false",
    "integer": "a whole number",
    "number": "a number",
    "object": "an object",
    "string": "a text",
}


def problems(
    config: Mapping[str, t.Any],
    errors: Iterable[ValidationError],
    known: Iterable[str],
    streams: Mapping[str, bool],
) -> list[str]:
    """Say what is wrong with a configuration, a line for each setting, without values.

    Args:
        config: the configuration.
        errors: what the JSON schema finds.
        known: the names of all settings, the SDK's included.
        streams: the names of the catalogue's streams, and whether each is read by default.
    """
    lines = [_line(error, sorted(known)) for error in errors]
    return lines or list(_beyond_schema(config, streams))


def _line(error: ValidationError, known: list[str]) -> str:
    found: t.Any = error.instance
    name = ".".join(str(part) for part in error.absolute_path)
    if error.validator == "additionalProperties":
        rules: t.Any = error.schema
        allowed = sorted(rules["properties"]) if name else known
        unknown = ", ".join(f"`{_dotted(name, key)}`" for key in sorted(set(found) - set(allowed)))
        return f"unknown setting {unknown}; must be one of {', '.join(allowed)}"
    if error.validator == "required":
        wanted: t.Any = error.validator_value
        missing = ", ".join(f"`{_dotted(name, key)}`" for key in wanted if key not in found)
        return f"setting {missing} is missing: it is required"
    return f"setting `{name}` must be {_allowed(error)}"


def _dotted(*parts: str) -> str:
    return ".".join(part for part in parts if part)


def _allowed(error: ValidationError) -> str:
    rule: t.Any = error.validator
    limit: t.Any = error.validator_value
    if rule == "enum":
        return "one of " + ", ".join(str(v) for v in limit if v is not None)
    if rule == "type":
        return " or ".join(_TYPES[v] for v in _as_list(limit) if v != "null")
    if rule == "pattern":
        names = {
            "integration_key": "printable characters without spaces, at least one",
            "name": "letters, digits and _, no digit first",
        }
        return names.get(str(error.path[-1]), "a URL that begins with https:// or http://")
    comparisons = {
        "minItems": "a list; its length must be at least",
        "minimum": "at least",
        "maximum": "at most",
        "exclusiveMinimum": "a number above",
    }
    if rule in comparisons:
        return f"{comparisons[rule]} {limit}"
    return f"what its schema says ({rule})"


def _as_list(value: t.Any) -> list[str]:
    return value if isinstance(value, list) else [value]


def _own_streams(config: Mapping[str, t.Any], streams: Mapping[str, bool]) -> Iterable[str]:
    reports = dict.fromkeys(config.get("report_ids") or ())
    names = [settings.report_stream(report) for report in reports]
    if len(set(names)) < len(names):
        yield "setting `report_ids`: some give streams of the same name; keep one of them"
    if not all(map(is_column, names)):
        yield "setting `report_ids`: some are too long to name a table; they must be Pendo's ids"
    taken = [*streams, *names]
    aggregations = config.get("aggregations") or ()
    yield from custom_aggregations.problems(aggregations, taken)
    known = [*taken, *(str(each.get("name")) for each in aggregations)]
    yield from stream_maps.problems(config.get("stream_maps") or {}, known)
    costly = [name for name, by_default in streams.items() if not by_default]
    yield from _costly(known, costly, config)


def _costly(
    streams: Iterable[str], costly: Sequence[str], config: Mapping[str, t.Any]
) -> Iterable[str]:
    """Say which of `costly_streams` name no costly stream: one that is read anyway, or none."""
    others = set(streams).difference(costly)
    for place, name in enumerate(config.get("costly_streams") or (), start=1):
        if name in others:
            yield (
                f"setting `costly_streams`: `{name}` is not a costly stream; it is read if it is "
                "selected, and must not be named here"
            )
        elif name not in costly:
            near = difflib.get_close_matches(name, costly, n=1)
            hint = f"; perhaps `{near[0]}` is meant" if near else ""
            yield (
                f"setting `costly_streams`: name {place} is not a stream{hint}; it must be one of "
                f"{', '.join(costly)}"
            )


def _batch(given: Mapping[str, t.Any]) -> Iterable[str]:
    """Say what `batch_config` lacks: the SDK needs both, and finds out only as it writes."""
    needed = {"encoding.format": "jsonl or parquet", "storage.root": "such as file:///srv/pendo"}
    for name, example in needed.items():
        part, key = name.split(".")
        if given and not (given.get(part) or {}).get(key):
            yield f"setting `batch_config.{name}` is missing: it is required, {example}"


def _beyond_schema(config: Mapping[str, t.Any], streams: Mapping[str, bool]) -> Iterable[str]:
    moments = {}
    for name in ("start_date", "end_date"):
        try:
            moments[name] = settings.moment(config, name)
        except (ValueError, OverflowError):
            yield f"setting `{name}` is not a date; it must be ISO 8601, such as 2026-01-31"
        else:
            moment = moments[name]
            if moment and not _FIRST_YEAR <= moment.year <= _LAST_YEAR:
                years = f"{_FIRST_YEAR} to {_LAST_YEAR}"
                yield f"setting `{name}` is out of range; it must be in the years {years}"
    yield from _own_streams(config, streams)
    yield from _batch(config.get("batch_config") or {})
    start, end = moments.get("start_date"), moments.get("end_date")
    if start and end and start >= end:
        yield "setting `start_date` must be before `end_date`"
    try:
        ZoneInfo(config["timezone"])
    except (KeyError, ValueError, OSError):
        yield "setting `timezone` must be an IANA name, such as Europe/Berlin"


# What this tap keeps of a stream, and what the older singer-io tap-pendo kept
_MARKS = {"covered_from", "covered_to", "start", "period", "lookback_day", "replication_key_value"}
_MARKS_OF_SINGER_IO = {
    *("lastUpdatedAt", "last_updated_at", "lastupdated", "last_updated"),
    *("day", "hour", "browserTime", "browser_time", "modifiedTs", "modified_ts"),
}
# What a state may be wrapped in: a STATE message has the one, Meltano's `state get` the other
_WRAPPERS = ("value", "singer_state")
_REGION_SECONDS = 10


def own_state(content: Mapping[str, t.Any]) -> dict[str, t.Any]:
    """Give the state that a file holds: as it is, in a STATE message, or as Meltano keeps it.

    Raises:
        TapError: it is of another form, or of another tap: its marks would be passed over.
    """
    state: t.Any = content
    while isinstance(state, dict) and "bookmarks" not in state:
        (inner,) = [state[key] for key in _WRAPPERS if key in state][:1] or [None]
        if inner is None:
            break
        state = inner
    if not isinstance(state, dict) or (state and "bookmarks" not in state):
        raise TapError(
            "--state: must be an object with `bookmarks`, or a STATE message with such a `value`"
        )
    _require_own_marks(state)
    return state


def _require_own_marks(state: Mapping[str, t.Any]) -> None:
    marks = state.get("bookmarks", {})
    if not isinstance(marks, dict) or not all(isinstance(m, dict) for m in marks.values()):
        raise TapError("--state: `bookmarks` must hold an object for each stream")
    for stream, found in marks.items():
        foreign = sorted(found.keys() & _MARKS_OF_SINGER_IO)
        if foreign and not found.keys() & _MARKS:
            raise TapError(
                f"--state: the bookmark of {stream} (`{foreign[0]}`) is of the singer-io "
                "tap-pendo, which this one cannot resume: start without state, as with "
                "`--full-refresh` or another `--state-id-suffix`"
            )


def require_access(run: Run) -> None:
    """Stop here, with one line, if the key is refused or `app_ids` names unknown apps.

    Raises:
        TapError: as said, or Pendo cannot be reached.
    """
    _access(run, MAX_TRIES)
    if run.settings.app_ids:
        try:
            apps = _apps(run)
        except (ForbiddenError, RefusedError):
            return  # a key that may not list apps may still read them
        _require_apps(run, apps)


def sentences(run: Run) -> Iterator[str]:
    """Say what the key may do and what it sees, one fact a sentence.

    Raises:
        TapError: what keeps the tap from running.
    """
    access = _access(run, FEW_TRIES)
    yield "Pendo accepts the integration_key in this region."
    write = "has" if access.write else "has no"
    yield f"The key {write} write access; reading should not need it (unverified)."
    try:
        apps = _apps(run)
    except (ForbiddenError, RefusedError) as error:
        raise TapError(
            f"Aggregation is not allowed to this key ({error}): events, visitors, accounts and "
            "applications cannot be read; ask for a key with access to Pendo's API"
        ) from error
    yield "Aggregation is allowed."
    yield f"The key sees {len(apps)} app{'' if len(apps) == 1 else 's'}."
    _require_apps(run, apps)


def _access(run: Run, tries: int) -> Access:
    try:
        access = run.client.access(tries)
    except (RefusedError, NotJsonError) as error:
        raise TapError(
            f"this is not Pendo's API ({error}): check `api_url` and `region`, and whether a proxy "
            "answers instead of Pendo"
        ) from error
    except StreamError as error:
        raise TapError(_unreachable(run, error)) from error
    if not access.valid:
        raise TapError(f"{KEY_REFUSED}; asked at {run.settings.base_url}{_other_region(run)}")
    return access


def _other_region(run: Run) -> str:
    """Name the region that takes the key, if it is not the configured one."""
    settings = run.settings
    if settings.base_url not in REGIONS.values():
        return ""  # `api_url` is set: the key is for that host alone
    for name, url in REGIONS.items():
        if url == settings.base_url:
            continue
        client = PendoClient(url, settings.integration_key, timeout=_REGION_SECONDS)
        try:
            if client.access(tries=1).valid:
                return f"; this one is valid in region {name}: set `region` to it"
        except StreamError:
            continue
        finally:
            client.close()
    return ""


def _apps(run: Run) -> set[int]:
    """Ids of the apps that the key sees."""
    try:
        return set(run.apps())
    except (ForbiddenError, RefusedError):
        raise
    except StreamError as error:
        raise TapError(_unreachable(run, error)) from error


def _unreachable(run: Run, error: StreamError) -> str:
    return f"Pendo cannot be reached at {run.settings.base_url}: {error}"


def _require_apps(run: Run, apps: set[int]) -> None:
    unknown = [app_id for app_id in run.settings.app_ids if app_id not in apps]
    if unknown:
        known = ", ".join(str(app_id) for app_id in sorted(apps))
        raise TapError(
            f"setting `app_ids`: {len(unknown)} of {len(run.settings.app_ids)} ids name no app "
            f"of this subscription; they must be among {known}"
        )
