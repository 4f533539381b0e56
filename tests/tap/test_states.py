"""States: whatever changes between two runs, what is covered is one piece and all of it is read."""

from __future__ import annotations

import itertools
import logging
import typing as t
from collections import defaultdict
from datetime import timedelta

import pytest
from tap_pendo import json_stream
from tap_pendo import tap as tap_module
from tap_pendo.calendar import from_ms, to_ms
from tap_pendo.reading import window_reader

from tests.conftest import NOW
from tests.sink import EVENTS, Sink
from tests.tables import event_sums

if t.TYPE_CHECKING:
    from datetime import datetime
    from pathlib import Path

    from tests.conftest import Output, TapRunner

Record = dict[str, t.Any]
STREAM = "feature_events"
MARKS = ("covered_from", "covered_to")


def run(tap: TapRunner, state: Record | None = None, **settings: t.Any) -> Output:
    settings = {"lookback_days": 0, "lookback_hours": 0, "concurrency": 1, **settings}
    output = tap.run(state=state, select=(STREAM,), **settings)
    assert tap.exit_code == 0
    return output


def windows(output: Output) -> list[tuple[str, str]]:
    """Give the windows in the order of reading, to the hour."""
    return [
        (w["window_start"][5:13], w["window_end"][5:13]) for w in output.records("sync_windows")
    ]


def covered(output: Output) -> list[str]:
    marks = output.state["bookmarks"][STREAM]
    return [marks[name][5:13] for name in MARKS]


def ids(*outputs: Output) -> set[str]:
    return {r["row_id"] for output in outputs for r in output.records(STREAM)}


@pytest.mark.parametrize("order", ["newest_first", "oldest_first"])
def test_an_earlier_start_date_fills_the_hole_below(order: str, tap: TapRunner) -> None:
    first = run(tap, start_date="2026-03-09")
    assert covered(first) == ["03-09T00", "03-11T12"]
    second = run(tap, first.state, start_date="2026-03-06T15:30Z", backfill_order=order)
    # downwards in either order: what is covered must stay one piece
    assert windows(second) == [("03-08T00", "03-09T00"), ("03-06T16", "03-08T00")]
    assert covered(second) == ["03-06T16", "03-11T12"]
    assert ids(first, second) == ids(run(tap, start_date="2026-03-06T15:30Z"))
    assert not ids(first) & ids(second)


def test_a_later_start_date_keeps_what_is_covered(tap: TapRunner) -> None:
    first = run(tap, start_date="2026-03-06")
    tap.pendo.clock.advance(2 * 3600)
    second = run(tap, first.state, start_date="2026-03-10")
    assert windows(second) == [("03-11T12", "03-11T14")]
    assert covered(second) == ["03-06T00", "03-11T14"]
    back = run(tap, second.state, start_date="2026-03-06")
    assert windows(back) == []


def test_a_lookback_ends_at_a_later_start_date(tap: TapRunner) -> None:
    first = run(tap, start_date="2026-03-06")
    second = tap.run(state=first.state, select=(STREAM,), start_date="2026-03-11T05:00Z")
    assert windows(second) == [("03-11T05", "03-11T12")]
    assert covered(second) == ["03-06T00", "03-11T12"]


def test_a_start_date_beyond_what_is_covered_begins_anew(tap: TapRunner) -> None:
    first = run(tap, start_date="2026-03-06", end_date="2026-03-08")
    second = run(tap, first.state, start_date="2026-03-10")
    assert windows(second) == [("03-11T00", "03-11T12"), ("03-10T00", "03-11T00")]
    assert covered(second) == ["03-10T00", "03-11T12"]


def test_an_end_date_bounds_a_run_and_the_next_goes_on_from_it(tap: TapRunner) -> None:
    first = run(tap, start_date="2026-03-09", end_date="2026-03-10T06:30Z")
    assert covered(first) == ["03-09T00", "03-10T07"]
    second = run(tap, first.state, start_date="2026-03-09")
    assert windows(second) == [("03-10T07", "03-11T00"), ("03-11T00", "03-11T12")]
    assert ids(first, second) == ids(run(tap, start_date="2026-03-09"))


def test_an_end_date_below_what_is_covered_reads_nothing_again(tap: TapRunner) -> None:
    first = run(tap, start_date="2026-03-09")
    second = run(tap, first.state, start_date="2026-03-09", end_date="2026-03-10")
    assert windows(second) == []
    assert covered(second) == covered(first)


@pytest.mark.parametrize(
    ("before", "after"), [("newest_first", "oldest_first"), ("oldest_first", "newest_first")]
)
def test_another_order_goes_on_with_the_same_marks(before: str, after: str, tap: TapRunner) -> None:
    fault = {"kind": "status", "status": 400, "times": None, "source": "featureEvents"}
    tap.pendo.faults.add({**fault, "after": 2})
    settings = {"start_date": "2026-02-20", "concurrency": 1}
    first = tap.run(select=(STREAM,), backfill_order=before, **settings)
    assert tap.exit_code == 1
    tap.pendo.faults.clear()
    tap.pendo.clock.advance(3600)
    second = run(tap, first.state, backfill_order=after, **settings)
    assert covered(second) == ["02-20T00", "03-11T13"]
    assert not ids(first) & ids(second)
    assert ids(first, second) == ids(run(tap, **settings))


@pytest.mark.parametrize("ahead", [timedelta(minutes=50), timedelta(days=20)])
def test_a_clock_that_was_ahead_loses_and_hides_nothing(
    ahead: timedelta,
    tap: TapRunner,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    (row,) = (row for row in EVENTS if row.name == STREAM)
    start = NOW.replace(hour=0, minute=0, second=0) - timedelta(days=2)
    settings: Record = {"start_date": start.isoformat(), "select": (STREAM,)}
    sink = Sink()
    with monkeypatch.context() as patch:
        patch.setattr(tap_module, "utc_now", lambda: from_ms(tap.pendo.clock.now()) + ahead)
        wrong = tap.run(**settings)
    # half an hour before the end of the hour that passed for closed
    late = {"source": row.source, "featureId": "f", "ts": to_ms(NOW + timedelta(minutes=10))}
    tap.pendo.clock.advance(15 * 60)
    tap.pendo.world.inject([{**late, "visitorId": "late"}])
    right = tap.run(state=wrong.state, **settings)
    assert tap.exit_code == 0
    assert ("covers the future; all is read again" in caplog.text) == (ahead > timedelta(hours=1))
    sink.load([*wrong, *right])
    # the clock is still behind the reads of the first run, and hides none of these
    assert not event_sums(tap.pendo.world, row.source, start, "hour") - sink.sums(row, start)
    tap.pendo.clock.advance(40 * 60)
    later = tap.run(state=right.state, **settings)
    sink.load(later)
    assert covered(later)[1] == "03-11T13"
    assert sink.sums(row, start) == event_sums(tap.pendo.world, row.source, start, "hour")


def test_a_clock_that_steps_back_between_two_reads_of_a_window_hides_no_row(
    tap: TapRunner, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of the rows with one `row_id`, the one that came last has the latest `read_at`."""
    steps = itertools.count()

    def clock() -> datetime:
        return from_ms(tap.pendo.clock.now()) - timedelta(milliseconds=50 * next(steps))

    monkeypatch.setattr(tap_module, "utc_now", clock)
    # Pendo compares in another way, as shows behind the first rows: the window is read once more
    monkeypatch.setattr(json_stream, "_BLOCK", 256)
    monkeypatch.setattr(window_reader, "_BATCH", 5)
    hour = NOW.replace(hour=3, minute=0, second=0)
    names = [*(f"a{n:03}" for n in range(60)), *(f"{'bB'[n % 2]}{n:03}" for n in range(60))]
    event = {"source": "featureEvents", "featureId": "f", "ts": to_ms(hour)}
    tap.pendo.world.inject({**event, "visitorId": name} for name in names)
    tap.pendo.knobs.collation = "casefold_sort"
    tap.pendo.faults.add({"kind": "cut", "rows": 62, "source": "featureEvents"})
    end = hour + timedelta(hours=1)
    output = run(tap, start_date=hour.isoformat(), end_date=end.isoformat())
    stamps: defaultdict[str, list[str]] = defaultdict(list)
    for row in output.records(STREAM):
        stamps[row["row_id"]].append(row["read_at"])
    assert max(map(len, stamps.values())) == 2
    assert all(len({*each}) == len(each) for each in stamps.values())
    assert all(sorted(each) == each for each in stamps.values())
    complete = {window["read_at"] for window in output.records("sync_windows")}
    assert {each[-1] for each in stamps.values()} <= complete


def test_without_a_state_all_is_read_again(tap: TapRunner) -> None:
    first = run(tap, start_date="2026-03-09")
    for state in ({}, {"bookmarks": {}}, {"bookmarks": {STREAM: {}}}):
        assert ids(run(tap, state, start_date="2026-03-09")) == ids(first)


@pytest.mark.parametrize(
    ("stream", "bookmark"),
    [
        ("features", {"lastUpdatedAt": "2026-01-01T00:00:00.000000Z"}),
        ("feature_events", {"hour": "2026-01-01T00:00:00.000000Z"}),
        ("page_events", {"day": "2026-01-01T00:00:00.000000Z"}),
        ("visitors", {"lastupdated": "2026-01-01T00:00:00.000000Z", "last_processed": None}),
        ("guide_events", {"browser_time": "2026-01-01T00:00:00.000000Z"}),
        ("visitor_history", {"modified_ts": "2026-01-01T00:00:00.000000Z"}),
    ],
)
def test_the_state_of_the_older_tap_is_refused_in_one_line(
    stream: str,
    bookmark: Record,
    tap: TapRunner,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    state = {"currently_syncing": None, "bookmarks": {"events": {}, stream: bookmark}}
    result, output = tap.cli(tmp_path, state=state)
    assert result.exit_code == 1
    assert not output
    (line,) = [r.getMessage() for r in caplog.records if r.levelno >= logging.ERROR]
    assert f"--state: the bookmark of {stream} " in line
    assert "start without state" in line


@pytest.mark.some(2)
@pytest.mark.parametrize("wrap", ["STATE", "value", "singer_state", "both"])
def test_a_state_is_taken_as_it_comes(wrap: str, tap: TapRunner, tmp_path: Path) -> None:
    first = tap.run(select=(STREAM,))
    wrapped: Record = {
        "STATE": {"type": "STATE", "value": first.state},
        "value": {"value": first.state},
        "singer_state": {"singer_state": first.state},
        "both": {"singer_state": {"value": first.state}},
    }[wrap]
    _, output = tap.cli(tmp_path, state=wrapped)
    # what is covered is not read again, the look-back aside
    starts = [w["window_start"] for w in output.records("sync_windows") if w["stream"] == STREAM]
    assert starts == ["2026-03-11T00:00:00.000Z"]


def test_the_state_of_an_own_run_is_taken(tap: TapRunner, tmp_path: Path) -> None:
    first = tap.run()
    result, output = tap.cli(tmp_path, state=first.state)
    assert result.exit_code == 0
    assert output.state["bookmarks"].keys() == first.state["bookmarks"].keys()
