"""Runs that are killed at any point: the next one makes them good."""

from __future__ import annotations

import typing as t
from datetime import datetime, timedelta, timezone

import pytest
from pendo_emulator.server import serve as serve_pendo
from pendo_emulator.world import World as Pendo
from tap_pendo import tap as tap_module
from tap_pendo.api import client as tap_client
from tap_pendo.calendar import from_ms

from tests.conftest import NOW, TapRunner
from tests.planhat.kills import killed
from tests.planhat.pendo_side import ACTIVE, RULES, STREAMS, acquaint, active, activities, points
from tests.planhat.usage import assert_once, held, ledger
from tests.sink import Sink

if t.TYPE_CHECKING:
    import random
    from collections.abc import Iterator

    from tests.conftest import Output
    from tests.planhat.running import Record, TargetRunner

START = NOW - timedelta(days=3)


class Recorded:
    """A tap on a small world that stands still, and what a whole run of it gives."""

    def __init__(self, tap: TapRunner) -> None:
        self.tap = tap
        self.whole = self.read(None)
        self.text = self.whole.text.encode()
        self.truth = Sink()
        self.truth.load(self.whole)

    def read(self, state: Record | None) -> Output:
        """Read from a state on, a second later than before."""
        self.tap.pendo.clock.advance(1)
        given = self.tap.run(
            state=state,
            select=(*STREAMS, "active_visitors"),
            start_date=START.isoformat(),
            aggregations=[ACTIVE],
        )
        assert self.tap.exit_code == 0
        return given


@pytest.fixture(scope="module")
def recorded() -> Iterator[Recorded]:
    """Serve a Pendo for all kills: none of them changes it."""
    world = Pendo(events_per_day=120, visitors=80, accounts=20)
    with serve_pendo(world) as pendo, pytest.MonkeyPatch.context() as patch:
        pendo.clock.set(NOW.isoformat())
        patch.setattr(tap_client, "FIRST_WAIT", 0.0)
        patch.setattr(tap_module, "utc_now", lambda: from_ms(pendo.clock.now()))
        yield Recorded(TapRunner(pendo))


@pytest.mark.some(2)
@pytest.mark.parametrize("draw", range(50), indirect=True)
def test_a_killed_run_is_made_good_by_the_next(
    draw: random.Random, recorded: Recorded, target: TargetRunner
) -> None:
    settings = {**RULES, "in_doubt": draw.choice(("assume_sent", "resend"))}
    planhat = target.planhat
    planhat.knobs.activity_answer = draw.choice(("json", "text", "empty"))
    acquaint(recorded.tap.pendo.world, planhat.world)
    state, text = None, recorded.text
    for _ in range(draw.randint(1, 3)):
        state = killed(target, text, draw, **settings) or state
        text = recorded.read(state).text.encode()
    # what may have arrived late, has
    target.now = datetime.now(timezone.utc) + timedelta(minutes=30)
    report = target.run(text=text.decode(), **settings)

    assert target.error is None
    found, kept = held(planhat.world), ledger(target.folder / "ledger.db")
    daily = {place: found.pop(place) for place in list(found) if place[0] == "active_visitors"}
    for place in daily:
        del kept[place]
    used = points(recorded.truth)
    assert_once(found, activities(recorded.truth) + used, kept)
    assert all(item.claimed == 0 and item.sent == item.wanted for item in kept.values())
    assert all(rule["excess"] == 0 for rule in report["rules"])
    # what can be read back is exact, and each value of a day is there once
    assert {place: count for place, count in found.items() if place[0] == "uses"} == used
    assert daily == active(recorded.truth)
    assert planhat.world.count("points") - len(planhat.world.points("uses")) == len(daily)
