"""A tap for the same rows as most are written: singer-sdk's RESTStream, with all its defaults."""

from __future__ import annotations

import typing as t
from datetime import datetime, timedelta

import requests
from singer_sdk import RESTStream, Tap
from singer_sdk import typing as th
from singer_sdk.pagination import BaseAPIPaginator

from benchmarks.contenders import work

if t.TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from singer_sdk.helpers.types import Context, Record


_OBJECT = th.ObjectType(additional_properties=True)
_KINDS: dict[str, th.JSONTypeHelper[t.Any] | type[th.JSONTypeHelper[t.Any]]] = {
    **dict.fromkeys(("app_id", "num_events", "num_minutes"), th.IntegerType),
    **dict.fromkeys(("latitude", "longitude"), th.NumberType),
    **dict.fromkeys(("parameters", "properties"), _OBJECT),
    **dict.fromkeys(("hour", "first_time", "last_time", "read_at"), th.DateTimeType),
}


class PendoStream(RESTStream[t.Any]):
    """What both streams share: rows of an aggregation."""

    path = "/api/v1/aggregation"
    records_jsonpath = "$.results[*]"
    payload_as_json = True
    convert: Callable[[work.Row, str], work.Row]
    read_at = ""

    def __init__(self, *args: t.Any, **kwargs: t.Any) -> None:
        super().__init__(*args, http_method="POST", **kwargs)

    @property
    def url_base(self) -> str:
        """Host."""
        return str(self.config["api_url"])

    @property
    def http_headers(self) -> dict[str, str]:
        """Key."""
        return {"x-pendo-integration-key": self.config["integration_key"]}

    def get_new_paginator(self) -> BaseAPIPaginator[t.Any] | None:
        """One page, unless a stream says otherwise."""
        return None

    def post_process(self, row: Record, context: Context | None = None) -> Record:
        """Rename, write dates, add what the row lacks."""
        del context
        return self.convert(row, self.read_at)


class Days(BaseAPIPaginator[datetime]):
    """One page a day."""

    def __init__(self, first: datetime, end: datetime) -> None:
        super().__init__(first)
        self._end = end

    def continue_if_empty(self, response: requests.Response) -> bool:
        """Continue after a day without events."""
        del response
        return True

    def get_next(self, response: requests.Response) -> datetime | None:
        """Continue with the next day, up to the end."""
        del response
        following = self.current_value + timedelta(days=1)
        return following if following < self._end else None


class FeatureEvents(PendoStream):
    """Uses of features by the hour."""

    name = "feature_events"
    primary_keys: t.ClassVar[list[str]] = ["row_id"]
    convert = staticmethod(work.event)
    schema = th.PropertiesList(
        *(
            th.Property(name, _KINDS.get(name, th.StringType))
            for name in ("row_id", *work.EVENT.values(), "read_at")
        )
    ).to_dict()

    def get_new_paginator(self) -> BaseAPIPaginator[t.Any]:
        """One page a day."""
        return Days(*(work.moment(self.config[name]) for name in ("start_date", "end_date")))

    def prepare_request_payload(
        self, context: Context | None, next_page_token: datetime | None
    ) -> dict[str, t.Any]:
        """Ask for one day."""
        del context
        assert next_page_token
        self.read_at = work.now()
        return work.events_of(next_page_token)


class Visitors(PendoStream):
    """Visitors with their metadata, typed as Pendo describes it."""

    name = "visitors"
    primary_keys: t.ClassVar[list[str]] = ["visitor_id"]
    convert = staticmethod(work.visitor)
    _types: t.ClassVar[dict[str, type[th.JSONTypeHelper[t.Any]]]] = {
        "string": th.StringType,
        "time": th.DateTimeType,
        "boolean": th.BooleanType,
        "integer": th.IntegerType,
        "float": th.NumberType,
    }

    @property
    def schema(self) -> dict[str, t.Any]:
        """Schema with the customer's metadata."""
        if self._schema is None:
            url = f"{self.url_base}/api/v1/metadata/schema/visitor"
            answer = requests.get(url, headers=self.http_headers, timeout=self.timeout)
            answer.raise_for_status()
            groups = [
                th.Property(group, th.ObjectType(*self._properties(fields)))
                for group, fields in answer.json().items()
            ]
            self._schema = th.PropertiesList(
                th.Property("visitor_id", th.StringType),
                th.Property("last_updated_at", th.DateTimeType),
                th.Property("metadata", th.ObjectType(*groups)),
                th.Property("read_at", th.DateTimeType),
            ).to_dict()
        return self._schema

    def _properties(self, fields: dict[str, t.Any]) -> Iterable[th.Property[t.Any]]:
        for name, described in fields.items():
            kind = self._types.get(described["Type"])
            yield th.Property(name, kind or th.ArrayType(th.StringType))

    def prepare_request_payload(
        self, context: Context | None, next_page_token: t.Any
    ) -> dict[str, t.Any]:
        """Ask for all."""
        del context, next_page_token
        self.read_at = work.now()
        return work.visitors()


STREAMS = (FeatureEvents, Visitors)


class PlainTap(Tap):
    """Reads one stream, `stream`."""

    name = "plain-tap"
    config_jsonschema = th.PropertiesList(
        th.Property("api_url", th.StringType, required=True),
        th.Property("integration_key", th.StringType, required=True, secret=True),
        th.Property("start_date", th.DateTimeType, required=True),
        th.Property("end_date", th.DateTimeType, required=True),
        th.Property("stream", th.StringType, allowed_values=[s.name for s in STREAMS]),
    ).to_dict()

    def discover_streams(self) -> list[PendoStream]:
        """Give the one."""
        return [kind(tap=self) for kind in STREAMS if kind.name == self.config["stream"]]


if __name__ == "__main__":
    PlainTap.cli()
