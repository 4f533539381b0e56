"""What the tests of the project share."""

from __future__ import annotations

from pathlib import Path

import pytest


@pytest.fixture
def project() -> Path:
    """Give the project's folder."""
    return Path(__file__).parent.parent.parent
