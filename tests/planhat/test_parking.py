"""Parked items: they sleep until their object may have come, and are given up one day."""

from __future__ import annotations

import typing as t
from datetime import timedelta
from unittest import mock

import pytest
from target_planhat.delivery.matcher import Matcher

from tests.planhat.ledgers import LATER, U2, whole
from tests.planhat.running import NOW, WINDOWS, day, event, iso, record, schema, window

if t.TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.planhat.running import Message, Record, TargetRunner

ABSENT = "Planhat has no end user with this externalId"
NOBODY = ("nobody", "Export", "2026-03-09")
VISITORS = schema("visitors", "visitor_id", "metadata")


@pytest.fixture
def matched() -> Iterator[list[str]]:
    """Keep the subjects that are matched."""
    found: list[str] = []
    real = Matcher.match

    def match(self: Matcher, rule: t.Any, items: t.Any) -> t.Any:
        found.extend(item.subject for item in items)
        return real(self, rule, items)

    with mock.patch.object(Matcher, "match", match):
        yield found


def crowd(count: int = 30, **more: t.Any) -> list[Message]:
    """Give input about people who are not in Planhat, and one who is."""
    return whole(event(day(9, 8)), *(event(day(9, 8), f"no-{n}") for n in range(count)), **more)


@pytest.mark.usefixtures("either_ledger")
def test_parked_items_are_not_looked_at_until_their_end_user_exists(
    target: TargetRunner, matched: list[str]
) -> None:
    assert target.run(*crowd())["parked"] == 30
    matched.clear()
    target.run()
    assert matched == []

    target.planhat.world.add("endusers", {"externalId": "no-7", "companyId": "extid-acme"})
    report = target.run()
    assert matched == ["no-7"]
    assert report["rules"][0]["earlier"] == {"sent": 1}
    assert target.sums == {U2: 1, ("no-7", "Export", "2026-03-09"): 1}


def test_records_of_parked_items_are_parked_again_and_sent_together(target: TargetRunner) -> None:
    target.run(*whole(event(day(9, 8), "nobody", 4)))
    report = target.run(*whole(event(day(9, 8), "nobody", 6, read=LATER), read=LATER))
    assert report["parked"] == 1
    assert report["rules"][0]["reasons"] == [{"fate": "parked", "reason": ABSENT, "records": 1}]

    target.planhat.world.add("endusers", {"externalId": "nobody", "companyId": "extid-acme"})
    target.run()
    assert target.sums == {NOBODY: 6}


def test_an_address_is_found_whatever_its_case(target: TargetRunner) -> None:
    target.config["activities"] = [
        {"stream": "feature_events", "match": {"field": "visitor_id", "by": "email"}}
    ]
    assert target.run(*whole(event(day(9, 8), "ÄRGER@Acme.example")))["parked"] == 1
    target.planhat.world.add(
        "endusers",
        {"externalId": "a", "email": "ärger@acme.example", "companyId": "extid-acme"},
    )
    target.run()
    assert target.sums == {("a", "Export", "2026-03-09"): 1}


@pytest.mark.parametrize("by", ["email", "externalId"])
def test_a_record_that_gives_the_key_wakes_what_waits_for_it(by: str, target: TargetRunner) -> None:
    match = {"field": "visitor.metadata.agent.key", "by": by}
    target.config["activities"] = [{"stream": "feature_events", "match": match}]
    assert target.run(*whole(event(day(9, 8), "v1")))["parked"] == 1

    def said(key: str) -> list[Message]:
        return [VISITORS, record("visitors", visitor_id="v1", metadata={"agent": {"key": key}})]

    # first a key that Planhat does not have, then another one
    target.run(*said("other@acme.example"))
    assert target.sums == {}
    target.run(*said("U2@acme.example" if by == "email" else "u2"))
    assert target.sums == {U2: 1}


@pytest.mark.parametrize(
    ("settings", "sums"),
    [
        # Planhat drops it without a word, as it knows nobody with that id
        ({"unmatched": "send"}, {}),
        ({"unmatched": "skip"}, {}),
        ({"create_end_users": True}, {NOBODY: 4}),
    ],
)
def test_another_setting_wakes_all(
    settings: Record, sums: Record, target: TargetRunner, matched: list[str]
) -> None:
    mail = {"agent": {"email": "nobody@acme.example"}}
    visitor = [VISITORS, record("visitors", visitor_id="nobody", metadata=mail)]
    target.run(*whole(event(day(9, 8), "nobody", 4)))
    matched.clear()
    target.run(*visitor, **settings)

    assert "nobody" in matched
    assert target.sums == sums


def test_unmatched_fail_sees_what_is_parked(target: TargetRunner) -> None:
    target.run(*whole(event(day(9, 8), "nobody", 4)))
    target.run(unmatched="fail")

    assert "1 items" in str(target.error)


@pytest.mark.usefixtures("either_ledger")
def test_what_is_parked_for_longer_than_park_days_is_given_up(target: TargetRunner) -> None:
    target.run(*whole(event(day(9, 8), "nobody", 4)), park_days=10)
    target.now = NOW + timedelta(days=10)
    assert target.run(park_days=10)["rules"][0]["earlier"] == {}

    target.now += timedelta(seconds=1)
    assert target.run(park_days=10, dry_run=True)["notes"] == [
        "1 items would be given up, parked for longer than `park_days`"
    ]
    report = target.run(park_days=10)
    assert report["rules"][0]["earlier"] == {"rejected": 1}
    assert report["notes"] == ["1 items were given up, parked for longer than `park_days`"]
    [line] = target.rejects
    assert (line["subject"], line["fate"], line["records"]) == ("nobody", "rejected", 0)
    assert line["reason"] == "given up: parked for longer than `park_days`"

    # it is not sent any more, but what comes in addition is
    target.planhat.world.add("endusers", {"externalId": "nobody", "companyId": "extid-acme"})
    assert target.run(park_days=10)["rules"][0]["earlier"] == {}
    more = event(day(9, 8), "nobody", 9, read=target.now)
    target.run(*whole(more, read=target.now), park_days=10)
    assert target.sums == {NOBODY: 5}


def test_what_is_sent_in_time_is_not_given_up(target: TargetRunner) -> None:
    target.run(*whole(event(day(9, 8), "nobody", 4)))
    target.planhat.world.add("endusers", {"externalId": "nobody", "companyId": "extid-acme"})
    target.now = NOW + timedelta(days=400)
    report = target.run()

    assert report["rules"][0]["earlier"] == {"sent": 1}
    assert target.sums == {NOBODY: 4}


def test_records_of_items_that_this_run_gives_up_are_rejected(target: TargetRunner) -> None:
    target.run(*whole(event(day(9, 8), "nobody", 4)))
    target.now = NOW + timedelta(days=400)
    again = event(day(9, 8), "nobody", 5, read=target.now)
    report = target.run(*whole(again, read=target.now))

    assert (report["rejected"], report["parked"]) == (1, 0)


def test_a_point_that_waits_for_its_company_is_found_by_its_key(target: TargetRunner) -> None:
    target.config |= {
        "activities": [],
        "metrics": [{"stream": "feature_events", "dimension_id": "uses", "aggregate": "sum"}],
    }
    target.run(*whole(event(day(9, 8), account="gamma", count=3)))
    target.planhat.world.add("companies", {"externalId": "gamma", "name": "Gamma"})
    report = target.run()

    assert report["rules"][0]["earlier"] == {"sent": 1}
    assert target.planhat.world.point_sums() == {("uses", "Company", "gamma", "2026-03-09"): 3}


def test_an_id_without_a_name_counts_once_however_many_texts_it_has(target: TargetRunner) -> None:
    action = "{feature_name} in {app_id}"
    target.config["activities"] = [
        {"stream": "feature_events", "name": verb, "action": f"{verb} {action}"}
        for verb in ("Used", "Opened")
    ]
    rows = [event(day(9, 8), feature="gone", app=app) for app in (1, 2, 3)]
    report = target.run(*whole(*rows))

    assert report["notes"] == [
        "1 id is not among all features of Pendo: the id is used as the name"
    ]


def scores(*rows: tuple[int, int], read: t.Any = NOW) -> list[Message]:
    """Give values of one date in several windows: (day of the window, value)."""
    told = schema("scores", "account_id", "score", "on", "window_start", "read_at")
    return [
        WINDOWS,
        told,
        *(
            record(
                "scores",
                account_id="acme",
                score=score,
                on=iso(day(9)),
                window_start=iso(day(of)),
                read_at=iso(read + timedelta(minutes=number)),
            )
            for number, (of, score) in enumerate(rows)
        ),
        *(
            window(day(of), day(of + 1), read + timedelta(minutes=number), stream="scores")
            for number, (of, _) in enumerate(rows)
        ),
    ]


def scored(**more: t.Any) -> Record:
    """Make a metric whose date is a field of its own."""
    rule = {"stream": "scores", "dimension_id": "score", "value": "score", "date": "on"}
    return {"activities": [], "metrics": [{**rule, "on_change": "resend", **more}]}


@pytest.mark.some(2)
@pytest.mark.usefixtures("either_ledger")
@pytest.mark.parametrize(
    ("aggregate", "first", "second"),
    [({}, 4, 6), ({"aggregate": "last"}, 4, 6), ({"aggregate": "max"}, 9, 9)],
)
def test_of_several_windows_with_a_value_for_a_date_the_newest_read_counts(
    aggregate: Record, first: float, second: float, target: TargetRunner
) -> None:
    target.run(*scores((9, 9), (10, 4)), **scored(**aggregate))
    points = target.planhat.world.points()
    assert [point.value for point in points] == [first]

    # the older window is read again
    read = NOW + timedelta(hours=1)
    target.run(*scores((9, 6), read=read), **scored(**aggregate))
    last = [point.value for point in target.planhat.world.points()][-1]
    assert last == (second if aggregate.get("aggregate") != "max" else 6)


def test_a_value_that_is_gone_from_its_window_does_not_count_as_nought(
    target: TargetRunner,
) -> None:
    target.run(*scores((9, -3), (10, -5)), **scored(aggregate="max"))
    gone = [*scores((10, -5))[:2], window(day(10), day(11), NOW + timedelta(1), stream="scores")]
    target.now += timedelta(1)
    target.run(*gone, **scored(aggregate="max"))

    assert [point.value for point in target.planhat.world.points()] == [-3]
