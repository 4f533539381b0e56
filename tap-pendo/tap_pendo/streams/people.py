"""Visitors and accounts: what changed since the last run, page by page, with typed metadata."""

from __future__ import annotations

import typing as t
from datetime import timedelta
from functools import cached_property

import msgspec
from singer_sdk.mapper import SameRecordTransform

from tap_pendo.api import queries
from tap_pendo.calendar import HOUR, from_ms, from_text, to_ms, to_text
from tap_pendo.catalog.lists import LAST_UPDATED
from tap_pendo.config.settings import ANONYMOUS
from tap_pendo.errors import ForbiddenError, RefusedError, StreamError, TapError
from tap_pendo.reading.paging import PagingFacts
from tap_pendo.reading.plan import Planned, pages
from tap_pendo.reading.whole_reader import KeysetRead, Mark, Restart
from tap_pendo.records.fields import EXTRA, Shape
from tap_pendo.records.inference import Metadata
from tap_pendo.streams.base_stream import READ_AT, PendoStream
from tap_pendo.streams.windowed import require_marks

if t.TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from singer_sdk.tap_base import Tap

    from tap_pendo import Record
    from tap_pendo.api.queries import Cursor
    from tap_pendo.catalog.stream_specs import PeopleSpec
    from tap_pendo.config.run_context import Run
    from tap_pendo.reading.plan import Counting
    from tap_pendo.streams.children import ChildStream

_BOOKMARK = "replication_key_value"
_FOLLOWED = "streams"
_UNFINISHED = "unfinished"


class _Unfinished(msgspec.Struct):
    """A read that was stopped, as the state keeps it: the mark of its last page, and its terms.

    since     the bookmark from which on it reads, epoch ms; None is all
    started   when it began, epoch ms: what changed later may be missing from it
    read_at   that of its rows, epoch ms
    greatest  the latest change among its rows so far, epoch ms
    streams   those that were written
    """

    page: Mark | None
    since: int | None
    started: int
    read_at: int
    greatest: int | None
    include_anonymous_visitors: bool
    streams: list[str]


class PeopleStream(PendoStream):
    """Visitors or accounts.

    The first run reads all, whatever `start_date`; later ones what was updated since the bookmark,
    and all that Pendo has never stamped. A read that was stopped is resumed behind its last page.
    """

    def __init__(
        self, tap: Tap, run: Run, row: PeopleSpec, followers: Sequence[ChildStream] = ()
    ) -> None:
        self.row = row
        super().__init__(tap, run, row, None)
        self._followers = followers
        self.primary_keys = (row.id.name,)
        self.replication_key = LAST_UPDATED.name
        self._shape = Shape(row.id)
        self._facts = PagingFacts(row.name)
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
                "%s: metadata of unknown type is kept as text: %s",
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
            self._schema = self.schema_of(
                {**declared, "metadata": described.schema(), "read_at": READ_AT, EXTRA: extra}
            )
        return self._schema

    def read(self) -> Iterator[list[Record]]:
        """Yield changed rows, then move the bookmark: never past what Pendo may still change."""
        since = self._since(self.stream_state)
        read = self._begun(since)
        stamps = {"read_at": _text(read.read_at)}
        for follower in self._followers:
            follower.begin(None, stamps, self.traffic)
        for item in self.fetched(self._rows(since, read.page).items):
            if isinstance(item, Mark):
                if self._ids_go_out:
                    read.page, read.greatest = item, self._greatest
                    self.mark(**{_UNFINISHED: msgspec.to_builtins(read)})
                    self.read_complete()
            elif isinstance(item, Restart):
                # of two rows of a person, the one with the later `read_at` counts
                read.read_at = max(to_ms(self.run.stamp()), read.read_at + 1)
                stamps["read_at"] = _text(read.read_at)
            else:
                yield self._converted(item, stamps)
        self.warn_of_keyless()
        for follower in self._followers:
            follower.complete(whole=False)
        self._finish(read)

    @property
    def _ids_go_out(self) -> bool:
        """Whether records go out as they are. A mark holds an id, which a map may have to hide."""
        written = [stream for stream in (self, *self._followers) if stream.selected]
        return all(type(each) is SameRecordTransform for one in written for each in one.stream_maps)

    def _begun(self, since: int | None) -> _Unfinished:
        """Resume a read that was stopped, if the settings are the same, or begin one."""
        now, read_at = to_ms(self.run.now()), to_ms(self.run.stamp())
        read = self._unfinished(since)
        if read is None:
            anonymous = self.run.settings.include_anonymous_visitors
            return _Unfinished(None, since, now, read_at, None, anonymous, self._selected_names())
        self.logger.info("%s: resuming a read that was stopped", self.name)
        self._greatest = read.greatest
        read.read_at = max(read_at, read.read_at + 1)
        read.streams = self._selected_names()
        return read

    def _unfinished(self, since: int | None) -> _Unfinished | None:
        """Give the read of the state that was stopped, if it is on the terms of this run."""
        found = self.stream_state.get(_UNFINISHED)
        if found is None:
            return None
        try:
            read = msgspec.convert(found, _Unfinished)
        except msgspec.ValidationError as error:
            raise StreamError(f"state: `{_UNFINISHED}` of {self.name} is not valid") from error
        anonymous = self.run.settings.include_anonymous_visitors
        same = read.since == since and (
            not self.row.anonymous or read.include_anonymous_visitors == anonymous
        )
        return read if same and {*self._selected_names()} <= {*read.streams} else None

    def _finish(self, read: _Unfinished) -> None:
        """Move the bookmark over a read that is complete."""
        if self._greatest is not None:
            before_start = read.started - HOUR // timedelta(milliseconds=1)
            bookmark = max(min(self._greatest, before_start), read.since or 0)
            self.mark(**{"replication_key": self.replication_key, _BOOKMARK: _text(bookmark)})
        if self.row.anonymous:
            self.mark(**{ANONYMOUS: self.run.settings.include_anonymous_visitors})
        self.mark(**{_FOLLOWED: self._selected_names()})
        if read.page or self.stream_state.get(_UNFINISHED):
            # null and not absent: some merge a state into the one before
            self.mark(**{_UNFINISHED: None})
        self.read_complete()

    def _rows(self, since: int | None, mark: Mark | None) -> KeysetRead:
        """Read changed rows, from a mark on."""

        def body(cursor: Cursor | None, limit: int | None) -> Record:
            return queries.people(
                self.row.source,
                params=self._params(),
                id_field=self.row.id.pendo,
                since=since,
                cursor=cursor,
                limit=limit,
            )

        return KeysetRead(
            self.run.client,
            self.traffic,
            self._facts,
            id_field=self.row.id.pendo,
            page_size=self.run.settings.page_size,
            body=body,
            count=lambda: self._count(since),
            mark=mark,
        )

    def _converted(self, block: list[Record], stamps: Record) -> list[Record]:
        """Convert rows; those with a key are for the followers too."""
        rows, records = [], []
        for row in block:
            record = self.keys.keyed(self._record(row))
            if record is not None:
                record.update(stamps)
                rows.append(row)
                records.append(record)
        for follower in self._followers:
            follower.take(rows)
        return records

    def planned(self, counting: Counting) -> Planned:
        """Pages of what has changed since the bookmark."""
        since = self._since(self.stream_state)
        rows = counting.rows(self._count(since))
        unfinished = self._unfinished(since)
        if rows is not None and unfinished and unfinished.page:
            rows = max(rows - unfinished.page.rows, 0)
        calls = None if rows is None else pages(rows, self.run.settings.page_size)
        return Planned(calls=calls, rows=rows)

    def _selected_names(self) -> list[str]:
        """Names of the streams that are written: this one, and those derived from it.

        One that failed reads all in the next run, as if it were new.
        """
        streams = (self, *self._followers)
        return [s.name for s in streams if s.selected and s.name not in self.run.failed]

    def _since(self, state: Record) -> int | None:
        """Bookmark in epoch ms; None to read all: the first time, or for a stream new to it."""
        require_marks(self.name, state)
        text = state.get(_BOOKMARK)
        wider = self.run.settings.include_anonymous_visitors and not state.get(ANONYMOUS)
        newcomers = set(self._selected_names()) - set(state.get(_FOLLOWED, [self.name]))
        full = self.replication_method == "FULL_TABLE" or (self.row.anonymous and wider)
        if not text or full or newcomers:
            return None
        return to_ms(from_text(text))

    def _params(self) -> Record | None:
        identified = not self.run.settings.include_anonymous_visitors
        return {"identified": identified} if self.row.anonymous else None

    def _count(self, since: int | None) -> Record:
        return queries.count_people(self.row.source, self._params(), since)

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
