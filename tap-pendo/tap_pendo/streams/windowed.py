"""Streams that are read by windows: ahead and in order, with marks that move with each window.

`sync_windows` is the log of complete reads: it separates current event rows from superseded ones.
"""

from __future__ import annotations

import abc
import copy
import typing as t
from datetime import timedelta

from tap_pendo.api.concurrency import in_order
from tap_pendo.calendar import EPOCH, HOUR, Length, Marks, Plan, from_text, plan, to_text
from tap_pendo.errors import MapError, StreamError
from tap_pendo.reading.plan import Planned, Windows, windowed
from tap_pendo.records.fields import INTEGER, STRING, TIME
from tap_pendo.streams.base_stream import PendoStream

if t.TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from datetime import datetime

    from singer_sdk.tap_base import Tap

    from tap_pendo import AnyRecord, Record
    from tap_pendo.calendar import Grid, Window
    from tap_pendo.catalog.stream_specs import StreamSpec, SyncWindowsSpec
    from tap_pendo.config.run_context import Run
    from tap_pendo.reading.plan import Counting, Spread
    from tap_pendo.reading.window_reader import WindowRead

EVERY_APP = "*"

_PROPERTIES = {
    "stream": {**STRING.schema, "description": "Name of the event stream."},
    "window_start": {**TIME.schema, "description": "Start of the window in UTC."},
    "window_end": {**TIME.schema, "description": "End of the window in UTC, exclusive."},
    "app_ids": {**STRING.schema, "description": "Apps that were read, by comma; * is every app."},
    "read_at": {**TIME.schema, "description": "Start of the read; its rows carry the same."},
    "row_count": {**INTEGER.schema, "description": "Rows that the read gave."},
    "num_events": {**INTEGER.schema, "description": "Events that these rows count."},
    "calls": {**INTEGER.schema, "description": "Requests that it took."},
}


def app_ids_text(app_ids: Sequence[int]) -> str:
    """Write the setting as one text: the ids by comma, or * for every app."""
    return ",".join(str(app_id) for app_id in app_ids) or EVERY_APP


class SyncWindowsStream(PendoStream):
    """Its SCHEMA comes first; its rows come from the event streams, behind each window's rows."""

    def __init__(self, tap: Tap, run: Run, row: SyncWindowsSpec) -> None:
        super().__init__(tap, run, row, _PROPERTIES)
        self.primary_keys = ("stream", "window_start", "window_end", "app_ids")
        self.replication_key = "read_at"

    def read(self) -> Iterator[list[Record]]:
        """Yield nothing: no window has been read yet."""
        return iter(())

    def planned(self, counting: Counting) -> Planned:
        """No calls."""
        del counting
        return Planned(calls=0)

    def report(self) -> None:
        """Say nothing until the event streams have been read."""

    def ended(self) -> None:
        """Say in one line of the log how many windows there were."""
        if self.selected:
            super().report()

    def log_read(self, stream: str, read: WindowRead, app_ids: str) -> None:
        """Write the row of a complete read.

        Raises:
            StreamError: it cannot be written: the marks of the stream must not move over it.
        """
        if not self.selected:
            return
        self.progress.windows += 1
        record: Record = {
            "stream": stream,
            "window_start": to_text(read.window.start),
            "window_end": to_text(read.window.end),
            "app_ids": app_ids,
            "read_at": to_text(read.read_at),
            "row_count": read.counts.records,
            "num_events": read.counts.num_events,
            "calls": read.traffic.calls,
        }
        try:
            self.write([record])
        except MapError as error:
            if self.name not in self.run.failed:
                self.run.fail(self.name, str(error))
            raise StreamError(f"the row of its window in {self.name} cannot be written") from None


WINDOW_READ_AT = {**TIME.schema, "description": "Start of the read of the row's window."}


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
        row: StreamSpec,
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
        self._finished: list[WindowRead] = []
        self._window: Window | None = None
        self._read_at = EPOCH
        self._read_time = timedelta()

    @abc.abstractmethod
    def reader(self, window: Window, asked: timedelta) -> WindowRead:
        """Begin to read a window; `asked` is the length that was tried."""

    def conditions(self) -> Record:
        """What else the bookmarks depend on, kept in the state beside them."""
        return {}

    def outdated(self, state: Record) -> str | None:
        """Say why what the state covers was read in another way, if it was."""
        del state
        return None

    def given(self, read: WindowRead, batch: Sequence[AnyRecord]) -> None:
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
        with ahead as reads:
            for read, batches in reads:
                self._window = read.window
                for batch in batches:
                    yield batch
                    self.given(read, batch)
                    self._tell()
                    self.run.exit_if_stopped()
                self.run.exit_if_stopped()
                self._close(read)
        self.run.exit_if_stopped()

    def _reads(self) -> Iterator[WindowRead]:
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
        require_marks(self.name, self.stream_state)
        self._today = now.date().isoformat()
        self._read_at = self._mark("read_at") or EPOCH
        self.run.read_until(self._read_at)
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
        """Marks of the state, on this period's buckets; none if all must be read again."""
        covered_from, covered_to = self._mark("covered_from"), self._mark("covered_to")
        if not covered_from or not covered_to or self.replication_method == "FULL_TABLE":
            return None
        if self.stream_state.get("period", self._bucket) != self._bucket:
            raise StreamError(
                f"setting `{self.bucket_setting}` (for days also `timezone`) is not that of the "
                "state: rows of both would count twice; set it to that of the state, or use "
                "another schema with a state of its own"
            )
        outdated = self.outdated(self.stream_state)
        if covered_to > now + HOUR:
            # nobody knows when it was read, only that it was not over then
            outdated = "by this clock the state covers the future"
        if outdated:
            self.logger.warning("%s: %s; all is read again", self.name, outdated)
            return None
        marks = Marks(self._grid.ceil(covered_from), self._grid.floor(covered_to))
        return marks if marks.covered_from < marks.covered_to else None

    def _mark(self, name: str) -> datetime | None:
        text = self.stream_state.get(name)
        return None if text is None else from_text(text)

    def _close(self, read: WindowRead) -> None:
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
        self.progress.windows += 1
        self.progress.counts.add(read.counts)
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


def require_marks(stream: str, marks: Mapping[str, t.Any]) -> None:
    """Stop a stream whose marks were edited, or are not ours: they say nothing that can be used.

    Raises:
        StreamError: what a mark must be; its value is not shown.
    """
    for name, (is_right, must_be) in _FORMS.items():
        value = marks.get(name)
        if value is not None and not is_right(value):
            raise StreamError(f"state: `{name}` of {stream} must be {must_be}")


def _is_date(value: t.Any) -> bool:
    try:
        from_text(value)
    except (TypeError, ValueError, AttributeError, OverflowError):
        return False
    return True


def _is_text(value: t.Any) -> bool:
    return isinstance(value, str)


_A_DATE = (_is_date, "a date, such as 2026-01-31T00:00:00Z")
_A_TEXT = (_is_text, "a text")
_FORMS: dict[str, tuple[Callable[[t.Any], bool], str]] = {
    "covered_from": _A_DATE,
    "covered_to": _A_DATE,
    "start": _A_DATE,
    "read_at": _A_DATE,
    "replication_key_value": _A_DATE,
    "period": _A_TEXT,
    "app_ids": _A_TEXT,
    "streams": (
        lambda value: isinstance(value, list) and all(map(_is_text, value)),
        "a list of texts",
    ),
    "begun": (lambda value: isinstance(value, dict), "an object with a place for each day"),
}
