"""The commands of the documents, run as they stand there, beside the demo."""

from __future__ import annotations

import re
import textwrap
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest

from tests.end_to_end.meltano import run

DOCS = Path(__file__).parents[2] / "docs"
# in place of the project's own: the plugins are installed already
DO = '#!/bin/sh\nshift\nexec "$@"\n'
# what the page takes for granted
BEFORE = {
    "event-streams.md": "",
    "moving-over.md": "",
    "planhat-ledger.md": """
        export TARGET_PLANHAT_REQUIRE_LEDGER=false
        ./do run meltano --environment=prod run tap-pendo-for-planhat target-planhat
    """,
    "operating.md": """
        mkdir secrets
        printf %s "$TAP_PENDO_INTEGRATION_KEY" > secrets/pendo-key
        export TARGET_PLANHAT_REQUIRE_LEDGER=false
        ./do run meltano --environment=prod run tap-pendo-for-planhat target-planhat
    """,
}
ASK = """
import os, pathlib, psycopg
names = {"host": "HOST", "port": "PORT", "user": "USER", "password": "PASSWORD"}
given = {key: os.environ[f"TARGET_POSTGRES_{name}"] for key, name in names.items()}
with psycopg.connect(dbname=os.environ["TARGET_POSTGRES_DATABASE"], **given) as connection:
    for statement in pathlib.Path("statements.sql").read_text().split("-- next"):
        cursor = connection.execute(statement.encode())
        print("found", cursor.rowcount if cursor.description else "nothing to show")
"""


def blocks(page: str, language: str) -> list[str]:
    """Give all that a page says to type, in its order."""
    text = (DOCS / page).read_text(encoding="utf-8")
    found = re.findall(rf"^( *)```{language}\n(.*?)^ *```", text, re.DOTALL | re.MULTILINE)
    return [textwrap.dedent(block) for _, block in found]


@pytest.mark.parametrize("page", list(BEFORE))
def test_commands_of_a_page_do_what_it_says(page: str, folder: Path) -> None:
    (folder / "do").write_text(DO)
    (folder / "do").chmod(0o755)
    statements = blocks(page, "sql")
    (folder / "statements.sql").write_text("-- next".join(statements) or "select 1")
    (folder / "ask.py").write_text(ASK)
    yesterday = datetime.now(timezone.utc) - timedelta(days=1)
    commands = "".join(blocks(page, "sh"))
    assert commands.count("./do run ") > 1

    typed = f"{textwrap.dedent(BEFORE[page])}\n{commands}\npython ask.py"
    done = run(folder, "sh", "-exc", typed, TAP_PENDO_START_DATE=yesterday.isoformat())

    told = done.stdout + done.stderr
    assert done.returncode == 0, told[-5000:]
    assert len(re.findall(r"^found (?:[1-9]|nothing)", told, re.MULTILINE)) == max(
        len(statements), 1
    )
