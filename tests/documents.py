"""What the documents say to run, by page and heading."""

from __future__ import annotations

import re
import textwrap
import typing as t
from pathlib import Path

ROOT = Path(__file__).parents[1]
# what git ignores, and a clone of the project may hold
_NO_PAGES = {".venv", ".venv-wheels", ".meltano", "output", "dist", "site"}


class Block(t.NamedTuple):
    """A block of code of a page, without the margin at which it stands."""

    language: str
    text: str


def pages() -> list[str]:
    """Give all pages of the project, by their path in it."""
    found = (path.relative_to(ROOT) for path in ROOT.rglob("*.md"))
    return sorted(
        path.as_posix()
        for path in found
        if not any(part in _NO_PAGES or part.startswith(".") for part in path.parts[:-1])
    )


def all_blocks(page: str) -> list[Block]:
    """Give the blocks of code of a whole page, in their order."""
    text = (ROOT / page).read_text(encoding="utf-8")
    found = re.findall(r"^ *```(\w+)\n(.*?)^ *```", text, re.DOTALL | re.MULTILINE)
    return [Block(language, textwrap.dedent(block)) for language, block in found]


def blocks(page: str, heading: str, language: str) -> list[str]:
    """The blocks of code in a language below a heading of a page, in their order."""
    section = re.split(rf"^#+ {re.escape(heading)}$", (ROOT / page).read_text(), flags=re.MULTILINE)
    below = re.split(r"^## ", section[1], flags=re.MULTILINE)[0]
    return re.findall(rf"^```{language}\n(.*?)^```", below, re.DOTALL | re.MULTILINE)
