"""The wheels: what is in them, and that they work where nothing else of the project is."""

from __future__ import annotations

import email
import os
import subprocess
import sys
import typing as t
import zipfile
from pathlib import Path

import pytest

from tests.installs.workplace import MEMBERS, ROOT, wheels

if t.TYPE_CHECKING:
    from email.message import Message

PACKAGES = {"tap-pendo": "tap_pendo", "target-planhat": "target_planhat"}


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> dict[str, zipfile.ZipFile]:
    """Build both wheels; give them by member."""
    found = wheels(tmp_path_factory.mktemp("dist"))
    return {name: zipfile.ZipFile(path) for name, path in zip(MEMBERS, found, strict=True)}


@pytest.fixture(params=MEMBERS)
def member(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def wheel(member: str, built: dict[str, zipfile.ZipFile]) -> zipfile.ZipFile:
    return built[member]


@pytest.fixture
def metadata(wheel: zipfile.ZipFile) -> Message:
    [name] = [each for each in wheel.namelist() if each.endswith(".dist-info/METADATA")]
    return email.message_from_bytes(wheel.read(name))


def test_each_file_of_the_package_is_inside_and_no_other(
    member: str, wheel: zipfile.ZipFile
) -> None:
    package = PACKAGES[member]
    tracked = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", package],
        cwd=ROOT / member,
        check=True,
        capture_output=True,
        text=True,
    ).stdout.split()
    inside = {name for name in wheel.namelist() if ".dist-info/" not in name}

    assert inside == {name for name in tracked if (ROOT / member / name).exists()}
    assert f"{package}/py.typed" in inside


def test_licence_and_readme_are_inside(
    member: str, wheel: zipfile.ZipFile, metadata: Message
) -> None:
    [licence] = [name for name in wheel.namelist() if name.endswith("/licenses/LICENSE")]

    assert wheel.read(licence) == (ROOT / "LICENSE").read_bytes()
    assert metadata["License-Expression"] == "Apache-2.0"
    assert metadata["Description-Content-Type"] == "text/markdown"
    described = t.cast("bytes", metadata.get_payload(decode=True)).decode()
    assert described.strip() == (ROOT / member / "README.md").read_text().strip()


def test_the_command_is_named_after_the_plugin(member: str, wheel: zipfile.ZipFile) -> None:
    [name] = [each for each in wheel.namelist() if each.endswith("/entry_points.txt")]

    assert f"\n{member} = {PACKAGES[member]}." in wheel.read(name).decode()


def test_the_tap_is_not_taken_for_another_one_of_the_index(
    built: dict[str, zipfile.ZipFile],
) -> None:
    names = [Path(str(each.filename)).name.partition("-")[0] for each in built.values()]

    # tap-pendo belongs to somebody else there
    assert names == ["pendo_planhat_tap_pendo", "target_planhat"]


def test_the_wheels_are_what_is_tested_where_they_are_asked_for() -> None:
    if "WHEELS" not in os.environ:
        pytest.skip("WHEELS names no folder with wheels: the working tree is tested")
    for package in PACKAGES.values():
        file = __import__(package).__file__
        assert Path(file).is_relative_to(sys.prefix)
