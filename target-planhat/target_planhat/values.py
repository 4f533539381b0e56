"""How values of a row are read: ids as texts, figures as numbers; what is neither is no value."""

from __future__ import annotations

import math
import re
import typing as t
from decimal import Decimal

LONGEST = 1000
# PostgreSQL finds rows by keys of up to 2,704 bytes
_LONGEST_KEY = 2000
_INT64 = 2**63
_HUGE = 10**100
# what PostgreSQL and UTF-8 cannot hold, or nobody can see
_UNUSABLE = re.compile("[\x00-\x1f\x7f\ud800-\udfff]")
_NUMBER = re.compile(r"\s*[-+]?(\d+(\.\d*)?|\.\d+)([eE][-+]?\d{1,3})?\s*", re.ASCII)


class ValueProblem(ValueError):  # noqa: N818 - said of a value, and counted
    """What is wrong with a value, in words without the value."""


def text(value: t.Any) -> str:
    """Write a scalar as text: 123.0 is "123", null is "".

    Raises:
        ValueProblem: it is no scalar, too long, or has characters that no id has.
    """
    if type(value) is str and len(value) <= LONGEST and value.isprintable():
        # nearly all
        return value
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (int, float, Decimal)):
        return _number_text(value)
    if not isinstance(value, str):
        raise ValueProblem("is neither text nor number")
    if len(value) > LONGEST:
        raise ValueProblem(f"is longer than {LONGEST} characters")
    if not value.isprintable() and _UNUSABLE.search(value):
        raise ValueProblem("has control characters")
    return value


def _number_text(value: float | Decimal) -> str:
    if not _finite(value) or not -_HUGE < value < _HUGE:
        raise ValueProblem("is not a number of usable size")
    if value == int(value):
        return str(int(value))
    return repr(value) if isinstance(value, float) else f"{value.normalize():f}"


def _finite(value: float | Decimal) -> bool:
    if isinstance(value, Decimal):
        return value.is_finite()
    return isinstance(value, int) or math.isfinite(value)


def is_findable(*parts: str) -> bool:
    """Whether texts are short enough, together, to find something in the ledger by."""
    # no character has more than 4 bytes
    if 4 * sum(map(len, parts)) <= _LONGEST_KEY:
        return True
    return sum(len(part.encode()) for part in parts) <= _LONGEST_KEY


def number(value: t.Any) -> float:
    """Read a figure: a number, or text that is one.

    Raises:
        ValueProblem: it is none.
    """
    if type(value) is int and -_INT64 < value < _INT64:
        return value
    if isinstance(value, str) and _NUMBER.fullmatch(value):
        value = Decimal(value.strip())
    if isinstance(value, bool) or not isinstance(value, (int, float, Decimal)):
        raise ValueProblem("is missing" if value in (None, "") else "is not a number")
    if not _finite(value) or not -_INT64 < value < _INT64:
        raise ValueProblem("is not a number of usable size")
    return int(value) if value == int(value) else float(value)


def kept(value: t.Any) -> t.Any:
    """Give a value as `info` keeps it: numbers, which are ids there, as text; no control codes."""
    if isinstance(value, str):
        return value if value.isprintable() else _UNUSABLE.sub("\ufffd", value)
    if isinstance(value, (int, float, Decimal)) and not isinstance(value, bool):
        try:
            return _number_text(value)
        except ValueProblem:
            return None
    return value
