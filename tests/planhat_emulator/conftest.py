"""A small tenant of its own for each test, and a client of both hosts."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
import requests
from emulation.clock import Clock
from planhat_emulator.server import Emulator, serve
from planhat_emulator.world import World

NOW = "2026-03-11T10:30:00Z"


@dataclass
class Client:
    """Calls one emulator with its tokens, as a client would."""

    emulator: Emulator
    session: requests.Session

    @property
    def world(self) -> World:
        """The tenant."""
        return self.emulator.world

    @property
    def knobs(self) -> Any:
        """The knobs, to be set to whatever a table of cases holds."""
        return self.emulator.knobs

    def post(self, path: str, body: Any, tenant: str | None = None, **options: Any) -> Any:
        """Post to a path of the analytics host, with the tenant token at its end."""
        tenant = self.emulator.tenant_token if tenant is None else tenant
        url = f"{self.emulator.analytics_url}{path}/{tenant}"
        return self.session.post(url, json=body, timeout=10, **options)

    def call(self, verb: str, path: str, body: Any = None, **options: Any) -> requests.Response:
        """Call a path of the REST host with the api token."""
        headers = {"Authorization": f"Bearer {self.emulator.api_token}"}
        options = {"headers": headers, "timeout": 10, **options}
        return self.session.request(verb, self.emulator.url + path, json=body, **options)

    def get(self, path: str, **query: Any) -> Any:
        """Return what a path of the REST host answers."""
        answer = self.call("GET", path, params=query)
        assert answer.status_code == 200, answer.text
        return answer.json()


@pytest.fixture(scope="session")
def _served() -> Iterator[Emulator]:
    with serve() as emulator:
        yield emulator


@pytest.fixture
def planhat(_served: Emulator) -> Iterator[Client]:
    """A tenant with two companies and four end users; u1 is in both companies."""
    world = World(clock=Clock(NOW))
    world.seed(
        companies=[
            {"externalId": "acme", "name": "Acme", "domains": ["acme.io"], "sourceId": "s-acme"},
            {"externalId": "beta", "name": "Beta", "domains": ["beta.io"], "status": "customer"},
        ],
        endusers=[
            {"externalId": "u1", "email": "u1@acme.io", "companyId": "extid-acme"},
            {"externalId": "u1", "email": "u1@beta.io", "companyId": "extid-beta"},
            {"externalId": "u2", "email": "u2@acme.io", "companyId": "extid-acme"},
            {"email": "only@acme.io", "companyId": "srcid-s-acme"},
        ],
        assets=[{"externalId": "a1", "name": "Asset", "companyId": "extid-acme"}],
        projects=[{"externalId": "p1", "name": "Project", "companyId": "extid-beta"}],
        users=1,
    )
    _served.renew(world)
    with requests.Session() as session:
        yield Client(_served, session)
