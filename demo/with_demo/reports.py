"""Knows where target-planhat leaves the page about its last run."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

REPORTS = "TARGET_PLANHAT_REPORT_PATH"


def written(environment: Mapping[str, str]) -> int:
    """When the page was written, in nanoseconds since the epoch; 0 if there is none."""
    if not environment.get(REPORTS):
        return 0
    try:
        return _page(environment).stat().st_mtime_ns
    except OSError:
        return 0


def new_page(environment: Mapping[str, str], before: int) -> str:
    """Where the page lies, as text; nothing, if it was not written since `before`."""
    if written(environment) == before:
        return ""
    return f"Report of target-planhat: {_page(environment).resolve()}"


def _page(environment: Mapping[str, str]) -> Path:
    return Path(environment[REPORTS], "latest.html")
