"""The commands of the documents, run as they stand there, beside the demo."""

from __future__ import annotations

import re
import textwrap
import typing as t
from datetime import datetime, timedelta, timezone

import pytest

from tests.documents import all_blocks
from tests.end_to_end.meltano import run

if t.TYPE_CHECKING:
    from pathlib import Path

# in place of the project's own: the plugins are installed already
DO = '#!/bin/sh\nshift 2\nexec "$@"\n'
FIRST_RUN = """
    export TARGET_PLANHAT_REQUIRE_LEDGER=false
    ./do dev run meltano --environment=prod run tap-pendo-for-planhat target-planhat
"""
# what each page takes for granted
BEFORE = {
    "docs/running.md": "",
    "tap-pendo/README.md": """
        printf '{"integration_key": "%s", "api_url": "%s", "start_date": "%s"}' \
            "$TAP_PENDO_INTEGRATION_KEY" "$TAP_PENDO_API_URL" "$TAP_PENDO_START_DATE" > config.json
    """,
    "target-planhat/README.md": """
        printf '{"integration_key": "%s", "api_url": "%s", "start_date": "%s"}' \
            "$TAP_PENDO_INTEGRATION_KEY" "$TAP_PENDO_API_URL" "$TAP_PENDO_START_DATE" > tap.json
        printf '{"tenant_token": "%s", "analytics_url": "%s", "dry_run": true}' \
            "$TARGET_PLANHAT_TENANT_TOKEN" "$TARGET_PLANHAT_ANALYTICS_URL" > planhat.json
        tap-pendo --config tap.json --discover > catalog.json
    """,
    "docs/event-streams.md": "",
    "docs/moving-over.md": "",
    "docs/planhat-ledger.md": FIRST_RUN,
    "docs/operating.md": f"""
        mkdir secrets
        printf %s "$TAP_PENDO_INTEGRATION_KEY" > secrets/pendo-key
        {FIRST_RUN}
    """,
}
# what takes minutes together, so that it runs with --all only
LONG = {
    "docs/event-streams.md",
    "docs/moving-over.md",
    "docs/operating.md",
    "docs/planhat-ledger.md",
}
# what is told then, each once at least
TOLD = {
    "docs/running.md": [r"Pendo accepts the integration_key", r"^total +\d", r"Run completed"],
    "tap-pendo/README.md": [r"Pendo accepts the integration_key", r"^total +\d"],
    "target-planhat/README.md": [
        r"dry run: nothing was posted",
        r"A new ledger is begun",
        r"done; [\d,]+ records read: [\d,]+ sent",
    ],
}
# pages that replace the environment `prod`, as for a server that encrypts, and this one cannot
ENCRYPTED = "ssl_enable: true, ssl_mode: require"
ASK = """
import os, pathlib, psycopg
names = {"host": "HOST", "port": "PORT", "user": "USER", "password": "PASSWORD"}
given = {key: os.environ[f"TARGET_POSTGRES_{name}"] for key, name in names.items()}
with psycopg.connect(dbname=os.environ["TARGET_POSTGRES_DATABASE"], **given) as connection:
    for statement in pathlib.Path("statements.sql").read_text().split("-- next"):
        cursor = connection.execute(statement.encode())
        print("found", cursor.rowcount if cursor.description else "nothing to show")
"""


def texts(page: str, language: str) -> list[str]:
    return [block.text for block in all_blocks(page) if block.language == language]


def typed(page: str) -> str:
    """Give all that a page says to type or to write into a crontab, in its order."""
    commands = []
    for block in all_blocks(page):
        if block.language == "sh":
            # what is from a package index: ./do dev installs
            commands.append(re.sub(r"^pip install .*\n", "", block.text, flags=re.MULTILINE))
        elif block.language == "text":
            commands += re.findall(r"^(?:\S+ ){5} *cd /srv/usage && (.*\n)", block.text)
    return "".join(commands)


def configure(folder: Path, page: str) -> None:
    """Write what the page says in place of the environment `prod`."""
    environment = texts(page, "yaml")[0]
    assert environment.startswith("- name: prod   # in place of the environment `prod` of meltano")
    file = folder / "meltano.yml"
    whole = re.sub(
        r"^- name: prod\n(?:  .*\n)+",
        lambda _: environment.replace(ENCRYPTED, "ssl_enable: false"),
        file.read_text(),
        flags=re.MULTILINE,
    )
    assert whole != file.read_text()
    file.write_text(whole)


@pytest.mark.parametrize("page", list(BEFORE))
def test_commands_of_a_page_do_what_it_says(
    page: str, folder: Path, request: pytest.FixtureRequest
) -> None:
    if page in LONG and not request.config.getoption("all"):
        pytest.skip("takes minutes: --all")
    (folder / "do").write_text(DO)
    (folder / "do").chmod(0o755)
    if texts(page, "yaml"):
        configure(folder, page)
    statements = texts(page, "sql")
    (folder / "statements.sql").write_text("-- next".join(statements) or "select 1")
    (folder / "ask.py").write_text(ASK)
    yesterday = datetime.now(timezone.utc) - timedelta(days=1)
    commands = typed(page)
    assert len(commands.splitlines()) > 1

    script = f"{textwrap.dedent(BEFORE[page])}\n{commands}\npython ask.py"
    done = run(folder, "sh", "-exc", script, TAP_PENDO_START_DATE=yesterday.isoformat())

    told = done.stdout + done.stderr
    assert done.returncode == 0, told[-5000:]
    assert len(re.findall(r"^found (?:[1-9]|nothing)", told, re.MULTILINE)) == max(
        len(statements), 1
    )
    for words in TOLD.get(page, ()):
        assert re.search(words, told, re.MULTILINE), words


def test_each_project_file_keeps_the_ledger_from_being_begun_anew() -> None:
    for page in ("docs/running.md", "target-planhat/README.md"):
        environment = texts(page, "yaml")[0]
        assert "require_ledger: true" in environment
