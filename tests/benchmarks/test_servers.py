"""The servers of the benchmarks: right rows or none, and exact counts."""

from __future__ import annotations

import json
import typing as t

import pytest
import requests
from tap_pendo.catalog import CATALOG
from tap_pendo.catalog.stream_specs import EventSpec

from benchmarks import messages, product, taps
from benchmarks.running import FailedError, asked, measured, program, serving

if t.TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

FEATURE_EVENTS = next(row for row in CATALOG if row.name == "feature_events")
DAY = 24 * product.HOUR_MS


@pytest.fixture(scope="module")
def served() -> Iterator[t.Callable[..., requests.Response]]:
    """Serve 1,000 events on two days, 2,500 visitors and a feature; give what asks."""
    sizes = ("--rows=1000", "--days=2", "--visitors=2500", "--features=9")
    with serving("benchmarks.product", *sizes) as found:

        def ask(*steps: dict[str, t.Any]) -> requests.Response:
            body = {"request": {"pipeline": list(steps)}}
            return requests.post(found["url"] + "/api/v1/aggregation", json=body, timeout=10)

        yield ask


def events(first: int, last: int) -> dict[str, t.Any]:
    """Ask for events."""
    series = {"period": "hourRange", "first": first, "last": last}
    return {"source": {"featureEvents": {"appId": 'expandAppIds("*")'}, "timeSeries": series}}


END = product.to_ms(product.END)
VISITORS = {"source": {"visitors": {"identified": True}}}
WHOLE = events(END - 2 * DAY, END - 1)


def test_events_are_as_many_as_asked_for_in_the_order_of_the_tap(
    served: t.Callable[..., requests.Response],
) -> None:
    assert isinstance(FEATURE_EVENTS, EventSpec)
    names = FEATURE_EVENTS.sort("hour")

    rows = served(WHOLE).json()["results"]

    places = [tuple(row.get(name, "") for name in names) for row in rows]
    assert len(rows) == 1000
    assert places == sorted(places)
    assert len(set(places)) == 1000
    assert {row["hour"] for row in rows} == set(range(END - 2 * DAY, END, product.HOUR_MS))
    assert all(0 <= row["firstTime"] - row["hour"] < row["lastTime"] - row["hour"] for row in rows)
    assert 300 < len(json.dumps(rows[0], separators=(",", ":"))) < 400


def test_a_window_holds_its_own_hours_only(served: t.Callable[..., requests.Response]) -> None:
    days = [events(start, start + DAY - 1) for start in (END - 2 * DAY, END - DAY)]

    rows = [row for day in days for row in served(day).json()["results"]]

    assert rows == served(WHOLE).json()["results"]
    assert served(events(END, END + DAY - 1)).json() == {"results": []}


def test_visitors_are_sorted_and_no_two_are_the_same(
    served: t.Callable[..., requests.Response],
) -> None:
    ids = [row["visitorId"] for row in served(VISITORS).json()["results"]]

    assert len(ids) == 2500
    assert ids == sorted(set(ids))


@pytest.mark.parametrize(
    ("steps", "said"),
    [
        ([WHOLE, {"filter": "hour > 0"}], "there is no step filter"),
        ([WHOLE, {"count": None}], "there is no step count"),
        ([WHOLE, {"limit": 1000}], "a page must hold more than 1000 rows: answers are not cut"),
        ([VISITORS, {"limit": 2000}], "a page must hold more than 2500 rows"),
        ([{"source": {"pageEvents": {}}}], "there is no source pageEvents"),
        ([events(END - DAY + 1, END)], "time is served in whole hours"),
        ([], "ValueError"),
    ],
)
def test_what_is_not_known_is_refused(
    steps: list[dict[str, t.Any]], said: str, served: t.Callable[..., requests.Response]
) -> None:
    answer = served(*steps)

    assert answer.status_code == 400
    assert said in answer.text


def test_the_receiver_counts_what_it_is_sent_and_refuses_the_rest() -> None:
    one = {"action": "Used it", "date": "2024-01-01", "externalId": "a", "count": 3}
    with serving("benchmarks.receiving") as found:
        bulk = f"{found['url']}/analytics/bulk/{found['tenant_token']}"

        answers = [requests.post(bulk, json=body, timeout=10) for body in ([one, one], [one])]
        refused = requests.post(bulk, json=[{"action": "Used it"}], timeout=10)
        lost = requests.post(bulk + "-other", json=[one], timeout=10)
        counts, again = (asked(found["url"] + "/counts") for _ in range(2))

    assert [answer.json()["processed"] for answer in answers] == [2, 1]
    assert (refused.status_code, lost.status_code) == (400, 400)
    assert counts == {"activities": 3, "events": 9}
    assert again == {"activities": 0, "events": 0}


@pytest.mark.parametrize(("rows", "together"), [(100, 3), (100, 1), (messages.ROWS_A_DAY + 7, 3)])
def test_messages_are_what_is_counted_of_them(rows: int, together: int, tmp_path: Path) -> None:
    command = program("benchmarks.messages", "--rows", rows, "--together", together)

    measured(command, kept=tmp_path / "messages")

    lines = map(json.loads, (tmp_path / "messages").read_bytes().splitlines())
    records = [line for line in lines if line["type"] == "RECORD"]
    found = [line["record"] for line in records if line["stream"] == "feature_events"]
    uses = {(row["visitor_id"], row["feature_id"], row["hour"][:10]) for row in found}
    assert len(found) == rows == len({row["row_id"] for row in found})
    events = sum(row["num_events"] for row in found)
    assert {"activities": len(uses), "events": events} == messages.counts(rows, together)


@pytest.mark.parametrize("stream", ["feature_events", "visitors"])
def test_all_taps_give_the_same_record_for_each_row(stream: str) -> None:
    with taps.pendo(10, visitors=10) as found:
        found.compare(stream, 10)
        with pytest.raises(FailedError, match="ours: 10 records of 11 rows"):
            found.compare(stream, 11)


def test_records_are_compared_without_the_time_of_the_read(tmp_path: Path) -> None:
    head = {"type": "SCHEMA", "key_properties": ["id"]}
    record = {"id": 1, "read_at": "now", "value": 2}
    lines = [head, {"type": "RECORD", "stream": "s", "record": record}]
    (tmp_path / "tap").write_text("\n".join(map(json.dumps, lines)))

    assert taps.records(tmp_path / "tap") == {1: {"id": 1, "value": 2}}


def test_a_program_is_measured_with_what_it_started() -> None:
    busy = "import subprocess, sys; subprocess.run([sys.executable, '-c', 'sum(range(3_000_000))'])"
    idle = "import time"

    took = measured(program("timeit", "-n1", "-r1", busy))
    less = measured(program("timeit", "-n1", "-r1", idle))

    assert took.cpu > less.cpu


def test_a_program_that_fails_is_quoted() -> None:
    with pytest.raises(FailedError, match="No module named no_such"):
        measured(program("no_such"))
