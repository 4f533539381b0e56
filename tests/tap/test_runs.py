"""Runs of the tap: what arrives equals Pendo's truth, once, whatever happens on the way."""

from __future__ import annotations

import collections
import typing as t
from datetime import datetime, timedelta

import pytest
from pendo_emulator.server import serve
from pendo_emulator.world import World
from tap_pendo import json_stream
from tap_pendo.calendar import UTC, from_text, to_ms
from tap_pendo.catalog import CATALOG
from tap_pendo.catalog.stream_specs import EventSpec

from tests.conftest import NOW, TapRunner

if t.TYPE_CHECKING:
    from pendo_emulator.server import Emulator

    from tests.conftest import Output

Record = dict[str, t.Any]
EVENTS = [row for row in CATALOG if isinstance(row, EventSpec) and row.by_default]
START = datetime(2026, 3, 8, 7, tzinfo=UTC)
SUMMED = [pytest.param(row, id=row.name) for row in EVENTS]


class Table(dict[str, Record]):
    """What a warehouse that upserts by row_id holds after some runs."""

    def __init__(self, row: EventSpec) -> None:
        super().__init__()
        self.row = row

    def load(self, output: Output) -> Table:
        """Take the records of a run; within a run no row may come twice from one read."""
        seen: set[tuple[str, str]] = set()
        for record in output.records(self.row.name):
            key = record["row_id"], record["read_at"]
            assert key not in seen
            seen.add(key)
            self[record["row_id"]] = record
        return self

    def sums(self) -> dict[tuple[t.Any, ...], int]:
        """Events per app, entity and UTC day."""
        found: collections.Counter[tuple[t.Any, ...]] = collections.Counter()
        entity = "poll_id" if self.row.name == "poll_events" else self.row.identity[3].name
        for record in self.values():
            day = record[self.row.clock("hour").name][:10]
            found[record["app_id"], record[entity], day] += record.get("num_events", 1)
        return dict(found)


@pytest.fixture
def _small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let small answers that break off leave rows, as large ones do."""
    monkeypatch.setattr(json_stream, "_BLOCK", 256)


def assert_same(one: Table, other: Table) -> None:
    """Compare two tables; a difference shows its first rows only."""
    differing = sorted(k for k in one.keys() | other.keys() if one.get(k) != other.get(k))
    assert [(one.get(k), other.get(k)) for k in differing[:2]] == []


def truth(pendo: Emulator, row: EventSpec, start: datetime = START) -> dict[tuple[t.Any, ...], int]:
    """What Pendo counts, from its raw events, up to the last whole hour."""
    now = pendo.clock.now()
    return dict(pendo.world.sums(row.source, to_ms(start), now - now % 3_600_000))


@pytest.mark.parametrize("order", ["newest_first", "oldest_first"])
def test_a_first_run_is_complete(order: str, tap: TapRunner) -> None:
    output = tap.run(start_date=START.isoformat(), backfill_order=order)
    assert tap.exit_code == 0
    for row in EVENTS:
        table = Table(row).load(output)
        assert table
        assert table.sums() == truth(tap.pendo, row)
    starts = [w["window_start"] for w in output.records("sync_windows") if w["stream"] == "events"]
    assert starts == sorted(starts, reverse=order == "newest_first")
    assert len(starts) > 3


def test_lists_are_whole_and_in_order(tap: TapRunner) -> None:
    output = tap.run()
    world = tap.pendo.world
    for name, kind in {
        "applications": "app",
        "pages": "page",
        "features": "feature",
        "track_types": "tracktype",
        "guides": "guide",
    }.items():
        assert len(output.records(name)) == world.count(kind)
    assert {v["visitor_id"] for v in output.records("visitors")} == {
        row["visitorId"] for row in world.visitors(world.clock.now(), identified=True)
    }
    assert len(output.records("accounts")) == world.count("accounts")
    order = [m["stream"] for m in output if m["type"] == "SCHEMA"]
    assert order == [name for name, stream in tap.tap().streams.items() if stream.selected]


@pytest.mark.parametrize("row", SUMMED)
def test_a_second_run_brings_only_news(row: EventSpec, tap: TapRunner) -> None:
    first = tap.run(start_date=START.isoformat(), select=(row.name,))
    table = Table(row).load(first)
    tap.pendo.clock.advance(3 * 3600)
    second = tap.run(state=first.state, start_date=START.isoformat(), select=(row.name,))
    table.load(second)
    assert table.sums() == truth(tap.pendo, row)
    # another run of the same day reads twelve hours again, not three days
    windows = second.records("sync_windows")
    assert min(w["window_start"] for w in windows) == "2026-03-11T00:00:00.000Z"
    assert max(w["window_end"] for w in windows) == "2026-03-11T15:00:00.000Z"


@pytest.mark.some(2)
@pytest.mark.parametrize("row", SUMMED)
def test_late_events_are_read_by_the_first_run_of_the_next_day(
    row: EventSpec, tap: TapRunner
) -> None:
    first = tap.run(start_date=START.isoformat(), select=(row.name,))
    table = Table(row).load(first)
    ts = to_ms(datetime(2026, 3, 9, 10, 30, tzinfo=UTC))
    entity = row.identity[3].pendo
    late = {
        "source": row.source,
        "ts": ts,
        "visitorId": 'late "visitor" \\ 1',
        "accountId": "late-account",
        entity: "late-entity",
        "pollId": "late-poll",
        "type": "guideSeen",
        "guideId": "late-entity",
    }
    wanted = {n: v for n, v in late.items() if n != "pollId" or row.name == "poll_events"}
    tap.pendo.world.inject([wanted, wanted])
    tap.pendo.clock.advance(3600)
    second = tap.run(state=first.state, start_date=START.isoformat(), select=(row.name,))
    assert not [r for r in second.records(row.name) if r["visitor_id"] == late["visitorId"]]
    tap.pendo.clock.advance(12 * 3600)
    third = tap.run(state=second.state, start_date=START.isoformat(), select=(row.name,))
    found = [r for r in third.records(row.name) if r["visitor_id"] == late["visitorId"]]
    assert sum(r.get("num_events", 1) for r in found) == 2
    table.load(second).load(third)
    assert table.sums() == truth(tap.pendo, row)


def test_a_row_keeps_its_id_when_its_counts_change(tap: TapRunner) -> None:
    first = tap.run(start_date=START.isoformat(), select=("feature_events",))
    one = first.records("feature_events")[-1]
    again = {"source": "featureEvents", "ts": one["first_time"], **pendo_row(one)}
    tap.pendo.world.inject([again])
    tap.pendo.clock.advance(24 * 3600)
    second = tap.run(
        state=first.state,
        start_date=START.isoformat(),
        select=("feature_events",),
        lookback_days=10,
    )
    newer = [r for r in second.records("feature_events") if r["row_id"] == one["row_id"]]
    assert [r["num_events"] for r in newer] == [one["num_events"] + 1]


def pendo_row(record: Record) -> Record:
    """Write a record's dimensions in Pendo's names again."""
    row = next(row for row in EVENTS if row.name == "feature_events")
    fields = (*row.identity, *row.objects)
    return {f.pendo: record[f.name] for f in fields if f.name in record}


@pytest.mark.some(4)
@pytest.mark.parametrize("row", SUMMED)
@pytest.mark.parametrize("page_size", [2, 60])
def test_pages_of_any_size_give_the_same_rows(
    row: EventSpec, page_size: int, tap: TapRunner
) -> None:
    start = datetime(2026, 3, 11, 4, tzinfo=UTC).isoformat()
    whole = Table(row).load(tap.run(start_date=start, select=(row.name,)))
    paged = Table(row).load(tap.run(start_date=start, select=(row.name,), page_size=page_size))
    assert_same(paged, whole)


FAULTS: dict[str, list[Record]] = {
    "429": [{"kind": "status", "status": 429, "times": 3}],
    "429 with Retry-After": [{"kind": "status", "status": 429, "retry_after": 0, "times": 3}],
    "500": [{"kind": "status", "status": 500, "text": "Unexpected error occurred", "times": 2}],
    "408": [{"kind": "status", "status": 408, "times": 2}],
    "503": [{"kind": "status", "status": 503, "retry_after": 0, "times": 2}],
    "cut after bytes": [{"kind": "cut", "bytes": 5000, "times": 3}],
    "cut after rows": [{"kind": "cut", "rows": 40, "times": 3}],
    "truncated after bytes": [{"kind": "truncate", "bytes": 9999, "times": 3}],
    "truncated after rows": [{"kind": "truncate", "rows": 25, "times": 3}],
    "null results of an empty page": [],
}


@pytest.mark.some(10)
@pytest.mark.usefixtures("_small_blocks")
@pytest.mark.parametrize("row", SUMMED)
@pytest.mark.parametrize("fault", FAULTS)
def test_faults_lose_nothing_and_double_nothing(row: EventSpec, fault: str, tap: TapRunner) -> None:
    start = datetime(2026, 3, 10, 4, tzinfo=UTC).isoformat()
    whole = Table(row).load(tap.run(start_date=start, select=(row.name,)))
    tap.pendo.faults.add(*({**f, "source": row.source} for f in FAULTS[fault]))
    faulty = Table(row).load(tap.run(start_date=start, select=(row.name,), page_size=60))
    assert tap.exit_code == 0
    assert_same(faulty, whole)


@pytest.mark.some(4)
@pytest.mark.usefixtures("_small_blocks")
@pytest.mark.parametrize("stream", ["visitors", "accounts"])
@pytest.mark.parametrize("fault", FAULTS)
def test_faults_lose_no_person(stream: str, fault: str, tap: TapRunner) -> None:
    whole = tap.run(select=(stream,)).records(stream)
    tap.pendo.faults.add(*({**f, "source": stream} for f in FAULTS[fault]))
    faulty = tap.run(select=(stream,), page_size=500).records(stream)
    assert tap.exit_code == 0
    assert faulty == whole


NAMES = [*(f"a{n:03}" for n in range(60)), *(f"{'bB'[n % 2]}{n:03}" for n in range(60))]


@pytest.mark.usefixtures("_small_blocks")
@pytest.mark.parametrize("collation", ["bytewise", "casefold", "casefold_sort"])
@pytest.mark.parametrize("stream", ["feature_events", "visitors"])
def test_a_read_that_goes_on_after_a_break_notices_what_another_order_hides(
    stream: str, collation: t.Any, tap: TapRunner, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        type(tap.pendo.world), "visitors", lambda *_, **__: iter({"visitorId": v} for v in NAMES)
    )
    event = {"source": "featureEvents", "featureId": "f", "ts": to_ms(NOW - timedelta(hours=9))}
    tap.pendo.world.inject({**event, "visitorId": name} for name in NAMES)
    tap.pendo.knobs.collation = collation
    hour = (NOW - timedelta(hours=9)).replace(minute=0, second=0)
    # behind the first "b", where the rest of the order is that of Pendo alone
    source = "featureEvents" if stream == "feature_events" else "visitors"
    tap.pendo.faults.add({"kind": "cut", "rows": 62, "source": source})
    output = tap.run(
        select=(stream,),
        start_date=hour.isoformat(),
        end_date=(hour + timedelta(hours=1)).isoformat(),
    )
    assert tap.exit_code == 0
    reads = {w["read_at"] for w in output.records("sync_windows")}
    found = [r for r in output.records(stream) if stream == "visitors" or r["read_at"] in reads]
    assert {*NAMES} <= {r["visitor_id"] for r in found}


@pytest.mark.some(3)
@pytest.mark.parametrize(
    "knobs",
    [{"sort_keys": 1}, {"sort_keys": 2}, {"collation": "casefold"}, {"collation": "casefold_sort"}],
    ids=str,
)
@pytest.mark.parametrize("page_size", [50_000, 30])
def test_an_order_that_pendo_does_not_keep(
    knobs: Record, page_size: int, tap: TapRunner, caplog: pytest.LogCaptureFixture
) -> None:
    start = datetime(2026, 3, 10, 4, tzinfo=UTC).isoformat()
    names = ("feature_events", "guide_events", "visitors")
    whole = tap.run(start_date=start, select=names)
    for name, value in knobs.items():
        setattr(tap.pendo.knobs, name, value)
    tap.pendo.clock.advance(1)
    output = tap.run(start_date=start, select=names, page_size=page_size)
    assert tap.exit_code == 0
    for row in EVENTS:
        if row.name in names:
            newest = Table(row).load(output)
            windows = {w["read_at"] for w in output.records("sync_windows")}
            assert {r["read_at"] for r in newest.values()} <= windows
            assert newest.sums() == Table(row).load(whole).sums()
            assert newest.keys() == Table(row).load(whole).keys()
    people = {v["visitor_id"]: v for v in output.records("visitors")}
    before = {v["visitor_id"]: v for v in whole.records("visitors")}
    assert people.keys() == before.keys()
    for visitor in (*people.values(), *before.values()):
        del visitor["read_at"]
    assert [v for k, v in people.items() if v != before[k]][:1] == []
    # with few rows for each visitor and hour, two keys are order enough
    warned = "in one answer" in caplog.text
    assert warned or knobs == {"sort_keys": 2}


@pytest.mark.parametrize("selected_by", ["browserTime", "receivedTime"])
def test_late_rows_that_another_window_would_hold_are_told_and_read_by_the_lookback(
    selected_by: t.Any, tap: TapRunner, caplog: pytest.LogCaptureFixture
) -> None:
    tap.pendo.knobs.single_events_by = selected_by
    first = tap.run(select=("guide_events",), start_date="2026-02-01")
    assert tap.exit_code == 0
    assert ("rows of other times" in caplog.text) == (selected_by == "receivedTime")
    # the minute before the bound of what was read, which arrives behind it
    late = {"source": "guideEvents", "guideId": "g", "visitorId": "late"}
    tap.pendo.world.inject([{**late, "ts": to_ms(NOW.replace(minute=0)) - 60_000}])
    tap.pendo.clock.advance(3600)
    second = tap.run(select=("guide_events",), start_date="2026-02-01", state=first.state)
    assert [r["guide_id"] for r in second.records("guide_events") if r["visitor_id"] == "late"]


@pytest.mark.some(2)
@pytest.mark.parametrize("zone", ["Asia/Kolkata", "Asia/Kathmandu", "Australia/Adelaide"])
@pytest.mark.parametrize("alignment", ["utc", "local"])
@pytest.mark.parametrize("page_size", [50_000, 40])
def test_hours_of_zones_off_by_part_of_an_hour(
    zone: str, alignment: str, page_size: int, tap: TapRunner
) -> None:
    """Neighbouring windows share no bucket and miss none, however Pendo aligns its hours."""
    world = World(events_per_day=60, visitors=80, time_zone=zone, clock=tap.pendo.clock)
    world.knobs.hour_alignment = alignment  # type: ignore[assignment]
    row = next(r for r in EVENTS if r.name == "feature_events")
    settings = {
        "start_date": START.isoformat(),
        "timezone": zone,
        "page_size": page_size,
        "select": (row.name,),
    }
    with serve(world) as pendo:
        runner = TapRunner(pendo)
        first = runner.run(**settings)
        table = Table(row).load(first)
        assert runner.exit_code == 0
        end = from_text(first.state["bookmarks"][row.name]["covered_to"])
        assert end == datetime(2026, 3, 11, 11, tzinfo=UTC)
        expected = world.sums(row.source, to_ms(START), to_ms(end))
        assert table.sums() == dict(expected)
        world.clock.advance(3600)
        table.load(runner.run(state=first.state, **settings))
        expected = world.sums(row.source, to_ms(START), to_ms(end) + 3_600_000)
        assert table.sums() == dict(expected)
