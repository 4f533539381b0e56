"""A client that posts one prepared batch again and again: how fast the server is by itself."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import urllib3

_BATCH = 1000


def main() -> None:
    """Post `rows` activities, rounded up to whole batches, as `--config FILE` says."""
    config = json.loads(Path(sys.argv[2]).read_text(encoding="utf-8"))
    url = f"{config['analytics_url']}/analytics/bulk/{config['tenant_token']}"
    pool = urllib3.PoolManager(headers={"Content-Type": "application/json"})
    activity = {
        "externalId": "enduser-1",
        "euExtId": "enduser-1",
        "action": "Used Feature 0",
        "date": "2024-12-31T00:00:00.000Z",
        "count": 1,
        "weight": 1,
    }
    body = json.dumps([activity] * _BATCH).encode()
    for _ in range(0, config["rows"], _BATCH):
        pool.request("POST", url, body=body)


if __name__ == "__main__":
    main()
