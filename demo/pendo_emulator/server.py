"""Knows how an emulator is served: one application, one socket on this machine, one thread."""

import secrets
from collections.abc import Iterator
from contextlib import contextmanager

from emulation.calls import Calls
from emulation.clock import Clock
from emulation.serving import Breaking, base_url, listening, served
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.gzip import GZipMiddleware
from starlette.routing import Mount
from starlette.types import ASGIApp

from pendo_emulator.access import Key, Keys
from pendo_emulator.admin import Admin
from pendo_emulator.api import PendoApi
from pendo_emulator.faults import Faults
from pendo_emulator.knobs import Knobs
from pendo_emulator.switches import switch
from pendo_emulator.world import World

_QUICK = 1  # gzip level: the best costs more time than the rows do


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
        admin = Admin(self)
        api = PendoApi(self.world, self.region, self.keys, self.faults, self.calls)
        application = Starlette(
            routes=[Mount("/_emulator", routes=admin.routes())],
            middleware=[
                Middleware(Breaking),
                Middleware(GZipMiddleware, minimum_size=500, compresslevel=_QUICK),
            ],
        )
        # not a mount: that would not match a path with a line break, which an id may hold
        application.router.default = api
        return application


@contextmanager
def running(emulator: Emulator, host: str = "127.0.0.1", port: int = 0) -> Iterator[None]:
    """Serve an emulator from a thread, until the context ends; port 0 takes a free one.

    Raises:
        OSError: when the port is taken.
    """
    with listening(host, port) as sock:
        emulator.url = base_url(sock)
        with served(emulator.application(), sock):
            yield


@contextmanager
def serve(
    world: World | None = None, region: str = "us", port: int = 0, keys: Keys | None = None
) -> Iterator[Emulator]:
    """Serve a world's emulator of one region on this machine, until the context ends."""
    emulator = Emulator(world or World(), region, keys)
    with running(emulator, port=port):
        yield emulator
