"""COMMAND: what it is given, and what becomes of its exit code."""

from __future__ import annotations

import json
import shlex
import sys
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from conftest import Demo

SHOW_ENVIRONMENT = (sys.executable, "-c", "import json, os; print(json.dumps(dict(os.environ)))")
ASK_OPTIONS = (
    sys.executable,
    "-c",
    """if True:
        import os, urllib.request
        with urllib.request.urlopen(os.environ['TAP_PENDO_API_URL'] + '/options') as answer:
            print(answer.read().decode())
    """,
)


def test_finds_pendo_in_its_environment_with_a_new_key_each_time(demo: Demo) -> None:
    first, second = (
        json.loads(demo.run(*SHOW_ENVIRONMENT, **demo.elsewhere).stdout.splitlines()[0])
        for _ in range(2)
    )

    assert first["TAP_PENDO_API_URL"].startswith("http://127.0.0.1:")
    assert len(first["TAP_PENDO_INTEGRATION_KEY"]) == 32
    assert first["TAP_PENDO_INTEGRATION_KEY"] != second["TAP_PENDO_INTEGRATION_KEY"]


def test_a_proxy_stays_out_of_it(demo: Demo) -> None:
    ask = shlex.join(ASK_OPTIONS)  # fails if it is sent to the proxy
    proxy = {"http_proxy": "http://127.0.0.1:1", "no_proxy": "example.com"}

    result = demo.run("sh", "-ec", f"{ask}; echo $NO_PROXY", **demo.elsewhere, **proxy)

    assert result.returncode == 0
    assert result.stdout.splitlines()[1] == "example.com,127.0.0.1"


@pytest.mark.parametrize("name", ["TARGET_POSTGRES_HOST", "TARGET_POSTGRES_SQLALCHEMY_URL"])
def test_a_database_that_the_environment_names_is_left_alone(demo: Demo, name: str) -> None:
    result = demo.run(*SHOW_ENVIRONMENT, **{name: "db.invalid"})

    environment, said = result.stdout.splitlines()
    given = {k: v for k, v in json.loads(environment).items() if k.startswith("TARGET_POSTGRES_")}
    assert given == {name: "db.invalid"}
    assert said == "The environment names the database: what arrived there is not shown."
    assert not (demo.data / "postgres").exists()


def test_the_emulator_gets_the_clock_and_the_size(demo: Demo) -> None:
    options = ("--now", "2026-05-01T12:00:00Z", "--events-per-day", "7", "--visitors", "40")

    result = demo.run(*options, "--", *ASK_OPTIONS, **demo.elsewhere)

    given = json.loads(result.stdout.splitlines()[0])
    assert given["now"] == "2026-05-01T12:00:00+00:00"
    assert (given["events_per_day"], given["visitors"]) == ("7", "40")


def test_options_after_command_are_its_own(demo: Demo) -> None:
    result = demo.run("sh", "-c", 'echo "$@"', "sh", "--data", "x", "--", "y", **demo.elsewhere)

    assert result.stdout.splitlines()[0] == "--data x -- y"


def test_reads_our_stdin(demo: Demo) -> None:
    result = demo.run("cat", stdin="typed\n", **demo.elsewhere)

    assert result.stdout.splitlines()[0] == "typed"


@pytest.mark.parametrize(("script", "code"), [("exit 7", 7), ("kill -KILL $$", 137)])
def test_its_exit_code_is_ours(demo: Demo, script: str, code: int) -> None:
    assert demo.run("sh", "-c", script, **demo.elsewhere).returncode == code


def test_not_found(demo: Demo) -> None:
    result = demo.run("no-such-command")

    assert (result.returncode, result.stdout) == (127, "")
    assert result.stderr == "with-demo: command not found: no-such-command\n"
    assert not demo.data.exists()  # nothing was started for it


def test_not_a_program(demo: Demo) -> None:
    program = demo.folder / "notes"
    program.write_bytes(b"\x01")
    program.chmod(0o755)

    result = demo.run(program, **demo.elsewhere)

    assert result.returncode == 126
    assert result.stderr == f"with-demo: cannot run {program}: Exec format error\n"


@pytest.mark.parametrize("arguments", [("--data", "x", "--"), ("--now", "soon", "true")])
def test_usage(demo: Demo, arguments: tuple[str, ...]) -> None:
    result = demo.run(*arguments)

    assert result.returncode == 2
    assert result.stderr.startswith("usage: with-demo [--data DIR] [--now ISO]")


def test_an_emulator_that_does_not_start(demo: Demo) -> None:
    result = demo.run("true", **demo.elsewhere, STAND_IN_FAILS="ValueError: no such zone")

    assert (result.returncode, result.stdout) == (1, "")
    log = demo.data.resolve() / "pendo-emulator.log"
    assert result.stderr == (
        f"with-demo: pendo_emulator did not start: ValueError: no such zone (see {log})\n"
    )


def test_a_data_folder_that_cannot_be_made(demo: Demo) -> None:
    (demo.folder / "file").touch()

    result = demo.run("--data", "file", "true")

    assert (result.returncode, result.stdout) == (1, "")
    assert len(result.stderr.splitlines()) == 1


def test_a_reader_that_has_gone(demo: Demo) -> None:
    process = demo.start("sh", "-c", "read line", **demo.elsewhere)
    process.stdout.close()
    process.stdin.write("go on\n")
    process.stdin.flush()

    assert process.wait(30) == 0
    assert process.stderr.read() == ""
