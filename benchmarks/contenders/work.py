"""What each tap does to Pendo's rows: names, dates and `row_id`, by the rules of tap-pendo.

The rules are written again here, so that no contender runs code of ours.
"""

from __future__ import annotations

import functools
import hashlib
import typing as t
from datetime import datetime, timedelta, timezone

import msgspec

Row = dict[str, t.Any]
_EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)
_MINUTE = 60_000
_ROW_ID_VERSION = 1
_encode = msgspec.json.Encoder(order="sorted").encode

# the dimensions, in the order in which row_id hashes them
DIMENSIONS = {
    "hour": "hour",
    "visitorId": "visitor_id",
    "accountId": "account_id",
    "appId": "app_id",
    "featureId": "feature_id",
    "server": "server",
    "remoteIp": "remote_ip",
    "userAgent": "user_agent",
    "country": "country",
    "region": "region",
    "latitude": "latitude",
    "longitude": "longitude",
    "tabId": "tab_id",
    "analyticsSessionId": "analytics_session_id",
    "recordingId": "recording_id",
    "recordingSessionId": "recording_session_id",
    "signatureAgent": "signature_agent",
    "parameters": "parameters",
    "properties": "properties",
}
MEASURES = {
    "numEvents": "num_events",
    "numMinutes": "num_minutes",
    "firstTime": "first_time",
    "lastTime": "last_time",
}
_EVENT = {**DIMENSIONS, **MEASURES}
_IDENTITY = tuple(DIMENSIONS.values())
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
    record = {_EVENT[name]: value for name, value in row.items()}
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


_AUTO_TIMES = ("createdat", "firstvisit", "firstidentifiedvisit", "lastvisit", "lastupdated")
_CUSTOM_TIMES = ("trained", "renewal")


def visitor(row: Row, read_at: str) -> Row:
    """Give the record of a visitor; only the times of the metadata change."""
    metadata = row["metadata"]
    for group, times in (("auto", _AUTO_TIMES), ("custom", _CUSTOM_TIMES)):
        values = metadata[group]
        for name in times:
            values[name] = iso(values[name])
    return {
        "visitor_id": row["visitorId"],
        "metadata": metadata,
        "last_updated_at": metadata["auto"]["lastupdated"],
        "read_at": read_at,
    }


# what a field of a definition becomes: another name; a time; an object or a list of objects
Kind = t.Union[None, str, "Shape"]
Shape = dict[str, tuple[str, Kind]]
_USER: Shape = {
    "id": ("id", None),
    "username": ("username", None),
    "first": ("first", None),
    "last": ("last", None),
    "role": ("role", None),
    "userType": ("user_type", None),
    "hasLoggedIn": ("has_logged_in", None),
    "lastLogin": ("last_login", "time"),
    "visitorIds": ("visitor_ids", None),
}
_AUDIT: Shape = {
    "createdAt": ("created_at", "time"),
    "createdByUser": ("created_by_user", _USER),
    "lastUpdatedAt": ("last_updated_at", "time"),
    "lastUpdatedByUser": ("last_updated_by_user", _USER),
}
_GROUP: Shape = {name: (name, None) for name in ("id", "name", "description", "type", "length")}
_PROPERTY: Shape = {
    "name": ("name", None),
    "type": ("type", None),
    "isActive": ("is_active", None),
    "selector": ("selector", None),
}
FEATURE: Shape = {
    "id": ("id", None),
    "appId": ("app_id", None),
    "kind": ("kind", None),
    "name": ("name", None),
    **_AUDIT,
    "rootVersionId": ("root_version_id", None),
    "stableVersionId": ("stable_version_id", None),
    "color": ("color", None),
    "dirty": ("dirty", None),
    "isCoreEvent": ("is_core_event", None),
    "isSuggested": ("is_suggested", None),
    "dailyMergeFirst": ("daily_merge_first", "time"),
    "dailyRollupFirst": ("daily_rollup_first", "time"),
    "validThrough": ("valid_through", "time"),
    "group": ("group", {**_GROUP, **_AUDIT}),
    "appWide": ("app_wide", None),
    "pageId": ("page_id", None),
    "elementPathRules": ("element_path_rules", None),
    "eventPropertyConfigurations": ("event_property_configurations", _PROPERTY),
}


def feature(row: Row, read_at: str) -> Row:
    """Give the record of a feature."""
    del read_at  # definitions carry none
    return _shaped(row, FEATURE)


def _shaped(row: Row, shape: Shape) -> Row:
    record: Row = {}
    for pendo, value in row.items():
        name, kind = shape[pendo]
        if kind is None or value is None:
            record[name] = value
        elif isinstance(kind, str):
            record[name] = iso(value)
        elif isinstance(value, list):
            record[name] = [_shaped(item, kind) for item in value]
        else:
            record[name] = _shaped(value, kind)
    return record
