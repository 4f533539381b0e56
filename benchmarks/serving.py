"""What both servers of the benchmarks share: answers of prepared bytes, each after a while."""

from __future__ import annotations

import json
import time
import typing as t
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import msgspec

if t.TYPE_CHECKING:
    from collections.abc import Callable, Iterable


class Answer(t.NamedTuple):
    """A body, and its length in bytes."""

    length: int
    parts: Iterable[bytes]
    status: int = 200


def whole(body: bytes, status: int = 200) -> Answer:
    """Answer with a body as it is."""
    return Answer(len(body), [body], status)


def serve(answer: Callable[[str, bytes], Answer], latency: float, **said: str) -> None:
    """Serve until the process is ended; the first line of output says where.

    Args:
        answer: given a path and a body, which a GET has none of; what it refuses with an error is
            answered with 400.
        latency: seconds before each answer.
        said: what else the first line says.
    """

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def do_GET(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            time.sleep(latency)
            try:
                length, parts, status = answer(self.path, body)
            except (LookupError, TypeError, ValueError, msgspec.MsgspecError) as error:
                length, parts, status = whole(f"{type(error).__name__}: {error}".encode(), 400)
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(length))
            self.end_headers()
            for part in parts:
                self.wfile.write(part)

        do_POST = do_GET  # noqa: N815 - a name of http.server

        def log_message(self, *_: t.Any) -> None:
            """Be quiet."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    url = f"http://127.0.0.1:{server.server_port}"
    print(json.dumps({"url": url, **said}), flush=True)
    server.serve_forever()
