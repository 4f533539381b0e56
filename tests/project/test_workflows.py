"""The workflow files: pinned, of least permission, and over the Pythons that the plugins name."""

from __future__ import annotations

import re
import sys
import typing as t
from pathlib import Path

import pytest
import yaml

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

Workflow = dict[t.Any, t.Any]

GITHUB = Path(__file__).parents[2] / ".github"
FILES = sorted((GITHUB / "workflows").glob("*.yml"))
PINNED = re.compile(r"uses: [\w-]+/[\w/-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+")
# the only permissions that anything here needs
ALLOWED = [
    {"contents": "read"},
    {"id-token": "write"},
    {"id-token": "write", "pages": "write"},
]


@pytest.fixture(params=FILES, ids=lambda path: path.stem)
def file(request: pytest.FixtureRequest) -> Path:
    return t.cast("Path", request.param)


def _loaded(file: Path) -> Workflow:
    return t.cast("Workflow", yaml.safe_load(file.read_text()))


def test_there_are_workflows_to_look_at() -> None:
    assert [file.stem for file in FILES] == ["docs", "release", "test"]


def test_each_action_is_pinned_by_hash_and_says_its_version(file: Path) -> None:
    used = re.findall(r"uses: .*", file.read_text())

    assert used
    for line in used:
        assert PINNED.fullmatch(line) or line == "uses: ./.github/workflows/test.yml", line


def test_an_action_has_one_hash_everywhere() -> None:
    text = "".join(file.read_text() for file in FILES)
    pins = re.findall(r"uses: ([\w/-]+)@([0-9a-f]{40})", text)

    assert len(dict(pins)) == len(set(pins))


def test_each_job_has_least_permission_and_a_limit_of_time(file: Path) -> None:
    workflow = _loaded(file)

    # nothing that a job does not ask for
    assert workflow["permissions"] == {}
    for name, job in workflow["jobs"].items():
        assert job["permissions"] in ALLOWED, name
        assert "uses" in job or job["timeout-minutes"] <= 90, name


def test_no_step_keeps_credentials_or_runs_what_others_wrote(file: Path) -> None:
    for job in _loaded(file)["jobs"].values():
        for step in job.get("steps", ()):
            if "actions/checkout" in step.get("uses", ""):
                assert step["with"] == {"persist-credentials": False}
            # names of branches and titles would be run as a part of the script
            assert "${{" not in step.get("run", "")


@pytest.mark.parametrize("member", ["tap-pendo", "target-planhat"])
def test_wheels_are_tested_with_each_python_that_the_plugin_names(
    member: str, project: Path
) -> None:
    metadata = tomllib.loads((project / member / "pyproject.toml").read_text())["project"]
    prefix = "Programming Language :: Python :: 3."
    named = [c.removeprefix(prefix) for c in metadata["classifiers"] if c.startswith(prefix)]
    job = _loaded(GITHUB / "workflows" / "test.yml")["jobs"]["tests"]

    assert job["strategy"]["matrix"]["python-version"] == [f"3.{minor}" for minor in named]
    assert job["needs"] == "wheels"
    assert job["env"] == {"WHEELS": "dist"}
    steps = [step.get("run") for step in job["steps"]]
    assert "./do test" in steps


def test_what_is_published_is_what_was_tested_without_a_token() -> None:
    jobs = _loaded(GITHUB / "workflows" / "release.yml")["jobs"]

    assert jobs["test"]["uses"] == "./.github/workflows/test.yml"
    assert jobs["publish"]["needs"] == "test"
    assert jobs["publish"]["environment"] == "pypi"
    assert jobs["publish"]["permissions"] == {"id-token": "write"}
    built, _, published = jobs["publish"]["steps"]
    assert built["with"] == {"name": "dist", "path": "dist/"}
    # neither user nor password: trusted publishing
    assert "with" not in published
    assert "secrets." not in "".join(file.read_text() for file in FILES)


def test_the_release_looks_for_the_wheels_that_are_built(project: Path) -> None:
    text = (GITHUB / "workflows" / "release.yml").read_text()
    members = [project / member / "pyproject.toml" for member in ("tap-pendo", "target-planhat")]
    names = [tomllib.loads(file.read_text())["project"]["name"] for file in members]

    assert f"for name in {' '.join(name.replace('-', '_') for name in names)}; do" in text


def test_commands_that_the_workflows_run_exist(project: Path) -> None:
    command = re.compile(r"\./do ((?:dev )?[\w-]+)")
    listed = set(re.findall(f"^{command.pattern}", (project / "do").read_text(), re.MULTILINE))
    run = {name for file in FILES for name in command.findall(file.read_text())}

    assert {"check", "dev docs", "dev release", "test-all"} <= run <= listed


def test_dependencies_of_all_members_and_actions_are_kept_up_to_date(project: Path) -> None:
    updates = _loaded(GITHUB / "dependabot.yml")["updates"]
    members = tomllib.loads((project / "pyproject.toml").read_text())["tool"]["uv"]["workspace"]
    kinds = {each["package-ecosystem"]: each for each in updates}

    assert set(kinds) == {"github-actions", "pip"}
    folders = ["/", *(f"/{each}" for each in (*members["members"], "orchestrate"))]
    assert kinds["pip"]["directories"] == folders
    assert {each["schedule"]["interval"] for each in updates} == {"weekly"}
