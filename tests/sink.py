"""A sink with upserts, as a warehouse is: what it holds after any number of runs."""

from __future__ import annotations

import typing as t
from collections import Counter, defaultdict

from tap_pendo.calendar import to_text
from tap_pendo.catalog import CATALOG
from tap_pendo.catalog.stream_specs import EventSpec

if t.TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime

Record = dict[str, t.Any]
EVENTS = tuple(row for row in CATALOG if isinstance(row, EventSpec) and row.by_default)


class Sink:
    """Tables by stream; rows merged by primary key, old versions dropped by a new one."""

    def __init__(self) -> None:
        self.tables: dict[str, dict[tuple[t.Any, ...], Record]] = defaultdict(dict)
        self._keys: dict[str, list[str]] = {}
        self._versions: dict[str, dict[tuple[t.Any, ...], t.Any]] = defaultdict(dict)

    def load(self, messages: Iterable[Record]) -> None:
        """Take messages in their order."""
        for message in messages:
            stream = message.get("stream", "")
            if message["type"] == "SCHEMA":
                self._keys[stream] = message["key_properties"]
            elif message["type"] == "RECORD":
                record = message["record"]
                key = tuple(record[name] for name in self._keys[stream])
                self.tables[stream][key] = record
                self._versions[stream][key] = message.get("version")
            elif message["type"] == "ACTIVATE_VERSION":
                known = self._versions[stream]
                for key in [key for key, version in known.items() if version != message["version"]]:
                    del self.tables[stream][key], known[key]

    def current(self, row: EventSpec) -> list[Record]:
        """Event rows that no newer complete read of their bucket and app supersedes (design P3)."""
        reads = [r for r in self.tables["sync_windows"].values() if r["stream"] == row.name]
        return [
            record
            for record in self.tables[row.name].values()
            if not any(_supersedes(read, record, _moment(row, record)) for read in reads)
        ]

    def sums(self, row: EventSpec, since: datetime | None = None) -> Counter[tuple[t.Any, ...]]:
        """Events per app, entity and day since a moment, as `tables.event_sums` gives them."""
        counts: Counter[tuple[t.Any, ...]] = Counter()
        entity = "poll_id" if row.name == "poll_events" else row.identity[3].name
        first = to_text(since) if since else ""
        for record in self.current(row):
            moment = _moment(row, record)
            if moment >= first:
                day = moment[:16].replace("T", " ") if record.get("day") else moment[:10]
                counts[record["app_id"], record.get(entity), day] += (
                    record["num_events"] if row.grouped else 1
                )
        return counts


def _moment(row: EventSpec, record: Record) -> str:
    return str(record[row.time.name] if row.time else record.get("hour") or record["day"])


def _supersedes(read: Record, record: Record, moment: str) -> bool:
    return (
        read["read_at"] > record["read_at"]
        and read["window_start"] <= moment < read["window_end"]
        and (read["app_ids"] == "*" or str(record["app_id"]) in read["app_ids"].split(","))
    )
