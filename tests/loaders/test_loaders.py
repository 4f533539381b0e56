"""Loaders of three kinds hold exactly what Pendo counts: a file, text without types, a database."""

from __future__ import annotations

import typing as t

import pytest

from tests.loaders.matrix import Inputs, inputs, tried

if t.TYPE_CHECKING:
    from pathlib import Path

    from with_demo.postgres import Server


@pytest.fixture(scope="module")
def given() -> Inputs:
    return inputs()


@pytest.mark.parametrize(
    ("name", "merges"),
    [("target-jsonl", False), ("target-csv (MeltanoLabs)", False), ("target-duckdb", True)],
)
def test_a_loader_holds_what_pendo_counts(
    name: str, merges: bool, given: Inputs, tmp_path: Path, postgres: Server
) -> None:
    result = tried(name, given, tmp_path, postgres)

    assert result.missing == ()
    assert result.merges is merges
