"""Event streams: windows read ahead and in order, marks that move with each finished window."""

from __future__ import annotations

import typing as t
from collections import Counter

from tap_pendo.errors import StreamError
from tap_pendo.prefetch import in_order
from tap_pendo.reading import WindowRead
from tap_pendo.shapes import TIME
from tap_pendo.streams.base import PendoStream, Record, object_schema
from tap_pendo.streams.sync_windows import SyncWindowsStream, app_ids_text
from tap_pendo.windows import Marks, Plan, from_text, plan, to_text

if t.TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime

    from singer_sdk.tap_base import Tap

    from tap_pendo.objects import Events
    from tap_pendo.run import Run

_STAMPS = {
    "row_id": {"type": "string", "description": "Identity of the row, the same at every read."},
    "read_at": {**TIME.schema, "description": "Start of the read of the row's window."},
}


class EventStream(PendoStream):
    """One event source.

    State: `covered_from` and `covered_to`, between which all is read; `start`, the history depth
    of the first run; `app_ids`, whose events are read; `period`, their bucket; `lookback_day`,
    the last UTC day on which the long look-back was read.
    """

    def __init__(self, tap: Tap, run: Run, row: Events, sync_windows: SyncWindowsStream) -> None:
        self.row = row
        self._period = "hour" if row.time else run.settings.period
        zone = run.settings.zone.key
        self._bucket = self._period if self._period == "hour" else f"day in {zone}"
        clock = row.clock(self._period)
        schema = object_schema({**_STAMPS, **row.record_shape.properties()})
        super().__init__(tap, run, row, schema)
        self.primary_keys = ("row_id",)
        self.replication_key = clock.name
        self._sync_windows = sync_windows
        self._marks: Marks | None = None
        self._finished: list[WindowRead] = []
        self._tally: Counter[str] = Counter()
        self._in_order = True

    def read(self) -> Iterator[Record]:
        """Yield the rows of each window in turn; when one is whole, move the marks."""
        settings = self.run.settings
        now = self.run.now()
        self._today = now.date().isoformat()
        self._start, self._plan = self._planned(now)
        self._marks = self._plan.marks
        windows = self._plan.forward + self._plan.backfill
        reads = (
            WindowRead(self.run.client, self.row, settings, window, self.run.now)
            for window in windows
        )
        ahead = in_order(
            reads,
            lambda read: read.batches(in_order=self._in_order),
            width=settings.concurrency,
            stop=self.run.stop,
        )
        for read, batches in ahead:
            for batch in batches:
                yield from batch
                self.run.look()
            self.run.look()
            self._close(read)
        self.run.look()
        self._report()

    def _planned(self, now: datetime) -> tuple[datetime, Plan]:
        """Decide from settings and state what this run reads."""
        settings = self.run.settings
        grid = settings.grid(self._period)
        state = self.stream_state
        if settings.start_date:
            start = grid.ceil(settings.start_date)
        else:
            start = grid.floor(self._mark("start") or settings.default_start(now))
        end = grid.closed(now)
        if start > now:
            self.logger.warning("%s: `start_date` is in the future; nothing is read", self.name)
        if settings.end_date and settings.end_date < end:
            end = min(end, grid.ceil(settings.end_date))
        first_today = state.get("lookback_day") != self._today
        lookback = settings.lookback_days if first_today else settings.lookback_hours
        return start, plan(
            grid,
            self._known_marks(),
            start=start,
            end=end,
            lookback=lookback,
            order=settings.backfill_order,
        )

    def _known_marks(self) -> Marks | None:
        """Marks of the state, on this period's buckets; none if they lack an app."""
        covered_from, covered_to = self._mark("covered_from"), self._mark("covered_to")
        if not covered_from or not covered_to or self.replication_method == "FULL_TABLE":
            return None
        if self.stream_state.get("period", self._bucket) != self._bucket:
            raise StreamError(
                "setting `period` (for days also `timezone`) is not that of the state: rows of "
                "both would count twice; allowed is that of the state, or another schema with a "
                "state of its own"
            )
        known = str(self.stream_state.get("app_ids", "*"))
        wanted = self.run.settings.app_ids
        if known != "*" and not (wanted and {str(i) for i in wanted} <= set(known.split(","))):
            self.logger.warning(
                "%s: `app_ids` now names apps that were not read before; all is read anew",
                self.name,
            )
            return None
        grid = self.run.settings.grid(self._period)
        marks = Marks(grid.ceil(covered_from), grid.floor(covered_to))
        return marks if marks.covered_from < marks.covered_to else None

    def _mark(self, name: str) -> datetime | None:
        text = self.stream_state.get(name)
        if text is None:
            return None
        try:
            return from_text(text)
        except (TypeError, ValueError, AttributeError):
            raise StreamError(f"state: `{name}` of {self.name} is not a date") from None

    def _close(self, read: WindowRead) -> None:
        """Move the marks over a window that was read whole."""
        before, window = self._marks, read.window
        self._marks = before.with_window(window) if before else Marks(window.start, window.end)
        self.mark(
            start=to_text(self._start),
            covered_from=to_text(self._marks.covered_from),
            covered_to=to_text(self._marks.covered_to),
            app_ids=app_ids_text(self.run.settings.app_ids),
            period=self._bucket,
        )
        # the look-back is read once the forward part reaches what was covered before
        if self._plan.marks is None or window.end >= self._plan.marks.covered_to:
            self.mark(lookback_day=self._today)
        self._tally.update(
            windows=1,
            rows=read.rows,
            calls=read.calls,
            merged=read.merged,
            outside=read.outside,
            refused=read.refused,
        )
        self._in_order = self._in_order and not read.unsorted
        self._finished.append(read)
        self.read_complete()

    def settle(self) -> None:
        """Log the finished windows behind their rows, then STATE."""
        for read in self._finished:
            self._sync_windows.log_read(self.name, read)
        self._finished.clear()
        super().settle()

    def _report(self) -> None:
        """Say in one line what was read."""
        told = ", ".join(f"{count:,} {name}" for name, count in self._tally.items() if count)
        marks = self._marks
        covered = (
            f"all is read from {to_text(marks.covered_from)} to {to_text(marks.covered_to)}"
            if marks
            else "nothing is read yet"
        )
        self.logger.info("%s: %s; %s", self.name, told or "no windows", covered)
