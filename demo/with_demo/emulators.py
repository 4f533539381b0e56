"""Knows how to start an emulator and how to ask it what it holds."""

from __future__ import annotations

import json
import secrets
import signal
import sys
import urllib.parse
import urllib.request
from contextlib import contextmanager
from typing import TYPE_CHECKING, NamedTuple

from with_demo.processes import start_server, stop, wait_until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

_PATIENCE = 60.0  # seconds; the made-up product is computed at the start


class Emulator(NamedTuple):
    """A running emulator: its base URL and the key that it accepts."""

    url: str
    key: str

    def count(self, kind: str, **parameters: str | int) -> int:
        """How many rows of a kind it holds.

        `first` and `last` are epoch milliseconds, `last` exclusive; `period` is hour or day. Raises
        OSError, ValueError or KeyError when it does not say.
        """
        query = urllib.parse.urlencode({"kind": kind, **parameters})
        address = f"{self.url}/_emulator/truth/count?{query}"
        with _DIRECT.open(address, timeout=60) as answer:
            return int(json.load(answer)["rows"])


# The environment may name a proxy, which cannot know our loopback servers.
_DIRECT = urllib.request.build_opener(urllib.request.ProxyHandler({}))


@contextmanager
def emulator(
    module: str, options: Sequence[str], *, log: Path, check: Callable[[], None]
) -> Iterator[Emulator]:
    """Run `python -m <module>` on a free loopback port, with a key that only this run knows.

    It is ready once it has written the JSON line {"url": …, "key": …} to its stdout. `check` is
    called while waiting. Raises StartError.
    """
    key = secrets.token_hex(16)
    command = [sys.executable, "-m", module, "--port", "0", "--key", key, *options]

    def ready() -> Emulator | None:
        for line in log.read_text(errors="replace").splitlines():
            if line.startswith('{"url"') and line.endswith("}") and key in line:
                return Emulator(json.loads(line)["url"].rstrip("/"), key)
        return None

    process = start_server(command, log=log, stop_signal=signal.SIGTERM)
    try:
        yield wait_until(ready, process, name=module, log=log, patience=_PATIENCE, check=check)
    finally:
        stop(process, signal.SIGTERM)
