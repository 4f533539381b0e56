"""The documents: fresh where generated, right in what they name."""

from __future__ import annotations

import importlib.util
import re
import subprocess
import sys
import typing as t

import pytest
import yaml
from tap_pendo.tap import TapPendo

from tests.documents import all_blocks, pages

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

if t.TYPE_CHECKING:
    from pathlib import Path
    from types import ModuleType

    from with_demo.postgres import PostgresServer

PAGES = pages()
# what runs the commands and statements of each page, and uses its configuration, by language;
# pictures (mermaid), and what only shows (text), are not run
TRIED = {
    "demo/README.md": {"python": "planhat_emulator/test_readme.py"},
    "docs/aggregations.md": {"yaml": "tap/test_own_aggregations.py"},
    "docs/event-streams.md": {
        "sh sql": "end_to_end/test_commands.py",
        "mermaid": "end_to_end/test_pictures.py",
    },
    "docs/first-sync.md": {"sh yaml ini sql": "end_to_end/test_first_sync.py"},
    "docs/loading.md": {"sql yaml": "end_to_end/test_loading.py"},
    "docs/moving-over.md": {"sh": "end_to_end/test_commands.py"},
    "docs/operating.md": {"sh sql": "end_to_end/test_commands.py"},
    "docs/orchestrate.md": {
        "sh": "../orchestrate/tests/test_dagster.py",
        "yaml": "../orchestrate/tests/test_connections.py",
    },
    "docs/planhat-cookbook.md": {"yaml": "planhat/test_cookbook.py"},
    "docs/planhat-ledger.md": {"sh": "end_to_end/test_commands.py"},
    "docs/planhat-rules.md": {"yaml": "planhat/test_rules_document.py"},
    "docs/privacy.md": {"yaml sql": "end_to_end/test_privacy.py"},
    "docs/sql.md": {"sql": "end_to_end/test_sql.py"},
    "docs/running.md": {"sh yaml ini": "end_to_end/test_commands.py"},
    "hub/README.md": {"sh": "installs/paths.py"},
    "tap-pendo/README.md": {"sh": "end_to_end/test_commands.py"},
    "target-planhat/README.md": {"sh yaml ini": "end_to_end/test_commands.py"},
}


@pytest.fixture
def generate(project: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    # as for a script, whose folder is on the path
    monkeypatch.syspath_prepend(project / "docs")
    spec = importlib.util.spec_from_file_location("generate", project / "docs" / "generate.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_generated_parts_are_fresh(
    generate: ModuleType, capsys: pytest.CaptureFixture[str]
) -> None:
    assert generate.main(["--check"]) == 0, capsys.readouterr().err


def test_check_names_what_is_stale_and_writes_nothing(
    generate: ModuleType, project: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for path in (*generate.documents(project), project / generate.OVERLAY):
        name = path.relative_to(project)
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text((project / name).read_text())
    page = "tap-pendo/README.md"
    stale = (project / page).read_text().replace("| `features` |", "| `characters` |")
    (tmp_path / page).write_text(stale)

    assert generate.main(["--check"], tmp_path) == 1
    assert capsys.readouterr().err == f"{page} is stale: run ./do fix\n"
    assert (tmp_path / page).read_text() == stale

    assert generate.main([], tmp_path) == 0
    assert (tmp_path / page).read_text() == (project / page).read_text()


def test_readme_is_finished_in_minutes(project: Path) -> None:
    text = (project / "README.md").read_text()

    assert len(text.splitlines()) <= 120
    assert len(text.encode()) <= 8_000


def test_the_index_of_the_documents_names_each_page(project: Path) -> None:
    linked = re.findall(r"\]\(([^)#]+)", (project / "docs" / "README.md").read_text())
    pages = {page.name for page in (project / "docs").glob("*.md")} - {"README.md"}

    assert pages == {link for link in linked if "/" not in link}


def test_readme_begins_with_two_commands(project: Path) -> None:
    commands = re.findall(
        r"^    (\./do .*?)\s*#", (project / "README.md").read_text(), re.MULTILINE
    )

    assert commands == ["./do demo", "./do test"]


def test_commands_that_the_documents_name_exist(project: Path) -> None:
    usage = "".join(
        subprocess.run([project / "do", *dev], check=True, capture_output=True, text=True).stdout
        for dev in ([], ["dev"])
    )
    known = set(re.findall(r"^\./do ((?:dev )?[\w-]+)", usage, re.MULTILINE))
    named = {
        command
        for page in PAGES
        if page != "CHANGELOG.md"
        for command in re.findall(r"\./do ((?:dev )?[\w-]+)", (project / page).read_text())
    }

    assert {"demo", "test", "dev run"} <= named <= known


def test_all_pages_are_looked_at() -> None:
    assert {"README.md", "docs/aggregations.md", "docs/planhat-ledger.md"} < set(PAGES)
    assert not [page for page in PAGES if page.startswith((".", "output"))]


@pytest.mark.parametrize("page", PAGES)
def test_a_test_tries_what_a_page_says_to_type(page: str, project: Path) -> None:
    there = {block.language for block in all_blocks(page)} - {"mermaid", "text"}
    tried = {name: file for names, file in TRIED.get(page, {}).items() for name in names.split()}

    assert there == set(tried) - {"mermaid"}
    for file in tried.values():
        assert page.removeprefix("docs/") in (project / "tests" / file).read_text(), file


def test_links_lead_somewhere(project: Path) -> None:
    broken = [
        f"{page}: {link}"
        for page in PAGES
        for link in re.findall(r"\]\(([^)#]+)", (project / page).read_text())
        if "://" not in link and not ((project / page).parent / link).exists()
    ]

    assert broken == []


def test_links_to_headings_lead_to_one(project: Path) -> None:
    broken = [
        f"{page}: {link}#{heading}"
        for page in PAGES
        for link, heading in re.findall(r"\]\(([^)#:]*)#([^)]+)\)", (project / page).read_text())
        if heading not in headings((project / page).parent / link if link else project / page)
    ]

    assert broken == []


def headings(page: Path) -> set[str]:
    """The headings of a page, as GitHub names them in links."""
    found = re.findall(r"^#+ (.+)$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading).strip().lower().replace(" ", "-") for heading in found}


@pytest.mark.parametrize("page", ["docs/running.md", "target-planhat/README.md"])
def test_readme_configures_settings_that_exist(page: str, project: Path) -> None:
    readme = (project / page).read_text()
    block = re.search(r"```yaml\n(.*?)```", readme, re.DOTALL)
    assert block
    assert len(block[1].splitlines()) <= 10
    plugins = yaml.safe_load(block[1])[0]["config"]["plugins"]
    defined = yaml.safe_load((project / "meltano.yml").read_text())["plugins"]
    for kind, used in plugins.items():
        full = [each for each in defined[kind] if "inherit_from" not in each]
        settings = {each["name"]: {s["name"] for s in each["settings"]} for each in full}
        for plugin in used:
            assert plugin["config"].keys() <= settings[plugin["name"]]


def test_readme_warns_of_what_is_unverified(project: Path) -> None:
    readme = (project / "README.md").read_text()

    assert "Nothing here has run against a live Pendo account" in readme


def test_target_planhat_warns_of_what_is_unverified(project: Path) -> None:
    readme = (project / "target-planhat" / "README.md").read_text()

    assert "Nothing here has run against a live Planhat" in readme


def test_tests_that_the_documents_name_exist(project: Path) -> None:
    text = (project / "docs" / "planhat.md").read_text()
    named = re.findall(r"\[`(test_\w+)`\]\(\.\./(\S+)\)", text)
    missing = [name for name, path in named if f"\ndef {name}(" not in (project / path).read_text()]

    assert len(named) > 30
    assert missing == []
    # each row has its setting and its test
    rows = [line for line in text.splitlines() if line.startswith("| ") and "---" not in line]
    assert [row for row in rows if "`test_" not in row and "Shown by" not in row] == []


@pytest.mark.parametrize("name", ["tap-pendo", "target-planhat"])
def test_contributing_names_each_room_of_a_plugin(name: str, project: Path) -> None:
    contracts = tomllib.loads((project / "pyproject.toml").read_text())["tool"]["importlinter"]
    [layers] = [
        each["layers"] for each in contracts["contracts"] if each["name"].startswith(f"{name}: ")
    ]
    modules = {module for layer in layers for module in re.split(r"[ :|]+", layer)} - {"__main__"}
    text = (project / "CONTRIBUTING.md").read_text()
    rooms = text.split("## Architecture")[1].split("\n## ")[0]

    assert modules - set(re.findall(r"`(\w+)/?`", rooms)) == set()


def test_no_machine_path_or_secret_in_the_documents(project: Path) -> None:
    for page in (*PAGES, "meltano.yml", "constraints.txt"):
        text = (project / page).read_text()
        assert not re.search(r"/(home|root|Users|work|tmp)/", text), page
        assert not re.search(r"\b[0-9a-f]{32}\b", text), page


def test_view_of_current_rows_leaves_out_what_a_newer_read_did_not_find(
    project: Path, postgres: PostgresServer
) -> None:
    text = (project / "docs" / "event-streams.md").read_text()
    view = re.search(r"```sql\n(.*?)```", text, re.DOTALL)
    assert view
    schema = TapPendo.name.replace("-", "_")
    with postgres.connect() as connection:
        connection.execute(
            f"""
            create schema {schema};
            create table {schema}.feature_events
                (row_id text, hour timestamp, app_id bigint, read_at timestamp, day timestamp);
            create table {schema}.sync_windows
                (stream text, window_start timestamp, window_end timestamp, app_ids text,
                 read_at timestamp);
            insert into {schema}.feature_events values
                ('kept',            '2026-01-02 00:00', 1, '2026-01-09'),
                ('gone',            '2026-01-02 00:00', 1, '2026-01-08'),
                ('last hour, gone', '2026-01-02 23:00', 1, '2026-01-08'),
                ('next day',        '2026-01-03 00:00', 1, '2026-01-08'),
                ('other app',       '2026-01-04 00:00', 1, '2026-01-08'),
                ('app 12, gone',    '2026-01-04 00:00', 12, '2026-01-08'),
                ('other stream',    '2026-01-05 00:00', 1, '2026-01-08');
            insert into {schema}.feature_events values
                ('day, gone', null, 1, '2026-01-08', '2026-01-02');
            insert into {schema}.sync_windows values
                ('feature_events', '2026-01-02', '2026-01-03', '*', '2026-01-09'),
                ('feature_events', '2026-01-04', '2026-01-05', '12,13', '2026-01-09'),
                ('page_events', '2026-01-05', '2026-01-06', '*', '2026-01-09');
            """
        )
        connection.execute(view[1].encode())
        current = connection.execute(
            f"select row_id from {schema}.current_feature_events order by 1"
        ).fetchall()
        connection.rollback()

    assert [row[0] for row in current] == ["kept", "next day", "other app", "other stream"]
