"""Pendo's rows of a made-up product, prepared as bytes so that serving them costs next to nothing.

Rows are made once; what differs from one hour, or one block of visitors, to the next is a mark of
fixed length in the bytes, which is replaced when they are served.
"""

from __future__ import annotations

import typing as t
from datetime import datetime, timedelta, timezone

import msgspec

Row = dict[str, t.Any]

UTC = timezone.utc
END = datetime(2025, 1, 1, tzinfo=UTC)
HOUR_MS = 3_600_000
APP = -323232
# as planhat-emulator names its companies and end users: company-1, enduser-1, …
COMPANIES = 100
# Hours are whole multiples of 100 s, so their first 8 of 13 digits are theirs alone
_MARK = b"@@@@@@@@"
_BELOW_MARK = 100_000
_BLOCK = 1000
_BLOCK_MARK = b"######"
_encode = msgspec.json.encode
_AGENTS = (
    "Mozilla/5.0 Chrome/139",
    "Mozilla/5.0 Safari/605",
)
_PLACES = (("DE", "Berlin"), ("US", "Ohio"), ("BR", "São Paulo"))


class Hours:
    """Feature events: `rows` of them, spread evenly over the hours of `days` days before END.

    Rows of an hour are sorted as tap-pendo asks for, and no two of them have one identity.
    """

    def __init__(self, rows: int, days: int, features: int) -> None:
        self.rows, self.first = rows, to_ms(END - timedelta(days=days))
        self.end = to_ms(END)
        self._fewest, self._more = divmod(rows, days * 24)
        events = (_event(n, features) for n in range(self._fewest + bool(self._more)))
        made = [_encode(event) for event in sorted(events, key=_place)]
        self._longer = b",".join(made).replace(b'"@', b"").replace(b'@"', b"")
        one_less = b",".join(made[: self._fewest])
        self._shorter = one_less.replace(b'"@', b"").replace(b'@"', b"")

    def parts(self, first: int, last: int) -> tuple[int, t.Iterator[bytes]]:
        """Give the hours from `first` to that of `last`, epoch ms: length in bytes, and parts."""
        hours = range(max(first, self.first), min(last + 1, self.end), HOUR_MS)
        found = [(hour, body) for hour in hours if (body := self._of(hour))]
        length = sum(len(body) for _, body in found) + max(0, len(found) - 1)
        return length, self._filled(found)

    def count(self, first: int, last: int) -> int:
        """Count the rows of the hours from `first` to that of `last`, epoch ms."""
        hours = range(max(first, self.first), min(last + 1, self.end), HOUR_MS)
        return sum(self._fewest + (self._number(hour) < self._more) for hour in hours)

    def _number(self, hour: int) -> int:
        return (hour - self.first) // HOUR_MS

    def _of(self, hour: int) -> bytes:
        return self._longer if self._number(hour) < self._more else self._shorter

    @staticmethod
    def _filled(found: list[tuple[int, bytes]]) -> t.Iterator[bytes]:
        comma = b""
        for hour, body in found:
            yield comma
            yield body.replace(_MARK, b"%d" % (hour // _BELOW_MARK))
            comma = b","


def _event(n: int, features: int) -> Row:
    """Make the n-th row of an hour, of about 344 bytes; a visitor uses three features."""
    visitor, use = divmod(n, 3)
    feature = (visitor % max(1, features // 3)) * 3 + use
    country, region = _PLACES[visitor % len(_PLACES)]
    return {
        "visitorId": f"enduser-{visitor + 1}",
        "accountId": f"company-{visitor % COMPANIES + 1}",
        "appId": APP,
        "featureId": feature_id(feature % features),
        "server": "app.example",
        "remoteIp": f"203.0.113.{visitor % 256}",
        "userAgent": _AGENTS[visitor % len(_AGENTS)],
        "country": country,
        "region": region,
        "parameters": {},
        "hour": _moment(0),
        "numEvents": 1 + n % 5,
        "numMinutes": 1 + n % 2,
        "firstTime": _moment(n * 7919 % 50_000),
        "lastTime": _moment(50_000 + n * 7919 % 50_000),
    }


def _place(event: Row) -> tuple[str, ...]:
    return event["visitorId"], event["featureId"]


def _moment(offset: int) -> str:
    """Write epoch ms, `offset` below 100 s into an hour; the quotes are taken off once encoded."""
    return f"@{_MARK.decode()}{offset:05d}@"


def feature_id(number: int) -> str:
    """Id of a feature, as long as Pendo's."""
    return f"feature-{number:05d}-xF3biRBL8BI0"


class Visitors:
    """Visitors with nested custom metadata, of about 700 bytes each, sorted by id."""

    def __init__(self, rows: int) -> None:
        self.rows = rows
        blocks, rest = divmod(rows, _BLOCK)
        made = [_encode(_visitor(n)) for n in range(min(rows, _BLOCK))]
        self._sizes = [_BLOCK] * blocks + [rest] * bool(rest)
        self._whole, self._last = b",".join(made), b",".join(made[:rest])

    def parts(self) -> tuple[int, t.Iterator[bytes]]:
        """Give the bytes of all of them: length and parts."""
        found = [self._whole if size == _BLOCK else self._last for size in self._sizes]
        return sum(map(len, found)) + max(0, len(found) - 1), self._filled(found)

    @staticmethod
    def _filled(found: list[bytes]) -> t.Iterator[bytes]:
        for number, body in enumerate(found):
            yield b"," if number else b""
            yield body.replace(_BLOCK_MARK, b"%06d" % number)


def _visitor(n: int) -> Row:
    seen = 1_700_000_000_000 + n * 86_399
    name = f"visitor-{_BLOCK_MARK.decode()}{n:03d}"
    auto = {
        "id": name,
        "idhash": 1_000_000_000 + n,
        "accountid": f"account-{n % 500:04d}",
        "accountids": [f"account-{n % 500:04d}"],
        "createdat": seen,
        "firstvisit": seen,
        "firstidentifiedvisit": seen + 60_000,
        "lastvisit": seen + 90_000_000,
        "lastupdated": seen + 90_000_000,
    }
    agent = {
        "email": f"{name}@atlas.example",
        "full_name": f"Mia Lake {n}",
        "role": "viewer",
        "language": "de_DE",
        "team": "planning",
        "country": "DE",
        "plan": "enterprise",
        "seat": f"seat {n}",
    }
    custom = {
        "beta": n % 2 == 0,
        "trained": seen - 86_400_000,
        "renewal": seen + 86_400_000,
        "logins": n % 700,
        "satisfaction": n % 50 / 10 + 0.05,
        "teams": ["juniper", "cedar"],
        "nickname": f"mia{n}",
        "internal": False,
    }
    return {"visitorId": name, "metadata": {"auto": auto, "agent": agent, "custom": custom}}


_TYPES = {bool: "boolean", int: "integer", float: "float", str: "string", list: "list"}
TIMES = ("createdat", "firstvisit", "firstidentifiedvisit", "lastvisit", "lastupdated")
CUSTOM_TIMES = ("trained", "renewal")


def visitor_metadata() -> Row:
    """Give Pendo's description of the visitors' metadata."""
    times = {*TIMES, *CUSTOM_TIMES}
    return {
        group: {
            name: {"Type": "time" if name in times else _TYPES[type(value)], "DisplayName": name}
            for name, value in fields.items()
        }
        for group, fields in _visitor(0)["metadata"].items()
    }


def features(number: int) -> bytes:
    """Give the answer of the list of features, of about 1.5 KB each."""
    return _encode([_feature(n) for n in range(number)])


def _feature(n: int) -> Row:
    user = {
        "id": "4500000000000010",
        "username": "ada@atlas.example",
        "first": "Ada",
        "last": "Byron",
        "role": 8,
        "userType": "",
        "hasLoggedIn": True,
        "lastLogin": 1_640_995_200_000,
        "visitorIds": ["ada@atlas.example"],
    }
    created = 1_650_000_000_000 + n * 1000
    audit = {"createdAt": created, "createdByUser": user}
    audit |= {"lastUpdatedAt": created + 86_400_000, "lastUpdatedByUser": user}
    group = {"id": "area-1", "name": "Planning", "description": "", "type": "group", "length": 17}
    return {
        "id": feature_id(n),
        "appId": APP,
        "kind": "Feature",
        "name": f"Create plan {n}",
        **audit,
        "rootVersionId": feature_id(n),
        "stableVersionId": f"{feature_id(n)}-{created:020d}",
        "color": "auto",
        "dirty": False,
        "isCoreEvent": n % 5 == 0,
        "isSuggested": False,
        "dailyMergeFirst": created - created % 86_400_000,
        "dailyRollupFirst": created - created % 86_400_000,
        "validThrough": created + 90_000_000_000,
        "group": {**group, **audit},
        "appWide": n % 10 == 0,
        "pageId": "page-0001",
        "elementPathRules": [f'button[data-action="create-{n}"]'],
        "eventPropertyConfigurations": [
            {"name": "plan", "type": "TEXT", "isActive": True, "selector": 'input[name="plan"]'}
        ],
    }


def to_ms(moment: datetime) -> int:
    """Epoch milliseconds."""
    return int(moment.timestamp()) * 1000
