"""Requests in flight: never more than `concurrency`, also when a stream fails half-way."""

from __future__ import annotations

import threading
import time
import typing as t

import pytest
from tap_pendo.api import client as tap_client
from tap_pendo.api import concurrency, queries
from tap_pendo.api.client import PendoClient
from tap_pendo.api.concurrency import THREADS, in_order
from tap_pendo.errors import StreamError

if t.TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from pendo_emulator.server import Emulator

    from tests.conftest import TapRunner

FEATURES = "/api/v1/feature"
AGGREGATION = "/api/v1/aggregation"
LONG = 60.0


def reading() -> list[threading.Thread]:
    """Give the tap's threads that still run."""
    return [thread for thread in threading.enumerate() if thread.name == THREADS]


def slow(source: str, **more: t.Any) -> dict[str, t.Any]:
    return {"kind": "delay", "seconds": 0.5, "source": source, "times": None, **more}


def test_no_more_in_flight_when_a_stream_has_failed(tap: TapRunner) -> None:
    refused = {"kind": "status", "status": 422, "source": "events"}
    # the first call is refused at once, the others while the next stream could begin
    tap.pendo.faults.add(slow("events", after=1), slow("pageEvents"), refused)
    output = tap.run(select=("events", "page_events"), concurrency=4, page_size=100)
    assert tap.exit_code == 1
    assert output.records("page_events")
    assert tap.pendo.calls.most_at_once == 4
    # the one that was refused, and those in flight beside it; none of these asks for its next page
    assert tap.pendo.calls.counts["/api/v1/aggregation", "events"] <= 4
    assert not reading()


Task = t.Callable[[PendoClient], "Iterator[list[t.Any]]"]


def get(client: PendoClient) -> Iterator[list[t.Any]]:
    yield client.get(FEATURES)


def post(client: PendoClient) -> Iterator[list[t.Any]]:
    yield from client.rows(queries.whole("visitors"))


@pytest.mark.parametrize(
    ("task", "fault", "path", "calls"),
    [
        (get, {"kind": "status", "status": 503}, FEATURES, 2),
        (get, {"kind": "status", "status": 429}, FEATURES, 2),
        # it holds for both: the second may be kept from asking at all
        (get, {"kind": "status", "status": 429, "retry_after": LONG}, FEATURES, 1),
        (post, {"kind": "trickle", "bytes": 64, "seconds": 0.05}, AGGREGATION, 2),
    ],
)
def test_waiting_and_reading_end_when_a_read_beside_them_fails(
    task: Task,
    fault: dict[str, t.Any],
    path: str,
    calls: int,
    pendo: Emulator,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(tap_client, "FIRST_WAIT", LONG)
    pendo.faults.add({**fault, "path": path, "times": None})
    client = PendoClient(pendo.url, pendo.key)

    def asked() -> int:
        return sum(n for (p, _), n in pendo.calls.counts.items() if p == path)

    def read(number: int) -> Iterator[list[t.Any]]:
        if number:
            yield from task(client)
        while asked() < calls:
            concurrency.sleep(0.01)
        raise StreamError("the first fails")

    began = time.monotonic()
    with (
        pytest.raises(StreamError, match="the first fails"),
        in_order(range(3), read, width=3, stop=threading.Event()) as reads,
    ):
        for _, blocks in reads:
            list(blocks)
    assert time.monotonic() - began < LONG / 2
    assert not reading()
    assert calls <= asked() <= 2
    client.close()


def test_a_reader_within_a_reader_is_cancelled_with_it() -> None:
    begun = threading.Barrier(2)
    ended: list[str] = []
    never = threading.Event()

    def inner(_: int) -> Iterator[int]:
        begun.wait(5)
        try:
            concurrency.sleep(LONG)
        finally:
            ended.append("inner")
        yield 0

    def outer(number: int) -> Iterator[int]:
        if number == 0:
            begun.wait(5)
            raise StreamError("the first fails")
        with in_order([0], inner, width=1, stop=never) as reads:
            for _, found in reads:
                yield from found

    with pytest.raises(StreamError), in_order([0, 1], outer, width=2, stop=never) as reads:
        for _, found in reads:
            list(found)
    assert ended == ["inner"]


def read_to_its_end(read: Callable[[int], Iterator[int]], tasks: int) -> list[list[int]]:
    with in_order(range(tasks), read, width=2, stop=threading.Event()) as reads:
        return [list(found) for _, found in reads]


def test_a_read_that_ends_well_is_not_cancelled() -> None:
    def read(number: int) -> Iterator[int]:
        yield number
        concurrency.check()
        concurrency.sleep(0)

    assert read_to_its_end(read, 4) == [[0], [1], [2], [3]]
