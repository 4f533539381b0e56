"""What the tap reads is whole in loaders from PyPI: a sample; ./do dev loaders has them all."""

from __future__ import annotations

import typing as t

import pytest

from tests.loaders.messages import Runs, runs
from tests.loaders.running import install, verdict
from tests.loaders.table import LOADERS, Loader

if t.TYPE_CHECKING:
    from pathlib import Path

BY_NAME = {loader.name: loader for loader in LOADERS}
SAMPLE = ("target-jsonl", "meltanolabs-target-csv", "target-duckdb")


@pytest.fixture(scope="module")
def flat() -> Runs:
    """Both runs, once for all loaders."""
    # its environment has DuckDB, with which files are read
    install(BY_NAME["target-duckdb"])
    return runs("flat")


@pytest.mark.parametrize("loader", [BY_NAME[name] for name in SAMPLE], ids=SAMPLE)
def test_rows_and_events_are_those_of_pendo(loader: Loader, flat: Runs, tmp_path: Path) -> None:
    found = verdict(loader, flat, tmp_path / "with space", {})

    assert found.problems == found.lacks == ()
    merges = loader.reader == "duckdb"
    assert (found.merges, found.marks) == (merges, not merges)
