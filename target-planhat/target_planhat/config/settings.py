"""The settings: their types, defaults and descriptions, and the parsed form."""

from __future__ import annotations

import dataclasses
import os
import re
import typing as t
from pathlib import Path
from zoneinfo import ZoneInfo

import msgspec
from singer_sdk import typing as th

from target_planhat.config import rule_parser
from target_planhat.rule_model import Granularity, Key, Model, OnChange
from target_planhat.value_parsing import Calendar, label, written_date

if t.TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Mapping, Sequence

    from target_planhat.rule_model import Rule

Unmatched = t.Literal["park", "send", "skip", "fail"]
InDoubt = t.Literal["assume_sent", "resend"]

ANALYTICS_URL = "https://analytics.planhat.com"
LEDGER_FILE = "target-planhat.db"
# as the SDK reads truth values in the environment
_BOOLEANS = {
    **dict.fromkeys(("true", "1", "yes", "on"), True),
    **dict.fromkeys(("false", "0", "no", "off"), False),
}

_URL = r"^https?://[^\s/]+"
# unlike $, not before a line feed
END = r"(?![\s\S])"
_LEDGER = r"^(sqlite(\+\w+)?:///(?!:memory:)\S.*|postgresql(\+\w+)?://\S+)" + END

Schema = dict[str, t.Any]


def _one_of(values: t.Any) -> Schema:
    return {"type": "string", "enum": list(t.get_args(values))}


_TEXT: Schema = {"type": "string", "minLength": 1}
_VALUES: Schema = {"type": "array", "items": {"type": ["string", "number", "boolean"]}}
_ID: Schema = {"type": ["string", "integer"]}

_SHARED: Schema = {
    "name": {"type": "string", "pattern": r"^[^\x00-\x1f\x7f]{1,200}" + END},
    "stream": {"type": "string", "pattern": r"^[A-Za-z_]\w*" + END},
    "only": {"type": "array", "items": _ID},
    "where": {"type": "object", "additionalProperties": _VALUES},
    "since": {"type": "string"},
    "match": {
        "type": "object",
        "properties": {"field": _TEXT, "by": _one_of(Key)},
        "additionalProperties": False,
    },
}
_ACTIVITY: Schema = {
    **_SHARED,
    "action": _TEXT,
    "company": {"type": ["string", "null"], "minLength": 1},
    "granularity": _one_of(Granularity),
    "count": _TEXT,
    "weight": {"type": "number", "minimum": 0},
    "info": {"type": "object", "additionalProperties": _TEXT},
}
_METRIC: Schema = {
    **_SHARED,
    "dimension_id": _TEXT,
    "dimension_id_as_is": {"type": "boolean"},
    "model": _one_of(Model),
    "value": _TEXT,
    "aggregate": {"type": "string", "enum": ["sum", "count", "max", "last"]},
    "date": _TEXT,
    "on_change": _one_of(OnChange),
}


def _rules(properties: Schema, *required: str) -> Schema:
    return {
        "type": ["array", "null"],
        "items": {
            "type": "object",
            "properties": properties,
            "required": list(required),
            "additionalProperties": False,
        },
    }


ACTIVITIES = _rules(_ACTIVITY, "stream")
METRICS = _rules(_METRIC, "stream", "dimension_id")

SCHEMA: dict[str, t.Any] = th.PropertiesList(
    th.Property(
        "tenant_token",
        th.StringType(pattern=r"^[\x21\x22\x24\x26-\x2e\x30-\x3e\x40-\x5b\x5d-\x7e]+" + END),
        required=True,
        secret=True,
        title="Tenant token",
        description="Tenant UUID, from Planhat's page on developer tokens. It allows anyone to "
        "write into the tenant.",
    ),
    th.Property(
        "api_token",
        th.StringType(pattern=r"^\s*[\x21-\x7e][\x21-\x7e\s]*" + END),
        secret=True,
        title="API token",
        description="Token of a service account of Planhat: for matching, creating end users and "
        "reading back. Without it, records are sent unmatched.",
    ),
    th.Property(
        "region",
        th.StringType(pattern=r"^[a-z0-9]+" + END),
        title="Region",
        description="Where the tenant is, such as eu3 or us4: what follows `app-` in the address "
        "of Planhat's app. Default: that of api.planhat.com.",
    ),
    th.Property(
        "api_url",
        th.StringType(pattern=_URL),
        title="API URL",
        description="Base URL of Planhat's REST API instead of the region's: an emulator's.",
    ),
    th.Property(
        "analytics_url",
        th.StringType(pattern=_URL),
        default=ANALYTICS_URL,
        title="Analytics URL",
        description="Base URL that takes activities and metrics; the same for every region.",
    ),
    th.Property(
        "activities",
        th.CustomType(ACTIVITIES),
        title="Activities",
        description="Rules by which events become user activities; see docs/planhat-rules.md. "
        "Default, if there are no metrics either: feature_events, one activity per end user, "
        "feature and day.",
    ),
    th.Property(
        "metrics",
        th.CustomType(METRICS),
        title="Metrics",
        description="Rules by which aggregations or events become custom metrics; see "
        "docs/planhat-rules.md.",
    ),
    th.Property(
        "settle_hours",
        th.NumberType(minimum=0, maximum=8760),
        default=8,
        title="Hours to settle",
        description="How long an hour or day must be over before it is sent, because Pendo's "
        "events come late; until then it waits in the ledger. 0: send at once.",
    ),
    th.Property(
        "since",
        th.DateTimeType,
        title="Since",
        description="First day whose records count; nothing older is sent, because Planhat has no "
        "undo. What already waits or is parked is still sent. Rules may have their own.",
    ),
    th.Property(
        "timezone",
        th.StringType,
        default="UTC",
        title="Time zone",
        description="Time zone of the days by which events are counted (IANA name). Where the tap "
        "reads days, it must be that of the Pendo subscription.",
    ),
    th.Property(
        "unmatched",
        th.StringType(allowed_values=list(t.get_args(Unmatched))),
        title="Unmatched",
        description="What to do with records whose end user or object is not in Planhat: keep them "
        "until it is (`park`, default with api_token), send them anyway (`send`, default "
        "without), leave them out (`skip`), or end the run (`fail`).",
    ),
    th.Property(
        "park_days",
        th.IntegerType(minimum=1, maximum=36500),
        default=365,
        title="Days to park",
        description="How many days a parked record is kept; then it is given up, and the report "
        "counts it.",
    ),
    th.Property(
        "create_end_users",
        th.BooleanType,
        default=False,
        title="Create end users",
        description="Create end users that Planhat lacks from the stream visitors; their company "
        "must exist.",
    ),
    th.Property(
        "dry_run",
        th.BooleanType,
        default=False,
        title="Dry run",
        description="Read and match only, and report what would be sent.",
    ),
    th.Property(
        "ledger_url",
        th.StringType(pattern=_LEDGER),
        secret=True,
        title="Ledger URL",
        description="SQLAlchemy URL of the database that remembers what was sent: SQLite or, for "
        f"several workers, PostgreSQL. Default: the SQLite file {LEDGER_FILE} in the "
        "Meltano project's folder. It holds ids.",
    ),
    th.Property(
        "require_ledger",
        th.BooleanType,
        default=False,
        title="Require the ledger",
        description="Stop a run if the ledger does not exist, instead of making it. If the tap "
        "resumes, the run stops in any case.",
    ),
    th.Property(
        "in_doubt",
        th.StringType(allowed_values=list(t.get_args(InDoubt))),
        default="assume_sent",
        title="In doubt",
        description="What to do when nobody knows whether a post arrived: take it as sent "
        "(`assume_sent`: may lose, never doubles) or send it again (`resend`: may double, never "
        "loses).",
    ),
    th.Property(
        "report_path",
        th.StringType,
        title="Report path",
        description="Folder for the report of each run, as JSON and as a page.",
    ),
    th.Property(
        "rejects_path",
        th.StringType,
        title="Rejects path",
        description=(
            "File that gets a JSON line for each item that is rejected, parked or in doubt. It "
            "holds ids."
        ),
    ),
    additional_properties=False,
).to_dict()


@dataclasses.dataclass(frozen=True, kw_only=True)
class Settings:
    """The parsed settings.

    `since` is the first day that rules without a `since` of their own take in: its label, as epoch
    milliseconds of its 00:00Z.
    `report_path` is a folder, `rejects_path` a file.
    """

    tenant_token: str = dataclasses.field(repr=False)
    api_token: str | None = dataclasses.field(repr=False)
    region: str | None
    api_url: str | None
    analytics_url: str
    activities: tuple[Rule, ...]
    metrics: tuple[Rule, ...]
    settle_hours: float
    since: int | None
    zone: ZoneInfo
    unmatched: Unmatched
    park_days: int
    create_end_users: bool
    dry_run: bool
    ledger_url: str = dataclasses.field(repr=False)
    require_ledger: bool
    in_doubt: InDoubt
    report_path: Path | None
    rejects_path: Path | None

    def first_day(self, rule: Rule) -> int | None:
        """Label of the first day whose records a rule takes in."""
        return self.since if rule.since is None else rule.since

    def moment(self, day: int | None) -> int | None:
        """When the day of a label begins, in epoch milliseconds."""
        return None if day is None else Calendar(self.zone).start(day)

    @property
    def rules(self) -> tuple[Rule, ...]:
        """All rules, activities first."""
        return (*self.activities, *self.metrics)


def parsed(config: Mapping[str, t.Any]) -> Settings:
    """Turn a valid configuration into settings; call `problems` first.

    Numbers with a point arrive as Decimal, as the SDK reads its files.
    """
    rules, _ = rule_parser.read(config)
    api_token = token(config)
    since = first_day(config)
    return Settings(
        tenant_token=config["tenant_token"],
        api_token=api_token,
        region=config.get("region"),
        api_url=config["api_url"].rstrip("/") if "api_url" in config else None,
        analytics_url=config.get("analytics_url", ANALYTICS_URL).rstrip("/"),
        activities=tuple(rule for rule in rules if rule.kind == "activity"),
        metrics=tuple(rule for rule in rules if rule.kind == "metric"),
        settle_hours=float(config["settle_hours"]),
        since=None if since is None else label(since),
        zone=ZoneInfo(config["timezone"]),
        unmatched=config.get("unmatched", "park" if api_token else "send"),
        park_days=int(config["park_days"]),
        create_end_users=config["create_end_users"],
        dry_run=config["dry_run"],
        ledger_url=config.get("ledger_url", f"sqlite:///{project_folder() / LEDGER_FILE}"),
        require_ledger=config["require_ledger"],
        in_doubt=config["in_doubt"],
        report_path=_path(config, "report_path"),
        rejects_path=_path(config, "rejects_path"),
    )


def token(config: Mapping[str, t.Any]) -> str | None:
    """API token without the white space that copying adds; they are over 340 characters long."""
    return "".join(config["api_token"].split()) if "api_token" in config else None


def first_day(config: Mapping[str, t.Any]) -> dt.date | None:
    """Return the date of `since`; ValueError if it is not a date or date-time."""
    return written_date(config["since"]) if "since" in config else None


def project_folder() -> Path:
    """Meltano's project folder, else the current one."""
    return Path(os.environ.get("MELTANO_PROJECT_ROOT") or Path.cwd())


def _path(config: Mapping[str, t.Any], name: str) -> Path | None:
    return Path(config[name]) if name in config else None


def with_types(config: Mapping[str, t.Any], schema: Mapping[str, t.Any]) -> dict[str, t.Any]:
    """Convert settings that come as text, as from the environment, to their types.

    Null, and an empty text (unless the setting is required), mean: not set. White space around a
    secret is removed, because copying often adds it.
    """
    typed: dict[str, t.Any] = {}
    for name, raw in config.items():
        setting = schema["properties"].get(name, {})
        is_secret = setting.get("secret") and isinstance(raw, str)
        value = (raw.strip() or raw) if is_secret else raw
        if value is None or (value == "" and name not in schema.get("required", ())):
            continue
        types = setting.get("type", "string")
        typed[name] = _with_type(value, [types] if isinstance(types, str) else types)
    return typed


def _with_type(value: t.Any, types: Sequence[str]) -> t.Any:
    """Convert a text; one that cannot be converted is kept, and validation then refuses it."""
    if not isinstance(value, str) or "string" in types:
        return value
    if "boolean" in types:
        return _BOOLEANS.get(value.lower(), value)
    try:
        return msgspec.json.decode(value)
    except msgspec.DecodeError:
        return value


def environment(schema: Mapping[str, t.Any], prefix: str) -> dict[str, str]:
    """Return the settings that environment variables give, as text."""
    names = {name: prefix + re.sub(r"\W", "_", name).upper() for name in schema["properties"]}
    return {name: os.environ[key] for name, key in names.items() if key in os.environ}
