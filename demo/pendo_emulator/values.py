"""Knows how Pendo's values compare, sort, add up and count as true."""

import json
import math
import operator
from collections.abc import Callable
from typing import Any

Compare = Callable[[Any, Any], bool]
Number = (int, float)

_NULL, _BOOLEAN, _NUMBER, _STRING, _OTHER = range(5)


def rank(value: Any) -> int:
    """Return the place of a value's type in sorting: null < boolean < number < string < other."""
    if isinstance(value, str):
        return _STRING
    if value is None:
        return _NULL
    if isinstance(value, bool):
        return _BOOLEAN
    return _NUMBER if isinstance(value, Number) else _OTHER


def sort_key(value: Any, *, casefold: bool = False) -> tuple[int, Any]:
    """Return what a value sorts by; strings by code point, or by folded case."""
    place = rank(value)
    if place == _OTHER:
        return place, fingerprint(value)
    if place == _NULL:
        return place, 0
    return place, value.casefold() if casefold and place == _STRING else value


def fingerprint(value: Any) -> str:
    """Return a text that two values share only if they are the same JSON."""
    return json.dumps(value, sort_keys=True, default=_raw_text)


def _raw_text(value: Any) -> str:
    # what only a JSON text can hold, such as NaN (msgspec.Raw), or a plain mistake
    return bytes(value).decode()


def truth(value: Any) -> bool:
    """Return whether a value counts as true: null, false, 0 and "" do not."""
    return bool(value) or isinstance(value, list | dict)


def same(left: Any, right: Any) -> bool:
    """Return whether two values are equal; a boolean never equals a number."""
    return rank(left) == rank(right) and bool(left == right)


def comparisons(*, casefold: bool = False) -> dict[str, Compare]:
    """Return `<`, `<=`, `>`, `>=`; false for null, for unlike types and for lists."""
    return {
        "<": _comparison(operator.lt, casefold=casefold),
        "<=": _comparison(operator.le, casefold=casefold),
        ">": _comparison(operator.gt, casefold=casefold),
        ">=": _comparison(operator.ge, casefold=casefold),
    }


def _comparison(holds: Compare, *, casefold: bool) -> Compare:
    def compare(left: Any, right: Any) -> bool:
        place = rank(left)
        if place != rank(right) or place not in (_NUMBER, _STRING):
            return False
        if casefold and place == _STRING:
            return holds(left.casefold(), right.casefold())
        return holds(left, right)

    return compare


def _numeric(compute: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
    """Return an operator that is null unless both sides are numbers, and whole where it can be."""

    def calculate(left: Any, right: Any) -> Any:
        if rank(left) != _NUMBER or rank(right) != _NUMBER:
            return None
        try:
            result = compute(left, right)
        except (ArithmeticError, ValueError):
            return None
        return int(result) if isinstance(result, float) and result.is_integer() else result

    return calculate


def _add(left: Any, right: Any) -> Any:
    if isinstance(left, str) and isinstance(right, str):
        return left + right
    return _add_numbers(left, right)


_add_numbers = _numeric(operator.add)

ARITHMETIC: dict[str, Callable[[Any, Any], Any]] = {
    "+": _add,
    "-": _numeric(operator.sub),
    "*": _numeric(operator.mul),
    "/": _numeric(operator.truediv),
    "%": _numeric(math.fmod),
}
