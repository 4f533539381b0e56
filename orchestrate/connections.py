"""The file of connections: tenants, read and checked, so that a mistake is one clear line.

Secrets are not in it: it names the environment variables that hold them.
"""

from __future__ import annotations

import dataclasses
import functools
import json
import os
import re
import typing as t
from collections import Counter
from datetime import date
from pathlib import Path
from zoneinfo import ZoneInfo, available_timezones

import yaml

from orchestrate.errors import ConnectionsError
from orchestrate.pieces import CUTS, Cut
from orchestrate.streams import STREAMS

if t.TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

FILE = "PENDO_CONNECTIONS"  # the variable that names the file
ROOT = Path(os.environ.get("MELTANO_PROJECT_ROOT") or Path(__file__).parents[1])
_MOST_TENANTS = 1000
_MOST_WORKERS = 64
_MOST_CALLS = 100.0
_NAME = re.compile(r"[a-z][a-z0-9_]{0,62}")
_UTC = ZoneInfo("UTC")
_VARIABLE = re.compile(r"[A-Za-z_]\w*")
# what a piece itself decides
_TAKEN = {"start_date", "end_date", "app_ids", "max_calls_per_second", "aggregations"}


@dataclasses.dataclass(frozen=True)
class Plugin:
    """Settings of a plugin as variables of the environment: what they are, or where they are."""

    values: Mapping[str, str] = dataclasses.field(default_factory=dict)
    secrets: Mapping[str, str] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True)
class History:
    """What is back-filled: days of the subscription, `to` exclusive; None is the tap's default."""

    start: date | None = None
    to: date | None = None
    cut: Cut = "month"


@dataclasses.dataclass(frozen=True)
class Increments:
    """The regular runs: a cron expression, or None for none, and the targets."""

    schedule: str | None = None
    into: Sequence[str] = ("target-postgres",)


@dataclasses.dataclass(frozen=True)
class Tenant:
    """One subscription of Pendo and where it goes; no `apps` are those that are found."""

    name: str
    pendo: Plugin = Plugin()
    planhat: Plugin | None = None
    alone: bool = False  # of the plain environment, which then is passed on as it is
    schema: str = "tap_pendo"
    zone: ZoneInfo = _UTC
    streams: Sequence[str] = tuple(STREAMS)
    apps: Sequence[int] = ()
    history: History = History()
    increments: Increments = Increments()
    workers: int = 4
    max_calls_per_second: float = 25.0

    @property
    def pool(self) -> str:
        """Dagster's pool of all that calls this subscription."""
        return f"pendo_{self.name}"


def tenants(environment: Mapping[str, str]) -> list[Tenant]:
    """Read the file that the environment names; without one, the environment is the one tenant.

    Raises:
        ConnectionsError: what is wrong, in one line.
    """
    named = environment.get(FILE)
    if not named:
        return [_of_environment(environment)]
    try:
        content = yaml.load(Path(named).read_text(encoding="utf-8"), _LOADER)  # noqa: S506 - safe
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is not a text"
        raise ConnectionsError(f"{FILE}: cannot read {named}: {reason}") from None
    except yaml.YAMLError as error:
        line = getattr(getattr(error, "problem_mark", None), "line", -1) + 1
        raise ConnectionsError(f"{named}: no YAML at line {line}") from None
    return _File(named).tenants(content)


def _of_environment(environment: Mapping[str, str]) -> Tenant:
    """Make the tenant of the settings TAP_PENDO_… that are in the environment."""
    reader = _Reader("the environment")

    def setting(name: str) -> str | None:
        return environment.get(f"TAP_PENDO_{name}") or None

    start, end = (setting(name) for name in ("START_DATE", "END_DATE"))
    apps = setting("APP_IDS")
    try:
        listed = json.loads(apps) if apps else []
    except ValueError:
        listed = apps
    schema = environment.get("TARGET_POSTGRES_DEFAULT_TARGET_SCHEMA") or "tap_pendo"
    rate = setting("MAX_CALLS_PER_SECOND")
    return Tenant(
        name="pendo",
        alone=True,
        schema=schema,
        zone=reader.zone(setting("TIMEZONE") or "UTC", "TAP_PENDO_TIMEZONE"),
        apps=reader.apps(listed, "TAP_PENDO_APP_IDS"),
        history=History(
            start=reader.day(start[:10], "TAP_PENDO_START_DATE") if start else None,
            to=reader.day(end[:10], "TAP_PENDO_END_DATE") if end else None,
        ),
        max_calls_per_second=reader.calls(
            float(rate) if rate and rate.replace(".", "", 1).isdigit() else rate or 25,
            "TAP_PENDO_MAX_CALLS_PER_SECOND",
        ),
    )


# in C, where PyYAML has it: a file of a thousand tenants is long
_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_zones = functools.cache(available_timezones)  # a search of many folders


class _Reader:
    """Reads single values; `place` is named in what it raises."""

    def __init__(self, place: str) -> None:
        self.place = place

    def wrong(self, key: str, allowed: str) -> ConnectionsError:
        """Say what a key must be; the value is not shown."""
        return ConnectionsError(f"{self.place}: {key} must be {allowed}")

    def mapping(
        self, value: t.Any, key: str, known: Sequence[str], needed: Sequence[str] = ()
    ) -> dict[str, t.Any]:
        """Read a mapping with known keys only; the needed ones must be there."""
        if not isinstance(value, dict):
            raise self.wrong(key, f"a mapping of {', '.join(known)}")
        where = f"{key}." if key else ""
        for name in value:
            if name not in known:
                allowed = f"it must be one of {', '.join(known)}"
                raise ConnectionsError(f"{self.place}: {where}{name} is not known; {allowed}")
        for name in needed:
            if name not in value:
                raise ConnectionsError(f"{self.place}: {where}{name} is missing")
        return value

    def text(self, value: t.Any, key: str) -> str:
        """Read a text that is not empty."""
        if not isinstance(value, str) or not value:
            raise self.wrong(key, "a text")
        return value

    def name(self, value: t.Any, key: str) -> str:
        """Read a name: of a tenant, of a schema."""
        if not isinstance(value, str) or not _NAME.fullmatch(value):
            raise self.wrong(key, "a name of small letters, digits and _ after a letter")
        return value

    def zone(self, value: t.Any, key: str) -> ZoneInfo:
        """Read a time zone."""
        if not isinstance(value, str) or value not in _zones():
            raise self.wrong(key, "the IANA name of a time zone, such as Europe/Berlin")
        return ZoneInfo(value)

    def day(self, value: t.Any, key: str) -> date:
        """Read a day."""
        try:
            return date.fromisoformat(str(value))
        except ValueError:
            raise self.wrong(key, "a day, such as 2024-01-01") from None

    def apps(self, value: t.Any, key: str) -> tuple[int, ...]:
        """Read ids of apps."""
        if not isinstance(value, list) or not all(type(each) is int for each in value):
            raise self.wrong(key, "a list of whole numbers, the ids of apps")
        return tuple(value)

    def choices(self, value: t.Any, key: str, allowed: Sequence[str]) -> tuple[str, ...]:
        """Read a list of some of what is allowed."""
        if not isinstance(value, list) or not value or not set(map(str, value)) <= set(allowed):
            raise self.wrong(key, f"a list of some of {', '.join(allowed)}")
        return tuple(value)

    def calls(self, value: t.Any, key: str) -> float:
        """Read calls a second."""
        if type(value) not in (int, float) or not 0 < value <= _MOST_CALLS:
            raise self.wrong(key, f"a number above 0, at most {_MOST_CALLS:g}")
        return float(value)

    def workers(self, value: t.Any, key: str) -> int:
        """Read a number of workers."""
        if type(value) is not int or not 1 <= value <= _MOST_WORKERS:
            raise self.wrong(key, f"a whole number from 1 to {_MOST_WORKERS}")
        return value


class _File:
    """Reads the content of one file."""

    def __init__(self, name: str) -> None:
        self._name = name

    def tenants(self, content: t.Any) -> list[Tenant]:
        whole = _Reader(self._name).mapping(content, "", ("tenants",), ("tenants",))["tenants"]
        if not isinstance(whole, list) or not 1 <= len(whole) <= _MOST_TENANTS:
            raise ConnectionsError(f"{self._name}: tenants must be a list of 1 to {_MOST_TENANTS}")
        found = [self._tenant(number, each) for number, each in enumerate(whole, 1)]
        for what, values in (
            ("name", [each.name for each in found]),
            ("schema", [each.schema for each in found]),
        ):
            twice = [value for value, count in Counter(values).items() if count > 1]
            if twice:
                raise ConnectionsError(f"{self._name}: two tenants have the {what} {twice[0]}")
        return found

    def _tenant(self, number: int, entry: t.Any) -> Tenant:
        named = entry.get("name") if isinstance(entry, dict) else None
        place = f"{self._name}: tenant {named if isinstance(named, str) else number}"
        reader = _Reader(place)
        needed = ("name", "pendo", "schema")
        given = reader.mapping(entry, "", (*needed, *_OPTIONAL), needed)
        read: dict[str, t.Any] = {
            key: function(reader, given[key]) for key, function in _OPTIONAL.items() if key in given
        }
        pendo = _plugin(reader, "tap-pendo", given["pendo"], "pendo", {"integration_key"})
        tenant = Tenant(
            name=reader.name(given["name"], "name"),
            schema=reader.name(given["schema"], "schema"),
            pendo=pendo,
            zone=reader.zone(
                pendo.values.get("TAP_PENDO_TIMEZONE", "UTC"), "pendo.settings.timezone"
            ),
            **read,
        )
        if tenant.workers > tenant.max_calls_per_second:
            raise reader.wrong("workers", "at most max_calls_per_second, so that each may call")
        if "target-planhat" in tenant.increments.into and tenant.planhat is None:
            raise reader.wrong("planhat", "given, as increments.into names target-planhat")
        return tenant


def _plugin(
    reader: _Reader, plugin: str, value: t.Any, key: str, needed: set[str] | None = None
) -> Plugin:
    """Read settings of a plugin, and the variables of its secrets, under their Meltano names."""
    given = reader.mapping(value, key, ("settings", "secrets"))
    plain, secret = _settings_of(plugin)
    prefix = plugin.upper().replace("-", "_")
    values = reader.mapping(given.get("settings", {}), f"{key}.settings", plain)
    named = reader.mapping(
        given.get("secrets", {}), f"{key}.secrets", secret, sorted(needed or set())
    )
    for name, variable in named.items():
        if not isinstance(variable, str) or not _VARIABLE.fullmatch(variable):
            raise reader.wrong(f"{key}.secrets.{name}", "the name of an environment variable")
    texts = {
        f"{prefix}_{name.upper()}": each if isinstance(each, str) else json.dumps(each)
        for name, each in values.items()
    }
    return Plugin(texts, {f"{prefix}_{name.upper()}": each for name, each in named.items()})


@functools.cache
def _settings_of(plugin: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the settings in meltano.yml that a file may set, and those that are secret."""
    project = yaml.safe_load((ROOT / "meltano.yml").read_text(encoding="utf-8"))
    kind = "extractors" if plugin.startswith("tap-") else "loaders"
    [defined] = [each for each in project["plugins"][kind] if each["name"] == plugin]
    free = [each for each in defined["settings"] if each["name"] not in _TAKEN]
    return (
        tuple(each["name"] for each in free if not each.get("sensitive")),
        tuple(each["name"] for each in free if each.get("sensitive")),
    )


def _history(reader: _Reader, value: t.Any) -> History:
    given = reader.mapping(value, "history", ("from", "to", "cut"))
    days = {name: reader.day(given[name], f"history.{name}") for name in given if name != "cut"}
    cut = given.get("cut", "month")
    if cut not in CUTS:
        raise reader.wrong("history.cut", " or ".join(CUTS))
    if {"from", "to"} <= days.keys() and days["from"] >= days["to"]:
        raise reader.wrong("history.to", "after history.from")
    return History(days.get("from"), days.get("to"), cut)


def _increments(reader: _Reader, value: t.Any) -> Increments:
    given = reader.mapping(value, "increments", ("schedule", "into"), ("schedule",))
    into = given.get("into", ["target-postgres"])
    targets = reader.choices(into, "increments.into", ("target-postgres", "target-planhat"))
    schedule = reader.text(given["schedule"], "increments.schedule")
    return Increments(schedule, targets)


_OPTIONAL: dict[str, Callable[[_Reader, t.Any], t.Any]] = {
    "planhat": lambda reader, value: _plugin(
        reader, "target-planhat", value, "planhat", {"tenant_token"}
    ),
    "streams": lambda reader, value: reader.choices(value, "streams", tuple(STREAMS)),
    "apps": lambda reader, value: reader.apps(value, "apps"),
    "history": _history,
    "increments": _increments,
    "workers": lambda reader, value: reader.workers(value, "workers"),
    "max_calls_per_second": lambda reader, value: reader.calls(value, "max_calls_per_second"),
}
