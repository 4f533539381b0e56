"""Settings that change between runs of one ledger: nothing is doubled, lost or taken for gone."""

from __future__ import annotations

import typing as t
from datetime import timedelta

from tests.planhat.running import EVENTS, FEATURES, NOW, WINDOWS, day, event, window

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
    target.run(*whole(event(day(9, 23))), activities=hourly)
    target.run(*whole(event(day(9, 23), read=LATER), read=LATER), activities=hourly, timezone=BERLIN)

    assert target.error is None
    assert target.sums == {U2: 1}
