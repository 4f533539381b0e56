"""From Pendo over the tap to Planhat, run after run: Planhat has what Pendo counts, once (P8)."""

from __future__ import annotations

import typing as t
from datetime import timedelta
from functools import partial

import pytest
from pendo_emulator.server import serve as serve_pendo
from pendo_emulator.world import World as Pendo
from planhat_emulator.server import serve as serve_planhat
from planhat_emulator.world import World as Planhat
from tap_pendo import client as tap_client
from tap_pendo import tap as tap_module
from tap_pendo.limiter import Limiter
from tap_pendo.windows import from_ms
from target_planhat import delivery, transport
from target_planhat import target as target_module

from tests.conftest import NOW, TapRunner
from tests.planhat.pendo_side import (
    ACTIVE,
    RULES,
    STREAMS,
    acquaint,
    action_of,
    active,
    activities,
    points,
)
from tests.planhat.running import TargetRunner
from tests.planhat.usage import assert_once, held, ledger
from tests.sink import EVENTS, Sink
from tests.tables import event_sums

if t.TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.planhat.running import Record

START = NOW - timedelta(days=3)
HOUR_MS = 3_600_000
LATECOMERS = 12
# all that can change is read again
LOOKBACK = {"lookback_days": 60, "lookback_hours": 60 * 24}
ROWS = [row for row in EVENTS if row.name in STREAMS]
TAKEN = (
    {"kind": "status", "status": 429, "times": 3},
    {"kind": "malformed", "path": "/analytics/bulk", "times": 2},
)
READING = (
    {"kind": "status", "status": 500, "path": "/endusers", "times": 2},
    {"kind": "reset", "path": "/leancompanies"},
)
DOUBTFUL = tuple(
    {"kind": kind, "path": path, "commit": commit, "after": after}
    # the first post of metrics is the question at the start
    for path, first in (("/analytics/bulk", 0), ("/dimensiondata", 1))
    for after, (kind, commit) in enumerate(
        (("reset", False), ("time_out", True), ("reset", True), ("status", False)), first
    )
)


class Sides:
    """Pendo, the tap, the target and Planhat, on one clock; and a warehouse for the truth."""

    def __init__(self, tap: TapRunner, target: TargetRunner) -> None:
        self.tap, self.target, self.sink = tap, target, Sink()
        self.pendo, self.planhat = tap.pendo, target.planhat.world
        self.state: Record | None = None

    def run(self, *faults: Record, full_refresh: bool = False, **settings: t.Any) -> Record:
        """Read, deliver, and compare what is known of both."""
        self.target.planhat.faults.clear()
        self.target.planhat.faults.add(*faults)
        output = self.tap.run(
            state=None if full_refresh else self.state,
            select=(*STREAMS, "active_visitors"),
            start_date=START.isoformat(),
            aggregations=[ACTIVE],
            **LOOKBACK,
        )
        assert self.tap.exit_code == 0
        self.sink.load(output)
        for row in ROWS:
            truth = event_sums(self.pendo.world, row.source, START, "hour")
            assert self.sink.sums(row) == truth
        report = self.target.run(*output, **RULES, **settings)
        assert self.target.error is None
        assert self.target.states[-1] == output.state
        self.state = output.state
        kept = {p: item for p, item in self.kept.items() if p[0] != "active_visitors"}
        found = {p: n for p, n in held(self.planhat).items() if p[0] != "active_visitors"}
        assert_once(found, self.truth, kept)
        return report

    @property
    def truth(self) -> dict[tuple[str, ...], float]:
        """What the warehouse holds, by place in Planhat."""
        return activities(self.sink) + points(self.sink)

    @property
    def kept(self) -> dict[tuple[str, ...], t.Any]:
        """What the ledger says of each place."""
        return ledger(self.target.folder / "ledger.db", partial(action_of, self.sink))

    def late(self, *ages: int) -> None:
        """Let events of some hours ago arrive now, of people who are known."""
        world = self.pendo.world
        people = [one for one in world.people.visitors if one.accounts and one.id.isalnum()]
        for source, key in (("featureEvents", "featureId"), ("trackEvents", "trackTypeId")):
            entities = world.activity.entities[source]
            world.inject(
                {
                    "source": source,
                    "ts": self.pendo.clock.now() - age * HOUR_MS,
                    "visitorId": people[age % len(people)].id,
                    "accountId": people[age % len(people)].accounts[0],
                    "appId": entities[age % 3].app_id,
                    key: entities[age % 3].id,
                }
                for age in ages
            )
        world.inject(
            {
                "source": "events",
                "ts": self.pendo.clock.now() - age * HOUR_MS,
                "visitorId": f"new {age}",
                "accountId": people[age % len(people)].accounts[0],
                "appId": world.activity.entities["featureEvents"][0].app_id,
            }
            for age in ages
        )

    def retag(self, old: int, new: int | None) -> None:
        """Count the events of a feature of the last two days for another one, or for none."""
        ids = [entity.id for entity in self.pendo.world.activity.entities["featureEvents"]]
        now = self.pendo.clock.now()
        target = None if new is None else ids[new]
        self.pendo.world.retag("featureEvents", ids[old], target, now - 48 * HOUR_MS, now)

    def wait(self, hours: float) -> None:
        """Let time pass."""
        self.pendo.clock.advance(hours * 3600)


@pytest.fixture
def sides(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Sides]:
    """Serve both; a few of Pendo's visitors are not in Planhat yet."""
    world = Pendo(events_per_day=120, visitors=100, accounts=25)
    monkeypatch.setattr(tap_client, "FIRST_WAIT", 0.0)
    monkeypatch.setattr(transport, "FIRST_WAIT", 0.0)
    monkeypatch.setattr(Limiter, "wait", lambda *_: None)
    monkeypatch.setattr(delivery, "BATCH", 20)
    monkeypatch.setattr(delivery, "METRIC_BATCH", 10)
    with serve_pendo(world) as pendo:
        pendo.clock.set(NOW.isoformat())
        monkeypatch.setattr(tap_module, "utc_now", lambda: from_ms(pendo.clock.now()))
        monkeypatch.setattr(target_module, "now", pendo.clock.now)
        with serve_planhat(Planhat(clock=pendo.clock)) as planhat:
            planhat.knobs.rate_limit = planhat.knobs.hard_limit = None
            yield Sides(TapRunner(pendo), TargetRunner(planhat, tmp_path))


@pytest.mark.parametrize("settle_hours", [0, 8])
@pytest.mark.parametrize("in_doubt", ["assume_sent", "resend"])
def test_run_after_run_planhat_has_what_pendo_counts(
    in_doubt: str, settle_hours: int, sides: Sides
) -> None:
    settings: Record = {"in_doubt": in_doubt, "settle_hours": settle_hours}
    late = acquaint(sides.pendo.world, sides.planhat, without=LATECOMERS)
    first = sides.run(*READING, **settings)
    assert first["parked"] > 0

    sides.wait(1)
    sides.late(1, 2, 5, 30)
    sides.run(*TAKEN, **settings)

    sides.wait(1)
    sides.retag(0, 1)
    sides.retag(2, None)
    sides.planhat.seed(endusers=late)
    third = sides.run(**settings)
    assert sum(rule["excess"] for rule in third["rules"]) > 0

    sides.wait(1)
    sides.late(3, 26, 27)
    sides.run(*DOUBTFUL, full_refresh=True, **settings)

    # the next day: part of what was taken back comes again
    sides.wait(20)
    sides.retag(1, 0)
    sides.late(*range(24, 36))
    sides.run(**settings)
    # at last, what is of this day too
    sides.wait(36)
    settings["settle_hours"] = 0
    last = sides.run(**settings)

    assert last["parked"] == last["waiting"] == 0
    found, truth, kept = held(sides.planhat), sides.truth, sides.kept
    daily = {place: found.pop(place) for place in list(found) if place[0] == "active_visitors"}
    assert daily.keys() == active(sides.sink).keys()
    assert latest(sides.planhat) == active(sides.sink)
    for place in daily:
        del kept[place]
    for place, item in kept.items():
        difference = found.get(place, 0) - truth.get(place, 0) - item.excess
        assert -item.doubt <= difference <= item.repeated
        # points are read back
        assert difference == 0 or place[0] != "uses"
    assert sum(item.excess for item in kept.values()) == sum(r["excess"] for r in last["rules"])
    doubts = {("assume_sent", "repeated"), ("resend", "doubt")}
    for policy, name in doubts:
        assert policy != in_doubt or not any(getattr(item, name) for item in kept.values())
    assert any(item.doubt or item.repeated for item in kept.values())

    # all of it again adds nothing
    again = sides.run(full_refresh=True, **settings)
    assert again["sent"] == 0
    assert {p: n for p, n in held(sides.planhat).items() if p not in daily} == found


def latest(planhat: Planhat) -> dict[tuple[str, ...], float]:
    return {p: n for p, n in planhat.point_lasts().items() if p[0] == "active_visitors"}
