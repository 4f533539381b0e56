"""Time, cut up: no bucket is in two windows, none is in no window, none is read unfinished."""

from __future__ import annotations

import itertools
from datetime import datetime, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tap_pendo.calendar import (
    DAY,
    HOUR,
    LENGTHS,
    UTC,
    Grid,
    Length,
    Marks,
    Window,
    from_ms,
    from_text,
    months_before,
    plan,
    to_ms,
    to_text,
)

ZONES = ["UTC", "America/New_York", "Asia/Kolkata", "Australia/Lord_Howe", "America/Sao_Paulo"]


def at(text: str) -> datetime:
    return from_text(text)


def grid(period: str = "hour", zone: str = "UTC") -> Grid:
    return Grid(period, ZoneInfo(zone))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("period", "zone", "moment", "floor", "after"),
    [
        ("hour", "UTC", "2026-03-08T10:59:59.999Z", "2026-03-08T10:00Z", "2026-03-08T11:00Z"),
        ("day", "UTC", "2026-03-08T10:59Z", "2026-03-08T00:00Z", "2026-03-09T00:00Z"),
        # 23 hours: the clock goes forward on the 8th of March
        ("day", "America/New_York", "2026-03-08T12:00Z", "2026-03-08T05:00Z", "2026-03-09T04:00Z"),
        # 25 hours: back on the 1st of November
        ("day", "America/New_York", "2026-11-01T12:00Z", "2026-11-01T04:00Z", "2026-11-02T05:00Z"),
        ("day", "Asia/Kolkata", "2026-01-01T00:00Z", "2025-12-31T18:30Z", "2026-01-01T18:30Z"),
        # midnight did not exist on this day: it began at one o'clock
        ("day", "America/Sao_Paulo", "2018-11-04T12:00Z", "2018-11-04T03:00Z", "2018-11-05T02:00Z"),
    ],
)
def test_buckets(period: str, zone: str, moment: str, floor: str, after: str) -> None:
    start = grid(period, zone).floor(at(moment))
    assert start == at(floor)
    assert grid(period, zone).after(start) == at(after)


@pytest.mark.parametrize(
    ("period", "zone", "now", "closed"),
    [
        ("hour", "UTC", "2026-01-05T10:00Z", "2026-01-05T10:00Z"),
        ("hour", "UTC", "2026-01-05T10:59Z", "2026-01-05T10:00Z"),
        # Pendo's hours may begin at half past there: one hour more
        ("hour", "Asia/Kolkata", "2026-01-05T10:59Z", "2026-01-05T09:00Z"),
        ("day", "UTC", "2026-01-05T00:59Z", "2026-01-04T00:00Z"),
        ("day", "UTC", "2026-01-05T01:00Z", "2026-01-05T00:00Z"),
        # the day of 25 hours ends at 05:00Z, exactly when it is taken as closed
        ("day", "America/New_York", "2026-11-02T04:59Z", "2026-11-01T04:00Z"),
        ("day", "America/New_York", "2026-11-02T05:00Z", "2026-11-02T05:00Z"),
        # the day of 23 hours ended at 04:00Z; it is taken as closed two hours later
        ("day", "America/New_York", "2026-03-09T05:59Z", "2026-03-08T05:00Z"),
        ("day", "America/New_York", "2026-03-09T06:00Z", "2026-03-09T04:00Z"),
    ],
)
def test_closed(period: str, zone: str, now: str, closed: str) -> None:
    assert grid(period, zone).closed(at(now)) == at(closed)


moments = st.datetimes(datetime(2015, 1, 1), datetime(2030, 1, 1)).map(  # noqa: DTZ001 - made aware here
    lambda d: d.replace(tzinfo=UTC)
)
lengths = st.sampled_from(LENGTHS)
grids = st.builds(grid, st.sampled_from(["hour", "day"]), st.sampled_from(ZONES))


@given(grids, moments)
def test_a_moment_is_in_its_bucket(cut: Grid, moment: datetime) -> None:
    start = cut.floor(moment)
    assert start <= moment < cut.after(start)
    assert cut.floor(start) == start
    assert cut.ceil(moment) in {start, cut.after(start)}
    assert cut.ceil(moment) >= moment


@given(grids, moments)
def test_what_is_closed_has_ended(cut: Grid, now: datetime) -> None:
    closed = cut.closed(now)
    assert cut.floor(closed) == closed
    assert closed <= now
    assert now - closed < timedelta(hours=52)


@given(grids, moments, st.integers(0, 99), st.integers(0, 30), lengths, st.booleans())
def test_windows_tile_the_range(
    cut: Grid, start: datetime, days: int, hours: int, length: timedelta, newest_first: bool
) -> None:
    length = max(length, DAY) if cut.period == "day" else length
    first = cut.floor(start)
    last = cut.ceil(first + timedelta(days=days, hours=hours))
    windows = list(cut.windows(Window(first, last), lambda: length, newest_first=newest_first))
    windows = windows[::-1] if newest_first else windows
    edges = [w.start for w in windows] + [last]
    assert [w.end for w in windows] == edges[1:]
    assert not windows or edges[0] == first
    assert all(cut.floor(e) == e for e in edges)
    # no longer than asked for, but for an hour of a change of the clock
    assert all(w.end - w.start <= length + HOUR for w in windows)


@given(grids, moments, st.integers(1, 60))
def test_windows_are_halved_on_the_bounds_of_buckets(
    cut: Grid, start: datetime, hours: int
) -> None:
    window = Window(cut.floor(start), cut.ceil(cut.floor(start) + hours * HOUR))
    middle = cut.middle(window)
    if cut.after(window.start) >= window.end:
        assert middle is None
    else:
        assert middle is not None
        assert window.start < middle < window.end
        assert cut.floor(middle) == middle


def test_windows_grow_while_they_hold_little_and_shrink_when_they_hold_much() -> None:
    length = Length("hour")
    asked = [length.now]
    for _ in range(7):
        length.learn(length.now, small=True, large=False)
        asked.append(length.now)
    assert asked == [n * DAY for n in (1, 2, 4, 8, 16, 30, 30, 30)]
    # read ahead before it grew: says nothing new
    length.learn(DAY, small=False, large=True)
    assert length.now == 30 * DAY
    shrunk = []
    for _ in range(11):
        length.learn(length.now, small=False, large=True)
        shrunk.append(length.now)
    assert shrunk[4:] == [DAY, 12 * HOUR, 6 * HOUR, 3 * HOUR, HOUR, HOUR, HOUR]
    length.learn(HOUR, small=False, large=False)
    assert length.now == HOUR


def test_windows_of_days_are_never_shorter_and_a_stream_may_have_a_longest() -> None:
    days, hours = Length("day"), Length("hour", HOUR)
    days.learn(DAY, small=False, large=True)
    assert days.now == DAY
    assert hours.now == HOUR
    hours.learn(HOUR, small=True, large=False)
    assert hours.now == HOUR


def test_windows_take_the_length_of_the_moment_when_they_are_asked_for() -> None:
    lengths = iter([DAY, 2 * DAY, 6 * HOUR, 6 * HOUR])
    whole = Window(at("2026-01-01T05:00Z"), at("2026-01-09T15:00Z"))
    newest = grid().windows(whole, lambda: next(lengths), newest_first=True)
    starts = [to_text(next(newest).start)[:13] for _ in range(4)]
    assert starts == ["2026-01-09T00", "2026-01-07T00", "2026-01-06T18", "2026-01-06T12"]


@given(grids, moments, st.lists(st.integers(0, 400), min_size=1, max_size=4))
def test_adjoining_partitions_share_no_bucket(cut: Grid, start: datetime, hours: list[int]) -> None:
    """Partitions cut anywhere, also inside a bucket, read each bucket once."""
    cuts = sorted(start + timedelta(hours=h, minutes=17) for h in hours)
    in_parts = [
        w
        for a, b in pairwise(cuts)
        for w in cut.windows(Window(cut.ceil(a), cut.ceil(b)), lambda: 2 * DAY)
    ]
    whole = list(cut.windows(Window(cut.ceil(cuts[0]), cut.ceil(cuts[-1])), lambda: DAY))
    assert sum((w.end - w.start for w in in_parts), timedelta()) == sum(
        (w.end - w.start for w in whole), timedelta()
    )
    assert all(a.end <= b.start for a, b in pairwise(in_parts))


def run(
    marks: Marks | None,
    start: datetime,
    end: datetime,
    *,
    order: str,
    windows_before_the_kill: int = 10**6,
    lookback: timedelta = timedelta(),
    length: timedelta = DAY,
) -> tuple[Marks | None, list[Window]]:
    """Play a run that is killed after so many windows."""
    cut = grid()
    planned = plan(cut, marks, start=start, end=end, lookback=lookback, order=order)  # type: ignore[arg-type]
    read = list(itertools.islice(planned.windows(lambda: length), windows_before_the_kill))
    now = planned.marks
    for window in read:
        now = now.with_window(window) if now else Marks(window.start, window.end)
    return (now or marks if not read else now), read


def hours(windows: list[Window]) -> set[datetime]:
    return {w.start + i * HOUR for w in windows for i in range(int((w.end - w.start) / HOUR))}


orders = st.sampled_from(["newest_first", "oldest_first"])


@given(
    st.lists(
        st.tuples(st.integers(1, 90), orders, st.integers(0, 4), lengths), min_size=1, max_size=12
    ),
    st.integers(0, 50),
)
def test_killed_runs_read_everything_once_and_go_on(
    runs: list[tuple[int, str, int, timedelta]], lookback: int
) -> None:
    """Whatever the order and wherever it is killed: all is read, once, and marks say the truth."""
    start = now = at("2026-01-01T00:00Z")
    marks: Marks | None = None
    seen: list[datetime] = []
    for step, order, kill, length in runs:
        now += step * HOUR
        marks, read = run(
            marks, start, now, order=order, windows_before_the_kill=kill, length=length
        )
        seen += sorted(hours(read))
        if marks:
            covered = hours([Window(marks.covered_from, marks.covered_to)])
            assert covered <= set(seen)
    marks, read = run(marks, start, now, order="newest_first", lookback=timedelta(hours=lookback))
    assert {start + i * HOUR for i in range(int((now - start) / HOUR))} <= {*seen, *hours(read)}
    assert len(seen) == len(set(seen))
    assert marks == Marks(start, now)


def test_news_come_before_the_backfill_goes_on() -> None:
    marks = Marks(at("2026-01-10"), at("2026-01-12"))
    planned = plan(
        grid(),
        marks,
        start=at("2026-01-08"),
        end=at("2026-01-13T05:00Z"),
        lookback=timedelta(hours=12),
        order="newest_first",
    )
    assert [to_text(w.start)[:13] for w in planned.windows(lambda: DAY)] == [
        "2026-01-11T12",
        "2026-01-12T00",
        "2026-01-13T00",
        "2026-01-09T00",
        "2026-01-08T00",
    ]
    assert planned.time == 41 * HOUR + 2 * DAY


def test_marks_that_the_range_does_not_touch_are_given_up() -> None:
    marks = Marks(at("2026-01-10"), at("2026-01-12"))
    for start, end in (("2026-02-01", "2026-02-03"), ("2025-02-01", "2025-02-03")):
        planned = plan(
            grid(),
            marks,
            start=at(start),
            end=at(end),
            lookback=timedelta(days=3),
            order="oldest_first",
        )
        assert planned.marks is None
        assert list(planned.windows(lambda: 30 * DAY)) == [Window(at(start), at(end))]


def test_the_lookback_never_goes_below_the_start() -> None:
    planned = plan(
        grid(),
        Marks(at("2026-01-10"), at("2026-01-12")),
        start=at("2026-01-11T20:00Z"),
        end=at("2026-01-12T01:00Z"),
        lookback=timedelta(days=3),
        order="newest_first",
    )
    assert [w.start for w in planned.windows(lambda: 2 * DAY)] == [at("2026-01-11T20:00Z")]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2026-01-31", "2026-01-31T00:00:00.000Z"),
        ("2026-01-31T10:00:00Z", "2026-01-31T10:00:00.000Z"),
        ("2026-01-31T10:00:00+05:30", "2026-01-31T04:30:00.000Z"),
        ("2026-01-31 10:00:00", "2026-01-31T10:00:00.000Z"),
        (" 2026-01-31t10:00z ", "2026-01-31T10:00:00.000Z"),
        ("2026-01-31T10", "2026-01-31T10:00:00.000Z"),
        ("2026-01-31T10:00:00.5Z", "2026-01-31T10:00:00.500Z"),
        ("2026-01-31T10:00:00.123456789-0230", "2026-01-31T12:30:00.123Z"),
        ("2026-01-31T10:00:00+05", "2026-01-31T05:00:00.000Z"),
        ("0001-01-01T00:00:00Z", "0001-01-01T00:00:00.000Z"),
    ],
)
def test_dates_are_read(text: str, expected: str) -> None:
    assert to_text(from_text(text)) == expected


@pytest.mark.parametrize(
    "text",
    [
        *("", "31.01.2026", "2026-1-3", "2026-02-30", "20260131", "2026-W05-6", "2026-031"),
        *("2026-01-31T24:00:00Z", "2026-01-31T10:00:00,5Z", "2026-01-31_10:00", "2026-01-31T"),
        *("2026-01-31T10:00:00+25:00", "2026-01-31Z", "\u0662026-01-31", "2026-01-31T100000Z"),
    ],
)
def test_what_some_versions_of_python_take_for_a_date_is_none(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        from_text(text)


@given(st.integers(0, 4 * 10**12))
def test_milliseconds_survive(ms: int) -> None:
    assert to_ms(from_ms(ms)) == ms
    assert to_ms(from_text(to_text(from_ms(ms)))) == ms


def test_three_months_before_a_long_month() -> None:
    assert months_before(at("2026-05-31"), 3) == at("2026-02-28")
    assert months_before(at("2026-01-15"), 3) == at("2025-10-15")
