"""Singer tap for Pendo: every Pendo object as a stream."""

from __future__ import annotations

import typing as t

import msgspec

Row = dict[str, t.Any]
"""An object as Pendo sends it, under Pendo's names."""
Record = dict[str, t.Any]
"""What is written for a row, under the names of our columns."""
AnyRecord = Record | msgspec.Struct
"""A record; event records may be structs, which are faster to make and to write."""
