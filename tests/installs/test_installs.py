"""The ways to install: some of them offline, all of them with --all (`./do dev installs`)."""

from __future__ import annotations

import subprocess
import sys
import sysconfig
import typing as t

import pytest
import yaml

from tests.installs.loopback_hub import loopback_hub
from tests.installs.paths import PATHS, Source, meltano_run, new_project
from tests.installs.services import InstallError, Services, pipe, services
from tests.installs.workplace import (
    ROOT,
    SCRIPTS,
    VERSIONS,
    Workplace,
    pythons,
    repository,
    wheels,
)

if t.TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture(scope="module")
def between(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Services]:
    with services(SCRIPTS, tmp_path_factory.mktemp("reference")) as found:
        yield found


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Source:
    folder = tmp_path_factory.mktemp("source")
    return Source(tuple(wheels(folder / "dist")), repository(folder / "repository"))


@pytest.fixture
def place(between: Services, tmp_path: Path) -> Workplace:
    between.renew()
    return Workplace(tmp_path / "a place", between.environment())


@pytest.fixture(scope="module")
def venv(source: Source, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Install the wheels beside this environment's packages, as no index is asked."""
    folder = tmp_path_factory.mktemp("a venv")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder], check=True)
    install = ("pip", "install", "--quiet", "--offline", "--no-deps", *source.wheels)
    subprocess.run([SCRIPTS / "uv", *install, "--python", folder / "bin" / "python"], check=True)
    [packages] = (folder / "lib").glob("python*/site-packages")
    (packages / "dependencies.pth").write_text(sysconfig.get_path("purelib"))
    return folder


def test_the_wheels_work_outside_of_the_working_tree(
    venv: Path, place: Workplace, between: Services
) -> None:
    where = "import tap_pendo, target_planhat; print(tap_pendo.__file__, target_planhat.__file__)"
    said = place.run(venv / "bin" / "python", "-c", where)
    assert said.count(str(venv)) == 2

    commands = venv / "bin" / "tap-pendo", venv / "bin" / "target-planhat"
    assert place.run(commands[0], "--version").startswith("tap-pendo v0.")
    pipe([commands[0]], [commands[1]], place.folder, place.environment)
    between.check()


def test_meltano_adds_both_plugins_from_a_hub_and_runs_them(
    venv: Path, place: Workplace, between: Services, source: Source
) -> None:
    with loopback_hub(ROOT / "hub", source.repository) as url:
        project = new_project(place, url)
        for name in ("tap-pendo", "target-planhat"):
            place.run("meltano", "add", "--no-install", name, cwd=project)
    added = yaml.safe_load((project / "meltano.yml").read_text())["plugins"]
    # the rest is in the lock files
    assert added == {
        kind: [{"name": name, "variant": "pendo-planhat", "pip_url": source.git(name)}]
        for kind, name in (("extractors", "tap-pendo"), ("loaders", "target-planhat"))
    }
    assert sorted(path.name for path in (project / "plugins").rglob("*.lock")) == [
        "tap-pendo--pendo-planhat.lock",
        "target-planhat--pendo-planhat.lock",
    ]
    # what it would install is there already; the Hub is gone
    for kind, name in (("extractors", "tap-pendo"), ("loaders", "target-planhat")):
        (project / ".meltano" / kind / name).mkdir(parents=True)
        (project / ".meltano" / kind / name / "venv").symlink_to(venv)
    # a stream that the definition leaves out would fail: the emulated Pendo wants ids of agents
    meltano_run(place, project, "--no-install")
    between.check()


def test_a_way_that_leads_nowhere_is_told(place: Workplace, between: Services) -> None:
    with pytest.raises(InstallError, match=r"false: $"):
        place.run("false")
    # a tap that reads nothing
    with pytest.raises(InstallError, match=r"the tap ended with 1: .*key"):
        pipe(
            [SCRIPTS / "tap-pendo"],
            [SCRIPTS / "target-planhat"],
            place.folder,
            {**place.environment, "TAP_PENDO_INTEGRATION_KEY": "another"},
        )
    with pytest.raises(InstallError, match=r"Planhat has 0 uses, not \d+"):
        between.check()


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("name", PATHS)
def test_each_way_to_install_works_with_each_python(
    name: str, version: str, request: pytest.FixtureRequest
) -> None:
    if not request.config.getoption("all"):
        pytest.skip("asks the package index for minutes: ./do dev installs, or --all")
    if not (python := pythons().get(version)):
        pytest.skip(f"no Python {version} here")
    place = request.getfixturevalue("place")
    PATHS[name](place, python, request.getfixturevalue("source"))
    request.getfixturevalue("between").check()
