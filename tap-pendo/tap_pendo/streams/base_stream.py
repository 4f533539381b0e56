"""What all streams do alike: own marks, own failures, own versions."""

from __future__ import annotations

import abc
import sys
import tempfile
import typing as t
from functools import cached_property

import msgspec
from singer_sdk import Stream
from singer_sdk.helpers.conform import TypeConformanceLevel
from singer_sdk.mapper import CustomStreamMap, SameRecordTransform
from singer_sdk.singerlib.catalog import REPLICATION_FULL_TABLE

from tap_pendo.api.client import MAX_TRIES
from tap_pendo.api.concurrency import in_order
from tap_pendo.errors import (
    ForbiddenError,
    MapError,
    OutputError,
    StreamError,
    TapError,
    log_place,
    unexpected,
)
from tap_pendo.metrics import Progress
from tap_pendo.records.fields import TIME, flat_properties, flat_values
from tap_pendo.records.identity import KeyCheck
from tap_pendo.streams.message_writer import BlockWriter, texts_for_flattening, without_nul

if t.TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence

    from singer_sdk.helpers import types
    from singer_sdk.helpers._batch import BaseBatchFileEncoding, BatchConfig
    from singer_sdk.tap_base import Tap

    from tap_pendo import AnyRecord, Record
    from tap_pendo.api.queries import Body
    from tap_pendo.catalog.stream_specs import StreamSpec
    from tap_pendo.config.run_context import Run
    from tap_pendo.metrics import Status, Traffic
    from tap_pendo.reading.plan import Counting, Planned

    Properties = Mapping[str, t.Any]
    Batch = tuple[BaseBatchFileEncoding, list[str]]

_IN_MEMORY = 16 * 1024 * 1024
T = t.TypeVar("T")
ROW_ID = {"type": "string", "description": "Identity of the row, the same at every read."}
READ_AT = {**TIME.schema, "description": "Start of the read; the rows of one read have the same."}


class PendoStream(Stream):
    """A stream that reads from Pendo; `read` yields its records, some at a time.

    It moves its own marks, when a read is complete and its records are out. The SDK would move
    them with each record, and take a stream that gave up for one that ended.
    """

    # Records fit their schema when they are made
    TYPE_CONFORMANCE_LEVEL = TypeConformanceLevel.NONE
    # STATE is written when marks move, not every so many records
    STATE_MSG_FREQUENCY = sys.maxsize
    # the SDK would send ACTIVATE_VERSION before the records, and targets act on it at once
    emit_activate_version_messages = False

    def __init__(self, tap: Tap, run: Run, row: StreamSpec, properties: Properties | None) -> None:
        self.run, self._flat = run, run.settings.record_format == "flat"
        self.left_out = not row.by_default and row.name not in run.settings.costly_streams
        """Whether it is costly and the setting `costly_streams` does not name it."""
        self.selected_by_default = not self.left_out
        self.progress = Progress(row.name, run.clock)
        self.traffic = self.progress.traffic
        self.source = self.traffic
        """Traffic that the rows came with."""
        self._nul_told = False
        self._written = True
        self._due: Record = {}
        self._activates = False
        schema = self.schema_of(properties) if properties else None
        super().__init__(tap, schema=schema, name=row.name)

    def schema_of(self, properties: Properties) -> dict[str, t.Any]:
        """JSON schema of a record, from that of each column."""
        if self._flat:
            properties = flat_properties(properties)
        return {"type": "object", "properties": dict(properties), "additionalProperties": True}

    @property
    def selected(self) -> bool:
        """Whether it is read: selected, and if it is costly also named."""
        return self.chosen and not self.left_out

    @selected.setter
    def selected(self, value: bool | None) -> None:
        Stream.selected.fset(self, value)  # type: ignore[attr-defined]

    @property
    def chosen(self) -> bool:
        """Whether the catalogue selects it."""
        return bool(super().selected)

    def generate_child_contexts(
        self,
        record: types.Record,  # noqa: ARG002 - the SDK's
        context: types.Context | None,  # noqa: ARG002 - the SDK's
    ) -> Iterable[types.Context | None]:
        """Give none: streams derived from this one listen to its rows."""
        return ()

    def _increment_stream_state(self, *args: t.Any, **kwargs: t.Any) -> None:
        """Leave the marks."""

    def _write_starting_replication_value(self, *args: t.Any, **kwargs: t.Any) -> None:
        """Leave the marks."""

    def get_replication_key_signpost(
        self,
        context: types.Context | None = None,
    ) -> None:
        """Give none: it bounds marks that the SDK moves."""

    @abc.abstractmethod
    def read(self) -> Iterable[Sequence[AnyRecord]]:
        """Yield the stream's records, some at a time; move its marks when a read is complete.

        A batch has been written before the next one is requested.
        """

    @abc.abstractmethod
    def planned(self, counting: Counting) -> Planned:
        """Say what a run would read now, with this state, by counting only."""

    @cached_property
    def _as_they_are(self) -> bool:
        """Whether nothing of a record is to be mapped, flattened or left out."""
        return (
            not self.config.get("flattening_enabled")
            and all(self.mask.values())
            and [type(each) for each in self.stream_maps] == [SameRecordTransform]
        )

    @cached_property
    def direct(self) -> bool:
        """Whether records go out without the SDK, whose way takes longer than all else together."""
        return (
            self.selected
            and not self.dry_run
            and self._as_they_are
            and isinstance(self._tap.message_writer, BlockWriter)
        )

    @cached_property
    def _unset(self) -> Record:
        """Each declared field as null, where every record must have all: maps may name them.

        Flattening has columns for the fields of objects, and none for the object.
        """
        mapped = any(isinstance(each, CustomStreamMap) for each in self.stream_maps)
        if not (mapped or self._flat):
            return {}
        flat = self.config.get("flattening_enabled")
        fields = self.schema["properties"].items()
        return {name: None for name, said in fields if not (flat and "properties" in said)}

    def get_batch_config(self, config: Mapping[str, t.Any]) -> BatchConfig | None:
        """Give none where a record is not written as it is: BATCH files hold what was read."""
        return super().get_batch_config(config) if self._as_they_are else None

    def _sync_records(
        self, context: types.Context | None = None, *, write_messages: bool = True
    ) -> Generator[Record, None, None]:
        """Write all records: directly, or where the SDK has something to do to them, by its way."""
        if not (self.direct and write_messages):
            try:
                yield from super()._sync_records(context, write_messages=write_messages)
            except MapError as error:
                self.run.fail(self.name, str(error))
                self.report()
            return
        with self.get_record_counter() as counter, self.get_sync_timer():
            for records in self._guarded():
                self.write(records)
                counter.increment(len(records))
        self._finalize_state(self.stream_state)
        self._write_state_message()

    def write(self, records: Sequence[AnyRecord]) -> None:
        """Write some records of this stream."""
        if not self.direct:
            for record in records:
                self._write_record_message(self.post_process(as_dict(record)))
            return
        self.progress.rows += len(records)
        if self._flat:
            records = [self._flattened(as_dict(record)) for record in records]
        if self.source.nul:
            records = [self.storable(as_dict(record)) for record in records]
        writer = t.cast("BlockWriter", self._tap.message_writer)
        writer.write_records(self.name, records, self._stream_version)
        self.state_manager.is_flushed = False

    def get_records(self, context: types.Context | None) -> Iterable[Record]:  # noqa: ARG002 - the SDK's
        """Yield records one by one, for the SDK's way."""
        for records in self._guarded():
            yield from map(as_dict, records)

    def _guarded(self) -> Iterator[Sequence[AnyRecord]]:
        """Read; a failure ends this stream only, and is logged at the end of the run."""
        if self.run.aborted:
            return
        self.progress.start()
        self._written = self.selected
        try:
            yield from self.read()
        except ForbiddenError as error:
            self.run.skip(self.name, str(error))
        except TapError as error:
            self.run.aborted = error
        except StreamError as error:
            self.run.fail(self.name, str(error))
        except Exception as error:  # noqa: BLE001 - nobody knows what
            log_place(error)
            self.run.fail(self.name, unexpected(error))
        self.report()

    def report(self) -> None:
        """Say in one line of the log what the stream did, and what is derived from it."""
        if self.name in self.run.skipped:
            self.tell("skipped")
        elif self.name in self.run.failed or self.run.aborted:
            self.tell("failed")
        else:
            self.tell("ok")

    def tell(self, status: Status) -> None:
        """Write the line."""
        if self.traffic.odd:
            self.logger.warning(
                "%s: Pendo sent NaN, Infinity or half a character, which JSON lacks; kept as text",
                self.name,
            )
        self.progress.end(status)
        for stream in self.child_streams:
            t.cast("PendoStream", stream).parent_ended(status)

    def parent_ended(self, status: Status) -> None:
        """Take note that a stream from which this one is derived has ended."""

    def post_process(self, row: Record, context: types.Context | None = None) -> Record:
        """Count each record that is written, and make it one that PostgreSQL can hold."""
        del context
        self.progress.rows += self._written
        row = self._flattened(row) if self._flat else {**self._unset, **row}
        if self.config.get("flattening_enabled"):
            # the SDK makes text of what may be an object or a list, but not of its other values
            row = texts_for_flattening(row, self.schema)
        return self.storable(row) if self.source.nul else row

    def _flattened(self, row: Record) -> Record:
        """Give each declared field, null if it is missing; objects and lists as JSON text."""
        return {**self._unset, **flat_values(row)}

    def storable(self, row: Record) -> Record:
        """Take U+0000 out of a record, behind its identity, with one warning."""
        record: Record = without_nul(row)
        if record is not row and not self._nul_told:
            self._nul_told = True
            self.logger.warning(
                "%s: U+0000, which PostgreSQL cannot hold, is taken out of texts", self.name
            )
        return record

    def fetched(self, read: Callable[[], Iterator[T]]) -> Iterator[T]:
        """Run one read in a thread, so that a signal is heard while Pendo is slow."""
        tell = self.progress.tell
        ahead = in_order([None], lambda _: read(), width=1, stop=self.run.stop, idle=tell)
        with ahead as reads:
            for _, batches in reads:
                for batch in batches:
                    yield batch
                    tell()
                    self.run.exit_if_stopped()
        self.run.exit_if_stopped()
        self.progress.freshness = 0.0

    def answered(
        self, body: Body, traffic: Traffic | None = None, tries: int | None = None
    ) -> Iterator[list[Record]]:
        """POST an aggregation; give its rows once all have arrived (see `arrived`)."""
        counted = traffic or self.traffic
        yield from self.arrived(
            lambda: self.run.client.rows(body, counted, tries), counted, tries or MAX_TRIES
        )

    def arrived(
        self,
        ask: Callable[[], Iterator[list[Record]]],
        traffic: Traffic,
        most: int = MAX_TRIES,
    ) -> Iterator[list[Record]]:
        """Give the rows of an answer once all have arrived, so that none come twice.

        They wait on disk. If the answer breaks off, it is asked for again.

        Raises:
            UnavailableError: Pendo cannot answer, or its answers break off, `most` tries long.
        """
        with tempfile.SpooledTemporaryFile(_IN_MEMORY) as spool:
            for attempt in self.run.client.attempts(traffic, most):
                spool.seek(0)
                spool.truncate()
                with attempt:
                    for block in ask():
                        spool.write(msgspec.json.encode(block) + b"\n")
            spool.seek(0)
            for line in spool:
                yield msgspec.json.decode(line)

    def mark(self, **marks: t.Any) -> None:
        """Note marks to be moved once the records before them are out."""
        self._due.update(marks)

    @cached_property
    def keys(self) -> KeyCheck:
        """Checks the records of a read: the first column of the key must be there."""
        first, *others = self.primary_keys
        texts = {name for name in others if "string" in self.schema["properties"][name]["type"]}
        return KeyCheck(self.primary_keys, texts, needed=[first])

    def warn_of_keyless(self) -> None:
        """Warn of the rows that were left out, and begin to count again."""
        for problem in self.keys.problems():
            self.logger.warning("%s: %s", self.name, problem)
        del self.keys

    def settle(self) -> None:
        """Write what may follow only once all records before it are out: STATE at last."""
        if self._activates and self.selected and self._stream_version is not None:
            self._write_activate_version_message(self._stream_version)
        self._activates = False
        # the marks move behind what they cover
        self._tap.message_writer.flush()  # type: ignore[attr-defined]
        self.stream_state.update(self._due)
        self._due.clear()
        self.state_manager.is_flushed = False
        self._write_state_message()

    def read_complete(self) -> None:
        """Settle now, unless records are still held back for a BATCH file."""
        if not self.get_batch_config(self.config):
            self.settle()

    @property
    def dry_run(self) -> bool:
        """Whether the SDK only tries the stream and stops it after some records."""
        return self.ABORT_AT_RECORD_COUNT is not None

    def _sync_batches(
        self, batch_config: BatchConfig, context: types.Context | None = None
    ) -> None:
        batches = iter(self.get_batches(batch_config, context))
        while batch := self._next_batch(batches):
            encoding, manifest = batch
            self._write_batch_message(encoding=encoding, manifest=manifest)
            self.settle()
        self.settle()

    @staticmethod
    def _next_batch(batches: Iterator[Batch]) -> Batch | None:
        """Write the next BATCH file; what fails there is the output, not the stream."""
        try:
            return next(batches, None)
        except Exception as error:  # noqa: BLE001 - each kind of storage has its own
            log_place(error)
            raise OutputError("The BATCH file", error) from None


class WholeStream(PendoStream):
    """A stream that is read in full at each run, as Pendo has no other way for it."""

    @property
    def replication_method(self) -> str:
        """Always the full table."""
        return REPLICATION_FULL_TABLE

    def get_batch_config(
        self,
        config: Mapping[str, t.Any],
    ) -> None:
        """Give none: rows that are gone are marked by version, and BATCH files carry none."""


def as_dict(record: AnyRecord) -> Record:
    """Give a record as the SDK wants it."""
    return record if isinstance(record, dict) else t.cast("Record", msgspec.to_builtins(record))
