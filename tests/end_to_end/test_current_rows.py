"""The documented view of current rows shows exactly what Pendo has, after every kind of read."""

from __future__ import annotations

import typing as t
from datetime import timedelta

import pytest
from emulation.clock import Clock
from pendo_emulator.server import serve
from pendo_emulator.world import World
from tap_pendo import tap as tap_module
from tap_pendo.api import client as tap_client
from tap_pendo.calendar import from_ms, to_ms

from tests.conftest import NOW, TapRunner, Warehouse
from tests.sink import EVENTS
from tests.tables import expected, shown

if t.TYPE_CHECKING:
    from pendo_emulator.server import Emulator
    from with_demo.postgres import Server

    from tests.conftest import Output

START = (NOW - timedelta(days=9)).replace(minute=0, second=0)
SELECT = tuple(row.name for row in EVENTS)
# days that no look-back reaches, and that the reads below read again
OLD = NOW - timedelta(days=8), NOW - timedelta(days=6)
AGAIN = {
    "start_date": (NOW - timedelta(days=10)).date().isoformat(),
    "end_date": (NOW - timedelta(days=4)).date().isoformat(),
}

# seed, time zone and period
PRODUCTS = ((1, "UTC", "hour"), (2, "Asia/Kolkata", "hour"), (3, "America/New_York", "day"))


class Reader:
    """Runs the tap, loads what it gives, and compares."""

    def __init__(self, pendo: Emulator, warehouse: Warehouse, **settings: t.Any) -> None:
        self.pendo, self.warehouse, self.settings = pendo, warehouse, settings
        self.tap = TapRunner(pendo)

    def read(self, **more: t.Any) -> Output:
        """Run and load."""
        settings = {"start_date": START.isoformat(), **self.settings, **more}
        output = self.tap.run(select=SELECT, **settings)
        assert self.tap.exit_code == 0
        self.warehouse.load(output)
        return output

    def differing(self) -> set[str]:
        """Streams whose current rows are not what Pendo has."""
        period = self.settings["period"]
        return {
            name
            for name in SELECT
            if shown(self.warehouse, name, START) != expected(self.pendo.world, name, START, period)
        }

    def retag(self, source: str, place: int) -> int:
        """Let old events of an entity count for none; its app."""
        entity = self.pendo.world.activity.entities[source][place]
        self.pendo.world.retag(source, entity.id, None, *(to_ms(moment) for moment in OLD))
        self.pendo.clock.advance(60)
        return entity.app_id


@pytest.mark.some(1)
@pytest.mark.parametrize("number", range(len(PRODUCTS)))
def test_current_rows_are_exact_after_every_kind_of_read(
    number: int, postgres: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    seed, zone, period = PRODUCTS[number]
    size = {"events_per_day": 90, "visitors": 90, "accounts": 30}
    world = World(seed=seed, time_zone=zone, clock=Clock(NOW.isoformat()), **size)
    with serve(world) as pendo:
        monkeypatch.setattr(tap_client, "FIRST_WAIT", 0.0)
        monkeypatch.setattr(tap_module, "utc_now", lambda: from_ms(pendo.clock.now()))
        warehouse = Warehouse(postgres, f"current_rows_{seed}")
        reader = Reader(pendo, warehouse, timezone=zone, period=period)
        first = reader.read()
        assert reader.differing() == set()

        pendo.arm("late-events", "retagged")
        pendo.clock.advance(60)
        assert reader.differing() == set(SELECT)
        # late events of six days ago are out of the default look-back
        second = reader.read(state=first.state, lookback_hours=8 * 24)
        assert reader.differing() == set()

        # a later day, and what is too old for its look-back: a bounded read without state
        pendo.clock.advance(24 * 3600)
        reader.retag("featureEvents", 3)
        third = reader.read(state=second.state)
        assert reader.differing() == {"feature_events"}
        bounded = reader.read(**AGAIN)
        windows = bounded.records("sync_windows")
        assert max(w["window_end"] for w in windows) < "2026-03-08"
        assert reader.differing() == set()

        # the same of one app alone: the rows of other apps stay current
        app_id = reader.retag("pageEvents", 2)
        assert reader.differing() == {"page_events"}
        limited = reader.read(app_ids=[app_id], **AGAIN)
        assert {r["app_id"] for r in limited.records("page_events")} <= {app_id}
        assert reader.differing() == set()

        pendo.clock.advance(3 * 3600)
        reader.read(state=third.state)
        assert reader.differing() == set()
