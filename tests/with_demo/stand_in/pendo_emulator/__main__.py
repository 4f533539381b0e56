"""Says that it is ready, answers /_emulator/truth/count, and ends at SIGTERM.

STAND_IN_TRUTH is a JSON object kind → rows; STAND_IN_PEOPLE one source → rows, which it answers to
an aggregation, whatever its further steps; STAND_IN_FAILS makes it end at once with that text,
STAND_IN_HANGS never be ready.
"""

import argparse
import http.server
import json
import os
import signal
import sys
import threading
import urllib.parse

parser = argparse.ArgumentParser()
for name in ("--port", "--now", "--key", "--events-per-day", "--visitors"):
    parser.add_argument(name)
options = parser.parse_args()
if failure := os.environ.get("STAND_IN_FAILS"):
    sys.exit("a first line\n" + failure)
if os.environ.get("STAND_IN_HANGS"):
    signal.pause()
TRUTH = json.loads(os.environ.get("STAND_IN_TRUTH", "{}"))
PEOPLE = json.loads(os.environ.get("STAND_IN_PEOPLE", "{}"))


class Handler(http.server.BaseHTTPRequestHandler):
    """Answers for its figures, and what it was started with."""

    def do_POST(self) -> None:
        """The people that an aggregation asks for: without any, none."""
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        source = asked["request"]["pipeline"][0]["source"]
        self._answer(json.dumps({"results": PEOPLE.get(next(iter(source)), [])}))

    def do_GET(self) -> None:
        """A row count, or the options."""
        asked = urllib.parse.urlsplit(self.path)
        query = dict(urllib.parse.parse_qsl(asked.query))
        if asked.path == "/options":
            answer = json.dumps(vars(options))
        elif (rows := TRUTH.get(query["kind"])) is not None:
            answer = json.dumps({"rows": rows, "events": rows})
        else:
            self.send_error(404)
            return
        self._answer(answer)

    def _answer(self, answer: str) -> None:
        body = answer.encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
signal.signal(signal.SIGTERM, lambda *_: threading.Thread(target=server.shutdown).start())
url = f"http://127.0.0.1:{server.server_port}"
ready = {"url": url, "key": options.key, "region": "us", "now": options.now}
sys.stdout.write(json.dumps(ready) + "\n")
sys.stdout.flush()
server.serve_forever(poll_interval=0.01)
