"""The user's own aggregations as streams: snapshots, and rows by hour or day."""

from __future__ import annotations

import contextlib
import typing as t
from functools import cached_property

import msgspec

from tap_pendo.calendar import DAY, HOUR, Window, from_ms, to_ms, to_text
from tap_pendo.config.custom_aggregations import READ_AT, START_TIME, WINDOW_START
from tap_pendo.errors import ForbiddenError, StreamError, UnavailableError
from tap_pendo.reading.plan import Planned
from tap_pendo.reading.window_reader import WindowRead
from tap_pendo.records import identity
from tap_pendo.records.fields import ANY_AS_TEXT, EXTRA, STRING, TIME, Field, Shape, types_of
from tap_pendo.records.identity import KeyCheck
from tap_pendo.records.inference import shape_from, shape_of
from tap_pendo.streams import base_stream
from tap_pendo.streams.base_stream import WholeStream
from tap_pendo.streams.windowed import WindowedStream

if t.TYPE_CHECKING:
    from collections.abc import Generator, Iterator
    from datetime import timedelta

    from singer_sdk.tap_base import Tap

    from tap_pendo import Record, Row
    from tap_pendo.calendar import Period
    from tap_pendo.catalog.stream_specs import StreamSpec
    from tap_pendo.config.custom_aggregations import Pipeline
    from tap_pendo.config.run_context import Run
    from tap_pendo.reading.plan import Counting
    from tap_pendo.streams.windowed import SyncWindowsStream

_WINDOW_START = {**TIME.schema, "description": "Start of the bucket."}
_START_TIME = Field(START_TIME, START_TIME, TIME, "Start of the period.")
# How far back a bucket with rows is looked for, to see what columns they have
_SAMPLES = (0 * DAY, 1 * DAY, 7 * DAY)
# Rows of an answer whose keys are compared: memory must not grow with the answer
_COMPARED = 500_000


class Columns:
    """The columns of an aggregation: given, in the catalogue, or else found in a sample."""

    def __init__(self, tap: Tap, run: Run, pipeline: Pipeline) -> None:
        self._tap, self._run, self._pipeline = tap, run, pipeline
        self.stamps = {READ_AT: base_stream.READ_AT}
        if pipeline.grain:
            self.stamps[WINDOW_START] = _WINDOW_START

    @cached_property
    def shape(self) -> Shape:
        """The declared columns; a key that no row has shown yet is a text."""
        reserved = {*self.stamps, EXTRA, *(f.name for f in self._own)}
        given = (self._pipeline.schema or {}).get("properties") or self._of_catalogue()
        found = shape_of(self._sample(), reserved) if given is None else shape_from(given, reserved)
        missing = {*self._pipeline.primary_keys} - {*reserved, *(f.name for f in found.fields)}
        texts = (Field(name, name, STRING, "") for name in sorted(missing))
        return found + Shape(*self._own, *texts)

    @property
    def _own(self) -> tuple[Field, ...]:
        """Columns beside those of the pipeline's output."""
        return (_START_TIME,) if self._pipeline.iterative else ()

    @property
    def properties(self) -> dict[str, t.Any]:
        """JSON schema of each column; a given one is kept, but all may be null.

        A value that does not fit it is null there, and kept under `extra`. A column that may have
        several types is text.
        """
        properties = (self._pipeline.schema or {}).get("properties", {})
        given = {name: said for name, said in properties.items() if len(types_of(said)) == 1}
        keys = self._pipeline.primary_keys
        own = {name: said if name in keys else _nullable(said) for name, said in given.items()}
        columns = {**self.shape.properties(), **self.stamps}
        return {n: own.get(n, s) for n, s in columns.items()} | self.stamps

    def _of_catalogue(self) -> Record | None:
        """Columns of the catalogue, if there is one: of others, targets hear nothing."""
        catalogue = self._tap.input_catalog
        entry = catalogue.get_stream(self._pipeline.name) if catalogue else None
        return entry.schema.to_dict().get("properties", {}) if entry else None

    def _sample(self) -> list[Row]:
        """Read some rows; none if Pendo refuses, which fails the stream when it is read."""
        try:
            for window in self._windows():
                rows = self._first_block(window)
                if rows:
                    return rows
        except (StreamError, ForbiddenError):
            return []
        return []

    def _first_block(self, window: Window | None) -> list[Row]:
        """Read the first rows of an answer; ask again if it breaks off before them."""
        rows: list[Row] = []
        for attempt in self._run.client.attempts():
            blocks = self._run.client.rows(self._pipeline.body(window))
            # closed behind the first block: the rest is not wanted
            with attempt, contextlib.closing(t.cast("Generator[list[Row]]", blocks)) as found:
                rows = self._pipeline.rows(next(found, []))
        return rows

    def _windows(self) -> Iterator[Window | None]:
        if not self._pipeline.grain:
            yield None
            return
        grid = self._run.settings.grid(self._pipeline.grain)
        for back in _SAMPLES:
            end = grid.closed(self._run.now() - back)
            yield Window(grid.before(end), end)


def _nullable(schema: t.Any) -> t.Any:
    said = schema.get("type") if isinstance(schema, dict) else None
    types = [said] if isinstance(said, str) else said or ["null"]
    return schema if "null" in types else {**schema, "type": [*types, "null"]}


class AggregationRows:
    """Turns the rows of one answer into records, and counts what it cannot take."""

    def __init__(self, pipeline: Pipeline, shape: Shape) -> None:
        self._pipeline, self._shape = pipeline, shape
        texts = {field.name for field in shape.fields if field.type in (STRING, ANY_AS_TEXT)}
        self._keys = KeyCheck(pipeline.primary_keys, texts)
        self._seen: set[int] = set()
        self._repeated = 0

    def records(self, block: list[Row], stamps: Record) -> list[Record]:
        """Convert rows; without those that lack their key."""
        rows = ({**self._shape.record(raw), **stamps} for raw in self._pipeline.rows(block))
        records = [record for row in rows if (record := self._keys.keyed(row))]
        for record in records[: max(0, _COMPARED - len(self._seen))]:
            key = hash(msgspec.json.encode([record[name] for name in self._pipeline.primary_keys]))
            self._repeated += key in self._seen
            self._seen.add(key)
        return records

    def problems(self) -> Iterator[str]:
        """Say what a target will not hold as it should."""
        yield from self._keys.problems()
        if self._repeated:
            yield (
                f"`primary_keys` do not distinguish all rows: {self._repeated} of "
                f"{self._keys.taken} have the key of another row"
            )


class SnapshotStream(WholeStream):
    """An aggregation without grain: a full table at each run; rows carry `read_at`."""

    def __init__(self, tap: Tap, run: Run, row: StreamSpec, pipeline: Pipeline) -> None:
        self._pipeline = pipeline
        self._columns = Columns(tap, run, pipeline)
        super().__init__(tap, run, row, None)
        self.primary_keys = pipeline.primary_keys

    @property
    def schema(self) -> dict[str, t.Any]:
        """The columns, found when first needed."""
        if self._schema is None:
            self._schema = self.schema_of(self._columns.properties)
        return self._schema

    def read(self) -> Iterator[list[Record]]:
        """Yield the rows of one answer."""
        self._stream_version = self._tap.initialized_at
        stamps = {READ_AT: to_text(self.run.stamp())}
        rows = AggregationRows(self._pipeline, self._columns.shape)
        for block in self.fetched(lambda: self.answered(self._pipeline.body())):
            yield rows.records(block, stamps)
        for problem in rows.problems():
            self.logger.warning("%s: %s", self.name, problem)
        self._activates = not self.dry_run
        self.read_complete()

    def planned(self, counting: Counting) -> Planned:
        """One call; how many rows it gives is for the pipeline to say."""
        del counting
        return Planned(calls=1)


class BucketRead(WindowRead):
    """The rows of one bucket, from one answer that has arrived whole."""

    def __init__(
        self, stream: BucketsStream, pipeline: Pipeline, columns: Columns, window: Window
    ) -> None:
        super().__init__(stream.run, window, stream.traffic)
        self._stream, self._pipeline, self._columns = stream, pipeline, columns

    def batches(self) -> Iterator[list[Record]]:
        """Yield the bucket's records."""
        stamps = {
            READ_AT: to_text(self.read_at),
            WINDOW_START: to_text(self.window.start),
        }
        start = stamps[WINDOW_START]
        rows = AggregationRows(self._pipeline, self._columns.shape)
        try:
            for block in self._stream.answered(self._pipeline.body(self.window), self.traffic):
                self._check_start()
                batch = rows.records(block, stamps)
                self.counts.records += len(batch)
                yield batch
        except UnavailableError as error:
            raise StreamError(f"{self._pipeline.grain} from {start}: {error}") from error
        for problem in rows.problems():
            self._stream.logger.warning("%s from %s: %s", self._pipeline.name, start, problem)

    def _check_start(self) -> None:
        """Refuse an answer whose time begins elsewhere: it would hold parts of two buckets."""
        started = self.traffic.start_time
        if started is not None and started != to_ms(self.window.start):
            raise StreamError(
                f"Pendo's {self._pipeline.grain} begins at {to_text(from_ms(started))}, not at "
                f"{to_text(self.window.start)}: set `timezone` to the time zone of the Pendo "
                "subscription"
            )


class BucketsStream(WindowedStream):
    """An aggregation with grain: one request for each hour or day.

    Its bookmarks are only valid for its `pipeline`, of which the state keeps a hash.
    """

    bucket_setting = "aggregations.grain"

    def __init__(
        self,
        tap: Tap,
        run: Run,
        row: StreamSpec,
        pipeline: Pipeline,
        sync_windows: SyncWindowsStream,
    ) -> None:
        self._pipeline = pipeline
        self._columns = Columns(tap, run, pipeline)
        grain = t.cast("Period", pipeline.grain)
        super().__init__(
            tap,
            run,
            row,
            None,
            sync_windows=sync_windows,
            grid=run.settings.grid(grain),
            longest=HOUR if grain == "hour" else DAY,
        )
        self.primary_keys = pipeline.primary_keys
        self.replication_key = WINDOW_START

    @property
    def schema(self) -> dict[str, t.Any]:
        """The columns, found when first needed."""
        if self._schema is None:
            self._schema = self.schema_of(self._columns.properties)
        return self._schema

    def reader(self, window: Window, asked: timedelta) -> BucketRead:
        """Begin to read a bucket."""
        del asked
        return BucketRead(self, self._pipeline, self._columns, window)

    def conditions(self) -> Record:
        """The pipeline."""
        return {"pipeline": identity.row_id(self.name, [self._pipeline.payload["request"]])}

    def outdated(self, state: Record) -> str | None:
        """Whether the pipeline is another one."""
        if state.get("pipeline") == self.conditions()["pipeline"]:
            return None
        return "its pipeline is not the one that was read before"
