"""Time cut into months or days of the subscription: the partitions, and the bounds of each."""

from __future__ import annotations

import dataclasses
import typing as t
from datetime import date, datetime, time, timedelta, timezone

if t.TYPE_CHECKING:
    from collections.abc import Iterator
    from zoneinfo import ZoneInfo

Cut = t.Literal["month", "day"]
CUTS: tuple[Cut, ...] = ("month", "day")
_LENGTH = {"month": len("2026-03"), "day": len("2026-03-01")}


@dataclasses.dataclass(frozen=True)
class Piece:
    """One app in the time [start, end), both aware UTC; `key` names it within a tenant."""

    app_id: int
    start: datetime
    end: datetime
    key: str


def piece(app: str, span: str, cut: Cut, zone: ZoneInfo) -> Piece:
    """Make the piece of a partition: an app's id and a month (2026-03) or day (2026-03-01).

    Raises:
        ValueError: one of them is not valid.
    """
    start, end = bounds(span, cut, zone)
    return Piece(int(app), start, end, f"{app}.{span}")


def bounds(span: str, cut: Cut, zone: ZoneInfo) -> tuple[datetime, datetime]:
    """Return the first moment of a month or day of the zone, and that of the next; aware UTC."""
    if len(span) != _LENGTH[cut]:
        raise ValueError(f"{span} is not a {cut}")
    first = date.fromisoformat(span if cut == "day" else f"{span}-01")
    return _midnight(first, zone), _midnight(_next(first, cut), zone)


def spans(start: datetime, end: datetime, cut: Cut, zone: ZoneInfo) -> Iterator[str]:
    """Name the months or days from the one that holds `start` to the last that is over by `end`."""
    day = start.astimezone(zone).date()
    first = day.replace(day=1) if cut == "month" else day
    while _midnight(_next(first, cut), zone) <= end:
        yield first.isoformat()[: _LENGTH[cut]]
        first = _next(first, cut)


def month_before(now: datetime, zone: ZoneInfo) -> datetime:
    """First moment of the month before the one of `now`, in the zone; aware UTC."""
    this = now.astimezone(zone).date().replace(day=1)
    return _midnight((this - timedelta(days=1)).replace(day=1), zone)


def _next(first: date, cut: Cut) -> date:
    if cut == "day":
        return first + timedelta(days=1)
    # 31 days after the first of a month lie in the next one
    return (first + timedelta(days=31)).replace(day=1)


def _midnight(day: date, zone: ZoneInfo) -> datetime:
    return datetime.combine(day, time(), zone).astimezone(timezone.utc)
