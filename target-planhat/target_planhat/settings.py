"""The settings: their types, their defaults, and what they mean to the delivery."""

from __future__ import annotations

import dataclasses
import os
import re
import typing as t
from pathlib import Path
from zoneinfo import ZoneInfo

import msgspec
from singer_sdk import typing as th

from target_planhat import rule_reading
from target_planhat.moments import Calendar, label, written_date
from target_planhat.rule_schema import ACTIVITIES, END, METRICS

if t.TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Mapping

    from target_planhat.rules import Rule

Unmatched = t.Literal["park", "send", "skip", "fail"]
InDoubt = t.Literal["assume_sent", "resend"]

ANALYTICS_URL = "https://analytics.planhat.com"
LEDGER_FILE = "target-planhat.db"

_URL = r"^https?://[^\s/]+"
_LEDGER = r"^(sqlite(\+\w+)?:///(?!:memory:)\S.*|postgresql(\+\w+)?://\S+)" + END

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
        description="How long an hour or day must be over before it is sent, as Pendo's events "
        "come late; until then it waits in the ledger. 0: at once.",
    ),
    th.Property(
        "since",
        th.DateTimeType,
        title="Since",
        description="First day that is sent; nothing older is, as Planhat has no undo.",
    ),
    th.Property(
        "timezone",
        th.StringType,
        default="UTC",
        title="Time zone",
        description="Time zone of the days by which events are counted (IANA name); that of the "
        "Pendo subscription, where the tap reads days.",
    ),
    th.Property(
        "unmatched",
        th.StringType(allowed_values=list(t.get_args(Unmatched))),
        title="Unmatched",
        description="What becomes of records whose end user or object is not in Planhat: kept "
        "until it is (`park`, default with api_token), sent all the same (`send`, default "
        "without), left out (`skip`), or the end of the run (`fail`).",
    ),
    th.Property(
        "create_end_users",
        th.BooleanType,
        default=False,
        title="Create end users",
        description="Whether end users that Planhat lacks are created from the stream visitors; "
        "their company must exist.",
    ),
    th.Property(
        "dry_run",
        th.BooleanType,
        default=False,
        title="Dry run",
        description="Whether to read and match only, and report what would be sent.",
    ),
    th.Property(
        "ledger_url",
        th.StringType(pattern=_LEDGER),
        secret=True,
        title="Ledger URL",
        description="SQLAlchemy URL of the database that remembers what was sent: SQLite or, for "
        f"several workers, PostgreSQL. Default: the SQLite file {LEDGER_FILE} in the project "
        "folder. It holds ids.",
    ),
    th.Property(
        "require_ledger",
        th.BooleanType,
        default=False,
        title="Require the ledger",
        description="Whether a run stops where the ledger does not exist, instead of making it.",
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
        description="File that gets a JSON line for each rejected or parked item. It holds ids.",
    ),
    additional_properties=False,
).to_dict()


@dataclasses.dataclass(frozen=True, kw_only=True)
class Settings:
    """The settings as the delivery uses them.

    `since` is the first day that is sent: its label, as epoch milliseconds of its 00:00Z.
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
    create_end_users: bool
    dry_run: bool
    ledger_url: str = dataclasses.field(repr=False)
    require_ledger: bool
    in_doubt: InDoubt
    report_path: Path | None
    rejects_path: Path | None

    @property
    def first_moment(self) -> int | None:
        """When the day of `since` begins, in epoch milliseconds."""
        return None if self.since is None else Calendar(self.zone).start(self.since)

    @property
    def rules(self) -> tuple[Rule, ...]:
        """All rules, activities first."""
        return (*self.activities, *self.metrics)


def parsed(config: Mapping[str, t.Any]) -> Settings:
    """Turn a valid configuration into settings; call `problems` first.

    Numbers with a point arrive as Decimal, as the SDK reads its files.
    """
    rules, _ = rule_reading.read(config)
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
    """Read `since`, of a date-time the date; raise ValueError if it is none."""
    return written_date(config["since"]) if "since" in config else None


def project_folder() -> Path:
    """Meltano's project folder, else the current one."""
    return Path(os.environ.get("MELTANO_PROJECT_ROOT") or Path.cwd())


def _path(config: Mapping[str, t.Any], name: str) -> Path | None:
    return Path(config[name]) if name in config else None


def plain(config: Mapping[str, t.Any], schema: Mapping[str, t.Any]) -> dict[str, t.Any]:
    """Read settings that arrive as text, as from the environment, by their type.

    Null, and a text that is empty (unless the setting is required), mean: not set.
    """
    found: dict[str, t.Any] = {}
    for name, value in config.items():
        required = name in schema.get("required", ())
        if value is None or (value == "" and not required):
            continue
        said = schema["properties"].get(name, {}).get("type", "string")
        found[name] = value if said == "string" or "string" in said else _decoded(value)
    return found


def _decoded(value: t.Any) -> t.Any:
    """Decode text as JSON; what is not JSON stays text, which validation then refuses."""
    if not isinstance(value, str):
        return value
    try:
        return msgspec.json.decode(value.lower() if value in _TRUTHS else value)
    except msgspec.DecodeError:
        return value


def environment(schema: Mapping[str, t.Any], prefix: str) -> dict[str, str]:
    """Settings from environment variables, as text."""
    names = {name: prefix + re.sub(r"\W", "_", name).upper() for name in schema["properties"]}
    return {name: os.environ[key] for name, key in names.items() if key in os.environ}


_TRUTHS = {"True", "False", "TRUE", "FALSE"}
