"""Knows the aggregators of `group` and `reduce`."""

import statistics
from collections.abc import Callable, Sequence
from typing import Any

from pendo_emulator.values import fingerprint, rank, sort_key, truth

Aggregate = Callable[[Sequence[Any]], Any]

# Pendo's own choice of percentiles is not known; these are the ones that its charts show.
_PERCENTILES = (25, 50, 75, 90, 95, 99)


def _numbers(values: Sequence[Any]) -> list[Any]:
    return [value for value in values if rank(value) == rank(0)]


def _known(values: Sequence[Any]) -> list[Any]:
    return [value for value in values if value is not None]


def _items(values: Sequence[Any]) -> list[Any]:
    """Return the elements of lists, and other values as they are."""
    return [
        item for value in _known(values) for item in (value if isinstance(value, list) else [value])
    ]


def _distinct(values: Sequence[Any]) -> int:
    return len({fingerprint(value) for value in _known(values)})


def _of_numbers(compute: Callable[[list[Any]], Any], least: int = 1) -> Aggregate:
    """Return an aggregate of numbers only; null where there are fewer than `least`."""

    def aggregate(values: Sequence[Any]) -> Any:
        numbers = _numbers(values)
        return compute(numbers) if len(numbers) >= least else None

    return aggregate


def _percentiles(numbers: list[Any]) -> dict[str, Any]:
    """Return {percent: value}, each the smallest number that so many percent do not exceed."""
    ordered = sorted(numbers)
    return {
        str(percent): ordered[max(-(-len(ordered) * percent // 100) - 1, 0)]
        for percent in _PERCENTILES
    }


_mean = _of_numbers(statistics.fmean)

AGGREGATORS: dict[str, Aggregate] = {
    "any": lambda values: next(iter(_known(values)), None),
    "avg": _mean,
    "concat": _items,
    "count": _distinct,
    "countIf": lambda values: sum(map(truth, values)),
    "first": lambda values: values[0] if values else None,
    "list": _known,
    "listAverage": lambda values: _mean(_items(values)),
    "listIf": lambda pairs: [value for value, holds in pairs if truth(holds)],
    "max": lambda values: max(_known(values), key=sort_key, default=None),
    "mean": _mean,
    "median": _of_numbers(statistics.median),
    "min": lambda values: min(_known(values), key=sort_key, default=None),
    "percentiles": _of_numbers(_percentiles),
    "stddev": _of_numbers(statistics.pstdev),
    "sum": lambda values: sum(_numbers(values)),
    "var": _of_numbers(statistics.pvariance),
}

# Those that take a list of expressions: count of distinct tuples, and value and condition.
TUPLES = {"count", "listIf"}
