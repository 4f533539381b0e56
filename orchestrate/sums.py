"""What Pendo itself counts for a piece: aggregations of the tap, one for each event stream."""

from __future__ import annotations

import json
import typing as t
from datetime import datetime, timedelta, timezone

from orchestrate.streams import STREAMS

if t.TYPE_CHECKING:
    from collections.abc import Sequence

    from orchestrate.pieces import Piece

_PREFIX = "sums_of_"
_EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)
_SCHEMA = {
    "type": "object",
    "properties": {
        "figure": {"type": ["string", "null"]},
        "num_events": {"type": ["integer", "null"]},
    },
}


def aggregations(
    piece: Piece, streams: Sequence[str], *, period: str, exclude_list: str
) -> list[dict[str, t.Any]]:
    """Make the setting `aggregations` that asks for the events of a piece, one row a stream.

    Args:
        piece: the app and the time.
        streams: event streams.
        period: bucket of the grouped ones, as the tap's setting.
        exclude_list: whether Pendo's exclude list is applied, as the tap's setting.
    """
    first, last = ((moment - _EPOCH) // timedelta(milliseconds=1) for moment in piece_time(piece))
    made = []
    for name in streams:
        stream = STREAMS[name]
        bucket = period if stream.grouped else "hour"
        moment = bucket if stream.grouped else "browserTime"
        source = {stream.source: {"appId": [piece.app_id], "blacklist": exclude_list}}
        # the bucket that holds `last` is included; those that begin outside are not the piece's
        series = {"period": f"{bucket}Range", "first": first, "last": last - 1}
        measure = {"sum": "numEvents"} if stream.grouped else {"count": None}
        pipeline = [
            {"source": source, "timeSeries": series},
            {"filter": f"{moment} >= {first} && {moment} < {last}"},
            {"eval": {"figure": '"sum"'}},
            {"group": {"group": ["figure"], "fields": {"num_events": measure}}},
        ]
        made.append(
            {
                "name": _PREFIX + name,
                "primary_keys": ["figure"],
                "schema": _SCHEMA,
                "pipeline": pipeline,
            }
        )
    return made


def piece_time(piece: Piece) -> tuple[datetime, datetime]:
    """Return the bounds of a piece."""
    return piece.start, piece.end


def catalog(streams: Sequence[str]) -> dict[str, t.Any]:
    """Make a Singer catalog of these aggregations, so that the tap reads nothing else."""
    selected = [{"breadcrumb": [], "metadata": {"selected": True}}]
    return {
        "streams": [
            {
                "tap_stream_id": _PREFIX + name,
                "stream": _PREFIX + name,
                "key_properties": ["figure"],
                "schema": _SCHEMA,
                "metadata": selected,
            }
            for name in streams
        ]
    }


def read(messages: str, streams: Sequence[str]) -> dict[str, int]:
    """Return, per stream, the events in the tap's Singer messages; a stream without any has 0."""
    found = dict.fromkeys(streams, 0)
    for line in messages.splitlines():
        message = json.loads(line)
        if message["type"] == "RECORD":
            name = message["stream"].removeprefix(_PREFIX)
            found[name] += message["record"]["num_events"] or 0
    return found


def differences(pendo: dict[str, int], loaded: dict[str, int]) -> list[str]:
    """Say of each stream whose figures differ what they are."""
    return [
        f"{name}: {loaded[name]:,} events are loaded, Pendo counts {count:,}"
        for name, count in pendo.items()
        if loaded[name] != count
    ]
