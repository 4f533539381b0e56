"""Runs a loader on both runs of the tap, and compares what it made with the truth."""

from __future__ import annotations

import dataclasses
import json
import os
import shutil
import subprocess
import sys
import time
import typing as t
from pathlib import Path

from tests.loaders.reading import ask, fetch_bucket

if t.TYPE_CHECKING:
    from collections.abc import Mapping

    from tests.loaders.messages import Runs, Stream
    from tests.loaders.table import Loader

ENVIRONMENTS = Path(__file__).parents[2] / ".venv" / "loaders"
Numbers = tuple[int, int, int]


class LoaderError(Exception):
    """It cannot be installed, or it failed; in a line."""


@dataclasses.dataclass(frozen=True)
class Verdict:
    """What a loader makes of both runs in one format."""

    problems: tuple[str, ...] = ()
    marks: bool = False
    """Whether one sees from its tables that the feature is gone."""
    merges: bool = False
    """Whether it has one row of each key."""
    lacks: tuple[str, ...] = ()
    """Columns that it does not have, as stream.column."""


def install(loader: Loader) -> Path:
    """Make its environment if it is not there; its folder of commands.

    Raises:
        LoaderError: it cannot be had.
    """
    folder = ENVIRONMENTS / loader.name
    pins = (f"{loader.name}=={loader.version}", *loader.also)
    stamp, wanted = folder / ".installed", "\n".join((loader.python, *pins, *loader.overrides))
    if not (stamp.exists() and stamp.read_text() == wanted):
        shutil.rmtree(folder, ignore_errors=True)
        _uv("venv", "-q", "--no-python-downloads", "--python", loader.python, str(folder))
        given = [] if not loader.overrides else ["--override", str(folder / "overrides.txt")]
        (folder / "overrides.txt").write_text("\n".join(loader.overrides))
        python = folder / "bin" / "python"
        _uv("pip", "install", "-q", "--python", str(python), *pins, *given)
        stamp.write_text(wanted)
    return folder / "bin"


def _uv(*arguments: str) -> None:
    environment = dict(os.environ)
    if pyenv := shutil.which("pyenv"):
        # its stand-ins on PATH start only what is chosen
        found = subprocess.run((pyenv, "versions", "--bare"), capture_output=True, check=True)
        environment["PYENV_VERSION"] = ":".join(found.stdout.decode().split())
    uv = Path(sys.executable).parent / "uv"
    done = subprocess.run(
        (uv, *arguments), env=environment, capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise LoaderError(f"not installed: {_said(done.stderr)}")


def _said(errors: str) -> str:
    """The first line that names an error, else the last."""
    lines = [line.strip() for line in errors.splitlines() if line.strip()]
    named = [line for line in lines if line.split(":")[0].endswith(("Error", "Exception", "error"))]
    return (named or lines[-1:] or ["it said nothing"])[-1][:160]


def load(loader: Loader, runs: Runs, folder: Path, services: Mapping[str, str]) -> None:
    """Give it both runs.

    Raises:
        LoaderError: it cannot be installed, or failed.
    """
    command = install(loader) / loader.command
    services = {**services, "folder": str(folder)}
    config = folder.with_suffix(".json")
    folder.mkdir(parents=True)
    config.write_text(json.dumps(_filled(loader.settings, services)))
    for number, text in enumerate(runs.texts):
        if number:
            time.sleep(1)  # names of files have seconds
        done = subprocess.run(
            (command, "--config", config),
            input=text,
            cwd=folder,
            env={**os.environ, "AWS_DEFAULT_REGION": "us-east-1"},
            capture_output=True,
            text=True,
            check=False,
            timeout=300,
        )
        if done.returncode:
            raise LoaderError(f"run {number + 1}: {_said(done.stderr)}")
    if "{s3}" in json.dumps(loader.settings):
        fetch_bucket(services["s3"], folder)


def _filled(value: t.Any, services: Mapping[str, str]) -> t.Any:
    if isinstance(value, str):
        filled = value.format(**services)
        return int(filled) if value == "{port}" else filled
    if isinstance(value, dict):
        return {name: _filled(each, services) for name, each in value.items()}
    return value


def verdict(loader: Loader, runs: Runs, folder: Path, services: Mapping[str, str]) -> Verdict:
    """Load, and compare the rows and `sum(num_events)` of each stream with the truth."""
    try:
        load(loader, runs, folder, services)
    except (LoaderError, subprocess.TimeoutExpired) as error:
        return Verdict(problems=(str(error),))
    # of a stream without rows there may be neither a table nor a file
    streams = {name: stream for name, stream in runs.streams.items() if stream.ever}
    answers = ask(
        loader, folder, services, {n: _questions(loader, n, s) for n, s in streams.items()}
    )
    problems = [answer for answer in answers.values() if isinstance(answer, str)]
    if problems:
        return Verdict(problems=tuple(dict.fromkeys(problems)))
    rows = {name: answer[0][0] for name, answer in answers.items()}
    marks = answers["features"][1][0] == streams["features"].rows
    for name, stream in streams.items():
        current, events = answers[name][1]
        expected = stream.rows if marks or not stream.whole else stream.ever
        if (current, events) != (expected, stream.events):
            problems.append(f"{name}: {current}, {events}, not {expected}, {stream.events}")
    lacks = {
        f"{name}.{column}"
        for name, stream in streams.items()
        for column in stream.columns - {found.lower() for found in answers[name][2]}
    }
    # some remove the rows that are gone
    merges = all(rows[name] in {s.ever, s.rows} for name, s in streams.items())
    return Verdict(tuple(problems), marks, merges, tuple(sorted(lacks)))


def _questions(loader: Loader, name: str, stream: Stream) -> tuple[str, str, str]:
    """SQL for all rows, for the current ones with their events, and for the columns."""
    sql = loader.lists if stream.whole else loader.events
    current = sql.format(stream=name, keys=", ".join(stream.keys), newest=loader.newest)
    events = "null" if stream.events is None else "sum(cast(num_events as bigint))"
    return (
        f"select count(*) from {name}",
        f"select count(*), {events} from ({current}) as current_rows",
        f"select * from {name} limit 1",
    )
