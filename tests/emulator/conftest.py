"""Emulators for their own tests: a shared one to read, and fresh ones to change."""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest
import requests
from emulation.clock import Clock
from pendo_emulator.pipeline.request import run
from pendo_emulator.server import Emulator, serve
from pendo_emulator.world import World

NOW = "2026-03-11T10:30:00Z"  # a Wednesday, three days after New York's clocks went forward


def request_body(
    source: str, parameters: Any = None, series: Any = None, *steps: Any
) -> dict[str, Any]:
    """Return the body of an aggregation."""
    described = {source: parameters, **({"timeSeries": series} if series else {})}
    return {"response": {}, "request": {"pipeline": [{"source": described}, *steps]}}


@dataclass
class Client:
    """Calls one emulator with one key, as a client would."""

    emulator: Emulator
    session: requests.Session

    def get(self, path: str, **options: Any) -> requests.Response:
        """Get a path."""
        return self.session.get(self.emulator.url + path, timeout=10, **options)

    def call(self, verb: str, path: str, **options: Any) -> requests.Response:
        """Send a request."""
        return self.session.request(verb, self.emulator.url + path, timeout=10, **options)

    def aggregate(self, *pipeline: Any, **options: Any) -> requests.Response:
        """Send a pipeline: source, parameters, timeSeries, then the steps."""
        return self.call("POST", "/api/v1/aggregation", json=request_body(*pipeline), **options)

    def rows(self, *pipeline: Any) -> list[dict[str, Any]]:
        """Return the rows of a pipeline's answer."""
        answer = self.aggregate(*pipeline)
        assert answer.status_code == 200, answer.text
        rows: list[dict[str, Any]] = answer.json()["results"]
        return rows


def make_world(**options: Any) -> World:
    """Return a small world whose clock stands still."""
    return World(**{"clock": Clock(NOW), "visitors": 400, "accounts": 40, **options})


@pytest.fixture(scope="session")
def world() -> World:
    """A world that no test changes."""
    return make_world()


@pytest.fixture
def new_world() -> Callable[..., World]:
    """Make a world of one's own."""
    return make_world


@pytest.fixture
def ask() -> Callable[..., list[dict[str, Any]]]:
    """Run a pipeline in a world, without HTTP."""

    def ask(world: World, *pipeline: Any) -> list[dict[str, Any]]:
        answer = run(world, json.dumps(request_body(*pipeline)).encode())
        return list(answer.table.rows())

    return ask


def _client(emulator: Emulator) -> Iterator[Client]:
    with requests.Session() as session:
        session.headers["x-pendo-integration-key"] = emulator.key
        yield Client(emulator, session)


@pytest.fixture(scope="session")
def _served(world: World) -> Iterator[Emulator]:
    with serve(world) as emulator:
        yield emulator


@pytest.fixture
def pendo(_served: Emulator) -> Iterator[Client]:
    """A client of an emulator that no test changes."""
    yield from _client(_served)


@pytest.fixture(scope="session")
def _changed() -> Iterator[Emulator]:
    with serve(make_world()) as emulator:
        yield emulator


@pytest.fixture
def own(_changed: Emulator) -> Iterator[Client]:
    """A client of an emulator that the test may give faults and calls; they end with it."""
    _changed.calls.clear()
    yield from _client(_changed)
    _changed.faults.clear()
