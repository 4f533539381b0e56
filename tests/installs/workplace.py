"""A machine as new: a home, caches of packages, the project as git sees it, and its wheels."""

from __future__ import annotations

import functools
import os
import shutil
import subprocess
import sys
import typing as t
from pathlib import Path

from tests.installs.services import InstallError, last_lines

if t.TYPE_CHECKING:
    from collections.abc import Mapping

ROOT = Path(__file__).parents[2]
SCRIPTS = Path(sys.executable).parent
MEMBERS = ("tap-pendo", "target-planhat")
VERSIONS = ("3.10", "3.11", "3.12", "3.13", "3.14")
_OURS = ("GIT_", "MELTANO", "PIPX_", "PYTHON", "TAP_", "TARGET_", "VIRTUAL_ENV", "XDG_")


class Workplace:
    """A folder with a home of its own in it; what runs there sees nothing of the caller's."""

    def __init__(self, folder: Path, services: Mapping[str, str]) -> None:
        self.folder = folder
        home = folder / "home"
        home.mkdir(parents=True)
        kept = {k: v for k, v in os.environ.items() if not k.startswith(_OURS)}
        self.environment = {
            **kept,
            **_caches(),
            **services,
            "HOME": str(home),
            "MELTANO_SEND_ANONYMOUS_USAGE_STATS": "false",
            "NO_COLOR": "1",
            "NO_PROXY": "127.0.0.1",
            "no_proxy": "127.0.0.1",
            "PATH": f"{SCRIPTS}{os.pathsep}{os.environ['PATH']}",
            "UV_PYTHON_DOWNLOADS": "never",
        }

    def run(self, *command: str | Path, cwd: Path | None = None, **environment: str) -> str:
        """Run a command; give what it prints, or raise InstallError."""
        done = subprocess.run(
            command,
            cwd=cwd or self.folder,
            env={**self.environment, **environment},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            words = " ".join(str(word) for word in command)
            raise InstallError(f"{words}: {last_lines(done.stdout + done.stderr)}")
        return done.stdout


def _caches() -> dict[str, str]:
    """The caches of the caller's home, so that nothing is fetched twice; a cache may be off."""
    asked = {
        "PIP_CACHE_DIR": (SCRIPTS / "python", "-m", "pip", "cache", "dir"),
        "UV_CACHE_DIR": (SCRIPTS / "uv", "cache", "dir"),
    }
    done = {
        name: subprocess.run(command, check=False, capture_output=True, text=True)
        for name, command in asked.items()
    }
    return {name: one.stdout.strip() for name, one in done.items() if one.returncode == 0}


def said(*command: str | Path) -> str:
    """What a command prints, as one line."""
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


def repository(folder: Path) -> str:
    """Make a git repository of the working tree as it is; give its URL."""
    listed = said("git", "-C", ROOT, "ls-files", "--cached", "--others", "--exclude-standard")
    for name in listed.splitlines():
        if (ROOT / name).exists():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, folder / name)
    git = ("git", "-C", folder, "-c", "user.name=test", "-c", "user.email=test@localhost")
    for command in (("init", "--quiet"), ("add", "--all"), ("commit", "--quiet", "-m", "As it is")):
        said(*git, *command)
    return folder.as_uri()


def wheels(folder: Path) -> list[Path]:
    """Build the wheel of each plugin, with the tools of this environment."""
    for member in MEMBERS:
        command = (sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", folder)
        subprocess.run(command, cwd=ROOT / member, check=True, capture_output=True)
    return sorted(folder.glob("*.whl"))


@functools.cache
def pythons() -> dict[str, Path]:
    """Each Python of this machine that the plugins support, by version."""
    found = {version: python_of(version) for version in VERSIONS}
    return {version: path for version, path in found.items() if path}


def python_of(version: str) -> Path | None:
    """Find a Python of this machine by its version, such as 3.10."""
    environment = dict(os.environ)
    if pyenv := shutil.which("pyenv"):
        # its stand-ins on PATH start only what is chosen
        versions = said(pyenv, "versions", "--bare").split()
        environment["PYENV_VERSION"] = ":".join(versions)
    if sys.version_info[:2] == tuple(map(int, version.split("."))):
        return Path(sys.executable)
    command = (SCRIPTS / "uv", "python", "find", "--no-project", "--system", version)
    done = subprocess.run(
        command, env=environment, cwd="/", capture_output=True, text=True, check=False
    )
    return Path(done.stdout.strip()).resolve() if done.returncode == 0 else None
