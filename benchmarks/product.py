"""A Pendo that replays prepared rows, faster than any tap reads them: a program of its own.

Rows are made once, as bytes. What differs from one hour, or one block of visitors, to the next is a
mark of fixed length, which is replaced when they are served. What tap-pendo does not ask for when
it reads windows and lists in one page each is refused with 400.
"""

from __future__ import annotations

import argparse
import json
import typing as t
from datetime import datetime, timedelta, timezone

from benchmarks.serving import Answer, serve, whole

if t.TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

Row = dict[str, t.Any]

END = datetime(2025, 1, 1, tzinfo=timezone.utc)
HOUR_MS = 3_600_000
APP = -323232
# as planhat-emulator names its companies and end users: company-1, enduser-1, …
COMPANIES = 100
KEY = "a-key"
# hours are whole multiples of 100 s, so that their first 8 of 13 digits are theirs alone
_HOUR_MARK, _BELOW_MARK = b"@@@@@@@@", 100_000
_BLOCK, _BLOCK_MARK = 1000, b"######"
_HEAD, _TAIL = b'{"results":[', b"]}"
# of about 344 bytes
_EVENT = (
    '{{"visitorId":"enduser-{visitor}","accountId":"company-{company}","appId":-323232,'
    '"featureId":"{feature}","server":"app.example","remoteIp":"203.0.113.{address}",'
    '"userAgent":"Mozilla/5.0 {agent}","country":"{country}","region":"{region}",'
    '"parameters":{{}},"hour":@@@@@@@@00000,"numEvents":{events},"numMinutes":{minutes},'
    '"firstTime":@@@@@@@@{offset:05d},"lastTime":@@@@@@@@{later:05d}}}'
)
# with nested metadata of the customer's own, of about 700 bytes
_VISITOR = (
    '{{"visitorId":"visitor-######{n:03d}","metadata":{{"auto":{{"id":"visitor-######{n:03d}",'
    '"idhash":{hash},"accountid":"account-{account:04d}","accountids":["account-{account:04d}"],'
    '"createdat":{seen},"firstvisit":{seen},"firstidentifiedvisit":{seen},"lastvisit":{seen},'
    '"lastupdated":{seen}}},"agent":{{"email":"visitor-######{n:03d}@atlas.example",'
    '"full_name":"Mia Lake {n}","role":"viewer","language":"de_DE","team":"planning",'
    '"country":"DE","plan":"enterprise","seat":"seat {n}"}},"custom":{{"beta":true,'
    '"trained":{seen},"renewal":{seen},"logins":{logins},"satisfaction":{satisfaction},'
    '"teams":["juniper","cedar"],"nickname":"mia{n}","internal":false}}}}}}'
)
_TIMES = {
    *("createdat", "firstvisit", "firstidentifiedvisit", "lastvisit", "lastupdated"),
    *("trained", "renewal"),
}
_TYPES = {bool: "boolean", int: "integer", float: "float", str: "string", list: "list"}


class Block(t.NamedTuple):
    """Some rows as bytes, and what its mark becomes."""

    rows: int
    body: bytes
    mark: bytes = b""
    value: bytes = b""


class Events:
    """Feature events: `rows` of them, spread evenly over the hours of `days` days before END.

    Rows of an hour are sorted as tap-pendo asks for, and no two of them have one identity.
    """

    def __init__(self, rows: int, days: int, features: int) -> None:
        self._first = to_ms(END - timedelta(days=days))
        self._fewest, self._more = divmod(rows, days * 24)
        made = sorted(_event(n, features) for n in range(self._fewest + bool(self._more)))
        texts = [text for _, text in made]
        self._bodies = {n: b",".join(texts[:n]) for n in (self._fewest, len(texts))}

    def between(self, first: int, last: int) -> Iterator[Block]:
        """Give the hours from `first` to that of `last`, epoch ms."""
        for hour in range(max(first, self._first), min(last + 1, to_ms(END)), HOUR_MS):
            size = self._fewest + ((hour - self._first) // HOUR_MS < self._more)
            if size:
                yield Block(size, self._bodies[size], _HOUR_MARK, b"%d" % (hour // _BELOW_MARK))


def _event(n: int, features: int) -> tuple[tuple[str, str], bytes]:
    """Make the n-th row of an hour, behind its place; a visitor uses three features."""
    visitor, use = divmod(n, 3)
    feature = feature_id(((visitor % max(1, features // 3)) * 3 + use) % features)
    country, region = (("DE", "Berlin"), ("US", "Ohio"), ("BR", "São Paulo"))[visitor % 3]
    text = _EVENT.format(
        visitor=visitor + 1,
        company=visitor % COMPANIES + 1,
        feature=feature,
        address=visitor % 256,
        agent=("Chrome/139", "Safari/605")[visitor % 2],
        country=country,
        region=region,
        events=1 + n % 5,
        minutes=1 + n % 2,
        offset=n * 7919 % 50_000,
        later=50_000 + n * 7919 % 50_000,
    )
    return (f"enduser-{visitor + 1}", feature), text.encode()


def feature_id(number: int) -> str:
    """Id of a feature, as long as Pendo's."""
    return f"feature-{number:05d}-xF3biRBL8BI0"


def visitors(rows: int) -> list[Block]:
    """Visitors, sorted by id."""
    made = [_visitor(n).encode() for n in range(min(rows, _BLOCK))]
    sizes = [min(_BLOCK, rows - start) for start in range(0, rows, _BLOCK)]
    bodies = {size: b",".join(made[:size]) for size in sizes}
    return [Block(n, bodies[n], _BLOCK_MARK, b"%06d" % at) for at, n in enumerate(sizes)]


def _visitor(n: int) -> str:
    return _VISITOR.format(
        n=n,
        hash=1_000_000_000 + n,
        account=n % 500,
        seen=1_700_000_000_000 + n * 86_399,
        logins=n % 700,
        satisfaction=n % 50 / 10 + 0.05,
    )


def _visitor_metadata() -> Row:
    """Give Pendo's description of the visitors' metadata."""
    return {
        group: {
            name: {"Type": "time" if name in _TIMES else _TYPES[type(value)], "DisplayName": name}
            for name, value in fields.items()
        }
        for group, fields in json.loads(_visitor(0))["metadata"].items()
    }


def _feature(n: int) -> Row:
    created = 1_650_000_000_000 + n * 1000
    times = {"createdAt": created, "lastUpdatedAt": created + 86_400_000}
    return {"id": feature_id(n), "appId": APP, "kind": "Feature", "name": f"Feature {n}", **times}


def to_ms(moment: datetime) -> int:
    """Epoch milliseconds."""
    return int(moment.timestamp()) * 1000


class Product:
    """What there is to be served."""

    def __init__(self, rows: int, days: int, people: int, features: int) -> None:
        self._events = Events(rows, days, features)
        self._visitors = visitors(people)
        defined = [_feature(n) for n in range(features)]
        documents = {
            "/api/v1/token/verify": {"valid": True, "writeAccess": False},
            "/api/v1/metadata/schema/visitor": _visitor_metadata(),
            "/api/v1/metadata/schema/account": {},
            "/api/v1/feature?expand=*": defined,
            "/api/v1/feature?expand=%2A": defined,
        }
        self._documents = {path: json.dumps(said).encode() for path, said in documents.items()}

    def answer(self, path: str, body: bytes) -> Answer:
        """Answer a GET or an aggregation.

        Raises:
            LookupError: there is no such path.
            ValueError: what is asked is not served.
        """
        if path != "/api/v1/aggregation":
            return whole(self._documents[path])
        source, *steps = json.loads(body)["request"]["pipeline"]
        if unknown := {name for step in steps for name in step} - {"sort", "limit"}:
            raise ValueError(f"there is no step {', '.join(sorted(unknown))}")
        blocks = list(self._blocks(source["source"]))
        rows = sum(block.rows for block in blocks)
        if any(step.get("limit", rows + 1) <= rows for step in steps):
            raise ValueError(f"a page must hold more than {rows} rows: answers are not cut")
        length = sum(len(block.body) + 1 for block in blocks) - bool(blocks)
        return Answer(len(_HEAD) + length + len(_TAIL), _filled(blocks))

    def _blocks(self, source: Row) -> Iterable[Block]:
        if "featureEvents" in source:
            series = source["timeSeries"]
            if series["period"] != "hourRange" or series["first"] % HOUR_MS:
                raise ValueError("time is served in whole hours")
            return self._events.between(series["first"], series["last"])
        if "visitors" in source:
            return self._visitors
        if "apps" in source:
            return [Block(1, b'{"id":-323232,"name":"Atlas"}')]
        raise ValueError(f"there is no source {', '.join(source)}")


def _filled(blocks: list[Block]) -> Iterator[bytes]:
    yield _HEAD
    for number, block in enumerate(blocks):
        yield b"," * bool(number)
        yield block.body.replace(block.mark, block.value) if block.mark else block.body
    yield _TAIL


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    for option, default in (("rows", 0), ("days", 1), ("visitors", 0), ("features", 60)):
        parser.add_argument(f"--{option}", type=int, default=default)
    parser.add_argument("--latency", type=float, default=0, help="seconds before each answer")
    asked = parser.parse_args()
    product = Product(asked.rows, asked.days, asked.visitors, asked.features)
    serve(product.answer, asked.latency, key=KEY, end=END.isoformat())
