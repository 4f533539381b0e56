"""What tap-pendo writes of feature events, from prepared bytes: a program that feeds targets."""

from __future__ import annotations

import argparse
import contextlib
import functools
import json
import sys
import typing as t
from datetime import timedelta

import msgspec

from benchmarks.product import APP, COMPANIES, END, feature_id
from benchmarks.running import ROOT

Message = dict[str, t.Any]

ROWS_A_DAY = 33_334
FEATURES = 60
_MOST_EVENTS = 5
_STREAMS = ("sync_windows", "features", "feature_events")
# marks of the bytes of a day: its date, and its number
_DATE, _NUMBER = b"@@@@-@@-@@", b"########"
_encode = msgspec.json.encode


def days(rows: int) -> list[int]:
    """Rows of each day."""
    whole, rest = divmod(rows, ROWS_A_DAY)
    return [ROWS_A_DAY] * whole + [rest] * bool(rest)


def activities(rows: int, together: int) -> int:
    """Count the activities, one per visitor, feature and day, of so many rows."""
    return sum(_groups(size, together) for size in days(rows))


def events(rows: int, together: int) -> int:
    """Count the events of so many rows."""
    return sum(_events_of_day(size, together) for size in days(rows))


@functools.cache
def _events_of_day(rows: int, together: int) -> int:
    return sum(_events(n % _groups(rows, together)) for n in range(rows))


def _groups(rows: int, together: int) -> int:
    """Count the activities of a day's rows."""
    return -(-rows // together)


def _events(group: int) -> int:
    """Events of each row of an activity."""
    return 1 + group % _MOST_EVENTS


def schemas() -> t.Iterator[Message]:
    """Give the SCHEMA messages, from the golden catalogue."""
    catalog = json.loads((ROOT / "tests/golden/catalog.json").read_bytes())
    entries = {entry["stream"]: entry for entry in catalog["streams"]}
    for stream in _STREAMS:
        entry = entries[stream]
        yield {
            "type": "SCHEMA",
            "stream": stream,
            "schema": entry["schema"],
            "key_properties": entry["key_properties"],
        }


def features() -> t.Iterator[Message]:
    """Give the features; an activity is named after one."""
    for n in range(FEATURES):
        yield _record("features", {"id": feature_id(n), "app_id": APP, "name": f"Feature {n}"})


def day(rows: int, together: int) -> t.Iterator[bytes]:
    """Give the lines of a day's rows; as many of them as `together` are one activity."""
    groups = _groups(rows, together)
    for n in range(rows):
        # sorted by the hour; the rows of one activity are hours apart
        row = _row(n % groups, n * 24 // rows)
        row["row_id"] = f"{n:024x}{_NUMBER.decode()}"
        yield _encode(_record("feature_events", row)) + b"\n"


def _row(group: int, hour: int) -> Message:
    visitor, use = divmod(group, 3)
    date = _DATE.decode()
    return {
        "visitor_id": f"enduser-{visitor + 1}",
        "account_id": f"company-{visitor % COMPANIES + 1}",
        "app_id": APP,
        "feature_id": feature_id((visitor % (FEATURES // 3)) * 3 + use),
        "server": "app.example",
        "remote_ip": f"203.0.113.{visitor % 256}",
        "user_agent": "Mozilla/5.0 Chrome/139",
        "country": "DE",
        "region": "Berlin",
        "parameters": {},
        "hour": f"{date}T{hour:02d}:00:00.000Z",
        "num_events": _events(group),
        "num_minutes": 1,
        "first_time": f"{date}T{hour:02d}:00:10.000Z",
        "last_time": f"{date}T{hour:02d}:30:10.000Z",
        "read_at": _read_at(0),
    }


def _read_at(seconds: int) -> str:
    return (END + timedelta(seconds=seconds)).strftime("%Y-%m-%dT%H:%M:%S.000Z")


def _record(stream: str, record: Message) -> Message:
    return {
        "type": "RECORD",
        "stream": stream,
        "record": record,
        "time_extracted": "2025-01-01T00:00:00.000000Z",
    }


def window(date: str, end: str) -> Message:
    """Say that a day is read."""
    complete = {"stream": "feature_events", "app_ids": "*", "read_at": _read_at(0)}
    bounds = {"window_start": f"{date}T00:00:00.000Z", "window_end": f"{end}T00:00:00.000Z"}
    return _record("sync_windows", complete | bounds)


def main() -> None:
    """Write the messages."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, required=True)
    parser.add_argument("--together", type=int, default=3, help="rows that are one activity")
    parser.add_argument("--later", type=int, default=0, help="days by which all is later")
    asked = parser.parse_args()
    write = sys.stdout.buffer.write
    for message in (*schemas(), *features()):
        write(_encode(message) + b"\n")
    sizes = days(asked.rows)
    prepared = {size: b"".join(day(size, asked.together)) for size in set(sizes)}
    start = END.date() + timedelta(days=asked.later - len(sizes))
    for number, size in enumerate(sizes):
        date = start + timedelta(days=number)
        lines = prepared[size].replace(_DATE, date.isoformat().encode())
        write(lines.replace(_NUMBER, b"%08x" % number))
        end = date + timedelta(days=1)
        write(_encode(window(date.isoformat(), end.isoformat())) + b"\n")
        write(_encode({"type": "STATE", "value": {"day": number}}) + b"\n")


if __name__ == "__main__":
    # the target says itself why it ended early
    with contextlib.suppress(BrokenPipeError):
        main()
