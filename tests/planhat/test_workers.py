"""Runs at the same time on one ledger in PostgreSQL, each step of theirs where a test wants it."""

from __future__ import annotations

import contextlib
import dataclasses
import typing as t

import pytest
from target_planhat.config import settings as target_settings
from target_planhat.delivery.planner import Naming, Preparation
from target_planhat.errors import StoppedError, TargetError
from target_planhat.ledger import database, totals
from target_planhat.ledger.locks import Locks
from target_planhat.ledger.outbox import Items
from target_planhat.ledger.planhat_objects import Directory
from target_planhat.ledger.reference_data import enroll

from tests.planhat.ledgers import LATER, U2, feed, opened, whole
from tests.planhat.promises import Log
from tests.planhat.running import day, event, record, schema
from tests.planhat.workers import OF_U1, U1, Once, beside, grown, notes, reasons, reported

if t.TYPE_CHECKING:
    from collections.abc import Callable

    from target_planhat.pipeline import Run
    from with_demo.postgres import Server

    from tests.planhat.running import TargetRunner

pytestmark = pytest.mark.usefixtures("ledger_is_shared")


# Posts


def test_a_run_leaves_what_is_due_to_the_one_that_delivers_and_says_so(
    target: TargetRunner, monkeypatch: pytest.MonkeyPatch
) -> None:
    more = grown(5, event(day(9, 9), "u1", read=LATER))
    with opened(target) as one, opened(target) as other:
        feed(one, whole(event(day(9, 8), count=2)))

        def meanwhile() -> None:
            feed(other, more)
            other.finish()
            assert target.sums == {}
            report = reported(other, target)
            assert report["waiting"] == report["received"] == 2
            assert reasons(report, "waiting") == ["another run delivers, and sends what is due"]
            assert "Another run delivers for this tenant: what is due is left to it" in notes(
                target
            )

        monkeypatch.setattr(
            one.client, "post_activities", Once(one.client.post_activities, meanwhile)
        )
        one.finish()
        assert target.sums == {U1: 1, U2: 5}
        report = reported(one, target)
        assert (report["sent"], report["earlier"]) == (1, {"sent": 1})
        assert reported(other, target)["unchanged"] == 2


def test_what_is_left_when_a_delivery_is_about_to_end_is_delivered_too(
    target: TargetRunner, monkeypatch: pytest.MonkeyPatch
) -> None:
    with opened(target) as one, opened(target) as other, opened(target) as third:
        feed(one, whole(event(day(9, 8), count=2)))

        def leaves(run: Run, count: int) -> Callable[[], None]:
            def step() -> None:
                feed(run, grown(2, event(day(9, 9), "u1", count, read=LATER)))
                run.finish()
                assert reported(run, target)["sent"] == 0

            return step

        last = Once(Locks.end_delivery, leaves(third, 5))
        monkeypatch.setattr(Locks, "end_delivery", Once(last, leaves(other, 1)))
        one.finish()
    assert target.sums == {U1: 5, U2: 2}


def test_a_run_that_is_stopped_while_it_delivers_leaves_the_rest_to_the_next(
    target: TargetRunner, monkeypatch: pytest.MonkeyPatch
) -> None:
    with opened(target) as one, opened(target) as other:
        feed(one, whole(event(day(9, 8), count=2)))

        def meanwhile() -> None:
            feed(other, grown(5))
            other.finish()
            one._stop.set()  # noqa: SLF001 - what a signal does

        monkeypatch.setattr(
            one.client, "post_activities", Once(one.client.post_activities, meanwhile)
        )
        with pytest.raises(StoppedError):
            one.finish()
        report = reported(one, target)
        grew = "it grew while it was posted: the rest is sent by the next run"
        assert reasons(report, "waiting") == [grew]
    assert target.sums == {U2: 2}

    target.run()
    assert target.sums == {U2: 5}


def test_what_is_posted_is_what_lacks_when_it_is_claimed(
    target: TargetRunner, monkeypatch: pytest.MonkeyPatch
) -> None:
    target.config["activities"] = [{"stream": "feature_events", "info": {"minutes": "num_minutes"}}]
    with opened(target) as one, opened(target) as other:
        feed(one, whole(event(day(9, 8), count=2, num_minutes=20), event(day(9, 9), "u1")))

        def meanwhile() -> None:
            late = event(day(9, 8), count=5, num_minutes=50, read=LATER)
            feed(other, whole(late, event(day(9, 9), "u1", read=LATER), read=LATER))
            other.finish()

        with monkeypatch.context() as patch:
            patch.setattr(Preparation, "claimed", Once(Preparation.claimed, meanwhile))
            one.finish()
        assert reported(one, target)["sent"] == 2
    assert target.sums == {U1: 1, U2: 5}
    posted = {a.end_user["externalId"]: a for a in target.planhat.world.activities()}
    assert len(posted) == target.planhat.world.count("activities")
    assert posted["u2"].info == {"minutes": 50}


def test_what_grows_while_another_run_parks_it_is_sent_once_its_end_user_exists(
    target: TargetRunner, monkeypatch: pytest.MonkeyPatch
) -> None:
    with opened(target) as one, opened(target) as other:
        feed(one, whole(event(day(9, 8), "u9", 4)))

        def meanwhile() -> None:
            target.planhat.world.add("endusers", {"externalId": "u9", "companyId": "extid-acme"})
            feed(other, whole(event(day(9, 8), "u9", 6, read=LATER), read=LATER))
            other.finish()

        with monkeypatch.context() as patch:
            patch.setattr(Items, "judge", Once(Items.judge, meanwhile))
            one.finish()
        assert reported(one, target)["parked"] == reported(other, target)["parked"] == 1

    target.run()
    assert target.sums == {("u9", "Export", "2026-03-09"): 6}


# What comes in


def test_an_older_read_does_not_bring_back_what_a_newer_one_lacks(
    target: TargetRunner, postgres: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    with opened(target) as one, opened(target) as other:
        newer = lambda: feed(other, grown(2))  # noqa: E731 - a step
        with beside(newer, postgres) as proceed, monkeypatch.context() as patch:
            # once it is known that there is no newer read yet
            read = totals._Read  # noqa: SLF001
            patch.setattr(read, "_newer", Once(read._newer, proceed, after=True))  # noqa: SLF001
            feed(one, whole(event(day(9, 8), count=1), OF_U1))
        other.finish()
        one.finish()
    assert target.sums == {U2: 2}


def test_a_text_is_kept_though_another_run_brings_a_new_name(
    target: TargetRunner, monkeypatch: pytest.MonkeyPatch
) -> None:
    renamed = [schema("features", "id", "name"), record("features", id="f1", name="Exports")]
    with opened(target) as one, opened(target) as other:
        feed(one, whole(event(day(9, 8), count=2)))

        def meanwhile() -> None:
            feed(other, [*whole(), *renamed, *grown(2, event(day(9, 9), "u1", read=LATER))[5:]])
            other.finish()

        monkeypatch.setattr(Naming, "keep", Once(Naming.keep, meanwhile))
        one.finish()
    assert target.sums == {U1: 1, U2: 2}


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
                enroll(other, [hourly], "UTC")

        with beside(second, postgres) as proceed:
            enroll(one, [rule], "UTC")
            assert proceed() is False
            one.commit()


# What is read of Planhat, and created there


def test_planhats_objects_are_read_by_the_run_that_delivers_for_all(
    target: TargetRunner, monkeypatch: pytest.MonkeyPatch
) -> None:
    with opened(target) as one, opened(target) as other, Log() as log:
        feed(one, whole(event(day(9, 8), count=2)))

        def meanwhile() -> None:
            feed(other, grown(2, event(day(9, 9), "u1", read=LATER)))
            other.finish()

        with monkeypatch.context() as patch:
            patch.setattr(Directory, "replace", Once(Directory.replace, meanwhile))
            one.finish()
    assert target.sums == {U1: 1, U2: 2}
    for path in ("companies", "endusers"):
        assert sum(f"Planhat's {path} are read" in line for line in log.lines) == 1


def test_a_long_wait_for_another_run_is_logged(
    target: TargetRunner, postgres: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(database, "PATIENCE_SECONDS", 0.0)
    with opened(target) as one, opened(target) as other, Log() as log:
        step = lambda: feed(other, grown(2))  # noqa: E731 - a step
        with beside(step, postgres) as proceed:
            one.known.name("features", {"f1": "Export"})
            assert proceed() is False
            one.close()
    assert any("Waiting for the ledger: another run writes" in line for line in log.lines)


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
