"""Knows the aggregators of `group` and `reduce` (API facts §3.5)."""

import json
import statistics
from collections.abc import Callable, Sequence
from typing import Any

from pendo_emulator.values import rank, sort_key

Aggregate = Callable[[Sequence[Any]], Any]


def _numbers(values: Sequence[Any]) -> list[Any]:
    return [value for value in values if rank(value) == rank(0)]


def _known(values: Sequence[Any]) -> list[Any]:
    return [value for value in values if value is not None]


def _distinct(values: Sequence[Any]) -> int:
    return len({json.dumps(value, sort_keys=True) for value in _known(values)})


def _mean(values: Sequence[Any]) -> Any:
    numbers = _numbers(values)
    return statistics.fmean(numbers) if numbers else None


def _median(values: Sequence[Any]) -> Any:
    numbers = _numbers(values)
    return statistics.median(numbers) if numbers else None


AGGREGATORS: dict[str, Aggregate] = {
    "count": _distinct,
    "countIf": lambda values: sum(map(bool, values)),
    "sum": lambda values: sum(_numbers(values)),
    "avg": _mean,
    "mean": _mean,
    "median": _median,
    "min": lambda values: min(_known(values), key=sort_key, default=None),
    "max": lambda values: max(_known(values), key=sort_key, default=None),
    "first": lambda values: values[0] if values else None,
    "any": lambda values: next(iter(_known(values)), None),
    "list": _known,
}
