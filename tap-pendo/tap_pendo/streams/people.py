"""Visitors and accounts: what changed since the last run, page by page, with typed metadata."""

from __future__ import annotations

import dataclasses
import typing as t
from functools import cached_property

from tap_pendo import aggregation
from tap_pendo.client import MAX_TRIES
from tap_pendo.errors import (
    BrokenBodyError,
    ForbiddenError,
    RefusedError,
    StreamError,
    TapError,
    UnsortedError,
)
from tap_pendo.metadata import Metadata
from tap_pendo.planning import Planned, pages
from tap_pendo.schemas.people import LAST_UPDATED
from tap_pendo.shapes import EXTRA, Shape
from tap_pendo.streams.base import READ_AT, PendoStream, Record, object_schema
from tap_pendo.windows import HOUR, from_ms, from_text, to_ms, to_text

if t.TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from singer_sdk.tap_base import Tap

    from tap_pendo.objects import People
    from tap_pendo.planning import Counting
    from tap_pendo.run import Run
    from tap_pendo.streams.derived import DerivedStream

_BOOKMARK = "replication_key_value"
_ANONYMOUS = "include_anonymous_visitors"
_FOLLOWED = "streams"


@dataclasses.dataclass
class _Position:
    """Where paging by id stands: the last id, the rows seen, and the rows that there are."""

    after: str | None = None
    seen: int = 0
    expected: int | None = None
    complete: bool = False

    def take(self, rows: list[Record], id_field: str) -> None:
        """Move behind rows; raise UnsortedError if their ids do not ascend."""
        for row in rows:
            value = row.get(id_field)
            if isinstance(value, str) and value:
                if self.after is not None and value <= self.after:
                    raise UnsortedError
                self.after = value
        self.seen += len(rows)


class PeopleStream(PendoStream):
    """Visitors or accounts.

    The first run reads all, whatever `start_date`; later ones what was updated since the bookmark,
    and all that Pendo has never stamped.
    """

    def __init__(
        self, tap: Tap, run: Run, row: People, followers: Sequence[DerivedStream] = ()
    ) -> None:
        self.row = row
        super().__init__(tap, run, row, None)
        self._followers = followers
        self.primary_keys = (row.id.name,)
        self.replication_key = LAST_UPDATED.name
        self._shape = Shape(row.id)
        self._greatest: int | None = None
        self._misfits: set[str] = set()

    @cached_property
    def metadata_types(self) -> Metadata:
        """Types of the custom metadata; asked for once, when first needed."""
        try:
            path = f"/api/v1/metadata/schema/{self.row.metadata_kind}"
            answer = self.run.client.get(path, traffic=self.traffic)
        except (ForbiddenError, RefusedError) as error:
            self.logger.warning("%s: metadata is not described (%s)", self.name, error)
            answer = {}
        described = Metadata.described(answer)
        if described.unknown:
            self.logger.warning(
                "%s: metadata of unknown type is passed on as it is: %s",
                self.name,
                ", ".join(described.unknown),
            )
        return described

    @property
    def schema(self) -> dict[str, t.Any]:
        """Schema with the customer's own metadata."""
        if self._schema is None:
            try:
                described = self.metadata_types
            except StreamError as error:
                raise TapError(
                    f"{self.name}: its metadata cannot be discovered: {error}"
                ) from error
            declared = Shape(self.row.id, LAST_UPDATED).properties()
            extra = declared.pop(EXTRA)
            self._schema = object_schema(
                {**declared, "metadata": described.schema(), "read_at": READ_AT, EXTRA: extra}
            )
        return self._schema

    def read(self) -> Iterator[list[Record]]:
        """Yield changed rows, then move the bookmark: never past what Pendo may still change."""
        started = self.run.now()
        since = self._since(self.stream_state)
        stamps = {"read_at": to_text(started)}
        for follower in self._followers:
            follower.begin(None, stamps, self.traffic)
        for block in self.fetched(lambda: self._pages(since)):
            yield self._converted(block, stamps)
        self.tell_keyless()
        for follower in self._followers:
            follower.complete(whole=False)
        if self._greatest is not None:
            bookmark = max(min(self._greatest, to_ms(started - HOUR)), since or 0)
            self.mark(**{"replication_key": self.replication_key, _BOOKMARK: _text(bookmark)})
        if self.row.anonymous:
            self.mark(**{_ANONYMOUS: self.run.settings.include_anonymous_visitors})
        self.mark(**{_FOLLOWED: self._selected_names()})
        self.read_complete()

    def _converted(self, block: list[Record], stamps: Record) -> list[Record]:
        """Convert rows; those with a key are for the followers too."""
        rows, records = [], []
        for row in block:
            record = self.keyed(self._record(row))
            if record is not None:
                record.update(stamps)
                rows.append(row)
                records.append(record)
        for follower in self._followers:
            follower.take(rows)
        return records

    def planned(self, counting: Counting) -> Planned:
        """Pages of what has changed since the bookmark."""
        rows = counting.rows(self._count(self._since(self.stream_state)))
        calls = None if rows is None else pages(rows, self.run.settings.page_size)
        return Planned(calls=calls, rows=rows)

    def _selected_names(self) -> list[str]:
        """Names of the streams that are written: this one, and those derived from it."""
        return [stream.name for stream in (self, *self._followers) if stream.selected]

    def _since(self, state: Record) -> int | None:
        """Bookmark in epoch ms; None to read all: the first time, or for a stream new to it."""
        text = state.get(_BOOKMARK)
        wider = self.run.settings.include_anonymous_visitors and not state.get(_ANONYMOUS)
        newcomers = set(self._selected_names()) - set(state.get(_FOLLOWED, [self.name]))
        full = self.replication_method == "FULL_TABLE" or (self.row.anonymous and wider)
        if not text or full or newcomers:
            return None
        try:
            return to_ms(from_text(text))
        except (TypeError, ValueError):
            raise StreamError(f"state: `{_BOOKMARK}` of {self.name} is not a date") from None

    def _pages(self, since: int | None) -> Iterator[list[Record]]:
        try:
            yield from self._by_key(since)
        except UnsortedError:
            self.logger.warning(
                "%s: Pendo's pages are not in the order asked for; all are read in one answer",
                self.name,
            )
            yield from self._in_one_answer(since)

    def _in_one_answer(self, since: int | None) -> Iterator[list[Record]]:
        """Read all, from the start after a break: a row that comes twice is the same row."""
        for failures in range(1, MAX_TRIES + 1):
            try:
                yield from self.run.client.rows(self._body(since, None, None), self.traffic)
            except BrokenBodyError as error:
                if failures == MAX_TRIES:
                    raise StreamError(f"{error}, {failures} times") from error
                self.run.client.rest(error, failures, self.traffic)
            else:
                return

    def _by_key(self, since: int | None) -> Iterator[list[Record]]:
        """Page by id; after a break go on behind the last whole row.

        Both rely on the order in which Pendo compares: before one does for the first time, Pendo is
        asked how many rows there are.
        """
        at = _Position()
        failures = 0
        while not at.complete:
            reached = at.after
            if reached is not None and at.expected is None:
                at.expected = self.run.client.count(self._count(since), self.traffic)
            try:
                yield from self._page(since, at)
            except BrokenBodyError as error:
                failures = failures + 1 if at.after == reached else 1
                if failures >= MAX_TRIES:
                    raise StreamError(f"{error}, {failures} times") from error
                self.run.client.rest(error, failures, self.traffic)
        if at.expected is not None and at.seen < at.expected:
            raise UnsortedError

    def _page(self, since: int | None, at: _Position) -> Iterator[list[Record]]:
        """Yield one page's rows and move on.

        Raises:
            UnsortedError: the order is not the one that paging relies on.
        """
        limit = self.run.settings.page_size
        reached = at.after
        count = 0
        for block in self.run.client.rows(self._body(since, at.after, limit), self.traffic):
            count += len(block)
            at.take(block, self.row.id.pendo)
            yield block
        at.complete = count < limit
        if not at.complete and at.after == reached:
            raise UnsortedError  # a page without an id to go on behind

    def _params(self) -> Record | None:
        identified = not self.run.settings.include_anonymous_visitors
        return {"identified": identified} if self.row.anonymous else None

    def _count(self, since: int | None) -> Record:
        return aggregation.count_people(self.row.source, self._params(), since)

    def _body(self, since: int | None, after: str | None, limit: int | None) -> Record:
        return aggregation.people(
            self.row.source,
            params=self._params(),
            id_field=self.row.id.pendo,
            since=since,
            after=after,
            limit=limit,
        )

    def _record(self, row: Record) -> Record:
        """Convert a row: metadata typed, what does not fit its type under `extra`."""
        row = dict(row)
        metadata = row.pop("metadata", None)
        record = self._shape.record(row)
        extra = record.pop(EXTRA, {})
        if isinstance(metadata, dict):
            auto = metadata.get("auto")
            updated = auto.get("lastupdated") if isinstance(auto, dict) else None
            fitted, misfits = self.metadata_types.fit(metadata)
            record["metadata"] = fitted
            if isinstance(updated, int) and not isinstance(updated, bool):
                record[LAST_UPDATED.name] = fitted["auto"]["lastupdated"]
                self._greatest = max(self._greatest or 0, updated)
            if misfits:
                self._tell(misfits)
                extra |= misfits
        elif metadata is not None:
            extra["metadata"] = metadata
        if extra:
            record[EXTRA] = extra
        return record

    def _tell(self, misfits: Record) -> None:
        """Warn once of each field whose values differ from what Pendo says of it."""
        for name in misfits.keys() - self._misfits:
            self._misfits.add(name)
            self.logger.warning(
                "%s: `%s` also holds values of another type than described; they are kept "
                "in `extra`",
                self.name,
                name,
            )


def _text(ms: int) -> str:
    return to_text(from_ms(ms))
