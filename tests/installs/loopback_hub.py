"""A Meltano Hub on this machine: the two answers that Meltano asks for, from the files in hub/."""

from __future__ import annotations

import json
import threading
import typing as t
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import yaml

if t.TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_API = "/meltano/api/v1/plugins"


def definitions(hub: Path, repository: str) -> dict[str, t.Any]:
    """The definitions by kind and file name, with a repository in place of the one they name."""
    named = yaml.safe_load((hub / "overlay.yml").read_text())["repository"]
    return {
        f"{path.parent.name}/{path.stem}": yaml.safe_load(
            path.read_text().replace(named, repository)
        )
        for path in sorted(hub.glob("*/*.yml"))
    }


@contextmanager
def loopback_hub(hub: Path, repository: str) -> Iterator[str]:
    """Serve them until the context ends; give the `hub_url`."""
    pages = {f"{_API}/{key}": each for key, each in definitions(hub, repository).items()}
    with ThreadingHTTPServer(("127.0.0.1", 0), _handler(pages)) as server:
        url = f"http://127.0.0.1:{server.server_port}"
        pages.update(_indexes(pages, url))
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield url
        finally:
            server.shutdown()
            thread.join()


def _indexes(pages: dict[str, t.Any], url: str) -> dict[str, t.Any]:
    """The list of plugins of each kind, as the Hub's build makes it of the definitions."""
    found: dict[str, t.Any] = {}
    for path, page in pages.items():
        index = found.setdefault(f"{path.rpartition('/')[0]}/index", {})
        index[page["name"]] = {
            "default_variant": page["variant"],
            "logo_url": page["logo_url"],
            "variants": {page["variant"]: {"ref": url + path}},
        }
    return found


def _handler(pages: dict[str, t.Any]) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            page = pages.get(self.path)
            body = json.dumps(page).encode()
            self.send_response(404 if page is None else 200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: t.Any) -> None:
            """Say nothing."""

    return Handler
