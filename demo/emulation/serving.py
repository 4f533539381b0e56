"""Servers on this machine: sockets, uvicorn in a thread, and the signals that stop a command."""

import logging
import signal
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import uvicorn
from starlette.types import ASGIApp, Receive, Scope, Send

_BACKLOG = 128
_KEEP_ALIVE = 75  # seconds: longer than clients let a connection rest
_GRACE = 1  # seconds that answers in hand have when the server stops


class Disconnect(Exception):  # noqa: N818 -- it is ordered, not an error
    """The connection is to end here, in the middle of the body."""


class Breaking:
    """Ends the connection without a word where the answer is to break off."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer, perhaps not to the end."""
        try:
            await self._app(scope, receive, send)
        except Disconnect:
            return  # an answer left unfinished makes uvicorn close the connection


def _unless_broken(record: logging.LogRecord) -> bool:
    return "without completing response" not in record.getMessage()


def _make_server(application: ASGIApp) -> uvicorn.Server:
    """Return a server that logs only what goes wrong against its will."""
    logging.getLogger("uvicorn.error").addFilter(_unless_broken)
    config = uvicorn.Config(
        application,
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


def listening(host: str, port: int) -> socket.socket:
    """Return a socket that listens; port 0 takes a free one.

    Raises:
        OSError: when the port is taken.
    """
    sock = socket.create_server((host, port), backlog=_BACKLOG)
    # asyncio does so only for sockets made as IPPROTO_TCP; without, each answer takes 40 ms
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return sock


def base_url(sock: socket.socket) -> str:
    """Return the URL of what listens there."""
    host, port = sock.getsockname()[:2]
    return f"http://{host}:{port}"


@contextmanager
def served(application: ASGIApp, *sockets: socket.socket) -> Iterator[None]:
    """Serve an application from a thread, until the context ends.

    The sockets listen before the thread runs, so nobody needs to wait for the server.
    """
    server = _make_server(application)
    thread = threading.Thread(target=server.run, kwargs={"sockets": list(sockets)}, daemon=True)
    thread.start()
    try:
        yield
    finally:
        server.should_exit = True
        thread.join()


def until_told_to_stop() -> threading.Event:
    """Return an event that SIGTERM and SIGINT set; ask before the server starts."""
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    return stop
