"""Knows how an emulator is served: one application, one socket on this machine, one thread."""

import logging
import secrets
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import uvicorn
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.gzip import GZipMiddleware
from starlette.routing import Mount
from starlette.types import ASGIApp, Receive, Scope, Send

from pendo_emulator.admin import Admin
from pendo_emulator.api import Disconnect, PendoApi
from pendo_emulator.calls import Calls
from pendo_emulator.clock import Clock
from pendo_emulator.faults import Faults
from pendo_emulator.keys import Key, Keys
from pendo_emulator.knobs import Knobs
from pendo_emulator.switches import switch
from pendo_emulator.world import World

_QUICK = 1  # gzip level: the best costs more time than the rows do
_BACKLOG = 128
_KEEP_ALIVE = 75  # seconds: longer than clients let a connection rest
_GRACE = 1  # seconds that answers in hand have when the server stops


class Emulator:
    """One region of the emulated Pendo: its application, keys, faults and calls."""

    def __init__(self, world: World, region: str, keys: Keys | None = None) -> None:
        elsewhere = "eu" if region != "eu" else "us"
        self.world = world
        self.region = region
        self.keys = keys or Keys()
        self.faults = Faults()
        self.calls = Calls()
        self.url = ""
        self.key = self._make_key(region)
        self.write_key = self._make_key(region, write_access=True)
        self.other_region_key = self._make_key(elsewhere)

    def _make_key(self, region: str, *, write_access: bool = False) -> str:
        key = f"{secrets.token_hex(16)}.{region}"
        self.keys.add(Key(key, region, write_access))
        return key

    @property
    def clock(self) -> Clock:
        """The world's clock."""
        return self.world.clock

    @property
    def knobs(self) -> Knobs:
        """The world's knobs; they may be set one by one."""
        return self.world.knobs

    def arm(self, *names: str) -> None:
        """Bring difficulties about, by the names of their switches.

        Raises:
            ValueError: for an unknown name.
        """
        for chosen in [switch(name) for name in names]:
            chosen.apply(self)

    def application(self) -> ASGIApp:
        """Return the ASGI application: Pendo's paths, and the emulator's own."""
        admin = Admin(self, self.calls)
        api = PendoApi(self.world, self.region, self.keys, self.faults, self.calls)
        application = Starlette(
            routes=[Mount("/_emulator", routes=admin.routes())],
            middleware=[
                Middleware(_Breaking),
                Middleware(GZipMiddleware, minimum_size=500, compresslevel=_QUICK),
            ],
        )
        # not a mount: that would not match a path with a line break, which an id may hold
        application.router.default = api
        return application


class _Breaking:
    """Ends the connection without a word where the answer is to break off."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await self._app(scope, receive, send)
        except Disconnect:
            return  # an answer left unfinished makes uvicorn close the connection


def _unless_broken(record: logging.LogRecord) -> bool:
    return "without completing response" not in record.getMessage()


def _make_server(emulator: Emulator) -> uvicorn.Server:
    """Return the server of an emulator; it logs only what goes wrong against its will."""
    logging.getLogger("uvicorn.error").addFilter(_unless_broken)
    config = uvicorn.Config(
        emulator.application(),
        loop="asyncio",
        http="h11",
        ws="none",
        lifespan="off",
        log_config=None,
        log_level="error",
        access_log=False,
        timeout_keep_alive=_KEEP_ALIVE,
        timeout_graceful_shutdown=_GRACE,
    )
    return uvicorn.Server(config)


@contextmanager
def running(emulator: Emulator, host: str = "127.0.0.1", port: int = 0) -> Iterator[None]:
    """Serve an emulator from a thread, until the context ends; port 0 takes a free one.

    The socket listens before the thread runs, so nobody needs to wait for the server.

    Raises:
        OSError: when the port is taken.
    """
    server = _make_server(emulator)
    with socket.create_server((host, port), backlog=_BACKLOG) as sock:
        # asyncio does so only for sockets made as IPPROTO_TCP; without, each answer takes 40 ms
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        emulator.url = f"http://{host}:{sock.getsockname()[1]}"
        thread = threading.Thread(target=server.run, kwargs={"sockets": [sock]}, daemon=True)
        thread.start()
        try:
            yield
        finally:
            server.should_exit = True
            thread.join()


@contextmanager
def serve(
    world: World | None = None, region: str = "us", port: int = 0, keys: Keys | None = None
) -> Iterator[Emulator]:
    """Serve a world's emulator of one region on this machine, until the context ends."""
    emulator = Emulator(world or World(), region, keys)
    with running(emulator, port=port):
        yield emulator
