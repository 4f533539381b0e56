"""Lists that Pendo gives whole: read in full at each run; what is gone is marked as deleted."""

from __future__ import annotations

import typing as t
from functools import cached_property, partial
from itertools import chain

import requests

from tap_pendo.api import queries
from tap_pendo.api.concurrency import in_order
from tap_pendo.calendar import to_text
from tap_pendo.errors import RefusedError, StreamError
from tap_pendo.reading.plan import Planned
from tap_pendo.records import identity as row_identity
from tap_pendo.records.fields import EXTRA, OBJECT, STRING, Shape
from tap_pendo.records.inference import shape_from, shape_of
from tap_pendo.streams.base_stream import READ_AT, ROW_ID, WholeStream

if t.TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from singer_sdk.tap_base import Tap

    from tap_pendo import Record, Row
    from tap_pendo.api.queries import Body
    from tap_pendo.catalog.stream_specs import ListSpec, PerParentSpec, ReportResultsSpec
    from tap_pendo.config.run_context import Run
    from tap_pendo.reading.plan import Counting
    from tap_pendo.streams.children import Follower


class ListStream(WholeStream):
    """One list. Records carry a version, which is activated after a complete read."""

    def __init__(
        self, tap: Tap, run: Run, row: ListSpec | PerParentSpec, followers: Sequence[Follower] = ()
    ) -> None:
        self.row = row
        properties = row.shape.properties()
        if not row.keys:
            properties = {"row_id": ROW_ID, **properties}
        super().__init__(tap, run, row, properties)
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
        self.warn_of_keyless()
        if empty:
            self.logger.warning("%s: Pendo sent an empty list; nothing is marked", self.name)
        # with app_ids the others are not gone, only not read; an empty list may be a fault
        self._whole = not (self.some_apps or self.dry_run or empty or self._partly)
        self._activates = self._whole
        self._ended = True
        self.read_complete()

    def planned(self, counting: Counting) -> Planned:
        """One call; what comes from an aggregation is counted, unless only some apps are wanted."""
        row = t.cast("ListSpec", self.row)
        if row.path or self.some_apps:
            return Planned(calls=1)
        question = queries.whole(t.cast("str", row.source), row.params)
        rows = counting.rows(queries.count_of(question))
        if rows is not None or row.fallback is None:
            return Planned(calls=1, rows=rows)
        return Planned(calls=2, rows=counting.rows(queries.count_of(row.fallback)))

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

    def record(self, raw: Row) -> Record | None:
        """Convert a row; None, with a warning, for one without its key."""
        record = self.row.shape.record(raw)
        if not self.row.keys:
            record["row_id"] = row_identity.row_id(self.name, [raw])
            return record
        return self.keys.keyed(record)

    def rows(self) -> Iterator[list[Row]]:
        """Read the list from Pendo."""
        row = t.cast("ListSpec", self.row)
        if row.path:
            yield self.got(row.path, row.params)
            return
        try:
            yield from self.answered(queries.whole(t.cast("str", row.source), row.params))
        except RefusedError as refusal:
            if row.fallback is None:
                raise
            self._partly = not row.fallback_is_whole
            self.logger.warning(
                "%s: read in another way, since Pendo refuses: %s", self.name, refusal
            )
            yield from self.answered(row.fallback)

    def got(
        self,
        path: str,
        params: dict[str, str] | None = None,
        ids: dict[str, str] | None = None,
    ) -> list[Row]:
        """GET a list; raise StreamError if the answer is of another form."""
        row = self.row
        try:
            answer = self.run.client.get(path, params, self.traffic, ids)
        except RefusedError as error:
            if getattr(row, "absent", False) and error.status == requests.codes.not_found:
                return []
            raise
        found = row.rows(answer)
        if found is None:
            raise StreamError(f"{row.path}: the answer is not a list of objects")
        return found


class PerParentStream(ListStream):
    """A list that Pendo gives for each item of another list: a call for each item."""

    def __init__(self, tap: Tap, run: Run, row: PerParentSpec, parent: ListSpec) -> None:
        super().__init__(tap, run, row)
        self._parent = parent
        self._answers = 0
        self._gone: RefusedError | None = None

    def rows(self) -> Iterator[list[Row]]:
        """Read each item's rows, `concurrency` at a time, and add the item's ids to them."""
        row = t.cast("PerParentSpec", self.row)
        path = t.cast("str", self._parent.path)
        answer = self.run.client.get(path, self._parent.params, self.traffic)
        parents = self._parent.rows(answer)
        if parents is None:
            raise StreamError(f"{path}: the answer is not a list of objects")
        items = (ids for raw in parents for ids in row.items(raw))
        width, stop = self.run.settings.concurrency, self.run.stop
        with in_order(items, self._of, width=width, stop=stop) as reads:
            for _, blocks in reads:
                yield from blocks
        if self._gone and not self._answers:
            raise self._gone

    def planned(self, counting: Counting) -> Planned:
        """The parent's call, and one for each item, if Pendo can count these."""
        row = t.cast("PerParentSpec", self.row)
        items = counting.rows(queries.count_of(row.counted)) if row.counted else None
        at_once = self.run.settings.concurrency
        return Planned(calls=None if items is None else 1 + items, at_once=at_once)

    def _of(self, ids: dict[str, str]) -> Iterator[list[Row]]:
        """Read an item's rows: none of one that is gone meanwhile, unless all seem to be."""
        try:
            for block in self._asked(ids):
                yield [{**raw, **ids} for raw in block]
        except RefusedError as error:
            if error.status != requests.codes.not_found:
                raise
            self._gone = error
        else:
            self._answers += 1

    def _asked(self, ids: dict[str, str]) -> Iterator[list[Row]]:
        row = t.cast("PerParentSpec", self.row)
        if row.path:
            return iter([self.got(row.path, ids=ids)])
        make = t.cast("t.Callable[[dict[str, str], bool], Body]", row.body)
        return self.answered(make(ids, not self.run.settings.include_anonymous_visitors))


_PATH = "/api/v1/report/{id}/results.json"
_STAMPS = {
    "report_id": {**STRING.schema, "description": "Report."},
    "row_id": ROW_ID,
    "read_at": READ_AT,
}
_RESERVED = {*_STAMPS, EXTRA}


class ReportResultsStream(WholeStream):
    """Rows of some reports, read in full at each run."""

    def __init__(self, tap: Tap, run: Run, row: ReportResultsSpec) -> None:
        super().__init__(tap, run, row, None)
        self.primary_keys = ("report_id", "row_id")
        self._report_ids: Sequence[str] = run.settings.report_ids

    @property
    def schema(self) -> dict[str, t.Any]:
        """The stamps, and the columns."""
        if self._schema is None:
            self._schema = self.schema_of({**_STAMPS, **self.columns()})
        return self._schema

    def columns(self) -> dict[str, t.Any]:
        """One column that holds each row as it is: those of several reports differ."""
        return {"result": {**OBJECT.schema, "description": "The report's row."}}

    def record(self, row: Row) -> Record:
        """Put a row in its column."""
        return {"result": row}

    def read(self) -> Iterator[list[Record]]:
        """Yield the rows of each report; equal rows of one are numbered."""
        if not self._report_ids:
            self.logger.warning("%s: `report_ids` names no report; nothing is read", self.name)
        self._stream_version = self._tap.initialized_at
        read_at = to_text(self.run.stamp())
        for report_id in self._report_ids:
            seen: dict[str, int] = {}
            for rows in self.fetched(partial(self.rows, report_id)):
                records = []
                for row in rows:
                    identity = row_identity.row_id("report_results", [report_id, row])
                    ordinal = seen[identity] = seen.get(identity, -1) + 1
                    row_id = row_identity.numbered_id(identity, ordinal)
                    stamps = {"report_id": report_id, "row_id": row_id, "read_at": read_at}
                    records.append({**self.record(row), **stamps})
                yield records
        self._activates = bool(self._report_ids) and not self.dry_run
        self.read_complete()

    def planned(self, counting: Counting) -> Planned:
        """A call for each report."""
        del counting
        return Planned(calls=len(self._report_ids))

    def rows(self, report_id: str) -> Iterator[list[Row]]:
        """Read a report.

        Raises:
            StreamError: Pendo refuses; paths, funnels, retention and workflows have no results.
        """
        ids = {"id": report_id}
        return self.arrived(
            lambda: self.run.client.list_rows(_PATH, self.traffic, ids), self.traffic
        )


class OneReportStream(ReportResultsStream):
    """Rows of one report, with its columns.

    With a catalogue they are its columns, since a table cannot change their types, and the SDK
    drops others from records; what is new is kept in `extra`.
    """

    def __init__(self, tap: Tap, run: Run, row: ReportResultsSpec, report_id: str) -> None:
        super().__init__(tap, run, row)
        self._report_ids = (report_id,)

    @cached_property
    def _shape(self) -> Shape:
        """Columns of the catalogue, or what the report holds now: all of it is read, none is kept.

        Nothing if it cannot be read, which fails the stream later.
        """
        catalogue = self._tap.input_catalog
        entry = catalogue.get_stream(self.name) if catalogue else None
        if entry:
            return shape_from(entry.schema.to_dict().get("properties", {}), _RESERVED)
        try:
            blocks = self.rows(self._report_ids[0])
            return shape_of(chain.from_iterable(blocks), _RESERVED)
        except StreamError:
            return Shape()

    def columns(self) -> dict[str, t.Any]:
        """The report's columns."""
        return self._shape.properties()

    def record(self, row: Row) -> Record:
        """Convert a row."""
        return self._shape.record(row)
