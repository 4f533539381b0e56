"""What each tap asks Pendo for, and does to its rows: names, dates and `row_id`, as tap-pendo does.

The rules are written again here, so that no contender runs code of ours.
"""

from __future__ import annotations

import functools
import hashlib
import re
import typing as t
from datetime import datetime, timedelta, timezone

import msgspec

Row = dict[str, t.Any]
_EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)
_MINUTE = 60_000
_ROW_ID_VERSION = 1
_encode = msgspec.json.Encoder(order="sorted").encode

# the dimensions, in the order in which row_id hashes them; then what is counted
_DIMENSIONS = (
    *("hour", "visitorId", "accountId", "appId", "featureId", "server", "remoteIp", "userAgent"),
    *("country", "region", "latitude", "longitude", "tabId", "analyticsSessionId", "recordingId"),
    *("recordingSessionId", "signatureAgent", "parameters", "properties"),
)
_COUNTED = ("numEvents", "numMinutes", "firstTime", "lastTime")
EVENT = {
    name: re.sub("[A-Z]", lambda found: "_" + found[0].lower(), name)
    for name in (*_DIMENSIONS, *_COUNTED)
}
_IDENTITY = tuple(EVENT[name] for name in _DIMENSIONS)
# they count by their repr
_NUMBERS = (_IDENTITY.index("latitude"), _IDENTITY.index("longitude"))


@functools.lru_cache(maxsize=4096)
def _minute(number: int) -> str:
    return (_EPOCH + timedelta(minutes=number)).isoformat(timespec="minutes")[:16]


def iso(ms: int) -> str:
    """Epoch milliseconds as ISO 8601 in UTC: 2026-01-31T13:00:00.000Z."""
    minute, rest = divmod(ms, _MINUTE)
    return f"{_minute(minute)}:{rest // 1000:02d}.{rest % 1000:03d}Z"


def event(row: Row, read_at: str) -> Row:
    """Give the record of a feature event."""
    record = {EVENT[name]: value for name, value in row.items()}
    record["hour"] = iso(record["hour"])
    record["first_time"] = iso(record["first_time"])
    record["last_time"] = iso(record["last_time"])
    get = record.get
    values = [None if (value := get(name)) == "" else value for name in _IDENTITY]
    for at in _NUMBERS:
        if values[at] is not None:
            values[at] = repr(values[at])
    text = _encode([_ROW_ID_VERSION, "feature_events", ["hour", *values]])
    record["row_id"] = hashlib.blake2b(text, digest_size=16).hexdigest()
    record["read_at"] = read_at
    return record


_TIMES = {
    "auto": ("createdat", "firstvisit", "firstidentifiedvisit", "lastvisit", "lastupdated"),
    "custom": ("trained", "renewal"),
}


def visitor(row: Row, read_at: str) -> Row:
    """Give the record of a visitor; only the times of the metadata change."""
    metadata = row["metadata"]
    for group, times in _TIMES.items():
        values = metadata[group]
        for name in times:
            values[name] = iso(values[name])
    return {
        "visitor_id": row["visitorId"],
        "metadata": metadata,
        "last_updated_at": metadata["auto"]["lastupdated"],
        "read_at": read_at,
    }


# more than there are in any answer
_LIMIT = 100_000_000


def events_of(start: datetime) -> Row:
    """Ask for the feature events of the day that begins then."""
    first = int(start.timestamp()) * 1000
    series = {"period": "hourRange", "first": first, "last": first + 24 * 60 * _MINUTE - 1}
    events = {"appId": 'expandAppIds("*")', "blacklist": "apply"}
    return _question({"featureEvents": events, "timeSeries": series}, _DIMENSIONS[:10])


def visitors() -> Row:
    """Ask for all visitors."""
    return _question({"visitors": {"identified": True}}, ("visitorId",))


def _question(source: Row, sort: tuple[str, ...]) -> Row:
    steps: list[Row] = [{"source": source}, {"sort": list(sort)}, {"limit": _LIMIT}]
    return {"response": {"mimeType": "application/json"}, "request": {"pipeline": steps}}


def moment(text: str) -> datetime:
    """Read a date-time with offset."""
    return datetime.fromisoformat(text.replace("Z", "+00:00"))


def now() -> str:
    """This moment, as texts of moments are written."""
    return datetime.now(timezone.utc).isoformat(timespec="milliseconds").replace("+00:00", "Z")
