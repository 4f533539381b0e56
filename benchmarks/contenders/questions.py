"""What the contenders ask Pendo for: the questions that tap-pendo asks too."""

from __future__ import annotations

import typing as t
from datetime import datetime, timedelta, timezone

Body = dict[str, t.Any]
_SORT = (
    *("hour", "visitorId", "accountId", "appId", "featureId", "server", "remoteIp", "userAgent"),
    *("country", "region"),
)
# more than there are in any answer
_LIMIT = 100_000_000


def events(start: datetime) -> Body:
    """Feature events of the day that begins then."""
    series = {
        "period": "hourRange",
        "first": _ms(start),
        "last": _ms(start + timedelta(days=1)) - 1,
    }
    source = {
        "featureEvents": {"appId": 'expandAppIds("*")', "blacklist": "apply"},
        "timeSeries": series,
    }
    return _body({"source": source}, {"sort": list(_SORT)}, {"limit": _LIMIT})


def visitors() -> Body:
    """All visitors."""
    source = {"visitors": {"identified": True}}
    return _body({"source": source}, {"sort": ["visitorId"]}, {"limit": _LIMIT})


def _body(*steps: dict[str, t.Any]) -> Body:
    return {"response": {"mimeType": "application/json"}, "request": {"pipeline": list(steps)}}


def _ms(moment_: datetime) -> int:
    return int(moment_.timestamp()) * 1000


def moment(text: str) -> datetime:
    """Read a date-time with offset."""
    return datetime.fromisoformat(text.replace("Z", "+00:00"))


def now() -> str:
    """This moment, as texts of moments are written."""
    return datetime.now(timezone.utc).isoformat(timespec="milliseconds").replace("+00:00", "Z")
