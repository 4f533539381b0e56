"""A bounded run is a function of its partition: the same each time, and adjoining ones complete."""

from __future__ import annotations

import typing as t
from collections import Counter
from zoneinfo import ZoneInfo

import pytest
from pendo_emulator.server import serve
from pendo_emulator.world import World
from tap_pendo import tap as tap_module

from orchestrate.pieces import Piece, bounds, piece, spans
from tests.conftest import NOW, Output, TapRunner
from tests.sink import EVENTS

if t.TYPE_CHECKING:
    from collections.abc import Iterator

APPS = (-323232, 5629499534213120, 6031122334455667)
STREAMS = tuple(row.name for row in EVENTS)
DAYS = ("2026-03-06", "2026-03-07", "2026-03-08", "2026-03-09")


@pytest.fixture
def zone(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[TapRunner]:
    """Give the tap and a Pendo whose days are those of a zone; the clock goes forward in one."""
    monkeypatch.setattr(tap_module, "utc_now", lambda: NOW)
    name = request.param
    world = World(events_per_day=120, visitors=60, accounts=20, time_zone=name)
    with serve(world) as pendo:
        pendo.clock.set(NOW.isoformat())
        runner = TapRunner(pendo)
        runner.config["timezone"] = name
        yield runner


def read(tap: TapRunner, one: Piece, period: str, apps: list[int] | None = None) -> Output:
    """Run the tap as a piece of work does: bounds, an app, its streams, and no state."""
    output = tap.run(
        select=STREAMS,
        start_date=one.start.isoformat(),
        end_date=one.end.isoformat(),
        app_ids=apps or [one.app_id],
        period=period,
    )
    assert tap.exit_code == 0
    return output


def rows(output: Output, *, reads: bool = False) -> Counter[str]:
    """The records, in any order, without what tells one read from another.

    Pendo gives rows that are equal in what they are sorted by in any order.
    """
    return Counter(
        repr((m["stream"], sorted((k, v) for k, v in m["record"].items() if k != "read_at")))
        for m in output
        if m["type"] == "RECORD" and (reads or m["stream"] != "sync_windows")
    )


@pytest.mark.some(1)
@pytest.mark.parametrize(
    ("zone", "period"),
    [("UTC", "hour"), ("America/New_York", "day"), ("Asia/Kolkata", "hour")],
    indirect=["zone"],
)
def test_pieces_are_the_same_each_time_and_adjoining_ones_are_the_whole(
    zone: TapRunner, period: str
) -> None:
    where = ZoneInfo(zone.config["timezone"])
    start, end = bounds(DAYS[0], "day", where)[0], bounds(DAYS[-1], "day", where)[1]
    assert tuple(spans(start, end, "day", where)) == DAYS
    parts: Counter[str] = Counter()
    for app in APPS:
        for day in DAYS:
            one = piece(str(app), day, "day", where)
            first = read(zone, one, period)
            parts += rows(first)
            if day == DAYS[2]:  # when the clock goes forward
                assert rows(first, reads=True) == rows(read(zone, one, period), reads=True)
    whole = rows(read(zone, Piece(0, start, end, ""), period, list(APPS)))

    assert whole.total() > 500
    assert parts == whole
