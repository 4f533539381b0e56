"""A target for the same activities without framework and ledger: what the work alone takes."""

from __future__ import annotations

import json
import sys
import typing as t
from pathlib import Path

import msgspec
import urllib3

if t.TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

_BATCH = 1000


class Record(msgspec.Struct):
    """The fields that are needed of a feature or an event."""

    id: str = ""
    name: str = ""
    visitor_id: str = ""
    feature_id: str = ""
    hour: str = ""
    num_events: int = 0


class Message(msgspec.Struct):
    """A line of the input."""

    type: str
    stream: str = ""
    record: Record | None = None


def activities(lines: Iterable[bytes]) -> Iterator[dict[str, t.Any]]:
    """Give the activities of messages."""
    decode = msgspec.json.Decoder(Message).decode
    names: dict[str, str] = {}
    for line in lines:
        message = decode(line)
        record = message.record
        if record is None:
            continue
        if message.stream == "features":
            names[record.id] = record.name
        elif message.stream == "feature_events":
            yield {
                "externalId": record.visitor_id,
                "euExtId": record.visitor_id,
                "action": f"Used {names[record.feature_id]}",
                "date": f"{record.hour[:10]}T00:00:00.000Z",
                "count": record.num_events,
                "weight": 1,
            }


def main() -> None:
    """Post the activities of the messages that come in, as `--config FILE` says."""
    config = json.loads(Path(sys.argv[2]).read_text(encoding="utf-8"))
    url = f"{config['analytics_url']}/analytics/bulk/{config['tenant_token']}"
    pool = urllib3.PoolManager(headers={"Content-Type": "application/json"})
    batch: list[dict[str, t.Any]] = []

    def post() -> None:
        answer = pool.request("POST", url, body=msgspec.json.encode(batch))
        if answer.status != 200 or answer.json()["errors"]:  # noqa: PLR2004 - success
            sys.exit(f"Planhat answers {answer.status}")
        batch.clear()

    for activity in activities(sys.stdin.buffer):
        batch.append(activity)
        if len(batch) == _BATCH:
            post()
    if batch:
        post()


if __name__ == "__main__":
    main()
