"""An S3 of this machine: moto's server, in an environment of its own."""

from __future__ import annotations

import contextlib
import subprocess
import time
import typing as t
import urllib.error
import urllib.request

from with_demo.postgres import free_port

from tests.loaders.running import install
from tests.loaders.table import MOTO

if t.TYPE_CHECKING:
    from collections.abc import Iterator


@contextlib.contextmanager
def bucket_server() -> Iterator[str]:
    """Serve an empty bucket `loaded`; its address."""
    port = free_port()
    address = f"http://127.0.0.1:{port}"
    server = subprocess.Popen(
        (install(MOTO) / MOTO.command, "-H", "127.0.0.1", "-p", str(port)),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        _make_bucket(address)
        yield address
    finally:
        server.terminate()
        server.wait()


def _make_bucket(address: str) -> None:
    request = urllib.request.Request(f"{address}/loaded", method="PUT")
    end = time.monotonic() + 60
    while True:
        try:
            urllib.request.urlopen(request).close()
        except urllib.error.URLError:
            if time.monotonic() > end:
                raise
            time.sleep(0.1)
        else:
            return
