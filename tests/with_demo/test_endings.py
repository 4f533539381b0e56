"""Whatever ends with-demo, nothing is left running."""

from __future__ import annotations

import os
import shutil
import signal
import sys
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from conftest import Demo

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="/proc shows what still runs")

# Say that it stands, then wait; at a signal, finish in an orderly way with code 3.
ORDERLY = "trap 'echo $1 >> told; exit 3' {0}; touch ready; while :; do sleep 0.01; done"
STUBBORN = "trap '' INT TERM; touch ready; while :; do sleep 0.01; done"


def test_ctrl_c_reaches_command_once_and_its_ending_is_waited_for(demo: Demo) -> None:
    process = demo.start("sh", "-c", ORDERLY.format("INT"), "sh", "told")
    demo.until(demo.stamp("ready").exists, "COMMAND runs")

    os.killpg(process.pid, signal.SIGINT)

    result = demo.finish(process)
    assert result.returncode == 3
    assert demo.stamp("told").read_text() == "told\n"
    assert "Nothing arrived" in result.stdout  # PostgreSQL outlived the Ctrl-C


def test_ctrl_c_ends_a_command_that_does_nothing_about_it(demo: Demo) -> None:
    process = demo.start("sh", "-c", "touch ready; exec sleep 1000", **demo.elsewhere)
    demo.until(demo.stamp("ready").exists, "COMMAND runs")

    os.killpg(process.pid, signal.SIGINT)

    assert demo.finish(process).returncode == 130


@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGHUP])
def test_a_signal_to_with_demo_alone_is_forwarded(demo: Demo, signum: signal.Signals) -> None:
    if signal.getsignal(signum) is signal.SIG_IGN:
        pytest.skip(f"these tests run with {signum.name} ignored, as under nohup, and so would it")
    name = signum.name.removeprefix("SIG")
    process = demo.start("sh", "-c", ORDERLY.format(name), "sh", "told", **demo.elsewhere)
    demo.until(demo.stamp("ready").exists, "COMMAND runs")

    process.send_signal(signum)

    assert demo.finish(process).returncode == 3
    assert demo.stamp("told").read_text() == "told\n"


def test_the_second_signal_kills_after_the_grace(demo: Demo) -> None:
    demo.grace = 0.1
    process = demo.start("sh", "-c", STUBBORN, **demo.elsewhere)
    demo.until(demo.stamp("ready").exists, "COMMAND runs")

    process.send_signal(signal.SIGINT)
    process.send_signal(signal.SIGTERM)

    assert demo.finish(process).returncode == 137


def test_sigterm_while_a_server_is_not_ready_yet(demo: Demo) -> None:
    process = demo.start("touch", "ready", STAND_IN_HANGS="1")
    demo.until((demo.data / "pendo-emulator.log").exists, "the emulator was started")

    process.send_signal(signal.SIGTERM)

    result = demo.finish(process)
    assert (result.returncode, result.stdout) == (143, "")
    assert result.stderr == "with-demo: stopped by SIGTERM\n"
    assert not demo.stamp("ready").exists()


@pytest.mark.parametrize(
    "script",
    [
        # two floors of them in COMMAND's group, and a daemon outside
        "(sleep 1000 & sleep 1000 & wait) & setsid sleep 1000 & exit 4",
        f"({STUBBORN}) & until [ -e ready ]; do :; done; exit 4",
    ],
)
def test_grandchildren_are_ended(demo: Demo, script: str) -> None:
    demo.grace = 0.3

    assert demo.run("sh", "-c", script, **demo.elsewhere).returncode == 4


@pytest.mark.skipif(shutil.which("setpriv") is None, reason="needs util-linux's setpriv")
def test_the_servers_end_when_with_demo_is_killed(demo: Demo) -> None:
    process = demo.start("sh", "-c", "touch ready; read line")
    demo.until(demo.stamp("ready").exists, "COMMAND runs")
    assert len(demo.running(demo.data)) > 2

    process.kill()

    demo.until(lambda: not demo.running(demo.data), "the servers have ended")
