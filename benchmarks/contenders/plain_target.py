"""A target for the same activities as most are written: singer-sdk's BatchSink, with its defaults.

It has no ledger: what it is given twice, it sends twice.
"""

from __future__ import annotations

import typing as t

import requests
from singer_sdk import BatchSink, RecordSink, Sink, Target
from singer_sdk import typing as th

if t.TYPE_CHECKING:
    from singer_sdk.helpers.types import Context, Record

_SECONDS = 60


class Names(RecordSink):
    """Features; an activity is named after one."""

    def __init__(self, target: PlainTarget, *args: t.Any, **kwargs: t.Any) -> None:
        super().__init__(target, *args, **kwargs)
        self._names = target.names

    def process_record(self, record: Record, context: Context) -> None:
        """Learn a name."""
        del context
        self._names[record["id"]] = record["name"]


class Activities(BatchSink):
    """Feature events, each of which becomes an activity."""

    max_size = 1000

    def __init__(self, target: PlainTarget, *args: t.Any, **kwargs: t.Any) -> None:
        super().__init__(target, *args, **kwargs)
        self._names = target.names
        self._session = requests.Session()

    def process_batch(self, context: Context) -> None:
        """Post a batch."""
        url = f"{self.config['analytics_url']}/analytics/bulk/{self.config['tenant_token']}"
        activities = [self._activity(record) for record in context["records"]]
        response = self._session.post(url, json=activities, timeout=_SECONDS)
        response.raise_for_status()
        if errors := response.json()["errors"]:
            raise RuntimeError(f"{len(errors)} activities are refused")

    def _activity(self, record: Record) -> Record:
        midnight = record["hour"].replace(hour=0)
        return {
            "externalId": record["visitor_id"],
            "euExtId": record["visitor_id"],
            "action": f"Used {self._names[record['feature_id']]}",
            "date": midnight.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            "count": record["num_events"],
            "weight": 1,
        }


class Nothing(RecordSink):
    """A stream that is not needed."""

    def process_record(self, record: Record, context: Context) -> None:
        """Drop it."""


class PlainTarget(Target):
    """Sends the feature events as they come."""

    name = "plain-target"
    config_jsonschema = th.PropertiesList(
        th.Property("analytics_url", th.StringType, required=True),
        th.Property("tenant_token", th.StringType, required=True, secret=True),
    ).to_dict()

    def __init__(self, *args: t.Any, **kwargs: t.Any) -> None:
        self.names: dict[str, str] = {}
        super().__init__(*args, **kwargs)

    def get_sink_class(self, stream_name: str) -> type[Sink]:
        """Give the sink of a stream."""
        return {"features": Names, "feature_events": Activities}.get(stream_name, Nothing)


if __name__ == "__main__":
    PlainTarget.cli()
