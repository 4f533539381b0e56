"""A proxy before the emulated Planhat that closes connections which idle too long, by a clock."""

from __future__ import annotations

import contextlib
import http.client
import threading
import typing as t
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit

if t.TYPE_CHECKING:
    from collections.abc import Iterator

_HOP = frozenset({"connection", "transfer-encoding", "content-length", "date", "server"})


class Clock(t.Protocol):
    """Seconds, which pass only when they are slept."""

    def clock(self) -> float:
        """Give the time."""

    def sleep(self, seconds: float) -> None:
        """Let time pass."""


class IdlingProxy(ThreadingHTTPServer):
    """Hands requests on, each way in `latency` seconds.

    A request that arrives on a connection that has idled for `most_idle` seconds crosses with its
    close: it is lost, and gets no answer. `lost` counts those; `connections` all that were opened.
    """

    daemon_threads = True

    def __init__(self, url: str, clock: Clock, *, most_idle: float, latency: float) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.upstream = urlsplit(url).netloc
        self.clock, self.most_idle, self.latency = clock, most_idle, latency
        self.url = f"http://127.0.0.1:{self.server_port}"
        self.lost = self.connections = 0


class _Handler(BaseHTTPRequestHandler):
    """One connection."""

    protocol_version = "HTTP/1.1"
    # headers and body of an answer leave in one piece, or loopback holds the second back for 40 ms
    wbufsize = -1
    server: IdlingProxy

    def setup(self) -> None:
        super().setup()
        self.server.connections += 1
        self._answered: float | None = None

    def log_message(self, *_: t.Any) -> None:
        """Say nothing."""

    def _hand_on(self) -> None:
        server, clock = self.server, self.server.clock
        body = self._body()
        clock.sleep(server.latency)
        if self._answered is not None and clock.clock() - self._answered >= server.most_idle:
            server.lost += 1
            self.close_connection = True
            return
        upstream = http.client.HTTPConnection(server.upstream, timeout=10)
        with contextlib.closing(upstream):
            headers = {k: v for k, v in self.headers.items() if k.lower() not in _HOP}
            upstream.request(self.command, self.path, body, headers)
            answer = upstream.getresponse()
            content = answer.read()
        self._answered = clock.clock()
        clock.sleep(server.latency)
        self.send_response(answer.status)
        for name, value in answer.getheaders():
            if name.lower() not in _HOP:
                self.send_header(name, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    do_GET = do_POST = do_PUT = _hand_on  # noqa: N815 - http.server calls them so

    def _body(self) -> bytes:
        return self.rfile.read(int(self.headers.get("Content-Length", 0)))


@contextlib.contextmanager
def idling_proxy(
    url: str, clock: Clock, *, most_idle: float = 1.0, latency: float = 0.05
) -> Iterator[IdlingProxy]:
    """Serve a proxy from a thread, until the context ends."""
    with IdlingProxy(url, clock, most_idle=most_idle, latency=latency) as proxy:
        thread = threading.Thread(target=proxy.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield proxy
        finally:
            proxy.shutdown()
            thread.join()
