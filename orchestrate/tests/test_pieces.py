"""Time cut into months and days of the subscription: nothing lost, nothing twice."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrate import pieces
from orchestrate.rates import share

UTC = timezone.utc
ZONES = ("UTC", "America/New_York", "Asia/Kolkata", "Europe/London", "Pacific/Apia")


@pytest.mark.parametrize(
    ("span", "cut", "zone", "start", "hours"),
    [
        ("2026-02", "month", "UTC", "2026-02-01T00:00", 28 * 24),
        ("2025-12", "month", "UTC", "2025-12-01T00:00", 31 * 24),
        # the clock goes forward on the 8th
        ("2026-03", "month", "America/New_York", "2026-03-01T05:00", 31 * 24 - 1),
        ("2026-03-08", "day", "America/New_York", "2026-03-08T05:00", 23),
        ("2025-11-02", "day", "America/New_York", "2025-11-02T04:00", 25),
        ("2026-03", "month", "Asia/Kolkata", "2026-02-28T18:30", 31 * 24),
    ],
)
def test_a_span_begins_and_ends_at_midnight_of_the_zone(
    span: str, cut: pieces.Cut, zone: str, start: str, hours: int
) -> None:
    found = pieces.piece("-7", span, cut, ZoneInfo(zone))
    assert found.start == datetime.fromisoformat(start).replace(tzinfo=UTC)
    assert found.end - found.start == timedelta(hours=hours)
    assert (found.app_id, found.key) == (-7, f"-7.{span}")


@pytest.mark.parametrize(("span", "cut"), [("2026-03-01", "month"), ("2026-03", "day")])
def test_a_span_of_another_cut_is_refused(span: str, cut: pieces.Cut) -> None:
    with pytest.raises(ValueError, match="is no"):
        pieces.piece("7", span, cut, ZoneInfo("UTC"))


@given(
    st.integers(0, 13 * 365 * 24),
    st.integers(0, 40_000),
    st.sampled_from(pieces.CUTS),
    st.sampled_from(ZONES),
)
def test_spans_adjoin_from_the_start_to_the_last_that_is_over(
    begin: int, hours: int, cut: pieces.Cut, zone: str
) -> None:
    first = datetime(2013, 1, 1, 0, 30, tzinfo=UTC) + timedelta(hours=begin)
    end = first + timedelta(hours=hours if cut == "month" else hours % 2000)
    found = [
        pieces.bounds(span, cut, ZoneInfo(zone))
        for span in pieces.spans(first, end, cut, ZoneInfo(zone))
    ]
    assert all(one[1] == other[0] for one, other in pairwise(found))
    if found:
        assert found[0][0] <= first < found[0][1]
        assert found[-1][1] <= end
    unfinished = found[-1][1] if found else first
    assert end - unfinished <= timedelta(days=32 if cut == "month" else 2)


@given(st.integers(1, 64), st.floats(0, 100), st.lists(st.floats(0, 1), min_size=64, max_size=64))
def test_workers_never_make_more_calls_in_a_second_than_they_share(
    workers: int, more: float, begins: list[float]
) -> None:
    limit = min(workers + more, 100.0) if workers + more <= 100 else float(max(workers, 100))
    gap = 1 / share(limit, workers)
    times = sorted(begin + gap * n for begin in begins[:workers] for n in range(int(4 / gap) + 1))
    most = max(sum(moment <= each < moment + 1 - 1e-9 for each in times) for moment in times[::5])
    assert most <= limit


def test_the_month_before_is_one_of_the_zone() -> None:
    now = datetime(2026, 3, 1, 3, tzinfo=UTC)  # still February in New York
    found = pieces.month_before(now, ZoneInfo("America/New_York"))
    assert found == datetime(2026, 1, 1, 5, tzinfo=UTC)
