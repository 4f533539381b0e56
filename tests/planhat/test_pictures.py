"""Bars: which days they stand for, and where they lie."""

from __future__ import annotations

import typing as t
from datetime import date, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from target_planhat.reporting.report import figures
from target_planhat.reporting.report_files import chart, grouped, page, unit_of

from tests.planhat.reports import Reading, rule, run

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


def _bars(**figures_of_rule: t.Any) -> list[list[tuple[str | None, str | None]]]:
    """Give the parts of each bar of the page's last chart: their kind and their style."""
    read = Reading(page(figures(run(rules=[rule(**figures_of_rule)]))))
    bars: list[list[tuple[str | None, str | None]]] = []
    for tag, attributes in read.elements:
        kind = attributes.get("class")
        if kind == "bars":
            bars = []
        elif kind == "bar":
            bars.append([])
        elif tag == "i" and bars and kind not in {"axis", "swatch matched", "swatch unmatched"}:
            bars[-1].append((kind, attributes.get("style")))
        elif kind == "axis":
            return [*bars, [(kind, attributes.get("style"))]]
    return bars


def test_bars_are_as_high_as_their_figures() -> None:
    days = {
        "2026-03-01": {"sent": 30, "parked": 10},
        "2026-03-02": {},
        "2026-03-03": {"sent": 10},
    }

    assert _bars(days=days) == [
        [(None, "height:0.00%"), ("parked", "height:25.00%"), ("sent", "height:75.00%")],
        [],
        [(None, "height:75.00%"), ("sent", "height:25.00%")],
        [("axis", "top:100.00%")],
    ]
    drawn = chart(days, ["sent", "parked"])
    assert drawn
    assert drawn.highest.label == "2026-03-01"


def test_negative_amounts_hang_below_the_line() -> None:
    amounts = {"2026-03-01": 20.0, "2026-03-02": -10.0}

    assert _bars(days={}, sent_amount=amounts) == [
        [(None, "height:0.00%"), ("sent_amount", "height:66.67%")],
        [(None, "height:66.67%"), ("sent_amount", "height:33.33%")],
        [("axis", "top:66.67%")],
    ]


def test_nothing_has_no_chart() -> None:
    assert chart({}, ["sent"]) is None
    assert chart({"a": {"sent": 0, "parked": 3}}, ["sent"]) is None
    assert _bars(days={}) == []


def test_strip_is_filled_in_proportion() -> None:
    read = Reading(page(figures(run(streams={"features": {"sent": 1, "parked": 3}}))))

    parts = [
        (a.get("class"), a["style"]) for tag, a in read.elements if tag == "i" and "style" in a
    ]
    assert parts == [("sent", "flex-grow:1"), ("parked", "flex-grow:3")]
