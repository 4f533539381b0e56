"""Lists that Pendo gives whole: read anew each run; what is gone is marked as deleted."""

from __future__ import annotations

import typing as t

from tap_pendo import aggregation, grouping
from tap_pendo.errors import RefusedError, StreamError
from tap_pendo.planning import Planned
from tap_pendo.prefetch import in_order
from tap_pendo.streams.base import ROW_ID, Record, WholeStream, object_schema

if t.TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from singer_sdk.tap_base import Tap

    from tap_pendo.aggregation import Body
    from tap_pendo.deriving import Raw
    from tap_pendo.objects import Definitions, EachOf
    from tap_pendo.planning import Counting
    from tap_pendo.run import Run
    from tap_pendo.streams.derived import Follower

_NOT_FOUND = 404


class ListStream(WholeStream):
    """One list. Records carry a version, which is activated after a complete read."""

    def __init__(
        self, tap: Tap, run: Run, row: Definitions | EachOf, followers: Sequence[Follower] = ()
    ) -> None:
        self.row = row
        properties = row.shape.properties()
        if not row.keys:
            properties = {"row_id": ROW_ID, **properties}
        super().__init__(tap, run, row, object_schema(properties))
        self.primary_keys = row.keys or ("row_id",)
        self._followers = followers
        self._whole = self._partly = False

    def read(self) -> Iterator[list[Record]]:
        """Yield the list's rows, those of the chosen apps only where rows have apps."""
        self._stream_version = self._tap.initialized_at
        for follower in self._followers:
            follower.begin(self._stream_version, {}, self.traffic)
        empty = True
        for block in self.fetched(self.rows):
            empty = empty and not block
            rows, records = [], []
            for raw in block:
                record = self.record(raw)
                if record is not None and self.wanted(record):
                    rows.append(raw)
                    records.append(record)
            for follower in self._followers:
                follower.take(rows)
            yield records
        self.tell_keyless()
        if empty:
            self.logger.warning("%s: Pendo sent an empty list; nothing is marked", self.name)
        # with app_ids the others are not gone, only not read; an empty list may be a fault
        self._whole = not (self.some_apps or self.dry_run or empty or self._partly)
        self._activates = self._whole
        self._ended = True
        self.read_complete()

    def planned(self, counting: Counting) -> Planned:
        """One call; what comes from an aggregation is counted, unless only some apps are wanted."""
        row = t.cast("Definitions", self.row)
        if row.path or self.some_apps:
            return Planned(calls=1)
        question = aggregation.whole(t.cast("str", row.source), row.params)
        rows = counting.rows(aggregation.count_of(question))
        if rows is not None or row.otherwise is None:
            return Planned(calls=1, rows=rows)
        return Planned(calls=2, rows=counting.rows(aggregation.count_of(row.otherwise)))

    def settle(self) -> None:
        """Activate the versions of a complete read, once."""
        super().settle()
        if self._ended:
            self._ended = False
            for follower in self._followers:
                follower.complete(whole=self._whole)

    _ended = False

    @property
    def some_apps(self) -> bool:
        """Whether rows are left out by `app_ids`."""
        return bool(getattr(self.row, "apps", ()) and self.run.settings.app_ids)

    def wanted(self, record: Record) -> bool:
        """Whether a record is of a chosen app."""
        if not self.some_apps:
            return True
        found: set[t.Any] = set()
        for name in self.row.apps:  # type: ignore[union-attr]
            value = record.get(name)
            found.update(value if isinstance(value, list) else (value,))
        return not found.isdisjoint(self.run.settings.app_ids)

    def record(self, raw: Raw) -> Record | None:
        """Convert a row; None, with a warning, for one without its key."""
        record = self.row.shape.record(raw)
        if not self.row.keys:
            record["row_id"] = grouping.row_id(self.name, [raw])
            return record
        return self.keyed(record)

    def rows(self) -> Iterator[list[Raw]]:
        """Read the list from Pendo."""
        row = t.cast("Definitions", self.row)
        if row.path:
            yield self.got(row.path, row.params)
            return
        try:
            yield from self.answered(aggregation.whole(t.cast("str", row.source), row.params))
        except RefusedError as refusal:
            if row.otherwise is None:
                raise
            self._partly = not row.otherwise_whole
            self.logger.warning(
                "%s: read in another way, since Pendo refuses: %s", self.name, refusal
            )
            yield from self.answered(row.otherwise)

    def got(
        self,
        path: str,
        params: dict[str, str] | None = None,
        ids: dict[str, str] | None = None,
    ) -> list[Raw]:
        """GET a list; raise StreamError if the answer is of another form."""
        row = self.row
        try:
            answer = self.run.client.get(path, params, self.traffic, ids)
        except RefusedError as error:
            if getattr(row, "absent", False) and error.status == _NOT_FOUND:
                return []
            raise
        found = row.rows(answer)
        if found is None:
            raise StreamError(f"{row.path}: the answer is not a list of objects")
        return found


class EachOfStream(ListStream):
    """A list that Pendo gives for each item of another list: a call for each item."""

    def __init__(self, tap: Tap, run: Run, row: EachOf, parent: Definitions) -> None:
        super().__init__(tap, run, row)
        self._parent = parent
        self._answers = 0
        self._gone: RefusedError | None = None

    def rows(self) -> Iterator[list[Raw]]:
        """Read each item's rows, `concurrency` at a time, and add the item's ids to them."""
        row = t.cast("EachOf", self.row)
        path = t.cast("str", self._parent.path)
        answer = self.run.client.get(path, self._parent.params, self.traffic)
        parents = self._parent.rows(answer)
        if parents is None:
            raise StreamError(f"{path}: the answer is not a list of objects")
        items = (ids for raw in parents for ids in row.items(raw))
        reads = in_order(items, self._of, width=self.run.settings.concurrency, stop=self.run.stop)
        for _, blocks in reads:
            yield from blocks
        if self._gone and not self._answers:
            raise self._gone

    def planned(self, counting: Counting) -> Planned:
        """The parent's call, and one for each item, if Pendo can count these."""
        row = t.cast("EachOf", self.row)
        items = counting.rows(aggregation.count_of(row.counted)) if row.counted else None
        at_once = self.run.settings.concurrency
        return Planned(calls=None if items is None else 1 + items, at_once=at_once)

    def _of(self, ids: dict[str, str]) -> Iterator[list[Raw]]:
        """Read an item's rows: none of one that is gone meanwhile, unless all seem to be."""
        try:
            for block in self._asked(ids):
                yield [{**raw, **ids} for raw in block]
        except RefusedError as error:
            if error.status != _NOT_FOUND:
                raise
            self._gone = error
        else:
            self._answers += 1

    def _asked(self, ids: dict[str, str]) -> Iterator[list[Raw]]:
        row = t.cast("EachOf", self.row)
        if row.path:
            return iter([self.got(row.path, ids=ids)])
        make = t.cast("t.Callable[[dict[str, str], bool], Body]", row.body)
        return self.answered(make(ids, not self.run.settings.include_anonymous_visitors))
