"""Figures as bars: which days stand together in one, and where each part of it lies."""

from __future__ import annotations

import dataclasses
import typing as t
from datetime import date, timedelta

if t.TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

Unit = t.Literal["day", "week", "month", "year"]
Amounts = t.Mapping[str, float]
# what fits side by side on a phone and can still be told apart
_MOST_BARS = 100
_DAYS: tuple[tuple[Unit, int], ...] = (("day", 1), ("week", 7), ("month", 30))

# The drawings' own units, near to pixels, for patterns are stretched with the drawing
PLACE, HEIGHT, _GAP = 30, 150, 3
STRIP_WIDTH, STRIP_HEIGHT = 800, 28


@dataclasses.dataclass(frozen=True)
class Part:
    """One colour of a bar: a rectangle."""

    kind: str
    x: float
    y: float
    width: float
    height: float


@dataclasses.dataclass(frozen=True)
class Bar:
    """One bar, and the figures that it stands for."""

    label: str
    amounts: Mapping[str, float]
    parts: Sequence[Part]

    @property
    def total(self) -> float:
        """The sum of the figures."""
        return sum(self.amounts.values())


@dataclasses.dataclass(frozen=True)
class Chart:
    """Bars side by side; `zero` is where they stand, lower than that is below nought."""

    bars: Sequence[Bar]
    zero: float
    height: int = HEIGHT

    @property
    def width(self) -> int:
        """How wide the drawing is, in its own units."""
        return PLACE * len(self.bars)

    @property
    def highest(self) -> Bar:
        """The bar with the largest sum."""
        return max(self.bars, key=lambda bar: bar.total)


def unit_of(days: Iterable[str]) -> Unit:
    """Choose what one bar stands for, so that there are not too many."""
    dates = [date.fromisoformat(day) for day in days]
    span = (max(dates) - min(dates)).days + 1
    fitting = (unit for unit, length in _DAYS if span <= _MOST_BARS * length)
    return next(fitting, "year")


def grouped(unit: Unit, days: Mapping[str, Amounts]) -> dict[str, dict[str, float]]:
    """Add up days that stand together; those in between that have nothing are there, too.

    Only years are left out where there is nothing: a faulty date may lie centuries away.
    """
    dates = sorted(map(date.fromisoformat, days))
    groups: dict[str, dict[str, float]] = {}
    if unit != "year":
        span = (dates[-1] - dates[0]).days + 1
        groups = {_label(unit, dates[0] + timedelta(n)): {} for n in range(span)}
    for day in dates:
        group = groups.setdefault(_label(unit, day), {})
        for kind, amount in days[day.isoformat()].items():
            group[kind] = group.get(kind, 0) + amount
    return groups


def chart(groups: Mapping[str, Amounts], kinds: Sequence[str]) -> Chart | None:
    """Draw a bar for each group, with the kinds one upon another; None if all is nought."""
    picked = [
        (label, {kind: amounts[kind] for kind in kinds if amounts.get(kind)})
        for label, amounts in groups.items()
    ]
    top = max((_above(amounts) for _, amounts in picked), default=0)
    bottom = min((_below(amounts) for _, amounts in picked), default=0)
    if top == bottom:
        return None
    scale = HEIGHT / (top - bottom)
    bars = [
        Bar(label, amounts, _stacked(PLACE * place + _GAP, amounts, top, scale))
        for place, (label, amounts) in enumerate(picked)
    ]
    return Chart(bars, round(top * scale, 2))


def strip(amounts: Amounts) -> list[Part]:
    """Draw one bar lying on its side, of amounts above nought."""
    whole = sum(amounts.values())
    parts: list[Part] = []
    x = 0.0
    for kind, amount in amounts.items():
        length = amount / whole * STRIP_WIDTH if amount else 0
        if length:
            parts.append(Part(kind, round(x, 2), 0, round(length, 2), STRIP_HEIGHT))
        x += length
    return parts


def _stacked(x: float, amounts: Amounts, top: float, scale: float) -> list[Part]:
    up = down = 0.0
    parts = []
    for kind, amount in amounts.items():
        if amount > 0:
            up += amount
            upper = up
        else:
            upper = down
            down += amount
        y, height = (top - upper) * scale, abs(amount) * scale
        parts.append(Part(kind, x, round(y, 2), PLACE - 2 * _GAP, round(height, 2)))
    return parts


def _above(amounts: Amounts) -> float:
    return sum(amount for amount in amounts.values() if amount > 0)


def _below(amounts: Amounts) -> float:
    return sum(amount for amount in amounts.values() if amount < 0)


def _label(unit: Unit, day: date) -> str:
    """Name a bar by its first day, as far as that is needed."""
    if unit == "week":
        day -= timedelta(days=day.weekday())
    return day.isoformat()[: {"day": 10, "week": 10, "month": 7, "year": 4}[unit]]
