"""The real Pendo emulator, as with-demo uses it."""

from __future__ import annotations

import socket
import urllib.parse
from typing import TYPE_CHECKING

from with_demo.arrivals import KINDS
from with_demo.emulators import emulator

if TYPE_CHECKING:
    from pathlib import Path

    import pytest


def test_pendo_says_how_many_rows_it_has_of_each_kind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")  # which knows nothing of loopback
    day = {"first": 1_772_496_000_000, "last": 1_772_582_400_000, "period": "hour"}  # 2026-03-03
    options = ["--now", "2026-03-11T12:00:00Z", "--events-per-day", "500"]
    options += ["--visitors", "800"]
    log = tmp_path / "log"
    with emulator("pendo_emulator", options, log=log, check=lambda: None) as pendo:
        counts = {
            stream: pendo.count(kind, **(day if stream.endswith("events") else {}))
            for stream, kind in KINDS.items()
        }
        url = pendo.url

    assert all(counts.values()), counts
    assert counts["accounts"] == 55  # in proportion
    assert counts["events"] > counts["feature_events"]
    address = urllib.parse.urlsplit(url)
    with socket.socket() as probe:
        assert probe.connect_ex((address.hostname, address.port)) != 0
