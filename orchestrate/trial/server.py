"""Dagster as processes: `dagster dev` on a free port, and what is asked of it by GraphQL."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
import typing as t
import urllib.error
import urllib.request
from pathlib import Path

if t.TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_PATIENCE = 180.0  # seconds until the web server answers
_TICK = 0.5
# the environment may name a proxy, which cannot know servers on this machine
_DIRECT = urllib.request.build_opener(urllib.request.ProxyHandler({}))
_LOCATION = "orchestrate.definitions"
# a location that failed to load is LOADED too, with an error
_LOCATIONS = """{ workspaceOrError { ... on Workspace { locationEntries { loadStatus
    locationOrLoadError { __typename ... on PythonError { message } } } } } }"""
_LAUNCH = """mutation ($job: String!) { launchRun(executionParams: {selector: {
    repositoryLocationName: "orchestrate.definitions", repositoryName: "__repository__",
    jobName: $job}}) { __typename ... on LaunchRunSuccess { run { runId } } } }"""
_STATUS = """query ($run: ID!) { runOrError(runId: $run) { ... on Run { status } } }"""
_BACKFILL = """mutation ($asset: [String!]!, $keys: [String!]!) { launchPartitionBackfill(
    backfillParams: {assetSelection: [{path: $asset}], partitionNames: $keys}) {
    __typename ... on LaunchBackfillSuccess { backfillId }
    ... on PythonError { message } } }"""
_PROGRESS = """query ($id: String!) { partitionBackfillOrError(backfillId: $id) {
    ... on PartitionBackfill { status error { message } } } }"""


def ask(url: str, body: t.Any = None, method: str | None = None) -> t.Any:
    """Send JSON to a server of this machine, and return what it answers."""
    sent = None if body is None else json.dumps(body).encode()
    headers = {"Content-Type": "application/json"}
    request = urllib.request.Request(url, sent, headers, method=method)  # noqa: S310 - our own
    with _DIRECT.open(request, timeout=120) as answer:
        return json.load(answer)


class Dagster:
    """A running Dagster."""

    def __init__(self, url: str) -> None:
        self.url = url

    def query(self, text: str, **variables: t.Any) -> t.Any:
        """Ask GraphQL; return the one thing that was asked for."""
        answer = ask(f"{self.url}/graphql", {"query": text, "variables": variables})
        if answer.get("errors"):
            raise RuntimeError(answer["errors"])
        [found] = answer["data"].values()
        return found

    def launch(self, job: str) -> None:
        """Run a job to its end.

        Raises:
            RuntimeError: it failed.
        """
        run = self.query(_LAUNCH, job=job)["run"]["runId"]
        while (status := self.query(_STATUS, run=run)["status"]) not in ("SUCCESS", "FAILURE"):
            time.sleep(_TICK)
        if status != "SUCCESS":
            raise RuntimeError(f"{job} failed")

    def backfill(self, asset: list[str], keys: list[str]) -> str:
        """Start a back-fill; return its id."""
        return str(self.query(_BACKFILL, asset=asset, keys=keys)["backfillId"])

    def status(self, backfill: str) -> str:
        """The status of a back-fill, in Dagster's words."""
        return str(self.query(_PROGRESS, id=backfill)["status"])


@contextlib.contextmanager
def dagster(environment: Mapping[str, str], log: Path) -> Iterator[Dagster]:
    """Run `dagster dev` in this process's environment, until the context ends."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    command = [str(Path(sys.executable).with_name("dagster")), "dev", "-m", _LOCATION]
    with log.open("wb") as output:
        process = subprocess.Popen(
            [*command, "--host", "127.0.0.1", "--port", str(port)],
            env=dict(environment),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        server = Dagster(f"http://127.0.0.1:{port}")
        _wait(server, process, log)
        yield server
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.send_signal(signal.SIGTERM)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(30)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)


def _wait(server: Dagster, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + _PATIENCE
    while process.poll() is None and time.monotonic() < deadline:
        with contextlib.suppress(urllib.error.URLError, ConnectionError, KeyError):
            entries = server.query(_LOCATIONS)["locationEntries"]
            for found in (each["locationOrLoadError"] for each in entries):
                if found and "message" in found:
                    raise RuntimeError(f"Dagster did not load {_LOCATION}: {found['message']}")
            if [each["loadStatus"] for each in entries] == ["LOADED"]:
                return
        time.sleep(_TICK)
    last = log.read_text(errors="replace").strip().splitlines()[-1:]
    raise RuntimeError(f"Dagster did not start: {last}")
