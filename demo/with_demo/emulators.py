"""Knows how to start an emulator and how to ask it what it holds."""

from __future__ import annotations

import json
import secrets
import signal
import sys
import urllib.parse
import urllib.request
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NamedTuple

from with_demo.processes import start_server, stop, wait_until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

_PATIENCE = 60.0  # seconds; the made-up product is computed at the start


class Emulator(NamedTuple):
    """A running emulator: its base URL, the key that it accepts, Planhat's second host."""

    url: str
    key: str
    analytics_url: str = ""

    def count(self, kind: str, **parameters: str | int) -> int:
        """How many rows of a kind it holds.

        `first` and `last` are epoch milliseconds, `last` exclusive; `period` is hour or day. Raises
        OSError, ValueError or KeyError when it does not say.
        """
        query = urllib.parse.urlencode({"kind": kind, **parameters})
        return int(self.ask(f"/_emulator/truth/count?{query}")["rows"])

    def ask(self, path: str, body: Any = None) -> Any:
        """What it answers, as JSON, to a GET or, with a body, to a POST.

        Raises OSError, or ValueError for what is not JSON.
        """
        headers = {"Content-Type": "application/json", "x-pendo-integration-key": self.key}
        sent = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.url + path, sent, headers)  # noqa: S310 -- our own
        with _DIRECT.open(request, timeout=60) as answer:
            return json.load(answer)


# The environment may name a proxy, which cannot know our loopback servers.
_DIRECT = urllib.request.build_opener(urllib.request.ProxyHandler({}))


@contextmanager
def emulator(
    module: str,
    options: Sequence[str],
    *,
    log: Path,
    check: Callable[[], None],
    keep: Sequence[int] = (),
) -> Iterator[Emulator]:
    """Run `python -m <module>` on a free loopback port, with a key that only this run knows.

    It is ready once it has written the JSON line {"url": …, "key": …} to its stdout. `check` is
    called while waiting; `keep` are descriptors that it inherits. Raises StartError.
    """
    key = secrets.token_hex(16)
    command = [sys.executable, "-m", module, "--port", "0", "--key", key, *options]

    def ready() -> Emulator | None:
        for line in log.read_text(errors="replace").splitlines():
            if line.startswith('{"url"') and line.endswith("}") and key in line:
                said = json.loads(line)
                return Emulator(said["url"].rstrip("/"), key, said.get("analytics_url", ""))
        return None

    process = start_server(command, log=log, stop_signal=signal.SIGTERM, keep=keep)
    try:
        yield wait_until(ready, process, name=module, log=log, patience=_PATIENCE, check=check)
    finally:
        stop(process, signal.SIGTERM)
