"""The commands of the documents, run as they stand there, beside the demo."""

from __future__ import annotations

import re
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest

from tests.end_to_end.meltano import run

DOCS = Path(__file__).parents[2] / "docs"
# in place of the project's own: the plugins are installed already
DO = '#!/bin/sh\nshift\nexec "$@"\n'


def commands(page: str) -> str:
    """Give all that a page says to type, in its order."""
    text = (DOCS / page).read_text(encoding="utf-8")
    return "".join(re.findall(r"```sh\n(.*?)```", text, re.DOTALL))


@pytest.mark.parametrize("page", ["moving-over.md"])
def test_commands_of_a_page_do_what_it_says(page: str, folder: Path) -> None:
    (folder / "do").write_text(DO)
    (folder / "do").chmod(0o755)
    yesterday = datetime.now(timezone.utc) - timedelta(days=1)
    typed = commands(page)
    assert typed.count("./do run ") > 2

    done = run(folder, "sh", "-exc", typed, TAP_PENDO_START_DATE=yesterday.isoformat())

    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-4000:]
