"""What a run would read, before it does: windows, calls, rows and time, found by counting only."""

from __future__ import annotations

import dataclasses
import typing as t
from collections import deque
from datetime import timedelta
from itertools import islice
from statistics import fmean

from tap_pendo.errors import StreamError, ThrottledError, UnavailableError
from tap_pendo.prefetch import in_order
from tap_pendo.windows import DAY, Window

if t.TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from datetime import datetime

    from tap_pendo.aggregation import Body
    from tap_pendo.run import Run
    from tap_pendo.windows import Grid, Length, Period, Plan

# Measured on 2 cores, 2026-11: event rows into target-postgres as meltano.yml sets it, with COPY
# and without its validation: 7,600 to 8,200 a second. The tap alone is much faster.
ROWS_PER_SECOND = 8000
_LONGEST_COUNTED = 30 * DAY
_FEW_TRIES = 2


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
            return self.ask(body, _FEW_TRIES)
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
        counts = in_order(
            grid.windows(window, lambda: _LONGEST_COUNTED),
            lambda stretch: iter([list(self._halved(grid, stretch, body))]),
            width=self.run.settings.concurrency,
            stop=self.run.stop,
        )
        try:
            return [each for _, found in counts for some in found for each in some]
        except StreamError as error:
            self.problem = str(error)
            return None

    def _halved(
        self, grid: Grid, window: Window, body: Callable[[Window], Body]
    ) -> Iterator[tuple[Window, int]]:
        """Count a stretch; what Pendo does not answer for, in halves, down to a day."""
        middle = grid.middle(window) if window.end - window.start > DAY else None
        try:
            count = self.ask(body(window), 1 if middle else _FEW_TRIES)
        except UnavailableError as error:
            if middle is None or isinstance(error, ThrottledError):
                raise
        else:
            yield window, count
            return
        yield from self._halved(grid, Window(window.start, middle), body)
        yield from self._halved(grid, Window(middle, window.end), body)


Spread = t.Optional["list[tuple[Window, int]]"]


def pages(rows: int, page_size: int) -> int:
    """Requests for rows that are read by pages: before the second page the rows are counted."""
    return 1 if rows < page_size else rows // page_size + 2


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
    ahead: deque[tuple[Window, timedelta]] = deque(islice(cut, width))
    while ahead:
        window, asked = ahead.popleft()
        rows = sum(_share(window, stretch) * count for stretch, count in stretches)
        windows.append(window)
        calls += pages(int(rows), page_size)
        if known:
            few = page_size / 8 * ((window.end - window.start) / asked)
            length.learn(asked, small=rows < few, large=rows >= page_size)
        ahead.extend(islice(cut, width - len(ahead)))
    return ranges, windows, calls


def _share(window: Window, stretch: Window) -> float:
    """Part of a stretch that lies in a window."""
    common = min(window.end, stretch.end) - max(window.start, stretch.start)
    return max(common, timedelta()) / (stretch.end - stretch.start)


class Plannable(t.Protocol):
    """A stream, as far as it is planned."""

    name: str

    def planned(self, counting: Counting) -> Planned:
        """Say what a run would read."""


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


def run_plan(run: Run, streams: Iterable[Plannable]) -> RunPlan:
    """Plan streams; one that cannot be planned says why, and the others go on.

    Raises:
        TapError: the key is refused.
    """
    found = [(stream.name, *_planned(run, stream)) for stream in streams]
    seconds = [each for _, _, counting in found for each in counting.seconds]
    entries = [
        Entry(name, planned, counting.problem, _minutes(run, planned, counting.seconds or seconds))
        for name, planned, counting in found
    ]
    return RunPlan(run.now(), entries)


def _planned(run: Run, stream: Plannable) -> tuple[Planned, Counting]:
    counting = Counting(run)
    try:
        return stream.planned(counting), counting
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
