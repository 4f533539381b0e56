"""Bars: which days they stand for, and where they lie."""

from __future__ import annotations

import typing as t
from datetime import date, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from target_planhat.pictures import HEIGHT, STRIP_WIDTH, chart, grouped, strip, unit_of

LATE = st.dates(min_value=date(1990, 1, 1), max_value=date(2040, 1, 1)).map(str)


def _days(count: int) -> dict[str, dict[str, float]]:
    first = date(2024, 1, 1)  # a Monday
    return {(first + timedelta(n)).isoformat(): {"sent": 1} for n in range(count)}


@pytest.mark.parametrize(
    ("days", "unit", "bars"),
    [
        (1, "day", 1),
        (100, "day", 100),
        (101, "week", 15),
        (700, "week", 100),
        (701, "month", 24),
        (3000, "month", 99),
        (3001, "year", 9),
    ],
)
def test_many_days_stand_together(days: int, unit: str, bars: int) -> None:
    every = _days(days)

    chosen = unit_of(every)

    assert chosen == unit
    groups = grouped(chosen, every)
    assert len(groups) == bars
    assert sum(amounts["sent"] for amounts in groups.values()) == days


@pytest.mark.parametrize(
    ("unit", "labels"),
    [
        ("day", ["2026-03-01", "2026-03-02", "2026-03-03"]),
        ("week", ["2026-02-23", "2026-03-02"]),
        ("month", ["2026-03"]),
        ("year", ["2026"]),
    ],
)
def test_groups_are_named_by_their_first_day_and_have_no_gaps(
    unit: t.Any, labels: list[str]
) -> None:
    groups = grouped(unit, {"2026-03-03": {"sent": 2}, "2026-03-01": {"sent": 1, "parked": 4}})

    assert list(groups) == labels
    assert sum(amounts.get("sent", 0) for amounts in groups.values()) == 3


def test_date_far_away_makes_no_bars_for_the_years_between() -> None:
    days = {"0001-01-01": {"sent": 1.0}, "9999-12-31": {"sent": 2.0}}

    assert grouped(unit_of(days), days) == {"0001": {"sent": 1}, "9999": {"sent": 2}}


@given(st.dictionaries(LATE, st.fixed_dictionaries({"sent": st.integers(0, 999)}), min_size=1))
def test_grouping_loses_nothing(days: dict[str, dict[str, float]]) -> None:
    unit = unit_of(days)

    groups = grouped(unit, days)

    assert sum(group.get("sent", 0) for group in groups.values()) == sum(
        amounts["sent"] for amounts in days.values()
    )
    assert unit == "year" or len(groups) <= 102


def test_bars_are_as_high_as_their_figures() -> None:
    drawn = chart({"a": {"sent": 30, "parked": 10}, "b": {}, "c": {"sent": 10}}, ["sent", "parked"])

    assert drawn
    sent, parked = drawn.bars[0].parts
    assert (sent.height, parked.height) == (HEIGHT * 3 / 4, HEIGHT / 4)
    assert (parked.y, sent.y) == (0, HEIGHT / 4)
    assert drawn.bars[1].parts == []
    assert drawn.bars[2].parts[0].y + drawn.bars[2].parts[0].height == drawn.zero == HEIGHT
    assert drawn.highest.label == "a"


def test_amounts_below_nought_hang_below_the_line() -> None:
    drawn = chart({"a": {"sent_amount": 20.0}, "b": {"sent_amount": -10.0}}, ["sent_amount"])

    assert drawn
    assert (drawn.bars[0].parts[0].y, drawn.bars[0].parts[0].height) == (0, 100)
    assert drawn.zero == drawn.bars[1].parts[0].y == 100
    assert drawn.bars[1].parts[0].height == 50


def test_nothing_has_no_chart() -> None:
    assert chart({}, ["sent"]) is None
    assert chart({"a": {"sent": 0, "parked": 3}}, ["sent"]) is None
    assert strip({"sent": 0}) == []


def test_strip_is_filled_in_proportion() -> None:
    parts = strip({"sent": 1, "unchanged": 0, "parked": 3})

    assert [(part.kind, part.x, part.width) for part in parts] == [
        ("sent", 0, STRIP_WIDTH / 4),
        ("parked", STRIP_WIDTH / 4, STRIP_WIDTH * 3 / 4),
    ]
