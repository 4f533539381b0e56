"""What the documents say to run, by page and heading."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[1]


def blocks(page: str, heading: str, language: str) -> list[str]:
    """The blocks of code in a language below a heading of a page, in their order."""
    section = re.split(rf"^#+ {re.escape(heading)}$", (ROOT / page).read_text(), flags=re.MULTILINE)
    below = re.split(r"^## ", section[1], flags=re.MULTILINE)[0]
    return re.findall(rf"^```{language}\n(.*?)^```", below, re.DOTALL | re.MULTILINE)
