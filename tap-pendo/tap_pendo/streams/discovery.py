"""Makes the streams of a run from the rows of the catalogue and from the settings."""

from __future__ import annotations

import dataclasses
import typing as t

from tap_pendo.catalog import CATALOG
from tap_pendo.catalog.stream_specs import (
    ChildSpec,
    EventSpec,
    ListSpec,
    PeopleSpec,
    PerParentSpec,
    ReportResultsSpec,
    StreamSpec,
    SyncWindowsSpec,
    UsersSpec,
    VisitorHistorySpec,
)
from tap_pendo.config.settings import report_stream
from tap_pendo.streams.aggregations import BucketsStream, SnapshotStream
from tap_pendo.streams.base_stream import READ_AT, PendoStream
from tap_pendo.streams.children import ChildStream, UsersStream
from tap_pendo.streams.events import EventStream
from tap_pendo.streams.lists import (
    ListStream,
    OneReportStream,
    PerParentStream,
    ReportResultsStream,
)
from tap_pendo.streams.people import PeopleStream
from tap_pendo.streams.visitor_history import VisitorHistoryStream
from tap_pendo.streams.windowed import SyncWindowsStream

if t.TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from singer_sdk.tap_base import Tap

    from tap_pendo.config.custom_aggregations import Pipeline
    from tap_pendo.config.run_context import Run


def made(tap: Tap, run: Run) -> list[PendoStream]:
    """Make all streams, in the order of a run.

    What is derived from a stream comes right before it, so that its SCHEMA is out when the
    parent's rows come.
    """
    return list(_Maker(tap, run).streams())


class _Maker:
    def __init__(self, tap: Tap, run: Run) -> None:
        self._tap, self._run = tap, run
        self._rows = {row.name: row for row in CATALOG}
        (users,) = (row for row in CATALOG if isinstance(row, UsersSpec))
        self._users = UsersStream(tap, run, users)
        (windows,) = (row for row in CATALOG if isinstance(row, SyncWindowsSpec))
        self._sync_windows = SyncWindowsStream(tap, run, windows)

    def streams(self) -> Iterator[PendoStream]:
        """Yield a stream for each row, each report and each aggregation."""
        makers: dict[type[StreamSpec], t.Callable[[t.Any], Iterable[PendoStream]]] = {
            SyncWindowsSpec: lambda _: [self._sync_windows],
            ListSpec: self._list,
            ChildSpec: lambda _: [],  # made with its parent
            UsersSpec: lambda _: [self._users],
            PerParentSpec: self._each_of,
            ReportResultsSpec: self._reports,
            PeopleSpec: self._people,
            EventSpec: self._events,
            VisitorHistorySpec: self._history,
        }
        for row in CATALOG:
            yield from makers[type(row)](row)
        for pipeline in self._run.settings.aggregations:
            yield self._aggregation(pipeline)

    def _list(self, row: ListSpec) -> Iterable[PendoStream]:
        derived = self._derived(row.name)
        followers: list[ChildStream | UsersStream] = [*derived]
        if row.users:
            followers.append(self._users)
        stream = ListStream(self._tap, self._run, row, followers)
        stream.child_streams.extend(followers)
        return [*derived, stream]

    def _each_of(self, row: PerParentSpec) -> Iterable[PendoStream]:
        parent = t.cast("ListSpec", self._rows[row.parent])
        return [PerParentStream(self._tap, self._run, row, parent)]

    def _people(self, row: PeopleSpec) -> Iterable[PendoStream]:
        derived = self._derived(row.name, read_at=True)
        stream = PeopleStream(self._tap, self._run, row, derived)
        stream.child_streams.extend(derived)
        return [*derived, stream]

    def _events(self, row: EventSpec) -> Iterable[PendoStream]:
        return [EventStream(self._tap, self._run, row, self._sync_windows)]

    def _history(self, row: VisitorHistorySpec) -> Iterable[PendoStream]:
        return [VisitorHistoryStream(self._tap, self._run, row, self._sync_windows)]

    def _aggregation(self, pipeline: Pipeline) -> PendoStream:
        row = StreamSpec(name=pipeline.name, about="An aggregation of your own.")
        if not pipeline.grain:
            return SnapshotStream(self._tap, self._run, row, pipeline)
        return BucketsStream(self._tap, self._run, row, pipeline, self._sync_windows)

    def _derived(self, parent: str, *, read_at: bool = False) -> list[ChildStream]:
        stamps = {"read_at": READ_AT} if read_at else None
        return [
            ChildStream(self._tap, self._run, row, stamps)
            for row in CATALOG
            if isinstance(row, ChildSpec) and row.parent == parent
        ]

    def _reports(self, row: ReportResultsSpec) -> Iterator[PendoStream]:
        yield ReportResultsStream(self._tap, self._run, row)
        for report_id in self._run.settings.report_ids:
            own = dataclasses.replace(row, name=report_stream(report_id), selected=True)
            yield OneReportStream(self._tap, self._run, own, report_id)
