"""Knows how a table is written as text."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence


def table(titles: Sequence[str], lines: Sequence[Sequence[str]]) -> list[str]:
    """The lines of a table: names to the left, figures to the right, a column without title last.

    There is a rule below the titles.
    """
    widths = [max(len(line[column]) for line in (titles, *lines)) for column in range(len(titles))]
    rule = "  ".join("-" * width for width in widths).rstrip()
    written = [_line(line, widths, titles) for line in (titles, *lines)]
    return [written[0], rule, *written[1:]]


def _line(parts: Sequence[str], widths: Sequence[int], titles: Sequence[str]) -> str:
    cells = [f"{parts[0]:<{widths[0]}}"]
    for part, width, title in zip(parts[1:], widths[1:], titles[1:], strict=True):
        cells.append(f"{part:>{width}}" if title else part)
    return "  ".join(cells).rstrip()
