"""The packages: versions, pins, licences, and what git leaves alone."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import typing as t

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

if t.TYPE_CHECKING:
    from pathlib import Path

MEMBERS = ("tap-pendo", "target-planhat", "demo")
# Dagster has an environment of its own
PINS = ("constraints.txt", "orchestrate/constraints.txt")


def _pyproject(folder: Path) -> dict[str, t.Any]:
    return tomllib.loads((folder / "pyproject.toml").read_text())


def _requirements(project: Path) -> list[Requirement]:
    root, dagster = _pyproject(project), _pyproject(project / "orchestrate")
    members = [_pyproject(project / member)["project"] for member in MEMBERS]
    ours = {canonicalize_name(member["name"]) for member in members}
    texts = [text for member in members for text in member["dependencies"]]
    for each in (root, dagster):
        texts += [text for group in each["dependency-groups"].values() for text in group]
        texts += each["project"]["dependencies"]
    found = map(Requirement, texts)
    return [each for each in found if canonicalize_name(each.name) not in ours]


def test_every_dependency_is_pinned_to_a_version_that_it_allows(project: Path) -> None:
    pins: dict[str, set[str]] = {}
    lines = [line for file in PINS for line in (project / file).read_text().splitlines()]
    for line in lines:
        pin = Requirement(line)
        (specifier,) = pin.specifier
        assert specifier.operator == "=="
        pins.setdefault(canonicalize_name(pin.name), set()).add(specifier.version)

    for each in _requirements(project):
        versions = pins.get(canonicalize_name(each.name), set())
        assert versions, f"{each.name} is not pinned"
        assert all(version in each.specifier for version in versions), f"{each}: {versions}"


@pytest.mark.parametrize("member", MEMBERS)
def test_time_zones_come_with_each_part_as_minimal_images_have_none(
    member: str, project: Path
) -> None:
    needed = map(Requirement, _pyproject(project / member)["project"]["dependencies"])
    assert [str(each.marker) for each in needed if each.name == "tzdata"] == ["None"]


def test_pins_name_no_host(project: Path) -> None:
    for file in PINS:
        assert not re.search(r"://|@|--", (project / file).read_text())


def test_meltano_installs_a_postgres_target_that_is_pinned_and_tested(project: Path) -> None:
    named = re.search(r"pip_url: (meltanolabs\S+)", (project / "meltano.yml").read_text())

    assert named
    assert Requirement(named[1]) in _requirements(project)


@pytest.mark.parametrize("member", MEMBERS)
def test_version_is_the_newest_of_the_changelog(member: str, project: Path) -> None:
    newest = re.search(r"^## \[([^]]+)\]", (project / "CHANGELOG.md").read_text(), re.MULTILINE)

    assert newest
    assert _pyproject(project / member)["project"]["version"] == newest[1]


def test_changelog_entries_name_their_member(project: Path) -> None:
    entries = re.findall(r"^- (.*)", (project / "CHANGELOG.md").read_text(), re.MULTILINE)

    assert entries
    known = re.compile("(tap|target|demo|orchestrate): ")
    assert [each for each in entries if not known.match(each)] == []


def test_changelog_has_places_for_what_an_upgrade_asks_for(project: Path) -> None:
    text = (project / "CHANGELOG.md").read_text()
    kept = ["Added", "Changed", "Deprecated", "Removed", "Fixed", "Security"]
    order = ["Schemas", "State and ledger", *kept]
    for version in re.split(r"^## ", text, flags=re.MULTILINE)[1:]:
        headings, *parts = re.split(r"^### (.+)$", version, flags=re.MULTILINE)
        found = dict(zip(parts[::2], parts[1::2], strict=True))
        assert list(found) == sorted(found, key=order.index), headings
        # versions of row_id and of the ledger are for those who upgrade
        assert not any(re.search(r", version \d", found.get(name, "")) for name in kept)
    assert {"### Schemas", "### State and ledger"} <= set(text.splitlines())


@pytest.mark.parametrize("member", ["tap-pendo", "target-planhat"])
def test_plugin_names_the_pythons_that_it_supports(member: str, project: Path) -> None:
    metadata = _pyproject(project / member)["project"]
    prefix = "Programming Language :: Python :: "
    versions = [c.removeprefix(prefix) for c in metadata["classifiers"] if c.startswith(prefix)]

    assert versions == ["3.10", "3.11", "3.12", "3.13", "3.14"]
    assert metadata["requires-python"] == ">=3.10"


@pytest.mark.parametrize("member", MEMBERS)
def test_member_carries_the_licence(member: str, project: Path) -> None:
    licence = (project / "LICENSE").read_text()

    assert "Apache License" in licence
    assert (project / member / "LICENSE").read_text() == licence
    assert _pyproject(project / member)["project"]["license"] == "Apache-2.0"


def test_git_ignores_what_commands_leave_behind(project: Path, tmp_path: Path) -> None:
    left = (
        ".env",
        ".import_linter_cache/x",
        ".hypothesis/x",
        ".meltano/meltano.db",
        ".meltano/with-demo/postgres/cluster/x",
        ".mypy_cache/x",
        ".pytest_cache/x",
        ".ruff_cache/x",
        ".venv/.installed",
        "output/x",
        "tap-pendo/dist/x",
        "tap-pendo/tap_pendo/__pycache__/x",
        "tap-pendo/tap_pendo.egg-info/x",
        "target-planhat.db",
        "uv.lock",
    )
    (tmp_path / ".gitignore").write_text((project / ".gitignore").read_text())
    _git(tmp_path, "init", "--quiet")
    for name in left:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()

    assert _git(tmp_path, "status", "--porcelain", "--untracked-files=all") == "?? .gitignore\n"


def test_no_lock_file_is_tracked(project: Path) -> None:
    if not (project / ".git").exists():
        pytest.skip("not a git repository")

    assert _git(project, "ls-files", "uv.lock", "pylock.toml", "*/uv.lock") == ""


def test_ci_runs_the_same_commands(project: Path) -> None:
    script = project / ".ci" / "run"

    assert os.access(script, os.X_OK)
    subprocess.run(["bash", "-n", script], check=True)
    commands = re.findall(r"\./do \w+", script.read_text())
    assert commands == ["./do setup", "./do check", "./do test"]


def _git(folder: Path, *arguments: str) -> str:
    # a hook that runs the tests sets GIT_DIR and others
    kept = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    done = subprocess.run(
        ["git", *arguments], cwd=folder, env=kept, check=True, capture_output=True, text=True
    )
    return done.stdout
