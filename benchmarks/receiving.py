"""A Planhat that counts the activities it is sent, faster than any target sends them."""

from __future__ import annotations

import argparse
import threading

import msgspec

from benchmarks.serving import Answer, serve, whole

TOKEN = "a-tenant"  # noqa: S105 - of nobody


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
        self._counts = {"activities": 0, "events": 0}

    def answer(self, path: str, body: bytes) -> Answer:
        """Count a post, or give the counts and begin again at 0.

        Raises:
            LookupError: there is no such path.
        """
        if path == "/counts":
            with self._lock:
                found, self._counts = self._counts, dict.fromkeys(self._counts, 0)
            return whole(msgspec.json.encode(found))
        # an empty list of metrics is how targets look whether the token is good
        if path not in {f"/analytics/bulk/{TOKEN}", f"/dimensiondata/{TOKEN}"}:
            raise LookupError(path)
        posted = _activities.decode(body)
        with self._lock:
            self._counts["activities"] += len(posted)
            self._counts["events"] += sum(one.count for one in posted)
        return whole(b'{"processed":%d,"errors":[]}' % len(posted))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--latency", type=float, default=0, help="seconds before each answer")
    serve(Received().answer, parser.parse_args().latency, tenant_token=TOKEN)
