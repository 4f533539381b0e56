"""Knows how a tenant is served: REST and analytics on two ports of this machine, by one thread."""

import secrets
import uuid
from collections.abc import Iterator
from contextlib import contextmanager

from emulation.clock import Clock
from emulation.serving import base_url, listening, served
from starlette.applications import Starlette
from starlette.routing import Mount
from starlette.types import ASGIApp, Receive, Scope, Send

from planhat_emulator.admin import Admin
from planhat_emulator.api import PlanhatApi
from planhat_emulator.faults import Faults
from planhat_emulator.journal import Journal, Requests
from planhat_emulator.knobs import Knobs
from planhat_emulator.tokens import Quota, Token, Tokens
from planhat_emulator.world import World

_OWN = "/_emulator/"


class Emulator:
    """The emulated Planhat of one tenant: its application, tokens, faults and calls."""

    def __init__(
        self,
        world: World,
        api_token: str | None = None,
        tenant_token: str | None = None,
        journal: Journal | None = None,
    ) -> None:
        self.url = ""
        self.analytics_url = ""
        self.api_token = api_token or secrets.token_urlsafe(256)  # as long as Planhat's
        self.tenant_token = tenant_token or str(uuid.uuid4())
        self.analytics_port = 0
        self.journal = journal or Journal()
        self.renew(world)

    def renew(self, world: World) -> None:
        """Begin again with another world, without faults and calls; URLs and tokens stay."""
        self.world = world
        self.faults = Faults()
        self.calls = Requests()
        self.quota = Quota()
        self.tokens = Tokens()
        self.tokens.add(Token(self.api_token))
        self.tokens.tenants.add(self.tenant_token)
        self._api = PlanhatApi(self)

    @property
    def clock(self) -> Clock:
        """The world's clock."""
        return self.world.clock

    @property
    def knobs(self) -> Knobs:
        """The world's knobs; they may be set one by one."""
        return self.world.knobs

    def application(self) -> ASGIApp:
        """Return the ASGI application: Planhat's paths, and on both ports the emulator's own."""
        own = Starlette(routes=[Mount("/_emulator", routes=Admin(self).routes())])

        async def application(scope: Scope, receive: Receive, send: Send) -> None:
            # not a mount: the api needs uvicorn's own `send` to break a connection
            chosen = own if scope["path"].startswith(_OWN) else self._api
            await chosen(scope, receive, send)

        return application


@contextmanager
def running(
    emulator: Emulator, host: str = "127.0.0.1", port: int = 0, analytics_port: int = 0
) -> Iterator[None]:
    """Serve an emulator from a thread, until the context ends; port 0 takes a free one.

    Raises:
        OSError: when a port is taken.
    """
    with listening(host, port) as rest, listening(host, analytics_port) as analytics:
        emulator.url, emulator.analytics_url = base_url(rest), base_url(analytics)
        emulator.analytics_port = analytics.getsockname()[1]
        with served(emulator.application(), rest, analytics):
            yield


@contextmanager
def serve(
    world: World | None = None,
    *,
    port: int = 0,
    analytics_port: int = 0,
    api_token: str | None = None,
    tenant_token: str | None = None,
) -> Iterator[Emulator]:
    """Serve a world's emulator on this machine, until the context ends."""
    emulator = Emulator(world or World(), api_token, tenant_token)
    with running(emulator, port=port, analytics_port=analytics_port):
        yield emulator
