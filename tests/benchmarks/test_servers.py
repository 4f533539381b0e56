"""The servers of the benchmarks: right rows or none, and exact counts."""

from __future__ import annotations

import json
import os
import shlex
import sys
import typing as t

import pytest
import requests
from tap_pendo.catalog import CATALOG
from tap_pendo.catalog.stream_specs import EventSpec

from benchmarks import messages, product, same
from benchmarks.running import FailedError, measured, program, serving
from benchmarks.suites.pendo import pendo
from benchmarks.watching import watched

if t.TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

FEATURE_EVENTS = next(row for row in CATALOG if row.name == "feature_events")
DAY = 24 * product.HOUR_MS


@pytest.fixture(scope="module")
def served() -> Iterator[t.Callable[..., requests.Response]]:
    """Serve 1,000 events on two days, 2,500 visitors and a feature; give what asks."""
    sizes = ("--rows=1000", "--days=2", "--visitors=2500", "--features=9")
    with serving("benchmarks.serving", *sizes) as found:

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
        counts = requests.get(found["url"] + "/counts", timeout=10).json()
        again = requests.get(found["url"] + "/counts", timeout=10).json()

    assert [answer.json()["processed"] for answer in answers] == [2, 1]
    assert (refused.status_code, lost.status_code) == (400, 404)
    sent = sum(len(answer.request.body or b"") for answer in answers)
    assert counts == {"posts": 2, "bytes": sent, "activities": 3, "events": 9}
    assert again == {"posts": 0, "bytes": 0, "activities": 0, "events": 0}


@pytest.mark.parametrize(("rows", "together"), [(100, 3), (100, 1), (messages.ROWS_A_DAY + 7, 3)])
def test_messages_are_what_is_counted_of_them(rows: int, together: int, tmp_path: Path) -> None:
    command = program("benchmarks.messages", "--rows", rows, "--together", together)

    measured(command, kept=tmp_path / "messages")

    lines = map(json.loads, (tmp_path / "messages").read_bytes().splitlines())
    records = [line for line in lines if line["type"] == "RECORD"]
    found = [line["record"] for line in records if line["stream"] == "feature_events"]
    uses = {(row["visitor_id"], row["feature_id"], row["hour"][:10]) for row in found}
    assert len(found) == rows == len({row["row_id"] for row in found})
    assert len(uses) == messages.activities(rows, together)
    assert sum(row["num_events"] for row in found) == messages.events(rows, together)


@pytest.mark.parametrize("stream", ["feature_events", "visitors", "features"])
def test_all_taps_give_the_same_record_for_each_row(stream: str) -> None:
    with pendo(10, visitors=10, features=10) as found:
        found.compare(stream, 10)


def test_records_are_the_same_but_for_the_time_of_the_read(tmp_path: Path) -> None:
    def file(name: str, **record: t.Any) -> Path:
        head = {"type": "SCHEMA", "key_properties": ["id"]}
        lines = [head, {"type": "RECORD", "stream": "s", "record": {"id": 1, **record}}]
        (tmp_path / name).write_text("\n".join(map(json.dumps, lines)))
        return tmp_path / name

    first, equal, other = (
        file(name, read_at=name, value=value) for name, value in (("a", 1), ("b", 1), ("c", 2))
    )
    same.compare(1, [first, equal])
    with pytest.raises(same.DifferentError, match="a: 1 records of 2 rows"):
        same.compare(2, [first, equal])
    with pytest.raises(same.DifferentError, match="c: its records are not those of a"):
        same.compare(1, [first, equal, other])


def test_a_program_is_measured_with_what_it_started() -> None:
    busy = "import subprocess, sys; subprocess.run([sys.executable, '-c', 'sum(range(3_000_000))'])"
    idle = "import time"

    took = measured(program("timeit", "-n1", "-r1", busy))
    less = measured(program("timeit", "-n1", "-r1", idle))

    assert took.cpu > less.cpu
    assert took.lines == 1


def test_a_program_that_fails_is_quoted() -> None:
    with pytest.raises(FailedError, match="No module named no_such"):
        measured(program("no_such"))


def test_programs_are_told_apart_while_they_run(tmp_path: Path) -> None:
    busy, idle = (tmp_path / name for name in ("busy", "idle"))
    large = "kept = bytearray(50_000_000)\n"
    busy.write_text(large + "sum(range(8_000_000))")
    idle.write_text(large + "import time; time.sleep(0.3)")
    first, second = (shlex.join([sys.executable, str(file)]) for file in (busy, idle))
    both = ["sh", "-c", f"{first} & {second}; wait"]

    took = watched(both, ["busy", "idle"], tmp_path, os.environ)

    assert took.cpu["busy"] > took.cpu["idle"]
    assert took.memory > 100
    with pytest.raises(FailedError, match="No such file"):
        watched([sys.executable, "none"], [], tmp_path, os.environ)
