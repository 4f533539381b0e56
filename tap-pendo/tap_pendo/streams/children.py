"""Streams made from the rows of other streams, in the same pass and without calls of their own.

In a run a derived stream comes before its parent: its own turn writes its SCHEMA and nothing else,
then the parent hands it each row as Pendo sent it. Users come after all lists that name them.
"""

from __future__ import annotations

import typing as t

from singer_sdk.singerlib.catalog import REPLICATION_FULL_TABLE

from tap_pendo.errors import MapError
from tap_pendo.reading.plan import Planned
from tap_pendo.records import nested_rows
from tap_pendo.streams.base_stream import PendoStream, WholeStream

if t.TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from singer_sdk.tap_base import Tap

    from tap_pendo import Record
    from tap_pendo.catalog.stream_specs import ChildSpec, UsersSpec
    from tap_pendo.config.run_context import Run
    from tap_pendo.metrics import Status, Traffic
    from tap_pendo.reading.plan import Counting
    from tap_pendo.records.fields import JsonSchema


class ChildStream(PendoStream):
    """Rows inside the rows of one parent.

    They share the parent's replication: with a full table they have its version; with people,
    records carry the parent's `stamps`.
    """

    def __init__(
        self, tap: Tap, run: Run, row: ChildSpec, stamps: dict[str, JsonSchema] | None = None
    ) -> None:
        self.row = row
        super().__init__(tap, run, row, {**row.shape.properties(), **(stamps or {})})
        self.primary_keys = row.keys
        self._stamps: Record = {}
        self._on = False
        if stamps:
            self.replication_key = next(iter(stamps))
        else:
            self.forced_replication_method = REPLICATION_FULL_TABLE

    def read(self) -> Iterator[list[Record]]:
        """Yield nothing: the rows come with the parent's."""
        return iter(())

    def planned(self, counting: Counting) -> Planned:
        """No calls of its own."""
        del counting
        return Planned(calls=0)

    def begin(self, version: int | None, stamps: Record, traffic: Traffic) -> None:
        """Get ready for a read of the parent."""
        self._stream_version, self._stamps, self._on = version, stamps, self.selected
        self.source = traffic
        self.progress.start()

    def report(self) -> None:
        """Say nothing at its own turn: its rows are still to come."""

    def parent_ended(self, status: Status) -> None:
        """Say what came with the parent's rows."""
        if self._on:
            self.tell(status)
        elif self.name in self.run.failed:
            self.tell("failed")

    def take(self, rows: Sequence[Record]) -> None:
        """Write what is made of rows of the parent."""
        if self._on:
            found = (raw for row in rows for raw in self.row.derive(row))
            records = (self.keys.keyed(self.row.shape.record(raw)) for raw in found)
            try:
                self.write([{**record, **self._stamps} for record in records if record is not None])
            except MapError as error:
                # the parent is read to its end
                self.run.fail(self.name, str(error))
                self._on = False

    def complete(self, *, whole: bool) -> None:
        """Activate the version of a whole read."""
        self.warn_of_keyless()
        self.progress.freshness = 0.0
        if self._on and whole and self._stream_version is not None:
            self._write_activate_version_message(self._stream_version)


class UsersStream(WholeStream):
    """Pendo users, each once, with all that its mentions say; whole if all lists were."""

    def __init__(self, tap: Tap, run: Run, row: UsersSpec) -> None:
        super().__init__(tap, run, row, row.shape.properties())
        self.row = row
        self.primary_keys = ("id",)
        self.forced_replication_method = REPLICATION_FULL_TABLE
        self._found: dict[str, Record] = {}
        self._open = 0

    def begin(self, version: int | None, stamps: Record, traffic: Traffic) -> None:
        """Count the lists that are being read."""
        del version, stamps, traffic
        self._open += 1

    def take(self, rows: Sequence[Record]) -> None:
        """Gather the users that rows name."""
        for user in (user for row in rows for user in nested_rows.users(row)):
            said = {name: value for name, value in user.items() if value not in (None, "")}
            self._found.setdefault(str(user["id"]), {}).update(said)

    def complete(self, *, whole: bool) -> None:
        """Count the lists that were read whole."""
        self._open -= whole

    def planned(self, counting: Counting) -> Planned:
        """No calls of their own."""
        del counting
        return Planned(calls=0)

    def read(self) -> Iterator[list[Record]]:
        """Yield the users found in this run."""
        self._stream_version = self._tap.initialized_at
        records = (self.keys.keyed(self.row.shape.record(user)) for user in self._found.values())
        yield [self.storable(record) for record in records if record is not None]
        self.warn_of_keyless()
        self.progress.freshness = 0.0
        if self._found and not self._open and not self.dry_run:
            self._activates = True
        self.read_complete()


Follower = ChildStream | UsersStream
"""What takes the rows of another stream."""
