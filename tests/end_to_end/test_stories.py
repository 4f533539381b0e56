"""Whatever happens between runs, after each of them a sink holds exactly what Pendo counts."""

from __future__ import annotations

import dataclasses
import typing as t
from datetime import datetime, timedelta

import pytest
from emulation.clock import Clock
from hypothesis import given, settings
from hypothesis import strategies as st
from pendo_emulator.knobs import Knobs
from pendo_emulator.product.event_store import TAGGED
from pendo_emulator.server import serve
from pendo_emulator.switches import SWITCHES
from pendo_emulator.world import World
from tap_pendo import json_stream
from tap_pendo import tap as tap_module
from tap_pendo.api import client as tap_client
from tap_pendo.api.concurrency import Limiter
from tap_pendo.calendar import from_ms, to_ms

from tests.conftest import NOW, TapRunner
from tests.sink import EVENTS, Sink
from tests.tables import event_sums

if t.TYPE_CHECKING:
    from pendo_emulator.server import Emulator

SELECT = tuple(row.name for row in EVENTS)
SOURCES = tuple(row.source for row in EVENTS)
DAYS = 5
# all that can change is read again
LOOKBACK = {"lookback_days": 60, "lookback_hours": 60 * 24}
# these take long, or belong to the world
_APART = {"flood", "flood-of-one-moment", "huge-rows", "slow-start", "new-york"}
MENDABLE = {one.name for one in SWITCHES if not one.fatal} - _APART
# a day is asked for in one piece, and pages are not made smaller without end
NOT_BY_DAY = {"long-windows-time-out", "large-answers-408", "large-answers-413"}

Change = t.Callable[["Emulator"], None]


@dataclasses.dataclass(frozen=True)
class Step:
    """Some changes, some time, then a run."""

    changes: list[Change]
    minutes: int
    start: datetime
    settings: dict[str, t.Any]


@st.composite
def late(draw: st.DrawFn) -> Change:
    """Events that arrive now, of any source and moment."""
    source = draw(st.sampled_from(SOURCES))
    ages = draw(st.lists(st.integers(0, DAYS * 24 * 60), min_size=1, max_size=4))
    place = draw(st.integers(0, 2))

    def change(pendo: Emulator) -> None:
        entity = pendo.world.activity.entities[source][place]
        (row,) = (row for row in EVENTS if row.source == source)
        fields = {row.identity[3].pendo: entity.id, "pollId": entity.poll_id or None}
        pendo.world.inject(
            {
                "source": source,
                "ts": pendo.clock.now() - age * 60_000,
                "visitorId": f"late {age % 3}",
                "appId": entity.app_id,
                **{name: value for name, value in fields.items() if value is not None},
            }
            for age in ages
        )

    return change


@st.composite
def retagged(draw: st.DrawFn) -> Change:
    """Events of some hours that count for another entity, or for none."""
    source = draw(st.sampled_from(tuple(TAGGED)))
    old, new = draw(st.tuples(st.integers(0, 3), st.none() | st.integers(0, 3)))
    age, hours = draw(st.tuples(st.integers(0, DAYS * 24), st.integers(1, 48)))

    def change(pendo: Emulator) -> None:
        ids = [entity.id for entity in pendo.world.activity.entities[source][:4]]
        first = pendo.clock.now() - age * 3_600_000
        target = None if new is None else ids[new]
        pendo.world.retag(source, ids[old], target, first, first + hours * 3_600_000)

    return change


def armed(name: str) -> Change:
    return lambda pendo: pendo.arm(name)


def mended(pendo: Emulator) -> None:
    pendo.faults.clear()
    pendo.world.knobs = Knobs()


def steps(period: str) -> st.SearchStrategy[list[Step]]:
    """Some steps of a story in which rows are by the hour or by the day."""
    names = sorted(MENDABLE - NOT_BY_DAY if period == "day" else MENDABLE)
    change = st.one_of(
        late(), retagged(), st.sampled_from(names).map(armed), st.just(t.cast("Change", mended))
    )
    step = st.builds(
        Step,
        changes=st.lists(change, max_size=3),
        minutes=st.integers(1, 2 * 24 * 60),
        start=st.integers(6, (DAYS + 2) * 24).map(lambda hours: NOW - timedelta(hours=hours)),
        settings=st.fixed_dictionaries(
            {
                "concurrency": st.integers(1, 4),
                "page_size": st.sampled_from((20, 50, 300, 5000)),
                "backfill_order": st.sampled_from(("newest_first", "oldest_first")),
            }
        ),
    )
    return st.lists(step, min_size=2, max_size=5)


STORIES = st.sampled_from(("hour", "day")).flatmap(
    lambda period: st.tuples(st.just(period), steps(period))
)
WORLDS = st.fixed_dictionaries(
    {
        "seed": st.integers(1, 1000),
        "events_per_day": st.integers(30, 150),
        "time_zone": st.sampled_from(("UTC", "Asia/Kolkata", "America/New_York")),
    }
)


def test_after_each_run_the_sink_holds_what_pendo_counts(request: pytest.FixtureRequest) -> None:
    @settings(max_examples=200 if request.config.getoption("all") else 4)
    @given(WORLDS, STORIES)
    def holds(product: dict[str, t.Any], story: tuple[str, list[Step]]) -> None:
        period, told = story
        world = World(visitors=120, accounts=40, clock=Clock(NOW.isoformat()), **product)
        with serve(world) as pendo, pytest.MonkeyPatch.context() as patch:
            patch.setattr(tap_client, "FIRST_WAIT", 0.0)
            # so that small answers that break off leave rows, as large ones do
            patch.setattr(json_stream, "_BLOCK", 256)
            patch.setattr(Limiter, "wait", lambda *_: None)
            patch.setattr(tap_module, "utc_now", lambda: from_ms(pendo.clock.now()))
            tell(pendo, told, {"period": period, "timezone": product["time_zone"], **LOOKBACK})

    holds()


def tell(pendo: Emulator, steps: list[Step], fixed: dict[str, t.Any]) -> None:
    """Go through the steps, and compare after each."""
    sink, state, tap = Sink(), None, TapRunner(pendo)
    for step in steps:
        pendo.clock.advance(step.minutes * 60)
        for change in step.changes:
            change(pendo)
        output = tap.run(
            state=state,
            select=SELECT,
            start_date=step.start.isoformat(),
            **step.settings,
            **fixed,
        )
        assert tap.exit_code == 0
        state = output.state or state
        sink.load(output)
        for row in EVENTS:
            period = fixed["period"] if row.grouped else "hour"
            start = first_bucket(pendo.world, step.start, period)
            found, truth = sink.sums(row, start), event_sums(pendo.world, row.source, start, period)
            assert (row.name, found - truth, truth - found) == (row.name, {}, {})


def first_bucket(world: World, start: datetime, period: str) -> datetime:
    """Start of the first bucket that does not begin before a moment."""
    calendar, moment = world.calendar, to_ms(start)
    floor = calendar.floor(period, moment)
    return from_ms(floor if floor == moment else calendar.next(period, floor))
