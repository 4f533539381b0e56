"""The estimates of a plan: how many calls pages take, and how long all takes."""

from __future__ import annotations

import typing as t

import pytest
from tap_pendo.reading.plan import ROWS_PER_SECOND, pages, run_plan

if t.TYPE_CHECKING:
    from tests.conftest import TapRunner


def test_minutes_come_from_the_time_of_counts_from_concurrency_and_from_rows(
    tap: TapRunner,
) -> None:
    ticks = iter(range(0, 100_000, 30))
    made = tap.tap(concurrency=2)
    made.run.clock = lambda: float(next(ticks))
    names = ("pages", "visitors", "guide_history")
    found = {
        entry.stream: entry
        for entry in run_plan(made.run, [(n, made.streams[n].planned) for n in names]).entries
    }
    made.run.client.close()

    visitors, history = found["visitors"].planned, found["guide_history"].planned
    assert visitors.rows
    assert history.calls
    assert found["visitors"].minutes == pytest.approx(0.5 + visitors.rows / ROWS_PER_SECOND / 60)
    assert found["pages"].minutes == pytest.approx(0.5)
    assert found["guide_history"].minutes == pytest.approx((history.calls + 1) // 2 * 0.5)


@pytest.mark.parametrize(
    ("rows", "size", "expected"), [(0, 10, 1), (9, 10, 1), (10, 10, 4), (18, 10, 4), (19, 10, 5)]
)
def test_a_second_page_costs_a_count_and_the_first_page_again(
    rows: int, size: int, expected: int
) -> None:
    assert pages(rows, size) == expected
    # what is foreseen to need pages is counted at once
    assert pages(rows, size, foreseen=True) == (2 if expected == 1 else expected - 1)
