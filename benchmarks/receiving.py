"""A Planhat that counts the activities it is sent, faster than any target sends them."""

from __future__ import annotations

import argparse
import json
import threading
import time
import typing as t
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import msgspec

TOKEN = "a-tenant"  # noqa: S105 - of nobody
BULK, METRICS, COUNTS = f"/analytics/bulk/{TOKEN}", f"/dimensiondata/{TOKEN}", "/counts"


class Activity(msgspec.Struct):
    """The fields of an activity that are read."""

    action: str
    date: str
    externalId: str  # noqa: N815 - Planhat's name
    count: int = 1


_activities = msgspec.json.Decoder(list[Activity])


class Received:
    """What has arrived since it was last asked."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._counts = dict.fromkeys(("posts", "bytes", "activities", "events"), 0)

    def add(self, found: list[Activity], size: int) -> None:
        """Count a post of so many bytes."""
        events = sum(one.count for one in found)
        with self._lock:
            self._counts["posts"] += 1
            self._counts["bytes"] += size
            self._counts["activities"] += len(found)
            self._counts["events"] += events

    def taken(self) -> dict[str, int]:
        """Give the counts, and begin again at 0."""
        with self._lock:
            found, self._counts = self._counts, dict.fromkeys(self._counts, 0)
            return found


def handler(received: Received, latency: float) -> type[BaseHTTPRequestHandler]:
    """Make what answers the posts, each after `latency` seconds."""

    class Handler(BaseHTTPRequestHandler):
        """Answers one connection's requests."""

        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def do_GET(self) -> None:
            self._answer(200 if self.path == COUNTS else 404, received.taken())

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            time.sleep(latency)
            if self.path == METRICS and body == b"[]":  # how targets look whether the token is good
                self._answer(200, {"processed": 0, "errors": []})
                return
            if self.path != BULK:
                self._answer(404, {"error": "Not found"})
                return
            try:
                found = _activities.decode(body)
            except msgspec.MsgspecError as error:
                self._answer(400, {"error": str(error)})
                return
            received.add(found, len(body))
            self._answer(200, {"processed": len(found), "errors": []})

        def log_message(self, *_: t.Any) -> None:
            """Be quiet."""

        def _answer(self, status: int, said: dict[str, t.Any]) -> None:
            body = json.dumps(said).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

    return Handler


def main() -> None:
    """Serve until the process is ended; the first line of output says where."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--latency", type=float, default=0, help="seconds before each answer")
    latency = parser.parse_args().latency
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler(Received(), latency))
    url = f"http://127.0.0.1:{server.server_port}"
    print(json.dumps({"url": url, "tenant_token": TOKEN}), flush=True)
    server.serve_forever()


if __name__ == "__main__":
    main()
