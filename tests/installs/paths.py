"""The ways to install both plugins, each ending in a run of the tap into the target."""

from __future__ import annotations

import typing as t
from dataclasses import dataclass
from pathlib import Path

import yaml

from tests.installs.loopback_hub import definitions, loopback_hub
from tests.installs.services import InstallError, pipe
from tests.installs.workplace import ROOT, Workplace

if t.TYPE_CHECKING:
    from collections.abc import Callable

_KINDS = {"tap-pendo": "extractors", "target-planhat": "loaders"}


@dataclass(frozen=True)
class Source:
    """What is installed: the project's wheels, and a repository with its files."""

    wheels: tuple[Path, ...]
    repository: str

    def git(self, name: str) -> str:
        """How pip names a plugin of the repository."""
        return f"git+{self.repository}#subdirectory={name}"


def pip_wheels(place: Workplace, python: Path, source: Source) -> None:
    """Install the wheels into an empty environment by pip."""
    _pip(place, python, *source.wheels)


def pip_git(place: Workplace, python: Path, source: Source) -> None:
    """Install from folders of the repository by pip."""
    _pip(place, python, *map(source.git, _KINDS))


def pipx(place: Workplace, python: Path, source: Source) -> None:
    """Install the wheels by pipx, each into an environment of its own."""
    folders = {"PIPX_HOME": str(place.folder / "pipx"), "PIPX_BIN_DIR": str(place.folder / "bin")}
    for wheel in source.wheels:
        place.run("pipx", "install", "--python", python, wheel, **folders)
    scripts = place.folder / "bin"
    pipe([scripts / "tap-pendo"], [scripts / "target-planhat"], place.folder, place.environment)


def uvx(place: Workplace, python: Path, source: Source) -> None:
    """Run from the repository by uvx, with nothing installed before."""
    tap, target = (
        ["uvx", "--no-config", "--python", str(python), "--from", source.git(name), name]
        for name in _KINDS
    )
    pipe(tap, target, place.folder, place.environment)


def hub(place: Workplace, python: Path, source: Source) -> None:
    """Add both from Meltano Hub, and run them."""
    with loopback_hub(ROOT / "hub", source.repository) as url:
        project = new_project(place, url)
        for name in _KINDS:
            place.run("meltano", "add", name, cwd=project, MELTANO_PYTHON=str(python))
        meltano_run(place, project)


def from_ref(place: Workplace, python: Path, source: Source) -> None:
    """Add both from files, as before they are on the Hub, and run them (hub/README.md)."""
    project = new_project(place, "http://127.0.0.1:9")
    for path, definition in definitions(ROOT / "hub", source.repository).items():
        file = place.folder / f"{Path(path).name}.yml"
        file.write_text(yaml.safe_dump(definition))
        add = ("meltano", "add", definition["name"], "--from-ref", file)
        place.run(*add, cwd=project, MELTANO_PYTHON=str(python))
        if "select" in definition:
            _copy_select(project / "meltano.yml", definition)
    meltano_run(place, project)


def _copy_select(file: Path, definition: dict[str, t.Any]) -> None:
    """Do by hand what `--from-ref` leaves out."""
    content = yaml.safe_load(file.read_text())
    [extractor] = content["plugins"]["extractors"]
    if "select" in extractor:
        raise InstallError("--from-ref takes `select` now: hub/README.md need not speak of it")
    extractor["select"] = definition["select"]
    file.write_text(yaml.safe_dump(content))


PATHS: dict[str, Callable[[Workplace, Path, Source], None]] = {
    "pip install of the wheels": pip_wheels,
    "pip install git+file://…#subdirectory=…": pip_git,
    "pipx install of the wheels": pipx,
    "uvx --from git+file://…#subdirectory=…": uvx,
    "meltano add from the Hub, meltano run": hub,
    "meltano add --from-ref, meltano run": from_ref,
}


def new_project(place: Workplace, url: str) -> Path:
    """Make a Meltano project that asks the Hub at that URL."""
    project = place.folder / "a project"
    place.run("meltano", "init", project)
    content = yaml.safe_load((project / "meltano.yml").read_text())
    (project / "meltano.yml").write_text(yaml.safe_dump({**content, "hub_url": url}))
    return project


def meltano_run(place: Workplace, project: Path, *options: str) -> None:
    """Run the tap into the target in the project."""
    place.run("meltano", "run", *options, "tap-pendo", "target-planhat", cwd=project)


def _pip(place: Workplace, python: Path, *packages: str | Path) -> None:
    scripts = place.folder / "venv" / "bin"
    place.run(python, "-m", "venv", scripts.parent)
    place.run(scripts / "python", "-m", "pip", "install", "--quiet", *packages)
    pipe([scripts / "tap-pendo"], [scripts / "target-planhat"], place.folder, place.environment)
