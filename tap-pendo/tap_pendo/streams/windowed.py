"""Streams that are read by windows: ahead and in order, with marks that move with each window."""

from __future__ import annotations

import abc
import copy
import typing as t
from datetime import timedelta

from tap_pendo.errors import StreamError
from tap_pendo.planning import Planned, Windows, windowed
from tap_pendo.prefetch import in_order
from tap_pendo.shapes import TIME
from tap_pendo.streams.base import AnyRecord, PendoStream, Record
from tap_pendo.traffic import Traffic
from tap_pendo.windows import EPOCH, HOUR, Length, Marks, Plan, from_text, plan, to_text

if t.TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from datetime import datetime

    from singer_sdk.tap_base import Tap

    from tap_pendo.objects import Kind
    from tap_pendo.planning import Counting, Spread
    from tap_pendo.run import Run
    from tap_pendo.streams.sync_windows import SyncWindowsStream
    from tap_pendo.windows import Grid, Window

WINDOW_READ_AT = {**TIME.schema, "description": "Start of the read of the row's window."}


class Counts(t.Protocol):
    """What a read gave, as `rows.WindowRows` counts it."""

    rows: int
    num_events: int
    merged: int
    outside: int
    timeless: int


class Read(t.Protocol):
    """One read of a window; its counts are final when `batches` has ended."""

    window: Window
    asked: timedelta
    read_at: datetime
    traffic: Traffic

    @property
    def rows(self) -> Counts:
        """What it gave."""

    @property
    def small(self) -> bool:
        """Whether the next window may be longer."""

    @property
    def large(self) -> bool:
        """Whether the next window had better be shorter."""

    def batches(self) -> Iterator[Sequence[AnyRecord]]:
        """Yield the window's records."""


class PlainCounts:
    """Counts of a read whose rows are not merged: one event each, or none."""

    def __init__(self) -> None:
        self.rows = self.num_events = self.merged = self.outside = self.timeless = 0


class PlainRead:
    """A read of a window whose length is given: neither longer nor shorter ones are tried."""

    small = large = False

    def __init__(self, run: Run, window: Window, traffic: Traffic) -> None:
        self.run, self.window = run, window
        self.asked = window.end - window.start
        self.read_at = run.stamp()
        self.traffic = Traffic(traffic)
        self.rows = PlainCounts()


class WindowedStream(PendoStream):
    """A stream that is read by windows of whole buckets.

    State: `covered_from` and `covered_to`, between which all is read; `read_at`, when the latest
    of that was; `start`, the history depth of the first run; `period`, the bucket; `lookback_day`,
    the last UTC day on which the long look-back was read; and the `conditions` under which all that
    was read.
    """

    app_ids = "*"
    """Apps whose events are read, as text."""
    bucket_setting = "period"
    """The setting that says how long a bucket is."""

    def __init__(  # noqa: PLR0913 - what it is, and how its time is cut
        self,
        tap: Tap,
        run: Run,
        row: Kind,
        schema: Record | None,
        *,
        sync_windows: SyncWindowsStream,
        grid: Grid,
        longest: timedelta,
    ) -> None:
        super().__init__(tap, run, row, schema)
        self._sync_windows, self._grid = sync_windows, grid
        self._bucket = grid.period if grid.period == "hour" else f"day in {grid.zone.key}"
        self._length = Length(grid.period, longest)
        self._marks: Marks | None = None
        self._finished: list[Read] = []
        self._window: Window | None = None
        self._read_at = EPOCH
        self._read_time = timedelta()

    @abc.abstractmethod
    def reader(self, window: Window, asked: timedelta) -> Read:
        """Begin to read a window; `asked` is the length that was tried."""

    def conditions(self) -> Record:
        """What else the marks hold good for, to be kept with them."""
        return {}

    def outdated(self, state: Record) -> str | None:
        """Say why what the state covers was read in another way, if it was."""
        del state
        return None

    def given(self, read: Read, batch: Sequence[AnyRecord]) -> None:
        """Take note of records of a window that are out."""

    @property
    def width(self) -> int:
        """Windows that are read at once."""
        return self.run.settings.concurrency

    def earliest(self, now: datetime) -> datetime:
        """Start of the history."""
        settings = self.run.settings
        if settings.start_date:
            return self._grid.ceil(settings.start_date)
        return self._grid.floor(self._mark("start") or settings.default_start(now))

    def read(self) -> Iterator[Sequence[AnyRecord]]:
        """Yield the rows of each window in turn; when one is whole, move the marks."""
        self._start, self._plan = self._decided(self.run.now())
        self._marks = self._plan.marks
        ahead = in_order(
            self._reads(),
            lambda read: read.batches(),
            width=self.width,
            stop=self.run.stop,
            idle=self._tell,
        )
        for read, batches in ahead:
            self._window = read.window
            for batch in batches:
                yield batch
                self.given(read, batch)
                self._tell()
                self.run.look()
            self.run.look()
            self._close(read)
        self.run.look()

    def _reads(self) -> Iterator[Read]:
        """Cut windows as they are asked for: those before them say how long they should be."""
        length = self._length
        for window in self._plan.windows(lambda: length.now):
            yield self.reader(window, length.now)

    def _tell(self) -> None:
        self.progress.tell(self._window, self._read_time, self._plan.time)

    def planned(self, counting: Counting) -> Planned:
        """The windows of a run; their rows, where Pendo counts them."""
        _, decided = self._decided(self.run.now())
        ranges, windows, calls = windowed(
            decided,
            copy.copy(self._length),
            self.counted(decided.forward, counting),
            self.counted(decided.backfill, counting),
            width=self.width,
            page_size=self.run.settings.page_size,
        )
        rows = [each.rows for each in ranges]
        return Planned(
            calls=calls,
            at_once=self.width,
            rows=None if None in rows else sum(n for n in rows if n),
            time=Windows(self._grid.period, self.planned_apps, ranges, windows),
        )

    def counted(self, window: Window, counting: Counting) -> Spread:
        """Count the rows of a range, if Pendo can."""
        del window, counting
        return None

    @property
    def planned_apps(self) -> Sequence[int]:
        """Apps whose events are read; none are all."""
        return ()

    def _decided(self, now: datetime) -> tuple[datetime, Plan]:
        """Decide from settings and state what this run reads."""
        self._today = now.date().isoformat()
        self._read_at = self._mark("read_at") or EPOCH
        self.run.read_before = max(self.run.read_before, self._read_at)
        settings, grid = self.run.settings, self._grid
        start, end = self.earliest(now), grid.closed(now)
        if start > now:
            self.logger.warning("%s: `start_date` is in the future; nothing is read", self.name)
        if settings.end_date and settings.end_date < end:
            end = min(end, grid.ceil(settings.end_date))
        first_today = self.stream_state.get("lookback_day") != self._today
        lookback = settings.lookback_days if first_today else settings.lookback_hours
        return start, plan(
            grid,
            self._known_marks(now),
            start=start,
            end=end,
            lookback=lookback,
            order=settings.backfill_order,
        )

    def _known_marks(self, now: datetime) -> Marks | None:
        """Marks of the state, on this period's buckets; none if all is to be read anew."""
        covered_from, covered_to = self._mark("covered_from"), self._mark("covered_to")
        if not covered_from or not covered_to or self.replication_method == "FULL_TABLE":
            return None
        if self.stream_state.get("period", self._bucket) != self._bucket:
            raise StreamError(
                f"setting `{self.bucket_setting}` (for days also `timezone`) is not that of the "
                "state: rows of both would count twice; allowed is that of the state, or another "
                "schema with a state of its own"
            )
        outdated = self.outdated(self.stream_state)
        if covered_to > now + HOUR:
            # nobody knows when it was read, only that it was not over then
            outdated = "by this clock the state covers time that is yet to come"
        if outdated:
            self.logger.warning("%s: %s; all is read anew", self.name, outdated)
            return None
        marks = Marks(self._grid.ceil(covered_from), self._grid.floor(covered_to))
        return marks if marks.covered_from < marks.covered_to else None

    def _mark(self, name: str) -> datetime | None:
        text = self.stream_state.get(name)
        if text is None:
            return None
        try:
            return from_text(text)
        except (TypeError, ValueError, AttributeError):
            raise StreamError(f"state: `{name}` of {self.name} is not a date") from None

    def _close(self, read: Read) -> None:
        """Move the marks over a window that was read whole."""
        before, window = self._marks, read.window
        self._read_at = max(self._read_at, read.read_at)
        self._marks = before.with_window(window) if before else Marks(window.start, window.end)
        self.mark(
            start=to_text(self._start),
            covered_from=to_text(self._marks.covered_from),
            covered_to=to_text(self._marks.covered_to),
            read_at=to_text(self._read_at),
            period=self._bucket,
            **self.conditions(),
        )
        # the look-back is read once the forward part reaches what was covered before
        if self._plan.marks is None or window.end >= self._plan.marks.covered_to:
            self.mark(lookback_day=self._today)
        self._read_time += window.end - window.start
        self._length.learn(read.asked, small=read.small, large=read.large)
        progress, rows = self.progress, read.rows
        progress.windows += 1
        progress.merged += rows.merged
        progress.outside += rows.outside
        progress.timeless += rows.timeless
        self._finished.append(read)
        self.read_complete()

    def settle(self) -> None:
        """Log the finished windows behind their rows, then STATE."""
        for read in self._finished:
            self._sync_windows.log_read(self.name, read, self.app_ids)
        self._finished.clear()
        super().settle()

    def report(self) -> None:
        """Say what was read, and up to where all is."""
        marks = self._marks
        if marks:
            age = self.run.now() - marks.covered_to
            self.progress.freshness = age.total_seconds()
            self.progress.covered = (
                f"all is read from {to_text(marks.covered_from)} to {to_text(marks.covered_to)}"
            )
        else:
            self.progress.covered = "nothing is read yet"
        super().report()
