"""What the emulated Pendo has, what PostgreSQL has, and how many calls there were."""

from __future__ import annotations

import typing as t
import urllib.parse
from collections import Counter

from psycopg import sql

from orchestrate.streams import STREAMS
from orchestrate.trial.server import ask

if t.TYPE_CHECKING:
    from datetime import datetime

    import psycopg

Totals = dict[tuple[str, int, str], int]  # by stream, app and month: events


class Pendo:
    """The emulator, by the paths that look into it."""

    def __init__(self, url: str) -> None:
        self._url = f"{url}/_emulator"

    def delay(self, seconds: float) -> None:
        """Let each answer begin so much later."""
        ask(f"{self._url}/faults", [{"kind": "delay", "seconds": seconds, "times": None}])

    def forget_calls(self) -> None:
        """Count calls from now on."""
        ask(f"{self._url}/calls", method="DELETE")

    def calls(self) -> tuple[int, int]:
        """Return how many calls there were, and the most to one endpoint in any one second."""
        found = ask(f"{self._url}/calls")
        return sum(each["count"] for each in found["calls"]), max(
            found["most_per_second"].values(), default=0
        )

    def events(self, start: datetime, end: datetime, apps: list[int]) -> Totals:
        """Return the truth of the event streams."""
        totals: Counter[tuple[str, int, str]] = Counter()
        for stream in STREAMS.values():
            asked = {"source": stream.source, "first": start.isoformat(), "last": end.isoformat()}
            query = urllib.parse.urlencode(asked)
            for app, _entity, day, count in ask(f"{self._url}/truth/sums?{query}"):
                if app in apps:
                    totals[stream.name, app, day[:7]] += count
        return dict(totals)


def loaded(connection: psycopg.Connection, schema: str) -> Totals:
    """Return the sums of all rows in the tables."""
    totals: Totals = {}
    for stream in STREAMS.values():
        query = sql.SQL(
            "select app_id, to_char({moment}, 'YYYY-MM'), {measure} from {table} group by 1, 2"
        ).format(
            moment=sql.Identifier("hour" if stream.grouped else "browser_time"),
            measure=sql.SQL("sum(num_events)" if stream.grouped else "count(*)"),
            table=sql.Identifier(schema, stream.name),
        )
        for app, month, total in connection.execute(query):
            totals[stream.name, app, month] = int(total)
    return totals
