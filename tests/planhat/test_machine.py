"""Any run after any other: what Planhat has is what a model in plain words says.

Pendo's truth changes as it likes; it is read in windows, in parts, late or again; runs crash. The
model keeps, for each bucket and app, what the newest complete read said; an item is the sum of its
buckets; and what was sent is the highest that the item has been when it could be sent.
"""

from __future__ import annotations

import contextlib
import sqlite3
import tempfile
import typing as t
from collections import Counter
from datetime import datetime, timedelta, timezone
from pathlib import Path
from unittest import mock

import hypothesis.strategies as st
from emulation.clock import Clock
from hypothesis import Phase, settings
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule, run_state_machine_as_test
from planhat_emulator.server import serve
from planhat_emulator.world import World
from target_planhat import target as target_module
from target_planhat.ledger.database import Database
from target_planhat.planhat import http
from target_planhat.planhat.endpoints import PlanhatClient

from tests.planhat.modelled import (
    APPS,
    BEGIN,
    HOUR,
    NAMES,
    PEOPLE,
    RULES,
    SCORES,
    SEATS,
    Cell,
    Item,
    Less,
    Model,
    More,
    Read,
    Thing,
)
from tests.planhat.running import EVENTS, TargetRunner, day, event, iso, record, schema, state
from tests.planhat.running import WINDOWS as SYNC_WINDOWS
from tests.planhat.running import window as window_row

if t.TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    import pytest
    from planhat_emulator.server import Emulator

    from tests.planhat.running import Message


class Crash(Exception):  # noqa: N818 - not an error of the target
    """The process is gone."""


def crashing(owner: type, name: str, at: int, *, after: bool) -> t.Any:
    """Let one call of a method be the last that the process does, perhaps with its effect."""
    real, calls = getattr(owner, name), Counter[str]()

    def method(self: t.Any, *given: t.Any) -> t.Any:
        calls[name] += 1
        if calls[name] < at:
            return real(self, *given)
        if calls[name] == at and after:
            real(self, *given)
        raise Crash

    return mock.patch.object(owner, name, method)


HOURS = (6, 7, 23, 24)
WINDOWS = [(6, 1), (7, 1), (23, 1), (24, 1), (6, 3), (21, 3), (24, 3), *[(0, 24)] * 3, (24, 24)]
cells = st.tuples(
    st.sampled_from(HOURS),
    st.sampled_from(APPS),
    st.sampled_from([*PEOPLE, ("u3", "acme"), ("u3", "gamma")]),
    st.sampled_from(["f1", "f2"]),
)
growth = st.lists(st.tuples(cells, st.integers(1, 4)), max_size=4)
losses = st.lists(
    st.tuples(st.integers(0, 20), st.lists(st.integers(1, 2), max_size=2)), max_size=3
)
windows = st.lists(st.sampled_from(WINDOWS), min_size=1, max_size=3, unique=True)
apps = st.sampled_from([APPS, APPS, (1,), (2,)])
waits = st.sampled_from([1, 30, 90, 12 * 60])


class Runs(RuleBasedStateMachine):
    """Runs of the target on one ledger, against one Planhat."""

    emulator: Emulator

    @initialize(
        settle=st.sampled_from([0, 0, 6]),
        policy=st.sampled_from(["park", "park", "skip"]),
        in_doubt=st.sampled_from(["assume_sent", "resend"]),
        names=st.sampled_from([("f1", "f2"), ("f1", "f2"), ("f1",)]),
    )
    def begin(self, settle: int, policy: str, in_doubt: str, names: tuple[str, ...]) -> None:
        """Begin with two companies, two end users, and nothing that happened."""
        world = World(clock=Clock("2026-03-11T10:30:00Z"))
        self.companies = {"acme", "beta"} | ({"gamma"} if policy == "skip" else set())
        world.seed(
            companies=[{"externalId": name, "name": name} for name in sorted(self.companies)],
            endusers=[
                {"externalId": "u1", "companyId": "extid-acme"},
                {"externalId": "u1", "companyId": "extid-beta"},
                {"externalId": "u2", "companyId": "extid-acme"},
            ],
        )
        self.profiles = {"u1", "u2"}
        self.emulator.renew(world)
        self.emulator.knobs.rate_limit = None
        self._folder = tempfile.TemporaryDirectory()
        self.target = TargetRunner(self.emulator, Path(self._folder.name))
        self.target.now = self.now = BEGIN
        self._clock = mock.patch.object(target_module, "now", self._clock_of_the_target)
        self._clock.start()
        self.target.config |= {
            **RULES,
            "settle_hours": settle,
            "unmatched": policy,
            "in_doubt": in_doubt,
            "report_path": None,
            "rejects_path": None,
        }
        self.in_doubt = in_doubt
        self.model = Model(settle, policy)
        self.truth: dict[Cell, list[int]] = {}
        self.scores: dict[tuple[datetime, str], int] = {}
        self.seats: dict[str, int] = {}
        self.done: list[list[Read]] = []
        self.kept: list[list[Read]] = []
        self.model.named.update(names)
        self.run([], names=names)

    def _clock_of_the_target(self) -> int:
        return int(self.target.now.timestamp() * 1000)

    def teardown(self) -> None:
        """Take the ledger away."""
        if hasattr(self, "_folder"):
            self._clock.stop()
            self._folder.cleanup()

    # What happens in Pendo and in Planhat

    def change(self, more: More, less: Less = ()) -> None:
        """Usage goes on, and Pendo takes some of it back."""
        for cell, count in more:
            self.truth.setdefault(cell, []).append(count)
        for at, counts in less:
            if self.truth:
                self.truth[sorted(self.truth)[at % len(self.truth)]] = list(counts)

    @rule(
        on=st.sampled_from([day(9), day(10)]),
        account=st.sampled_from(["acme", "gamma"]),
        value=st.none() | st.integers(-3, 5),
    )
    def score(self, on: datetime, account: str, value: int | None) -> None:
        """An aggregation gives another value, or none."""
        self.scores.pop((on, account), None)
        if value is not None:
            self.scores[on, account] = value

    @rule(account=st.sampled_from(["acme", "beta"]), value=st.integers(0, 3))
    def sell(self, account: str, value: int) -> None:
        """A snapshot gives another value."""
        self.seats[account] = value

    @rule()
    def make_profiles(self) -> None:
        """Planhat gets the company and the end user that it lacked."""
        if "gamma" not in self.companies:
            self.emulator.world.add("companies", {"externalId": "gamma", "name": "gamma"})
            self.companies.add("gamma")
        if "u3" not in self.profiles:
            self.emulator.world.add("endusers", {"externalId": "u3", "companyId": "extid-acme"})
            self.profiles.add("u3")

    # What is read

    def read(self, spans: Iterable[tuple[int, int]], some: tuple[int, ...]) -> list[Read]:
        """Read all windows now, and all days that these are of."""
        self.now += timedelta(minutes=1)
        reads = [self._events(start, length, some) for start, length in spans]
        for number in sorted({start // 24 for start, _ in spans}):
            on = day(9 + number)
            rows = [(account, n) for (at, account), n in self.scores.items() if at == on]
            reads.append(Read("scores", on, on + timedelta(days=1), (0,), self.now, tuple(rows)))
        reads.append(Read("seats", on, on, (0,), self.now, tuple(self.seats.items())))
        return reads

    def _events(self, start: int, length: int, some: tuple[int, ...], *, told: bool = True) -> Read:
        rows = [
            (hour, app, *who, feature, count)
            for (hour, app, who, feature), counts in self.truth.items()
            if start <= hour < start + length and app in some
            for count in counts
        ]
        begin = day(9) + start * HOUR
        end = begin + length * HOUR
        return Read("feature_events", begin, end, some, self.now, tuple(rows), told)

    @rule(more=growth, less=losses, spans=windows, some=apps, wait=waits)
    def run_windows(
        self,
        more: More,
        less: Less,
        spans: list[tuple[int, int]],
        some: tuple[int, ...],
        wait: int,
    ) -> None:
        """Read what changed, and run."""
        self.change(more, less)
        self.now += timedelta(minutes=wait)
        self.run(self.read(spans, some))

    @rule(more=growth, less=losses, spans=windows, some=apps)
    def read_for_later(
        self, more: More, less: Less, spans: list[tuple[int, int]], some: tuple[int, ...]
    ) -> None:
        """Read, but do not run yet."""
        self.change(more, less)
        self.kept.append(self.read(spans, some))

    @rule(data=st.data())
    def run_an_older_read(self, data: st.DataObject) -> None:
        """Run with what was read some time ago, perhaps for the second time."""
        if self.kept + self.done:
            self.now += timedelta(minutes=1)
            self.run(data.draw(st.sampled_from(self.kept + self.done)))

    @rule(
        more=growth,
        less=losses,
        span=st.sampled_from(WINDOWS),
        some=apps,
        cut=st.integers(0, 3),
    )
    def run_without_sync_windows(
        self, more: More, less: Less, span: tuple[int, int], some: tuple[int, ...], cut: int
    ) -> None:
        """Run with rows of which nobody says whether they are all, and a STATE between them."""
        self.change(more, less)
        self.now += timedelta(minutes=1)
        read = self._events(*span, some, told=False)
        messages = [EVENTS, *self._rows(read)]
        messages.insert(1 + cut, state({"at": 0}))
        self.target.now = self.now
        self.target.run(*messages, state({"at": 1}))
        self.model.take(read)
        self.check()

    @rule(feature=st.sampled_from(["f1", "f2"]))
    def learn_a_name(self, feature: str) -> None:
        """Run with the name of a feature."""
        self.now += timedelta(minutes=1)
        self.model.named.add(feature)
        self.run([], names=(feature,))

    @rule(wait=waits)
    def run_with_nothing(self, wait: int) -> None:
        """Run with no input."""
        self.now += timedelta(minutes=wait)
        self.run([])

    @rule(spans=windows, some=apps)
    def run_dry(self, spans: list[tuple[int, int]], some: tuple[int, ...]) -> None:
        """Run without an effect."""
        before = self.emulator.world.count("activities"), self.emulator.world.count("points")
        self.target.now = self.now
        self.target.run(*self.messages(self.read(spans, some), tuple(NAMES)), dry_run=True)
        assert self.target.error is None
        world = self.emulator.world
        assert (world.count("activities"), world.count("points")) == before

    @rule(
        spans=windows,
        some=apps,
        what=st.sampled_from(["commit", "commit", "post_activities", "post_metrics"]),
        at=st.integers(1, 14),
        after=st.booleans(),
        before=growth,
        more=growth,
    )
    def crash(
        self,
        spans: list[tuple[int, int]],
        some: tuple[int, ...],
        what: str,
        at: int,
        after: bool,
        before: More,
        more: More,
    ) -> None:
        """Run into a crash; the tap then reads again, and more may have happened."""
        self.change(before)
        reads = self.read(spans, some)
        self.target.now = self.now
        owner = Database if what == "commit" else PlanhatClient
        with crashing(owner, what, at, after=after), contextlib.suppress(Crash):
            self.target.run(*self.messages(reads))
        self.change(more)
        # what was posted can be read back only some time later
        self.now += timedelta(minutes=15)
        again = [self._events(*span, some) for span in spans]
        self.run([*again, *(read for read in reads if read.stream != "feature_events")])

    # Runs

    def run(self, reads: list[Read], names: tuple[str, ...] = ()) -> None:
        """Run with reads, and compare."""
        self.target.now = self.now
        self.target.run(*self.messages(reads, names))
        assert self.target.error is None
        assert self.target.states == [{"at": 1}]
        for read in reads:
            self.model.take(read)
        if reads:
            self.done.append(reads)
        self.check()

    def messages(self, reads: list[Read], names: tuple[str, ...] = ()) -> list[Message]:
        """Say reads as the tap does: a window's row comes after its rows."""
        said = [SYNC_WINDOWS, EVENTS, SCORES, SEATS]
        if names:
            said.append(schema("features", "id", "name"))
            said += [record("features", id=name, name=NAMES[name]) for name in names]
        for read in reads:
            said += self._rows(read)
            if read.stream != "seats":
                some = "*" if len(read.apps) > 1 or not any(read.apps) else str(read.apps[0])
                said.append(window_row(read.start, read.end, read.at, some, read.stream))
        return [*said, state({"at": 1})]

    def _rows(self, read: Read) -> Iterator[Message]:
        for row in read.rows:
            if read.stream == "feature_events":
                hour, app, visitor, account, feature, count = row
                at = day(9) + hour * HOUR
                yield event(
                    at, visitor, count, account=account, feature=feature, app=app, read=read.at
                )
            else:
                told = {"account_id": row[0], "read_at": iso(read.at)}
                if read.stream == "scores":
                    yield record("scores", **told, score=row[1], window_start=iso(read.start))
                else:
                    yield record("seats", **told, n=row[1])

    # What Planhat has

    def check(self) -> None:
        """Compare Planhat with the model; they differ by what the ledger says is in doubt."""
        self.model.deliver(self.now, self.profiles, self.companies)
        less, more = self._in_doubt()
        has, should = self._activities(), self._should_have()
        for key in has.keys() | should.keys():
            if self.in_doubt == "assume_sent":
                assert should[key] - less[key] <= has[key] <= should[key], (key, less[key])
            else:
                assert should[key] <= has[key] <= should[key] + more[key], (key, more[key])
        assert self._points() == self._should_have_points()

    def _in_doubt(self) -> tuple[Counter[Thing], Counter[Thing]]:
        """Ask the ledger what may be missing in Planhat, and what may be there twice."""
        less, more = Counter[Thing](), Counter[Thing]()
        with contextlib.closing(sqlite3.connect(self.target.folder / "ledger.db")) as ledger:
            rows = ledger.execute(
                "SELECT r.name, i.subject, i.company, i.entity, i.date, i.doubt, i.repeated FROM "
                "planhat_items i JOIN planhat_rules r ON r.id = i.rule_id "
                "WHERE i.doubt OR i.repeated"
            )
            for name, subject, company, entity, date, doubt, repeated in rows:
                assert name in {"by_day", "by_hour"}, "metrics are read back"
                at = datetime.fromtimestamp(date / 1000, timezone.utc)
                key = _key(Item(name, subject, company, entity.strip('[]"'), at))
                less[key] += doubt
                more[key] += repeated
        return less, more

    def _activities(self) -> Counter[Thing]:
        found = Counter[Thing]()
        companies = {c["_id"]: c["externalId"] for c in self.emulator.world.objects("companies")}
        for one in self.emulator.world.activities():
            user = one.end_user
            at = datetime.fromtimestamp(one.date / 1000, timezone.utc)
            key = user["externalId"], companies[user["companyId"]], str(one.action), iso(at)
            found[key] += one.count
        return found

    def _should_have(self) -> Counter[Thing]:
        should = Counter[Thing]()
        for item, sent in self.model.sent.items():
            if item.feature:
                should[_key(item)] += sent  # type: ignore[assignment] # floats
        return should

    def _points(self) -> dict[Thing, float]:
        """What readers see: sums where differences are sent, else the last."""
        world = self.emulator.world
        sums, lasts = world.point_sums(), world.point_lasts()
        return {key: sums[key] if key[0] in {"events", "delta"} else lasts[key] for key in sums}

    def _should_have_points(self) -> dict[Thing, float]:
        return {
            (
                item.rule,
                "EndUser" if item.rule == "rows" else "Company",
                item.subject,
                item.date.date().isoformat(),
            ): self.model.sent[item]
            for item in self.model.posted
            if not item.feature
        }


def _key(item: Item) -> Thing:
    """Name an activity as Planhat does: whose, in which company, action, date."""
    company = item.company if item.subject == "u1" else "acme"
    kind = "Day" if item.rule == "by_day" else "Hour"
    return item.subject, company, f"{kind} {NAMES[item.feature]}", iso(item.date)


def test_planhat_has_what_the_model_says_after_any_runs(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(http, "FIRST_WAIT", 0.0)
    many = request.config.getoption("all")
    with serve() as emulator:
        monkeypatch.setattr(Runs, "emulator", emulator, raising=False)
        run_state_machine_as_test(
            Runs,
            settings=settings(
                max_examples=500 if many else 3,
                stateful_step_count=40 if many else 20,
                phases=[Phase.generate, Phase.shrink] if many else [Phase.generate],
                database=None,
            ),
        )
