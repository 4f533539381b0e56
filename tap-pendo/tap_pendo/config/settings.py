"""The settings: their types, their defaults, and what they mean to the streams."""

from __future__ import annotations

import dataclasses
import os
import re
import typing as t
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

import msgspec
from singer_sdk import typing as th

from tap_pendo.api.client import REGIONS
from tap_pendo.calendar import Grid, Order, Period, from_text, months_before
from tap_pendo.config import custom_aggregations

if t.TYPE_CHECKING:
    from collections.abc import Mapping

    from tap_pendo.config.custom_aggregations import Pipeline

DEFAULT_MONTHS = 3

ANONYMOUS = "include_anonymous_visitors"

SCHEMA: dict[str, t.Any] = th.PropertiesList(
    th.Property(
        "integration_key",
        th.StringType(pattern=r"^[\x21-\x7e]+$"),
        required=True,
        secret=True,
        title="Integration key",
        description="Key from Pendo's Settings, Integrations, Integration Keys. Reading should "
        "need no write access (unverified).",
    ),
    th.Property(
        "region",
        th.StringType(allowed_values=list(REGIONS)),
        default="us",
        title="Region",
        description=f"Data centre of the subscription, {', '.join(map('`{}`'.format, REGIONS))}; "
        "picks the base URL. A key is valid in its own region only.",
    ),
    th.Property(
        "api_url",
        th.StringType(pattern=r"^https?://[^\s/]+"),
        title="API URL",
        description="Base URL instead of the region's: a single-tenant host, or an emulator.",
    ),
    th.Property(
        "start_date",
        th.DateTimeType,
        title="Start date",
        description="How far back event streams are read; 2013-01-01 is everything that Pendo "
        "has. Default: three months before the first run, then fixed in the state.",
    ),
    th.Property(
        "end_date",
        th.DateTimeType,
        title="End date",
        description="Exclusive end of the event streams, for a back-fill in parts: buckets that "
        "start in [start_date, end_date) are read.",
    ),
    th.Property(
        "app_ids",
        th.ArrayType(th.IntegerType),
        title="App ids",
        description="Only these apps: their definitions and events. Default, and if empty: every "
        "app.",
    ),
    th.Property(
        "period",
        th.StringType(allowed_values=list(t.get_args(Period))),
        default="hour",
        title="Period",
        description="Bucket of the grouped event streams: `hour` or `day`.",
    ),
    th.Property(
        "timezone",
        th.StringType,
        default="UTC",
        title="Time zone",
        description="Time zone of the Pendo subscription (IANA name), in which its days begin; "
        "needed for `period: day`, and where it is off UTC by part of an hour.",
    ),
    th.Property(
        "lookback_days",
        th.NumberType(minimum=0, maximum=3650),
        default=3,
        title="Look-back in days",
        description="Time before the bookmark that the first run of each UTC day reads again, "
        "because Pendo's events arrive late.",
    ),
    th.Property(
        "lookback_hours",
        th.NumberType(minimum=0, maximum=87600),
        default=12,
        title="Look-back in hours",
        description="Time before the bookmark that the other runs of the day read again.",
    ),
    th.Property(
        "backfill_order",
        th.StringType(allowed_values=list(t.get_args(Order))),
        default="newest_first",
        title="Back-fill order",
        description="Whether the history is read from its newest end (`newest_first`) or from its "
        "oldest (`oldest_first`).",
    ),
    th.Property(
        "include_anonymous_visitors",
        th.BooleanType,
        default=False,
        title="Include anonymous visitors",
        description="Whether `visitors` holds those that never identified themselves. Events "
        "are always complete.",
    ),
    th.Property(
        "exclude_list",
        th.StringType(allowed_values=["apply", "ignore"]),
        default="apply",
        title="Exclude list",
        description="Whether Pendo's exclude list (internal users) is applied to events: `apply`, "
        "or `ignore`.",
    ),
    th.Property(
        "concurrency",
        th.IntegerType(minimum=1, maximum=64),
        default=4,
        title="Concurrency",
        description="Requests in flight.",
    ),
    th.Property(
        "max_calls_per_second",
        th.NumberType(exclusive_minimum=0, maximum=100),
        default=25,
        title="Calls per second",
        description="Most calls a second to one endpoint of Pendo, over all streams.",
    ),
    th.Property(
        "request_timeout",
        th.NumberType(exclusive_minimum=0),
        default=300,
        title="Request time-out",
        description="Seconds to wait for Pendo to send something.",
    ),
    th.Property(
        "page_size",
        th.IntegerType(minimum=1),
        default=50_000,
        title="Page size",
        description="Most rows that are asked for in one answer.",
    ),
    th.Property(
        "record_format",
        th.StringType(allowed_values=["nested", "flat"]),
        default="nested",
        title="Record format",
        description="`nested` has objects and lists as they are. `flat` has them as JSON text, and "
        "every column in every record: for loaders that hold no objects, or take their columns "
        "from each record (CSV, Parquet, BigQuery denormalized).",
    ),
    th.Property(
        "aggregations",
        th.CustomType(custom_aggregations.SCHEMA),
        title="Aggregations",
        description="Pendo aggregations of your own as streams: name, pipeline or pipeline_file, "
        "primary_keys, and perhaps grain (hour, day) and schema; see docs/aggregations.md.",
    ),
    th.Property(
        "agent_ids",
        th.ArrayType(th.StringType),
        title="Agent ids",
        description="AI agents whose conversations `agentic_events` reads: Pendo wants their ids, "
        "and has no list of them. Find an id in the agent's settings in Pendo.",
    ),
    th.Property(
        "report_ids",
        th.ArrayType(th.StringType),
        title="Report ids",
        description="Reports whose results become streams, `report_results_<id>`.",
    ),
    th.Property(
        "costly_streams",
        th.ArrayType(th.StringType),
        default=[],
        title="Costly streams",
        description="Streams to read of those that are off by default, since they are costly or "
        "unverified. One that is not named here is not read, whatever is selected.",
    ),
    additional_properties=False,
).to_dict()


@dataclasses.dataclass(frozen=True, kw_only=True)
class Settings:
    """The settings as the streams use them; moments are aware UTC."""

    base_url: str
    integration_key: str
    region: str
    start_date: datetime | None
    end_date: datetime | None
    app_ids: tuple[int, ...]
    period: Period
    zone: ZoneInfo
    lookback_days: timedelta
    lookback_hours: timedelta
    backfill_order: Order
    include_anonymous_visitors: bool
    exclude_list: str
    concurrency: int
    max_calls_per_second: float
    request_timeout: float
    page_size: int
    record_format: str
    agent_ids: tuple[str, ...]
    report_ids: tuple[str, ...]
    costly_streams: tuple[str, ...]
    aggregations: tuple[Pipeline, ...]

    def grid(self, period: Period) -> Grid:
        """Buckets of a stream."""
        return Grid(period, self.zone)

    def default_start(self, now: datetime) -> datetime:
        """History depth of a first run without `start_date`."""
        return months_before(now, DEFAULT_MONTHS)


def parsed(config: Mapping[str, t.Any]) -> Settings:
    """Turn a valid configuration into settings; call `problems` first.

    Numbers with a point arrive as Decimal, as the SDK reads its files.
    """
    return Settings(
        base_url=config.get("api_url") or REGIONS[config["region"]],
        integration_key=config["integration_key"],
        region=config["region"],
        start_date=moment(config, "start_date"),
        end_date=moment(config, "end_date"),
        app_ids=tuple(sorted(set(config.get("app_ids") or ()))),
        period=config["period"],
        zone=ZoneInfo(config["timezone"]),
        lookback_days=timedelta(days=float(config["lookback_days"])),
        lookback_hours=timedelta(hours=float(config["lookback_hours"])),
        backfill_order=config["backfill_order"],
        include_anonymous_visitors=config["include_anonymous_visitors"],
        exclude_list=config["exclude_list"],
        concurrency=config["concurrency"],
        max_calls_per_second=float(config["max_calls_per_second"]),
        request_timeout=float(config["request_timeout"]),
        page_size=config["page_size"],
        record_format=config["record_format"],
        aggregations=tuple(map(custom_aggregations.read, config.get("aggregations") or ())),
        agent_ids=tuple(sorted(set(config.get("agent_ids") or ()))),
        report_ids=tuple(dict.fromkeys(config.get("report_ids") or ())),
        costly_streams=tuple(config.get("costly_streams") or ()),
    )


def report_stream(report_id: str) -> str:
    """Name the stream of a report."""
    return "report_results_" + re.sub(r"\W", "_", report_id)


def moment(config: Mapping[str, t.Any], name: str) -> datetime | None:
    """Read a date of the configuration; raise ValueError or OverflowError if it is none."""
    return from_text(config[name]) if config.get(name) else None


def plain(config: Mapping[str, t.Any], schema: Mapping[str, t.Any]) -> dict[str, t.Any]:
    """Read settings that arrive as text, as from the environment, by their type.

    Null, and a text that is empty (unless the setting is required), mean: not set. White space
    around a secret is what copying added.
    """
    found: dict[str, t.Any] = {}
    for name, given in config.items():
        required = name in schema.get("required", ())
        rule = schema["properties"].get(name, {})
        secret = rule.get("secret")
        value = (given.strip() or given) if secret and isinstance(given, str) else given
        if value is None or (value == "" and not required):
            continue
        found[name] = _typed(value, rule)
    return found


def _typed(value: t.Any, rule: Mapping[str, t.Any]) -> t.Any:
    """Read text as what its setting holds; so also each item of a list of whole numbers."""
    if "string" in rule.get("type", "string"):
        return value
    decoded = _decoded(value)
    if isinstance(decoded, list) and "integer" in rule.get("items", {}).get("type", ()):
        return [_decoded(item) for item in decoded]
    return decoded


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
