"""What the tests of the pages share."""

from __future__ import annotations

import typing as t

import pytest

from tests.end_to_end.meltano import project

if t.TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Give a project folder of its own."""
    return project(tmp_path)
