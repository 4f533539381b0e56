"""What tap-pendo writes of feature events, from prepared bytes: a program that feeds targets."""

from __future__ import annotations

import argparse
import contextlib
import functools
import json
import sys
import typing as t
from datetime import timedelta

from benchmarks.product import APP, COMPANIES, END, feature_id
from benchmarks.running import ROOT

if t.TYPE_CHECKING:
    from collections.abc import Iterator

Message = dict[str, t.Any]

ROWS_A_DAY = 33_334
_FEATURES = 60
_STREAMS = ("sync_windows", "features", "feature_events")
# marks of the bytes of a day: its date, and its number
_DATE, _NUMBER = b"@@@@-@@-@@", b"########"
_READ_AT = END.strftime("%Y-%m-%dT%H:%M:%S.000Z")
_EVENT = (
    '{{"type":"RECORD","stream":"feature_events","record":{{"visitor_id":"enduser-{visitor}",'
    '"account_id":"company-{company}","app_id":-323232,"feature_id":"{feature}",'
    '"server":"app.example","remote_ip":"203.0.113.{address}",'
    '"user_agent":"Mozilla/5.0 Chrome/139","country":"DE","region":"Berlin","parameters":{{}},'
    '"hour":"@@@@-@@-@@T{hour:02d}:00:00.000Z","num_events":{events},"num_minutes":1,'
    '"first_time":"@@@@-@@-@@T{hour:02d}:00:10.000Z",'
    '"last_time":"@@@@-@@-@@T{hour:02d}:30:10.000Z","read_at":"{read_at}",'
    '"row_id":"{n:024x}########"}},"time_extracted":"2025-01-01T00:00:00.000000Z"}}\n'
)


def counts(rows: int, together: int) -> dict[str, int]:
    """Count the activities, one per visitor, feature and day, of so many rows, and their events."""
    found = [_counts_of_day(size, together) for size in _days(rows)]
    activities, events = (sum(one[at] for one in found) for at in (0, 1))
    return {"activities": activities, "events": events}


@functools.cache
def _counts_of_day(rows: int, together: int) -> tuple[int, int]:
    groups = -(-rows // together)
    return groups, sum(_events(n % groups) for n in range(rows))


def _days(rows: int) -> list[int]:
    """Rows of each day."""
    return [min(ROWS_A_DAY, rows - start) for start in range(0, rows, ROWS_A_DAY)]


def _events(group: int) -> int:
    """Events of each row of an activity."""
    return 1 + group % 5


def _head() -> Iterator[Message]:
    """Give the schemas, from the golden catalogue, and the features that name activities."""
    catalog = json.loads((ROOT / "tests/golden/catalog.json").read_bytes())
    entries = {entry["stream"]: entry for entry in catalog["streams"]}
    for stream in _STREAMS:
        named = {name: entries[stream][name] for name in ("schema", "key_properties")}
        yield {"type": "SCHEMA", "stream": stream, **named}
    for n in range(_FEATURES):
        yield _record("features", {"id": feature_id(n), "app_id": APP, "name": f"Feature {n}"})


def _record(stream: str, record: Message) -> Message:
    return {"type": "RECORD", "stream": stream, "record": record, "time_extracted": _READ_AT}


@functools.cache
def _day(rows: int, together: int) -> bytes:
    """Give the lines of a day's rows; as many of them as `together` are one activity.

    They are sorted by the hour; the rows of one activity are hours apart.
    """
    groups = -(-rows // together)
    return "".join(_line(n, n % groups, n * 24 // rows) for n in range(rows)).encode()


def _line(n: int, group: int, hour: int) -> str:
    visitor, use = divmod(group, 3)
    return _EVENT.format(
        visitor=visitor + 1,
        company=visitor % COMPANIES + 1,
        feature=feature_id((visitor % (_FEATURES // 3)) * 3 + use),
        address=visitor % 256,
        hour=hour,
        events=_events(group),
        read_at=_READ_AT,
        n=n,
    )


def main() -> None:
    """Write the messages."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, required=True)
    parser.add_argument("--together", type=int, default=3, help="rows that are one activity")
    parser.add_argument("--later", type=int, default=0, help="days by which all is later")
    asked = parser.parse_args()

    def write(*messages: Message) -> None:
        for message in messages:
            sys.stdout.buffer.write(json.dumps(message).encode() + b"\n")

    write(*_head())
    sizes = _days(asked.rows)
    for number, size in enumerate(sizes):
        start = END.date() + timedelta(days=asked.later - len(sizes) + number)
        end = start + timedelta(days=1)
        lines = _day(size, asked.together).replace(_DATE, start.isoformat().encode())
        sys.stdout.buffer.write(lines.replace(_NUMBER, b"%08x" % number))
        window = {
            "stream": "feature_events",
            "app_ids": "*",
            "window_start": f"{start}T00:00:00.000Z",
            "window_end": f"{end}T00:00:00.000Z",
            "read_at": _READ_AT,
        }
        state = {"type": "STATE", "value": {"day": number}}
        write(_record("sync_windows", window), state)


if __name__ == "__main__":
    # the target says itself why it ended early
    with contextlib.suppress(BrokenPipeError):
        main()
