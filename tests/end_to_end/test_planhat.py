"""From Pendo over the tap to Planhat, run after run: Planhat has what Pendo counts, once."""

from __future__ import annotations

import itertools
import typing as t
from datetime import timedelta
from functools import partial

import pytest
from pendo_emulator.server import serve as serve_pendo
from pendo_emulator.world import World as Pendo
from planhat_emulator.server import serve as serve_planhat
from planhat_emulator.world import World as Planhat
from tap_pendo import tap as tap_module
from tap_pendo.api import client as tap_client
from tap_pendo.api.concurrency import Limiter
from tap_pendo.calendar import from_ms
from target_planhat import target as target_module
from target_planhat.delivery import sender
from target_planhat.planhat import http

from tests.conftest import NOW, TapRunner
from tests.planhat.kills import killed
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
    import random
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
# what `in_doubt` and `settle_hours` are
POSITIONS = tuple(itertools.product(("assume_sent", "resend"), (0, 8)))
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

    def run(
        self,
        *faults: Record,
        full_refresh: bool = False,
        may_fail: bool = False,
        kills: random.Random | None = None,
        **settings: t.Any,
    ) -> Record:
        """Read, deliver, and compare what is known of both; it may fail as Planhat is down.

        With `kills`, a process that is killed somewhere tries to deliver first.
        """
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
        if kills:
            now = self.pendo.clock.now()
            killed(self.target, output.text.encode(), kills, now=now, **RULES, **settings)
        self.target.planhat.faults.clear()
        self.target.planhat.faults.add(*faults)
        report = self.target.run(*output, **RULES, **settings)
        if may_fail and self.target.error:
            assert "does not answer" in self.target.error or "does not take" in self.target.error
        else:
            assert self.target.error is None
        if not report:
            # down at the start: nothing was read
            return report
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
    world = Pendo(events_per_day=60, visitors=60, accounts=15)
    monkeypatch.setattr(tap_client, "FIRST_WAIT", 0.0)
    monkeypatch.setattr(http, "FIRST_WAIT", 0.0)
    monkeypatch.setattr(Limiter, "wait", lambda *_: None)
    monkeypatch.setattr(sender, "BATCH", 20)
    monkeypatch.setattr(sender, "METRIC_BATCH", 10)
    with serve_pendo(world) as pendo:
        pendo.clock.set(NOW.isoformat())
        monkeypatch.setattr(tap_module, "utc_now", lambda: from_ms(pendo.clock.now()))
        monkeypatch.setattr(target_module, "now", pendo.clock.now)
        with serve_planhat(Planhat(clock=pendo.clock)) as planhat:
            planhat.knobs.rate_limit = planhat.knobs.hard_limit = None
            yield Sides(TapRunner(pendo), TargetRunner(planhat, tmp_path))


@pytest.mark.some(1)
@pytest.mark.parametrize("number", range(len(POSITIONS)))
def test_run_after_run_planhat_has_what_pendo_counts(number: int, sides: Sides) -> None:
    in_doubt, settle_hours = POSITIONS[number]
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
    # more doubts than a run takes
    sides.run(*DOUBTFUL, full_refresh=True, may_fail=True, **settings)

    # the next day: part of what was taken back comes again
    sides.wait(20)
    sides.retag(1, 0)
    sides.late(*range(24, 36))
    sides.run(**settings)
    # at last, what is of this day too
    sides.wait(36)
    settings["settle_hours"] = 0
    last = sides.run(**settings)

    assert_settled(sides, last, in_doubt)
    assert any(item.doubt or item.repeated for item in sides.kept.values())

    # all of it again adds nothing
    found = held(sides.planhat)
    again = sides.run(full_refresh=True, **settings)
    assert again["sent"] == 0
    assert held(sides.planhat) == found


def test_a_lost_ledger_is_not_made_anew_where_the_tap_resumes(sides: Sides) -> None:
    acquaint(sides.pendo.world, sides.planhat)
    sides.run()
    sent = held(sides.planhat)
    sides.wait(1)
    for file in sides.target.folder.glob("ledger.db*"):
        file.unlink()
    given = {"select": (*STREAMS, "active_visitors"), "aggregations": [ACTIVE]}
    output = sides.tap.run(state=sides.state, start_date=START.isoformat(), **given)
    sides.target.run(*output, **RULES)

    assert "is new, but the tap resumes" in str(sides.target.error)
    assert held(sides.planhat) == sent


@pytest.mark.some(1)
@pytest.mark.parametrize("number", range(2))
def test_a_first_read_in_pieces_goes_on_with_its_ledger_alone(number: int, sides: Sides) -> None:
    given: Record = {
        "select": (*STREAMS, "active_visitors"),
        "aggregations": [ACTIVE],
        "start_date": START.isoformat(),
        "backfill_order": ("newest_first", "oldest_first")[number],
    }
    whole = sides.tap.run(**given)
    ends = [at for at, message in enumerate(whole, 1) if message["type"] == "STATE"]
    other = f"sqlite:///{sides.target.folder / 'other.db'}"
    refused = 0
    for at in ends[:: len(ends) // 4]:
        state = whole[at - 1]["value"]
        rest = sides.tap.run(state=state, **given)
        sides.target.run(*rest, **RULES, ledger_url=other)
        marks = [state["bookmarks"].get(rule["stream"], {}) for rule in _rules()]
        started = any("covered_from" in each for each in marks)
        assert bool(sides.target.error) is started
        refused += started
        if not started:
            sides.target.folder.joinpath("other.db").unlink()
        # nothing of Pendo's objects is in Planhat, so that nothing is sent
        sides.target.run(*whole[:at], **RULES)
        sides.target.run(*rest, **RULES)
        assert sides.target.error is None
    assert refused > 1


def _rules() -> list[Record]:
    return [*RULES["activities"], *RULES["metrics"]]


@pytest.mark.whole
@pytest.mark.parametrize("draw", range(10), indirect=True)
def test_five_runs_each_killed_before_end_with_what_pendo_counts(
    draw: random.Random, sides: Sides
) -> None:
    kills = draw
    in_doubt = kills.choice(("assume_sent", "resend"))
    settings: Record = {"in_doubt": in_doubt, "settle_hours": 3, "kills": kills}
    sides.target.planhat.knobs.activity_answer = kills.choice(("json", "text", "empty"))
    late = acquaint(sides.pendo.world, sides.planhat, without=LATECOMERS)
    sides.run(**settings)

    sides.wait(1)
    sides.late(1, 2, 5, 30)
    sides.run(*TAKEN, **settings)

    sides.wait(1)
    sides.retag(0, 1)
    sides.retag(2, None)
    sides.planhat.seed(endusers=late)
    sides.run(**settings)

    sides.wait(1)
    sides.late(3, 26, 27)
    sides.run(full_refresh=True, **settings)

    sides.wait(20)
    sides.retag(1, 0)
    sides.late(*range(24, 36))
    sides.run(**settings)

    sides.wait(36)
    last = sides.run(in_doubt=in_doubt, settle_hours=0)
    assert_settled(sides, last, in_doubt)


@pytest.mark.some(1)
@pytest.mark.parametrize("draw", range(40), indirect=True)
def test_whatever_happens_in_between_planhat_ends_with_what_pendo_counts(
    draw: random.Random, sides: Sides
) -> None:
    in_doubt = draw.choice(("assume_sent", "resend"))
    knobs = sides.target.planhat.knobs
    knobs.activity_answer = draw.choice(("json", "text", "empty"))
    knobs.ambiguous = draw.choice(("first", "last", "drop"))
    left = acquaint(sides.pendo.world, sides.planhat, without=draw.randrange(30))
    for _ in range(5):
        sides.run(
            *(fault(draw) for _ in range(draw.randrange(5))),
            full_refresh=draw.random() < 0.2,
            may_fail=True,
            in_doubt=in_doubt,
            settle_hours=draw.choice((0, 3, 8)),
        )
        sides.wait(draw.choice((0.1, 1, 1, 5, 24)))
        change = draw.choice(("late", "retagged", "known", "nothing"))
        if change == "late":
            sides.late(*draw.sample(range(1, 60), 4))
        elif change == "retagged":
            sides.retag(draw.randrange(4), draw.choice((None, 0, 1, 2, 3)))
        elif change == "known":
            sides.planhat.seed(endusers=left[:5])
            del left[:5]
    sides.planhat.seed(endusers=left)
    sides.run(in_doubt=in_doubt)
    sides.wait(1)
    assert_settled(sides, sides.run(in_doubt=in_doubt), in_doubt)


def fault(draw: random.Random) -> Record:
    """Something that goes wrong with some posts."""
    path = draw.choice(("/analytics/bulk", "/dimensiondata"))
    statuses = [("status", status) for status in (413, 429, 500, 503)]
    kind, status = draw.choice([*statuses, ("reset", 0), ("time_out", 0), ("malformed", 0)])
    return {
        "kind": kind,
        "path": path,
        "verb": "POST",
        "status": status,
        # 413 and 429 say that nothing was taken
        "commit": status not in {413, 429} and draw.random() < 0.5,
        "after": draw.randrange(8),
        "times": draw.choice((1, 2)),
    }


def assert_settled(sides: Sides, last: Record, in_doubt: str) -> None:
    """Planhat has Pendo's truth and the excess that is reported, but for what is in doubt."""
    assert last["parked"] == last["waiting"] == 0
    found, truth, kept = held(sides.planhat), sides.truth, sides.kept
    latest = {p: n for p, n in sides.planhat.point_lasts().items() if p[0] == "active_visitors"}
    assert latest == active(sides.sink)
    kept = {place: item for place, item in kept.items() if place not in latest}
    for place, item in kept.items():
        difference = found.get(place, 0) - truth.get(place, 0) - item.excess
        assert -item.doubt <= difference <= item.repeated
        assert (item.repeated if in_doubt == "assume_sent" else item.doubt) == 0
        # points are read back
        assert difference == 0 or place[0] != "uses"
    assert sum(item.excess for item in kept.values()) == sum(r["excess"] for r in last["rules"])
