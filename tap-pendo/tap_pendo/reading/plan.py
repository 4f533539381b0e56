"""What a run would read, before it does: windows, calls, rows and time, found by counting only."""

from __future__ import annotations

import dataclasses
import typing as t
from collections import deque
from datetime import timedelta
from itertools import islice
from statistics import fmean

from tap_pendo.api.client import FEW_TRIES
from tap_pendo.api.concurrency import in_order
from tap_pendo.calendar import DAY, Window, to_text
from tap_pendo.errors import StreamError
from tap_pendo.reading.paging import in_halves

if t.TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from datetime import datetime

    from tap_pendo.api.queries import Body
    from tap_pendo.calendar import Grid, Length, Period, Plan
    from tap_pendo.config.run_context import Run

# Measured on 2 cores, 2026-11: event rows into target-postgres as meltano.yml sets it, with COPY
# and without its validation: 7,600 to 8,200 a second. The tap alone is much faster.
ROWS_PER_SECOND = 8000
_LONGEST_COUNTED = 30 * DAY


Part = t.Literal["forward", "backfill"]


@dataclasses.dataclass(frozen=True)
class Range:
    """Time that is read, and the rows in it; None if they are not known."""

    part: Part
    window: Window
    rows: int | None


@dataclasses.dataclass(frozen=True)
class Windows:
    """How the time of a stream is cut; no `app_ids` are every app."""

    bucket: Period
    app_ids: Sequence[int]
    ranges: Sequence[Range]
    windows: Sequence[Window]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Planned:
    """What a run would read of one stream; None is what cannot be known without reading.

    calls    requests; `about` so many, or exactly if the rows do not change
    at_once  how many of them are in flight
    rows     Pendo's rows; fewer records may be made of them, since equal ones are merged
    time     of streams that are read by windows
    """

    calls: int | None
    about: bool = False
    at_once: int = 1
    rows: int | None = None
    time: Windows | None = None


class Counting:
    """Asks Pendo how many rows one stream has; notes how long that took, and what went wrong."""

    def __init__(self, run: Run) -> None:
        self.run = run
        self.seconds: list[float] = []
        self.problem: str | None = None

    def ask(self, body: Body, tries: int | None = None) -> int:
        """Ask one question."""
        began = self.run.clock()
        count = self.run.client.count(body, tries=tries)
        self.seconds.append(self.run.clock() - began)
        return count

    def rows(self, body: Body) -> int | None:
        """Ask one question; None, with the problem noted, if Pendo does not say."""
        self.problem = None
        try:
            return self.ask(body, FEW_TRIES)
        except StreamError as error:
            self.problem = str(error)
            return None

    def spread(
        self, grid: Grid, window: Window, body: Callable[[Window], Body]
    ) -> list[tuple[Window, int]] | None:
        """Count a range in stretches of 30 days at most; None, with the problem noted, if not all.

        Args:
            grid: the buckets, at whose bounds stretches end.
            window: the range.
            body: makes the question about a stretch.
        """

        def ask(stretch: Window, tries: int | None) -> int:
            return self.ask(body(stretch), tries or FEW_TRIES)

        counts = in_order(
            grid.windows(window, lambda: _LONGEST_COUNTED),
            lambda stretch: iter([[*in_halves(grid, stretch, ask, tries=1, shortest=DAY)]]),
            width=self.run.settings.concurrency,
            stop=self.run.stop,
        )
        try:
            with counts as found:
                return [each for _, answers in found for some in answers for each in some]
        except StreamError as error:
            self.problem = str(error)
            return None


Spread = t.Optional["list[tuple[Window, int]]"]


def pages(rows: int, page_size: int, *, foreseen: bool = False) -> int:
    """Requests for rows that are read by pages, each of which begins with the last row of another.

    If one does not hold them, they are counted before the first page. Unless that is `foreseen`,
    the first page is asked for before that too.
    """
    if rows < page_size:
        return 1 + foreseen
    return (rows - page_size) // max(page_size - 1, 1) + 3 + (not foreseen)


def windowed(  # noqa: PLR0913 - what decides how time is cut
    plan: Plan,
    length: Length,
    forward: Spread,
    backfill: Spread,
    *,
    width: int,
    page_size: int,
) -> tuple[list[Range], list[Window], int]:
    """Cut windows as a run would, which are longer the fewer rows they hold; sum up the calls.

    Args:
        plan: what is read.
        length: of the first window; it learns here.
        forward: rows of the stretches of the plan's forward part.
        backfill: rows of those of its back-fill.
        width: windows that are read at once, so that what one shows is learnt late.
        page_size: most rows in an answer.
    """
    parts: tuple[tuple[Part, Window, Spread], ...] = (
        ("forward", plan.forward, forward),
        ("backfill", plan.backfill, backfill),
    )
    ranges = [
        Range(part, window, None if spread is None else sum(rows for _, rows in spread))
        for part, window, spread in parts
        if window.start < window.end
    ]
    known = forward is not None and backfill is not None
    stretches = [*(forward or ()), *(backfill or ())]
    cut = ((window, length.now) for window in plan.windows(lambda: length.now))
    windows: list[Window] = []
    calls = 0
    filled: timedelta | None = None
    ahead: deque[tuple[Window, timedelta]] = deque(islice(cut, width))
    while ahead:
        window, asked = ahead.popleft()
        rows = sum(_share(window, stretch) * count for stretch, count in stretches)
        windows.append(window)
        span = window.end - window.start
        calls += pages(int(rows), page_size, foreseen=filled is not None and span >= filled)
        filled = span if rows >= page_size else None
        if known:
            few = page_size / 8 * ((window.end - window.start) / asked)
            length.learn(asked, small=rows < few, large=rows >= page_size)
        ahead.extend(islice(cut, width - len(ahead)))
    return ranges, windows, calls


def _share(window: Window, stretch: Window) -> float:
    """Part of a stretch that lies in a window."""
    common = min(window.end, stretch.end) - max(window.start, stretch.start)
    return max(common, timedelta()) / (stretch.end - stretch.start)


@dataclasses.dataclass(frozen=True)
class Entry:
    """One stream of the plan: `problem` is why something is not known."""

    stream: str
    planned: Planned
    problem: str | None
    minutes: float | None


@dataclasses.dataclass(frozen=True)
class RunPlan:
    """What a run would read now, stream by stream."""

    planned_at: datetime
    entries: Sequence[Entry]

    def total(self, numbers: Callable[[Entry], float | None]) -> float:
        """Sum of what is known."""
        return sum(numbers(entry) or 0 for entry in self.entries)


def run_plan(run: Run, streams: Iterable[tuple[str, Callable[[Counting], Planned]]]) -> RunPlan:
    """Plan streams, by name; one that cannot be planned says why, and does not stop the others.

    Raises:
        TapError: the key is refused.
    """
    found = [(name, *_planned(run, planned)) for name, planned in streams]
    seconds = [each for _, _, counting in found for each in counting.seconds]
    entries = [
        Entry(name, planned, counting.problem, _minutes(run, planned, counting.seconds or seconds))
        for name, planned, counting in found
    ]
    return RunPlan(run.now(), entries)


def _planned(run: Run, planned: Callable[[Counting], Planned]) -> tuple[Planned, Counting]:
    counting = Counting(run)
    try:
        return planned(counting), counting
    except StreamError as error:
        counting.problem = str(error)
        return Planned(calls=None), counting


def _minutes(run: Run, planned: Planned, seconds: list[float]) -> float | None:
    """Estimate the time of a stream; None if nothing says how long a call takes."""
    if planned.calls is None or (planned.calls and not seconds):
        return None
    rounds = -(-planned.calls // planned.at_once)
    asking = max(rounds * fmean(seconds or [0]), planned.calls / run.settings.max_calls_per_second)
    return (asking + (planned.rows or 0) / ROWS_PER_SECOND) / 60


ASSUMED = f"""\
Minutes are an estimate: calls take as long as the counts just did, `concurrency` at once where a
run reads ahead; {ROWS_PER_SECOND:,} rows a second are written, what target-postgres was seen to do.
Rows are those that Pendo counts now, spread evenly over their range to estimate windows and calls.
Windows are of a day at most where nothing was counted.
? is not known without reading, and is left out of sums.
Calls with which each run begins are left out: key, apps, metadata, columns of reports.
"""


def as_json(plan: RunPlan) -> dict[str, t.Any]:
    """Write the plan as one object; null is what is not known."""
    return {
        "planned_at": to_text(plan.planned_at),
        "streams": [_entry_json(entry) for entry in plan.entries],
        **_totals(plan),
        "assumed": " ".join(ASSUMED.split()),
    }


def _totals(plan: RunPlan) -> dict[str, t.Any]:
    return {
        "windows": plan.total(lambda e: len(e.planned.time.windows) if e.planned.time else 0),
        "calls": plan.total(lambda e: e.planned.calls),
        "rows": plan.total(lambda e: e.planned.rows),
        "expected_minutes": round(plan.total(lambda e: e.minutes), 2),
    }


def _entry_json(entry: Entry) -> dict[str, t.Any]:
    planned, time = entry.planned, entry.planned.time
    found: dict[str, t.Any] = {
        "stream": entry.stream,
        "calls": planned.calls,
        "calls_about": planned.about,
        "rows": planned.rows,
        "expected_minutes": None if entry.minutes is None else round(entry.minutes, 2),
        "problem": entry.problem,
    }
    if time:
        start, end = _bounds(time)
        found |= {
            "bucket": time.bucket,
            "app_ids": list(time.app_ids) or None,
            "start": start and to_text(start),
            "end": end and to_text(end),
            "ranges": [
                {"part": each.part, **_window_json(each.window), "rows": each.rows}
                for each in time.ranges
            ],
            "windows": [_window_json(window) for window in time.windows],
        }
    return found


def _window_json(window: Window) -> dict[str, str]:
    return {"start": to_text(window.start), "end": to_text(window.end)}


def _bounds(time: Windows) -> tuple[datetime | None, datetime | None]:
    """First and last moment of all ranges; what lies between two is read already."""
    if not time.ranges:
        return None, None
    windows = [each.window for each in time.ranges]
    return min(w.start for w in windows), max(w.end for w in windows)


_HEAD = ("stream", "from", "to", "windows", "calls", "rows", "minutes")
_TEXTS = 3  # columns that begin at the left


def as_text(plan: RunPlan) -> str:
    """Write the plan as a table for people, in UTC, then what went wrong and what was assumed."""
    totals = _totals(plan)
    table = [
        _HEAD,
        *map(_cells, plan.entries),
        (
            "total",
            "",
            "",
            *(f"{totals[name]:,}" for name in ("windows", "calls", "rows")),
            f"{totals['expected_minutes']:,.1f}",
        ),
    ]
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    lines = [_line(cells, widths) for cells in table]
    rule = _line(tuple("-" * width for width in widths), widths)
    problems = [f"{e.stream}: {e.problem}" for e in plan.entries if e.problem]
    said = ["", *problems] if problems else []
    return "\n".join([lines[0], rule, *lines[1:-1], rule, lines[-1], *said, "", ASSUMED.rstrip()])


def _cells(entry: Entry) -> tuple[str, ...]:
    planned, time = entry.planned, entry.planned.time
    bounds = _bounds(time) if time else (None, None)
    about = "~" if planned.about and planned.calls else ""
    return (
        entry.stream,
        *(f"{moment:%Y-%m-%d %H:%M}" if moment else "" for moment in bounds),
        f"{len(time.windows):,}" if time else "",
        about + _number(planned.calls),
        _number(planned.rows),
        "?" if entry.minutes is None else f"{entry.minutes:,.1f}",
    )


def _number(value: int | None) -> str:
    return "?" if value is None else f"{value:,}"


def _line(cells: Sequence[str], widths: Sequence[int]) -> str:
    placed = (
        cell.ljust(width) if at < _TEXTS else cell.rjust(width)
        for at, (cell, width) in enumerate(zip(cells, widths, strict=True))
    )
    return "  ".join(placed).rstrip()
