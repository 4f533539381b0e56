"""CPU seconds until both plugins are there: their imports, `--about` and `--help`.

Beside them, in turn, the import of the SDK alone, below which no plugin gets.
"""

from __future__ import annotations

import functools
import sys
import typing as t

from benchmarks.figures import Options, Series, alternating
from benchmarks.running import measured, program

if t.TYPE_CHECKING:
    from collections.abc import Iterator

IMPORT, SDK = "import", "singer_sdk"
PLUGINS = {"tap-pendo": "tap_pendo", "target-planhat": "target_planhat"}
# at most so many times the import of the SDK; the target's ledger imports SQLAlchemy, too
WANTED = {"tap-pendo": 1.4, "target-planhat": 2.0}
# starts are short: more of them level out what the machine does beside
_RUNS = 3


def start(options: Options) -> Iterator[list[Series]]:
    """Measure three starts of each for a round."""
    modules = {SDK: SDK, "tap-pendo": "tap_pendo.tap", "target-planhat": "target_planhat.target"}
    commands = {
        (IMPORT, name): [sys.executable, "-c", f"import {module}"]
        for name, module in modules.items()
    } | {
        (command, name): program(module, command)
        for command in ("--about", "--help")
        for name, module in PLUGINS.items()
    }
    runs = {key: functools.partial(measured, command) for key, command in commands.items()}
    yield alternating(runs, 1, _RUNS * options.rounds)
