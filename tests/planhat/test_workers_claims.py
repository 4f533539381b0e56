"""Claims on one ledger in PostgreSQL, of runs that broke off, crashed or still post."""

from __future__ import annotations

import contextlib
import json
import threading
import typing as t

import pytest
from target_planhat.delivery import sender
from target_planhat.errors import TargetError
from target_planhat.ledger import database
from target_planhat.ledger.outbox import Items
from target_planhat.ledger.queries import LEFT_TO_ANOTHER
from target_planhat.planhat import http
from target_planhat.planhat.endpoints import PlanhatClient
from target_planhat.reporting.ledger_cli import LedgerAction

from tests.planhat.ledgers import U2, feed, opened, whole
from tests.planhat.running import day, event
from tests.planhat.workers import OF_U1, U1, Once, grown, reasons, reported

if t.TYPE_CHECKING:
    from with_demo.postgres import Server

    from tests.planhat.running import TargetRunner

pytestmark = pytest.mark.usefixtures("ledger_is_shared")


@pytest.mark.parametrize("in_doubt", ["assume_sent", "resend"])
def test_claims_of_a_run_whose_connection_broke_are_in_doubt_for_another(
    in_doubt: str, target: TargetRunner, postgres: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(database, "CHECK_SECONDS", 1000.0)  # it does not notice before its answer
    target.config["in_doubt"] = in_doubt
    with opened(target) as one:
        feed(one, whole(event(day(9, 8), count=2)))

        def meanwhile() -> None:
            hang_up(postgres)
            report = target.run(*grown(3))
            assert (report["in_doubt"], report["sent"]) == (0, 1)
            told = target.target().ledger(LedgerAction())
            assert ("taken as sent" in told) is (in_doubt == "assume_sent")
            assert ("perhaps twice" in told) is (in_doubt == "resend")

        monkeypatch.setattr(
            one.client, "post_activities", Once(one.client.post_activities, meanwhile)
        )
        with pytest.raises(TargetError, match="the ledger in PostgreSQL"):
            one.finish()

    # its post has arrived after all
    assert target.sums == {U2: 3 if in_doubt == "assume_sent" else 3 + 2}
    target.run(*grown(3))
    assert target.sums == {U2: 3 if in_doubt == "assume_sent" else 3 + 2}


def test_a_run_that_lost_its_ledger_tries_no_post_again(
    target: TargetRunner, postgres: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(database, "CHECK_SECONDS", 0.0)
    planhat, path = target.planhat, "/analytics/bulk"
    planhat.faults.add({"kind": "status", "status": 429, "path": path, "times": None})
    stopped = threading.Event()

    def wait(host: t.Any, details: t.Any) -> None:
        del details
        if not stopped.is_set():
            hang_up(postgres)
            while not host.stopped:
                pass
            stopped.set()

    monkeypatch.setattr(http.Host, "_wait", wait)
    target.run(*whole(event(day(9, 8), count=2)))

    assert "the ledger in PostgreSQL" in str(target.error)
    assert stopped.wait(30)
    assert planhat.calls.counts[path, "POST"] <= 2


def hang_up(server: Server) -> None:
    """End all connections to PostgreSQL."""
    with server.connect() as connection:
        connection.execute(
            "select pg_terminate_backend(pid) from pg_stat_activity "
            "where datname is not null and pid <> pg_backend_pid()"
        )


class Crash(Exception):  # noqa: N818 - not an error of the target
    """The process is gone."""


def crash(*_: t.Any) -> t.NoReturn:
    """End."""
    raise Crash


def claimed(target: TargetRunner, monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave a claim of a run that is over: 2 of u2."""
    with monkeypatch.context() as patch, contextlib.suppress(Crash):
        patch.setattr(PlanhatClient, "post_activities", crash)
        target.run(*whole(event(day(9, 8), count=2)))


def test_a_claim_is_decided_about_by_the_run_that_delivers(
    target: TargetRunner, monkeypatch: pytest.MonkeyPatch
) -> None:
    target.config["in_doubt"] = "resend"
    claimed(target, monkeypatch)
    with opened(target) as one, opened(target) as other:

        def meanwhile() -> None:
            feed(other, grown(3))
            other.finish()
            assert target.sums == {}
            assert reasons(reported(other, target), "waiting") == [LEFT_TO_ANOTHER]

        monkeypatch.setattr(Items, "claimed_of", Once(Items.claimed_of, meanwhile, after=True))
        one.finish()
    assert target.sums == {U2: 3}
    [rule] = json.loads(target.target().ledger(LedgerAction(), "json"))["rules"]
    assert rule["perhaps_twice"] == {"items": 1, "amount": 2}


def test_a_claim_that_a_run_did_not_decide_about_is_decided_about_by_the_next(
    target: TargetRunner, monkeypatch: pytest.MonkeyPatch
) -> None:
    claimed(target, monkeypatch)
    with monkeypatch.context() as patch, contextlib.suppress(Crash):
        patch.setattr(sender.Delivery, "_doubt", crash)
        target.run()
    report = target.run(*grown(3))
    assert report["sent"] == 1
    assert target.sums == {U2: 1}
    [rule] = json.loads(target.target().ledger(LedgerAction(), "json"))["rules"]
    assert rule["assumed_sent"] == {"items": 1, "amount": 2}


def test_a_dry_run_leaves_alone_what_another_run_posts(
    target: TargetRunner, monkeypatch: pytest.MonkeyPatch
) -> None:
    with opened(target) as one:
        feed(one, whole(event(day(9, 8), count=2)))

        def meanwhile() -> None:
            report = target.run(*grown(3), dry_run=True)
            assert report["waiting"] == 1

        monkeypatch.setattr(
            one.client, "post_activities", Once(one.client.post_activities, meanwhile)
        )
        one.finish()
    assert target.sums == {U2: 2}


def test_what_is_settled_by_hand_leaves_alone_what_a_run_posts(
    target: TargetRunner, monkeypatch: pytest.MonkeyPatch
) -> None:
    claimed(target, monkeypatch)
    by_hand = lambda **action: target.target().ledger(LedgerAction(**action))  # noqa: E731 - a call
    with opened(target) as one:
        feed(one, whole(event(day(9, 8), count=2), OF_U1, event(day(9, 8), "nobody", 4)))

        def meanwhile() -> None:
            left = "1 items that a run is posting now are not changed"
            assert left in by_hand(confirm="all")
            assert left in by_hand(retry="all")
            assert "1 items (4) parked: given up" in by_hand(drop_parked="all")
            looked = by_hand()
            assert "1  being posted: a run that is under way posts it" in looked
            assert "no answer came" not in looked
            with pytest.raises(TargetError, match="runs are in progress"):
                by_hand(forget="u2")

        monkeypatch.setattr(
            one.client, "post_activities", Once(one.client.post_activities, meanwhile)
        )
        one.finish()
    assert target.sums == {U1: 1}
    assert "u" in by_hand(forget="u2")
