"""A Pendo that replays prepared rows, faster than any tap reads them.

It knows what tap-pendo, reading whole windows and lists in one page each, asks for. All else it
refuses with 400 rather than serve wrong rows.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import time
import typing as t
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from benchmarks.product import APP, END, HOUR_MS, Hours, Visitors, features, visitor_metadata

KEY = "a-key"
AGGREGATION = "/api/v1/aggregation"
Body = tuple[int, t.Iterable[bytes]]


class UnknownError(Exception):
    """A question that this server has no answer to."""


class Product:
    """What there is to be served."""

    def __init__(self, rows: int, days: int, visitors: int, defined: int) -> None:
        self._hours = Hours(rows, days, defined)
        self._visitors = Visitors(visitors)
        self._documents = {
            "/api/v1/token/verify": json.dumps({"valid": True, "writeAccess": False}).encode(),
            "/api/v1/metadata/schema/visitor": json.dumps(visitor_metadata()).encode(),
            "/api/v1/metadata/schema/account": b"{}",
            "/api/v1/feature?expand=*": features(defined),
            "/api/v1/feature?expand=%2A": features(defined),
        }

    def document(self, path: str) -> Body:
        """Answer a GET."""
        found = self._documents.get(path)
        if found is None:
            raise UnknownError("there is no such path")
        return len(found), [found]

    def answer(self, question: dict[str, t.Any]) -> Body:
        """Answer an aggregation."""
        source, *steps = question["request"]["pipeline"]
        if unknown := {name for step in steps for name in step} - {"sort", "limit"}:
            raise UnknownError(f"there is no step {', '.join(sorted(unknown))}")
        limits = [step["limit"] for step in steps if "limit" in step]
        (name,) = source["source"].keys() - {"timeSeries"}
        rows, (length, parts) = self._rows(name, source["source"])
        if any(limit <= rows for limit in limits):
            raise UnknownError(f"a page must hold more than {rows} rows: answers are not cut")
        return length + len(b'{"results":[]}'), _wrapped(parts)

    def _rows(self, name: str, source: dict[str, t.Any]) -> tuple[int, Body]:
        if name == "featureEvents":
            series = source["timeSeries"]
            first, last = series["first"], series["last"]
            if series["period"] != "hourRange" or first % HOUR_MS:
                raise UnknownError("time is served in whole hours")
            return self._hours.count(first, last), self._hours.parts(first, last)
        if name == "visitors":
            return self._visitors.rows, self._visitors.parts()
        if name == "apps":
            app = json.dumps({"id": APP, "name": "Atlas"}).encode()
            return 1, (len(app), [app])
        raise UnknownError(f"there is no source {name}")


def _wrapped(parts: t.Iterable[bytes]) -> t.Iterator[bytes]:
    yield b'{"results":['
    yield from parts
    yield b"]}"


def handler(product: Product, latency: float) -> type[BaseHTTPRequestHandler]:
    """Make what answers the requests, each after `latency` seconds."""

    class Handler(BaseHTTPRequestHandler):
        """Answers one connection's requests."""

        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def do_GET(self) -> None:
            self._answer(lambda: product.document(self.path))

        def do_POST(self) -> None:
            question = self.rfile.read(int(self.headers["Content-Length"]))
            self._answer(lambda: product.answer(json.loads(question)))

        def log_message(self, *_: t.Any) -> None:
            """Be quiet."""

        def _answer(self, find: t.Callable[[], Body]) -> None:
            time.sleep(latency)
            status = 200
            try:
                length, parts = find()
            except (UnknownError, KeyError, TypeError, ValueError) as error:
                text = f"{type(error).__name__}: {error}".encode()
                status, length, parts = 400, len(text), [text]
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(length))
            self.end_headers()
            with contextlib.suppress(BrokenPipeError, ConnectionResetError):
                for part in parts:
                    self.wfile.write(part)

    return Handler


def main() -> None:
    """Serve until the process is ended; the first line of output says where."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=0, help="feature events in all")
    parser.add_argument("--days", type=int, default=1, help="days over which they are spread")
    parser.add_argument("--visitors", type=int, default=0)
    parser.add_argument("--features", type=int, default=60)
    parser.add_argument("--latency", type=float, default=0, help="seconds before each answer")
    options = parser.parse_args()
    product = Product(options.rows, options.days, options.visitors, options.features)
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler(product, options.latency))
    url = f"http://127.0.0.1:{server.server_port}"
    print(json.dumps({"url": url, "key": KEY, "end": END.isoformat()}), flush=True)
    server.serve_forever()


if __name__ == "__main__":
    main()
