"""Knows when amounts differ: they are sums of floats, which another order makes a bit different."""

from __future__ import annotations

import typing as t

import sqlalchemy as sa

_TOLERANCE = 1e-9

_Amount = sa.ColumnElement[t.Any]


def is_more(amount: _Amount, of: _Amount) -> sa.ColumnElement[bool]:
    """Whether an amount is more than nothing, beside what it is a part of, as SQL."""
    return amount > _TOLERANCE * (1 + sa.func.abs(of))


def differ(one: _Amount, other: _Amount) -> sa.ColumnElement[bool]:
    """Whether two amounts are not the same, as SQL."""
    return sa.func.abs(one - other) > _TOLERANCE * sa.func.abs(one)
