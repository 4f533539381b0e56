"""A window that Pendo cannot answer for is read in parts: nothing lost, nothing twice, one row."""

from __future__ import annotations

import itertools
import logging
import typing as t
from datetime import timedelta

import pytest
from tap_pendo import json_stream
from tap_pendo.api import concurrency
from tap_pendo.api.client import PendoClient
from tap_pendo.api.concurrency import Limiter
from tap_pendo.calendar import from_text, to_ms
from tap_pendo.catalog import CATALOG
from tap_pendo.catalog.stream_specs import EventSpec
from tap_pendo.errors import UnavailableError

if t.TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tap_pendo.metrics import Traffic

    from tests.conftest import Output, TapRunner

Record = dict[str, t.Any]
Body = dict[str, t.Any]
FEATURES = ("feature_events",)
START = "2026-03-10T04:00Z"
HOUR = "2026-03-10T12:00Z"
APPS = (-323232, 1, 2)
ROWS = [row for row in CATALOG if isinstance(row, EventSpec) and row.by_default]


def rows(output: Output, stream: str = "feature_events") -> dict[str, Record]:
    """Give the rows of a run by id, without `read_at`; no row may come twice."""
    records = output.records(stream)
    found = {r["row_id"]: {k: v for k, v in r.items() if k != "read_at"} for r in records}
    assert len(found) == len(records)
    return found


def assert_same(one: dict[str, Record], other: dict[str, Record]) -> None:
    """Compare; a difference shows its first rows only."""
    differing = sorted(k for k in one.keys() | other.keys() if one.get(k) != other.get(k))
    assert [(one.get(k), other.get(k)) for k in differing[:2]] == []
    assert one


def assert_whole_windows(output: Output, stream: str = "feature_events") -> None:
    """Each window has one row in sync_windows, whose `read_at` and count are those of its rows."""
    windows = output.records("sync_windows")
    assert len({(w["window_start"], w["window_end"]) for w in windows}) == len(windows)
    by_read: dict[str, int] = dict.fromkeys((w["read_at"] for w in windows), 0)
    for record in output.records(stream):
        by_read[record["read_at"]] += 1
    assert sum(w["row_count"] for w in windows) == sum(by_read.values())


@pytest.fixture
def asked(tap: TapRunner, monkeypatch: pytest.MonkeyPatch) -> list[Body]:
    """Note the requests for rows; not those of threads that an ended test has left behind."""
    bodies: list[Body] = []
    real = PendoClient.rows

    def noting(
        self: PendoClient, body: Body, traffic: Traffic | None = None, **how: t.Any
    ) -> Iterator[list[Record]]:
        if self._base_url == tap.pendo.url:
            bodies.append(body)
        return real(self, body, traffic, **how)

    monkeypatch.setattr(PendoClient, "rows", noting)
    return bodies


@pytest.fixture
def at_most(monkeypatch: pytest.MonkeyPatch, asked: list[Body]) -> Callable[[int], None]:
    """Let Pendo give up on answers of more than so many rows."""

    def limit(most: int) -> None:
        real = PendoClient.rows

        def limited(
            self: PendoClient, body: Body, traffic: Traffic | None = None, **how: t.Any
        ) -> Iterator[list[Record]]:
            blocks = list(real(self, body, traffic, **how))
            if sum(map(len, blocks)) > most:
                raise UnavailableError("413 too large")
            yield from blocks

        monkeypatch.setattr(PendoClient, "rows", limited)
        asked.clear()

    return limit


def hours(body: Body) -> float:
    series = body["request"]["pipeline"][0]["source"]["timeSeries"]
    return (series["last"] + 1 - series["first"]) / 3_600_000


def apps(body: Body) -> t.Any:
    return body["request"]["pipeline"][0]["source"]["featureEvents"]["appId"]


def limits(bodies: list[Body]) -> list[int | None]:
    return [body["request"]["pipeline"][-1].get("limit") for body in bodies]


def flood(tap: TapRunner, count: int, app_ids: tuple[int, ...] = APPS) -> None:
    """Let one visitor own most of an hour: so many rows in each app, and a few of others."""
    ts = to_ms(from_text(HOUR))
    tap.pendo.world.inject(
        {
            "source": "featureEvents",
            "ts": ts + number % 1000,
            "visitorId": "the busy one" if number % 50 else f"visitor {number}",
            "featureId": "f",
            "appId": app_id,
            "analyticsSessionId": f"s{number}",
        }
        for app_id in app_ids
        for number in range(count)
    )


def list_apps(tap: TapRunner) -> None:
    for app_id in APPS[1:]:
        tap.pendo.world.add_definition("app", {"id": app_id, "name": f"app {app_id}"})


@pytest.mark.some(4)
@pytest.mark.parametrize("row", [pytest.param(row, id=row.name) for row in ROWS])
@pytest.mark.parametrize("status", [408, 413, 504])
def test_windows_that_are_too_long_for_pendo_are_halved(
    row: EventSpec, status: int, tap: TapRunner
) -> None:
    whole = tap.run(start_date=START, select=(row.name,))
    tap.pendo.faults.add(
        {"kind": "status", "status": status, "hours": 4, "times": None, "source": row.source}
    )
    output = tap.run(start_date=START, select=(row.name,))
    assert tap.exit_code == 0
    assert_same(rows(output, row.name), rows(whole, row.name))
    assert_whole_windows(output, row.name)


def test_a_part_is_tried_three_times_and_those_like_it_once(
    tap: TapRunner, asked: list[Body]
) -> None:
    tap.pendo.faults.add(
        {"kind": "status", "status": 408, "hours": 6, "times": None, "source": "featureEvents"}
    )
    output = tap.run(start_date="2026-03-10", end_date="2026-03-11", select=FEATURES)
    assert tap.exit_code == 0
    # a day and its first half three times, the second half once, and four quarters
    assert [hours(body) for body in asked] == [24, 24, 24, 12, 12, 12, 6, 6, 12, 6, 6]
    assert [w["calls"] for w in output.records("sync_windows")] == [11]


def test_rows_that_were_given_are_not_given_again_when_a_window_is_split(
    tap: TapRunner, asked: list[Body], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(json_stream, "_BLOCK", 10_000)
    history = {"start_date": "2026-03-10", "end_date": "2026-03-11", "select": FEATURES}
    whole = tap.run(**history)
    asked.clear()
    of_source = {"source": "featureEvents"}
    tap.pendo.faults.add({"kind": "cut", "rows": 150, "times": 1, **of_source})
    tap.pendo.faults.add(
        {"kind": "status", "status": 500, "hours": 5, "times": None, "after": 1, **of_source}
    )
    output = tap.run(**history)
    assert tap.exit_code == 0
    assert_same(rows(output), rows(whole))
    assert_whole_windows(output)
    # the first part goes on from the hour that broke off
    assert hours(asked[1]) < 24


def test_an_hour_that_is_too_much_is_read_app_by_app(
    tap: TapRunner, at_most: Callable[[int], None], asked: list[Body]
) -> None:
    list_apps(tap)
    flood(tap, 600)
    history = {"start_date": "2026-03-10T11:00Z", "end_date": "2026-03-10T14:00Z"}
    whole = tap.run(select=FEATURES, **history)
    at_most(1000)
    output = tap.run(select=FEATURES, **history)
    assert tap.exit_code == 0
    assert_same(rows(output), rows(whole))
    assert_whole_windows(output)
    named = [apps(body) for body in asked if isinstance(apps(body), list)]
    known = tap.pendo.world.count("app")
    assert sum(len(some) == 1 for some in named) >= 1
    assert max(map(len, named)) < known


def test_apps_that_pendo_does_not_list_are_noticed(
    tap: TapRunner,
    at_most: Callable[[int], None],
    caplog: pytest.LogCaptureFixture,
) -> None:
    flood(tap, 600)
    at_most(1000)
    output = tap.run(start_date="2026-03-10T12:00Z", end_date="2026-03-10T13:00Z", select=FEATURES)
    assert tap.exit_code == 1
    assert "it does not list all apps" in caplog.text
    assert not output.records("sync_windows")
    assert not output.state["bookmarks"]["feature_events"]


def test_an_hour_of_one_app_that_is_too_much_is_read_in_smaller_pages(
    tap: TapRunner, at_most: Callable[[int], None], asked: list[Body]
) -> None:
    flood(tap, 3900, (-323232,))
    ts = to_ms(from_text(HOUR))
    tap.pendo.world.inject(
        {"source": "featureEvents", "ts": ts, "visitorId": f"v{n}", "featureId": "f"}
        for n in range(6000)
    )
    history = {"start_date": HOUR, "end_date": "2026-03-10T13:00Z", "app_ids": [-323232]}
    whole = tap.run(select=FEATURES, **history)
    at_most(4500)
    output = tap.run(select=FEATURES, page_size=8000, **history)
    assert tap.exit_code == 0
    assert_same(rows(output), rows(whole))
    assert_whole_windows(output)
    # half a page works
    found = limits(asked)
    assert found[:3] == [8000] * 3
    assert found.count(8000) == 3
    assert 4000 in found


@pytest.mark.parametrize("page_size", [50_000, 500, 40])
def test_a_flood_of_one_visitor_is_whole_whatever_the_page(page_size: int, tap: TapRunner) -> None:
    flood(tap, 500)
    history = {"start_date": "2026-03-10T10:00Z", "end_date": "2026-03-10T15:00Z"}
    whole = tap.run(select=FEATURES, **history)
    output = tap.run(select=FEATURES, page_size=page_size, **history)
    assert tap.exit_code == 0
    assert len(rows(output)) > 1500
    assert_same(rows(output), rows(whole))
    assert_whole_windows(output)


@pytest.mark.some(1)
@pytest.mark.parametrize("page_size", [800, 70])
def test_a_visitor_who_is_too_much_alone_is_read_app_by_app(
    page_size: int, tap: TapRunner, at_most: Callable[[int], None]
) -> None:
    list_apps(tap)
    flood(tap, 600)
    history = {"start_date": "2026-03-10T11:00Z", "end_date": "2026-03-10T14:00Z"}
    whole = tap.run(select=FEATURES, **history)
    at_most(1000)
    output = tap.run(select=FEATURES, page_size=page_size, **history)
    assert tap.exit_code == 0
    assert_same(rows(output), rows(whole))
    assert_whole_windows(output)


def test_an_outage_that_ends_leaves_no_small_parts(tap: TapRunner, asked: list[Body]) -> None:
    history = {"start_date": "2026-03-10", "end_date": "2026-03-11", "select": FEATURES}
    whole = tap.run(**history)
    asked.clear()
    # all levels down to single apps, and some more
    tap.pendo.faults.add({"kind": "status", "status": 503, "times": 16, "source": "featureEvents"})
    output = tap.run(**history)
    assert tap.exit_code == 0
    assert_same(rows(output), rows(whole))
    # what remains is read in parts that grow: at most one of each size
    assert len(asked) <= 16 + 10


def test_a_final_failure_names_stream_time_and_reason(
    tap: TapRunner, caplog: pytest.LogCaptureFixture
) -> None:
    fault = {"kind": "status", "status": 500, "text": "Unexpected", "times": None}
    tap.pendo.faults.add({**fault, "source": "featureEvents"})
    tap.run(start_date="2026-03-10", end_date="2026-03-11", select=FEATURES)
    assert tap.exit_code == 1
    errors = [r.getMessage() for r in caplog.records if r.levelno == logging.ERROR]
    assert "feature_events from 2026-03-10T00:00:00.000Z to 2026-03-10T01:00:00.000Z" in errors[0]
    assert "500 Unexpected" in errors[0]


RATE_LIMIT = '{"error": {"errors": [{"domain": "usageLimits", "reason": "rateLimitExceeded"}]}}'


@pytest.mark.parametrize(
    "answer", [{"status": 429}, {"status": 409}, {"status": 403, "text": RATE_LIMIT}]
)
def test_throttling_waits_and_never_splits(
    answer: dict[str, t.Any], tap: TapRunner, asked: list[Body], caplog: pytest.LogCaptureFixture
) -> None:
    history = {"start_date": "2026-03-10", "end_date": "2026-03-11", "select": FEATURES}
    fault = {"kind": "status", "source": "featureEvents", **answer}
    tap.pendo.faults.add({**fault, "times": 7})
    output = tap.run(**history)
    assert tap.exit_code == 0
    assert [hours(body) for body in asked] == [24]
    assert [w["calls"] for w in output.records("sync_windows")] == [8]
    tap.pendo.faults.add({**fault, "times": None})
    asked.clear()
    tap.run(**history)
    assert tap.exit_code == 1
    assert [hours(body) for body in asked] == [24]
    assert "feature_events from 2026-03-10T00:00:00.000Z" in caplog.text
    assert "skipped" not in caplog.text


@pytest.mark.parametrize("answer", [{"status": 409}, {"status": 403, "text": RATE_LIMIT}])
def test_throttled_calls_of_any_kind_wait_as_long_as_pendo_asks(
    answer: dict[str, t.Any], tap: TapRunner, monkeypatch: pytest.MonkeyPatch
) -> None:
    waits: list[float] = []
    monkeypatch.setattr(concurrency, "sleep", waits.append)
    monkeypatch.setattr(Limiter, "wait", lambda *_: None)
    fault = {"kind": "status", "times": 1, "retry_after": 7, **answer}
    paths = ("/api/v1/token/verify", "/api/v1/feature")
    tap.pendo.faults.add(*({**fault, "path": path} for path in paths))
    output = tap.run(select=("features",))
    assert tap.exit_code == 0
    assert output.records("features")
    assert [wait for wait in waits if wait > 5] == [7, 7]


@pytest.mark.parametrize("limit", [50_000, 15])
def test_unsorted_answers_that_are_too_large_are_split_too(
    limit: int, tap: TapRunner, at_most: Callable[[int], None], asked: list[Body]
) -> None:
    whole = tap.run(start_date=START, select=("feature_events", "guide_events"))
    tap.pendo.knobs.sort_keys = 1
    at_most(limit)
    tap.pendo.clock.advance(1)
    output = tap.run(start_date=START, select=("feature_events", "guide_events"))
    assert tap.exit_code == 0
    complete = {w["read_at"] for w in output.records("sync_windows")}
    for stream in ("feature_events", "guide_events"):
        last = {r["row_id"]: r for r in output.records(stream)}
        assert {r["read_at"] for r in last.values()} <= complete
        assert last.keys() == rows(whole, stream).keys()
    assert any(hours(body) < 8 for body in asked) is (limit == 15)


def test_a_sort_that_pendo_refuses_is_done_here(
    tap: TapRunner, caplog: pytest.LogCaptureFixture
) -> None:
    whole = tap.run(start_date="2026-02-20", select=FEATURES)
    tap.pendo.knobs.max_sort_fields = 2
    output = tap.run(start_date="2026-02-20", select=FEATURES)
    assert tap.exit_code == 0
    assert_same(rows(output), rows(whole))
    assert caplog.text.count("Pendo refuses to sort its rows") == 1
    # those that were on their way; the later windows know
    assert 1 <= tap.pendo.calls.statuses[400] <= 4
    assert len(output.records("sync_windows")) > 4


def test_a_refusal_that_is_not_about_the_order_is_told_as_it_is(
    tap: TapRunner, caplog: pytest.LogCaptureFixture
) -> None:
    fault = {"kind": "status", "status": 400, "source": "featureEvents", "times": 1}
    tap.pendo.faults.add({**fault, "text": "no such thing"}, {**fault, "times": None})
    tap.run(start_date=START, select=FEATURES, concurrency=1)
    assert tap.exit_code == 1
    # the first refusal, not that of the second way
    assert "feature_events failed: /api/v1/aggregation: 400 no such thing" in caplog.text
    assert "Pendo refuses to sort" not in caplog.text


def test_quiet_history_is_read_in_long_windows_and_busy_history_in_short_ones(
    tap: TapRunner,
) -> None:
    start = "2025-11-01"
    whole = tap.run(start_date=start, select=FEATURES, concurrency=1)
    windows = whole.records("sync_windows")
    lengths = [from_text(w["window_end"]) - from_text(w["window_start"]) for w in windows]
    assert [n / timedelta(days=1) for n in lengths[1:6]] == [2, 4, 8, 16, 30]
    assert len(windows) < 12
    busy = tap.run(start_date="2026-03-08", select=FEATURES, page_size=150, concurrency=1)
    lengths = [
        from_text(w["window_end"]) - from_text(w["window_start"])
        for w in busy.records("sync_windows")
    ]
    assert timedelta(hours=12) in lengths
    assert min(lengths) >= timedelta(hours=3)
    found = rows(busy)
    assert found.keys() <= rows(whole).keys()
    for output in (whole, busy):
        edges = [(w["window_start"], w["window_end"]) for w in output.records("sync_windows")]
        assert all(a[0] == b[1] for a, b in itertools.pairwise(edges))


@pytest.mark.some(1)
@pytest.mark.parametrize("status", [408, 413])
@pytest.mark.parametrize("page_size", [50_000, 700])
def test_answers_that_pendo_finds_too_large_are_asked_for_in_parts(
    status: int, page_size: int, tap: TapRunner
) -> None:
    list_apps(tap)
    flood(tap, 600)
    history = {"start_date": "2026-03-10T04:00Z", "end_date": "2026-03-11T04:00Z"}
    whole = tap.run(select=FEATURES, **history)
    fault = {"kind": "too_large", "bytes": 350_000, "times": None, "source": "featureEvents"}
    tap.pendo.faults.add({**fault, "status": status})
    output = tap.run(select=FEATURES, page_size=page_size, **history)
    assert tap.exit_code == 0
    assert tap.pendo.calls.statuses[status] > 0
    assert_same(rows(output), rows(whole))
    assert_whole_windows(output)
