"""The ways to install both plugins, each ending in a run of the tap into the target."""

from __future__ import annotations

import re
import shlex
import shutil
import typing as t
from dataclasses import dataclass

import yaml

from tests.documents import blocks
from tests.installs.loopback_hub import loopback_hub
from tests.installs.services import pipe
from tests.installs.workplace import ROOT, Workplace

if t.TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

_KINDS = {"tap-pendo": "extractors", "target-planhat": "loaders"}
_PAGE = "hub/README.md"
[_ADD] = blocks(_PAGE, "Before they are on the Hub", "sh")
[_WITHOUT_MELTANO] = blocks(_PAGE, "Without Meltano", "sh")


@dataclass(frozen=True)
class Source:
    """What is installed: the project's wheels, and a repository with its files."""

    wheels: tuple[Path, ...]
    repository: str

    def git(self, name: str) -> str:
        """How pip names a plugin of the repository."""
        return f"git+{self.repository}#subdirectory={name}"

    def documented(self, tool: str, name: str) -> list[str]:
        """Give the words of the page's command that installs a plugin by a tool."""
        [line] = [each for each in _WITHOUT_MELTANO.splitlines() if each.startswith(f"{tool} ")]
        named = re.sub("|".join(_KINDS), name, line)
        return shlex.split(named.replace("<repository>", self.repository))


def pip_wheels(place: Workplace, python: Path, source: Source) -> None:
    """Install the wheels into an empty environment by pip."""
    _pip(place, python, *source.wheels)


def pip_git(place: Workplace, python: Path, source: Source) -> None:
    """Install from folders of the repository by pip."""
    _pip(place, python, *(source.documented("pip", name)[2] for name in _KINDS))


def pipx(place: Workplace, python: Path, source: Source) -> None:
    """Install from the repository by pipx, each into an environment of its own."""
    folders = {"PIPX_HOME": str(place.folder / "pipx"), "PIPX_BIN_DIR": str(place.folder / "bin")}
    for name in _KINDS:
        place.run(*source.documented("pipx", name), "--python", python, **folders)
    scripts = place.folder / "bin"
    pipe([scripts / "tap-pendo"], [scripts / "target-planhat"], place.folder, place.environment)


def uvx(place: Workplace, python: Path, source: Source) -> None:
    """Run from the repository by uvx, with nothing installed before."""
    tap, target = (
        ["uvx", "--no-config", "--python", str(python), *source.documented("uvx", name)[1:-1]]
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
    shutil.copytree(ROOT / "hub", project / "hub")
    written = {file: file.read_text() for file in project.glob("hub/*/*.yml")}
    for file, text in written.items():
        file.write_text(text.replace("<repository>", source.repository))
    place.run("sh", "-ec", _ADD, cwd=project, MELTANO_PYTHON=str(python))
    meltano_run(place, project)


PATHS: dict[str, Callable[[Workplace, Path, Source], None]] = {
    "pip install of the wheels": pip_wheels,
    "pip install git+file://…#subdirectory=…": pip_git,
    "pipx install git+file://…#subdirectory=…": pipx,
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
