"""What a reader may say of a case of their own: how much there is, and how it is run."""

from __future__ import annotations

import dataclasses
import typing as t


class Rule(t.NamedTuple):
    """What a number of a case means, and which are allowed."""

    about: str
    least: float
    most: float
    whole: bool = False


def _number(default: float, about: str, least: float, most: float) -> t.Any:
    return dataclasses.field(default=default, metadata={"rule": Rule(about, least, most)})


def _whole(default: int, about: str, least: int, most: int) -> t.Any:
    rule = Rule(about, least, most, whole=True)
    return dataclasses.field(default=default, metadata={"rule": rule})


@dataclasses.dataclass(frozen=True)
class Case:
    """One case. `events` are those that Pendo counts, of all event streams of one tenant."""

    events: float = _number(1e8, "events a year of each tenant, of all event streams", 1, 1e13)
    tenants: int = _whole(1, "Pendo subscriptions, each with a Planhat tenant", 1, 1_000_000)
    years: float = _number(1, "years of history", 1 / 365, 20)
    streams: int = _whole(
        4, "event streams with equally many events; one of them goes to Planhat, too", 1, 10
    )
    events_per_row: float = _number(2, "events that one row of an hour counts", 1, 1e6)
    rows_per_item: float = _number(1.5, "rows of one visitor, feature and day", 1, 24)
    hours_per_day: int = _whole(12, "hours of a day in which there are events", 1, 24)
    end_users: int = _whole(10_000, "end users in each tenant of Planhat", 0, 1_000_000_000)
    runs_per_day: int = _whole(24, "runs a day, evenly spread", 1, 24)
    lookback_hours: int = _whole(12, "`lookback_hours`", 0, 8760)
    lookback_days: int = _whole(3, "`lookback_days`", 0, 365)
    period: t.Literal["hour", "day"] = "hour"
    page_size: int = _whole(50_000, "`page_size`", 1, 10_000_000)
    concurrency: int = _whole(4, "`concurrency`", 1, 100)
    calls_per_second: float = _number(25, "`max_calls_per_second`", 0.1, 100)
    seconds_per_call: float = _number(0.15, "until an answer begins, assumed", 0, 300)
    megabytes_per_second: float = _number(10, "of one answer or post, assumed", 0.01, 10_000)
    partitions: int = _whole(1, "parts of a history that are read side by side", 1, 1000)
    workers: int = _whole(1, "machines that run plugins", 1, 10_000)
    cores: int = _whole(2, "cores of each", 1, 1000)
    memory: float = _number(8, "GB of memory of each", 0.1, 10_000)
    database_cores: int = _whole(4, "cores of the warehouse's PostgreSQL", 1, 1000)
    database_memory: float = _number(16, "GB of its memory", 0.1, 10_000)

    @property
    def day_rows(self) -> float:
        """Rows that a day of one stream of one tenant has."""
        days = self.rows_per_item if self.period == "day" else 1
        return self.events / 365 / self.streams / self.events_per_row / days

    def up_to(self, hour: float) -> float:
        """Rows of one stream before an hour, counted from a midnight; used hours lie about noon."""
        days, rest = divmod(hour, 24)
        if self.period == "day":
            return self.day_rows * days
        used = min(max(rest - (24 - self.hours_per_day) / 2, 0), self.hours_per_day)
        return self.day_rows * (days + used / self.hours_per_day)


def rules() -> dict[str, Rule]:
    """Give the limits of each number of a case."""
    fields = dataclasses.fields(Case)
    return {one.name: one.metadata["rule"] for one in fields if "rule" in one.metadata}
