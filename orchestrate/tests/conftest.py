"""The emulated Pendo and the PostgreSQL that all tests of the repository share."""

from __future__ import annotations

from tests.conftest import _place, pendo, postgres, warehouse

__all__ = ["_place", "pendo", "postgres", "warehouse"]
