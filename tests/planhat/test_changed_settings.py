"""Settings that change between runs of one ledger: nothing is doubled, lost or taken for gone."""

from __future__ import annotations

import typing as t
from datetime import timedelta

import pytest

from tests.planhat.running import EVENTS, FEATURES, NOW, WINDOWS, day, event, iso, record, window

if t.TYPE_CHECKING:
    from tests.planhat.running import Message, TargetRunner

U2 = ("u2", "Export", "2026-03-09")
LATER = NOW + timedelta(hours=1)
BERLIN = "Europe/Berlin"


def whole(*events: Message, read: t.Any = NOW) -> list[Message]:
    """Input with these events of March 9th, read whole."""
    return [WINDOWS, *FEATURES, EVENTS, *events, window(day(9), day(10), read)]


def test_another_time_zone_is_refused_as_hours_would_count_on_two_days(
    target: TargetRunner,
) -> None:
    target.run(*whole(event(day(9, 23))))
    target.run(*whole(event(day(9, 23), read=LATER), read=LATER), timezone=BERLIN)

    assert target.sums == {U2: 1}
    assert "rule feature_events: `timezone` changed" in str(target.error)


def test_rules_by_the_hour_do_not_mind_another_time_zone(target: TargetRunner) -> None:
    hourly: t.Any = [{"stream": "feature_events", "granularity": "hour"}]
    target.config["activities"] = hourly
    target.run(*whole(event(day(9, 23))))
    target.run(*whole(event(day(9, 23), read=LATER), read=LATER), timezone=BERLIN)

    assert target.error is None
    assert target.sums == {U2: 1}


def test_what_lies_before_since_is_not_taken_for_gone(target: TargetRunner) -> None:
    target.run(*whole(event(day(9, 8), count=5), event(day(9, 8), "nobody")))
    again = whole(event(day(9, 8), count=5, read=LATER), read=LATER)
    report = target.run(*again, since="2026-03-10")
    assert report["rules"][0]["excess"] == 0

    target.planhat.world.add("endusers", {"externalId": "nobody", "companyId": "extid-acme"})
    target.run()
    assert target.sums == {U2: 5, ("nobody", "Export", "2026-03-09"): 1}


def test_in_a_window_that_since_cuts_what_is_gone_after_it_is_gone(target: TargetRunner) -> None:
    events = [event(day(9, 22), count=5), event(day(9, 23), count=2)]
    target.run(*whole(*events), timezone=BERLIN)
    # the 10th begins at 23:00 UTC
    report = target.run(*whole(read=LATER), timezone=BERLIN, since="2026-03-10")

    assert report["rules"][0]["excess"] == 2


@pytest.mark.parametrize(
    ("hour", "sent"), [(22, False), (23, True)], ids=["the day before", "that day"]
)
def test_hours_of_the_first_day_are_those_in_the_time_zone(
    hour: int, *, sent: bool, target: TargetRunner
) -> None:
    hourly: t.Any = [{"stream": "feature_events", "granularity": "hour"}]
    target.run(*whole(event(day(9, hour))), activities=hourly, since="2026-03-10", timezone=BERLIN)

    assert target.planhat.world.count("activities") == sent


def test_what_waits_is_not_gone_because_the_tap_reads_days_now(target: TargetRunner) -> None:
    target.run(*whole(event(day(9, 8), "nobody", 5)))
    fields = {"visitor_id": "nobody", "account_id": "acme", "app_id": 1, "feature_id": "f1"}
    daily = record("feature_events", **fields, day=iso(day(9)), num_events=5, read_at=iso(LATER))
    report = target.run(*whole(daily, read=LATER))
    assert report["rejected"] == 1

    target.planhat.world.add("endusers", {"externalId": "nobody", "companyId": "extid-acme"})
    target.run()
    assert target.sums == {("nobody", "Export", "2026-03-09"): 5}
