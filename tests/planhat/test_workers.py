"""Runs at the same time on one ledger in PostgreSQL, each step of theirs where a test wants it."""

from __future__ import annotations

import contextlib
import dataclasses
import typing as t
from datetime import timedelta

import pytest
from target_planhat import settings as target_settings
from target_planhat.errors import TargetError
from target_planhat.ledger import database, settling
from target_planhat.ledger.directory import Directory
from target_planhat.ledger.items import Items
from target_planhat.ledger.known import Known
from target_planhat.naming import Naming
from target_planhat.preparation import Preparation

from tests.planhat.ledgers import LATER, U2, feed, opened, whole
from tests.planhat.promises import Log
from tests.planhat.running import NOW, day, event, record, schema
from tests.planhat.workers import OF_U1, U1, Once, beside, grown, reasons, reported

if t.TYPE_CHECKING:
    from with_demo.postgres import Server

    from tests.planhat.running import TargetRunner
    from tests.planhat.workers import Call

EARLIER = NOW - timedelta(hours=1)
pytestmark = pytest.mark.usefixtures("ledger_is_shared")


# Posts


def test_a_run_sends_the_rest_while_another_posts_and_says_what_it_left(
    target: TargetRunner, monkeypatch: pytest.MonkeyPatch
) -> None:
    more = grown(5, event(day(9, 9), "u1", read=LATER))
    with opened(target) as one, opened(target) as other:
        feed(one, whole(event(day(9, 8), count=2)))

        def meanwhile() -> None:
            feed(other, more)
            other.finish()
            assert target.sums == {U1: 1}
            told = reported(other, target)
            assert (told["sent"], told["waiting"]) == (1, 1)
            assert reasons(told, "waiting") == ["another run is posting it"]

        monkeypatch.setattr(
            one.client, "post_activities", Once(one.client.post_activities, meanwhile)
        )
        one.finish()
        assert target.sums == {U1: 1, U2: 2}
        assert reported(one, target)["sent"] == 1
        told = reported(other, target)
        assert (told["sent"], told["waiting"]) == (1, 1)
        assert reasons(told, "waiting") == [
            "it grew while another run posted it; the next run sends the rest"
        ]

    target.run()
    assert target.sums == {U1: 1, U2: 5}


def test_what_is_posted_is_what_lacks_when_it_is_claimed(
    target: TargetRunner, monkeypatch: pytest.MonkeyPatch
) -> None:
    target.config["activities"] = [{"stream": "feature_events", "info": {"minutes": "num_minutes"}}]
    with opened(target) as one, opened(target) as other, opened(target) as third:
        feed(one, whole(event(day(9, 8), count=2, num_minutes=20), event(day(9, 9), "u1")))

        def meanwhile() -> None:
            feed(other, whole(event(day(9, 9), "u1")))
            # of which it sends one, while the other grows
            with monkeypatch.context() as patch:
                patch.setattr(Preparation, "prepared", only("u1", Preparation.prepared))
                other.finish()
            late = event(day(9, 8), count=5, num_minutes=50, read=LATER)
            feed(third, whole(late, event(day(9, 9), "u1", read=LATER), read=LATER))
            third._conclude()  # noqa: SLF001 - what a run does before it delivers

        with monkeypatch.context() as patch:
            patch.setattr(Preparation, "claimed", Once(Preparation.claimed, meanwhile))
            one.finish()
        assert reported(one, target)["sent"] == 1
    assert target.sums == {U1: 1, U2: 5}
    posted = {a.end_user["externalId"]: a for a in target.planhat.world.activities()}
    assert len(posted) == target.planhat.world.count("activities")
    assert posted["u2"].info == {"minutes": 50}


def only(visitor: str, real: Call) -> Call:
    """Let a run find nothing due but what one person did."""

    def prepared(*given: t.Any) -> t.Any:
        return [due for due in real(*given) if due.item.subject == visitor]

    return prepared


@pytest.mark.parametrize("unmatched", ["park", "skip"])
def test_what_another_run_has_sent_is_not_judged_any_more(
    unmatched: str, target: TargetRunner, monkeypatch: pytest.MonkeyPatch
) -> None:
    target.config["unmatched"] = unmatched
    new = ("u9", "Export", "2026-03-09")
    with opened(target) as one, opened(target) as other:
        feed(one, whole(event(day(9, 8), "u9", 4)))

        def meanwhile() -> None:
            target.planhat.world.add("endusers", {"externalId": "u9", "companyId": "extid-acme"})
            feed(other, whole(event(day(9, 8), "u9", 4)))
            other.finish()

        with monkeypatch.context() as patch:
            patch.setattr(Items, "judge", Once(Items.judge, meanwhile))
            one.finish()
        assert target.sums == {new: 4}
        assert reported(one, target)["unchanged"] == 1

    target.run(*whole(event(day(9, 8), "u9", 6, read=LATER), read=LATER))
    assert target.sums == {new: 6}


# What comes in


def test_an_older_read_does_not_bring_back_what_a_newer_one_lacks(
    target: TargetRunner, postgres: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    with opened(target) as one, opened(target) as other:
        newer = lambda: feed(other, grown(2))  # noqa: E731 - a step
        with beside(newer, postgres) as proceed, monkeypatch.context() as patch:
            # once it is known that there is no newer read yet
            patch.setattr(settling, "_newer", Once(settling._newer, proceed, after=True))  # noqa: SLF001
            feed(one, whole(event(day(9, 8), count=1), OF_U1))
        other.finish()
        one.finish()
    assert target.sums == {U2: 2}


def test_two_runs_that_are_the_first_to_use_a_text_use_one(
    target: TargetRunner, monkeypatch: pytest.MonkeyPatch
) -> None:
    renamed = [schema("features", "id", "name"), record("features", id="f1", name="Exports")]
    with opened(target) as one, opened(target) as other:
        feed(one, whole(event(day(9, 8), count=2)))

        def meanwhile() -> None:
            feed(other, [*whole(), *renamed, *grown(2, event(day(9, 9), "u1", read=LATER))[5:]])
            with monkeypatch.context() as patch:
                patch.setattr(Preparation, "prepared", only("u1", Preparation.prepared))
                other.finish()

        monkeypatch.setattr(Naming, "keep", Once(Naming.keep, meanwhile))
        one.finish()
    assert target.sums == {("u1", "Exports", U1[2]): 1, ("u2", "Exports", U2[2]): 2}


def test_of_two_first_runs_with_rules_of_one_name_the_second_must_have_the_same(
    target: TargetRunner, postgres: Server
) -> None:
    url, token = target.config["ledger_url"], target.planhat.tenant_token
    [rule] = target_settings.parsed(target.target().config).rules
    hourly = dataclasses.replace(rule, granularity="hour")
    with (
        contextlib.closing(database.Database(url, token)) as one,
        contextlib.closing(database.Database(url, token)) as other,
    ):

        def second() -> None:
            with pytest.raises(TargetError, match="rule feature_events: `granularity` changed"):
                Known(other).enroll([hourly], "UTC")

        with beside(second, postgres) as proceed:
            Known(one).enroll([rule], "UTC")
            assert proceed() is False
            one.commit()


# What is read of Planhat, and created there


def test_a_copy_of_planhat_is_read_by_one_run_for_all_that_wait(
    target: TargetRunner, postgres: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(database, "PATIENCE_SECONDS", 0.0)
    target.now = NOW
    with opened(target) as one, Log() as log:
        feed(one, whole(event(day(9, 8), count=2)))

        def step() -> None:
            # by its clock, the copy is of a moment ago
            target.now = NOW + timedelta(seconds=1)
            with opened(target) as other:
                feed(other, grown(2, event(day(9, 9), "u1", read=LATER)))
                other.finish()

        with beside(step, postgres) as proceed, monkeypatch.context() as patch:
            patch.setattr(Directory, "add", Once(Directory.add, proceed))
            one.finish()
    assert target.sums == {U1: 1, U2: 2}
    for path in ("companies", "endusers"):
        assert sum(f"Planhat's {path} are read" in line for line in log.lines) == 1
    said = "Waiting for the ledger: another run is at the copy of Planhat's companies"
    assert any(said in line for line in log.lines)


def test_an_end_user_is_created_by_one_of_two_runs(
    target: TargetRunner, postgres: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    target.config["create_end_users"] = True
    visitor = [
        schema("visitors", "visitor_id", "metadata"),
        record("visitors", visitor_id="u9", metadata={"agent": {"email": "u9@acme.example"}}),
    ]
    with opened(target) as one, opened(target) as other:
        feed(one, [*visitor, *whole(event(day(9, 8), "u9", 2))])
        feed(
            other,
            [*visitor, *whole(event(day(9, 8), "u9", 2), event(day(9, 8), "u9", 3, feature="f2"))],
        )
        with beside(other.finish, postgres) as proceed, monkeypatch.context() as patch:
            upsert = Once(one.client.upsert_end_users, proceed)
            patch.setattr(one.client, "upsert_end_users", upsert)
            one.finish()
    target.run()
    assert target.sums == {("u9", "Search", "2026-03-09"): 3, ("u9", "Export", "2026-03-09"): 2}
    assert target.planhat.calls.counts["/endusers", "PUT"] == 1


# By hand
