"""Makes the streams of a run from the rows of the catalogue and from the settings."""

from __future__ import annotations

import dataclasses
import typing as t

from tap_pendo.catalog import CATALOG
from tap_pendo.objects import (
    Definitions,
    Derived,
    EachOf,
    Events,
    Kind,
    People,
    ReportResults,
    SyncWindows,
    Users,
    VisitorHistory,
)
from tap_pendo.settings import report_stream
from tap_pendo.streams.aggregations import BucketsStream, SnapshotStream
from tap_pendo.streams.base import READ_AT, PendoStream
from tap_pendo.streams.derived import DerivedStream, UsersStream
from tap_pendo.streams.events import EventStream
from tap_pendo.streams.history import VisitorHistoryStream
from tap_pendo.streams.lists import EachOfStream, ListStream
from tap_pendo.streams.people import PeopleStream
from tap_pendo.streams.reports import OneReportStream, ReportResultsStream, ReportRows
from tap_pendo.streams.sync_windows import SyncWindowsStream

if t.TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from singer_sdk.tap_base import Tap

    from tap_pendo.pipelines import Pipeline
    from tap_pendo.run import Run


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
        (users,) = (row for row in CATALOG if isinstance(row, Users))
        self._users = UsersStream(tap, run, users)
        (windows,) = (row for row in CATALOG if isinstance(row, SyncWindows))
        self._sync_windows = SyncWindowsStream(tap, run, windows)

    def streams(self) -> Iterator[PendoStream]:
        """Yield a stream for each row, each report and each aggregation."""
        makers: dict[type[Kind], t.Callable[[t.Any], Iterable[PendoStream]]] = {
            SyncWindows: lambda _: [self._sync_windows],
            Definitions: self._list,
            Derived: lambda _: [],  # made with its parent
            Users: lambda _: [self._users],
            EachOf: self._each_of,
            ReportResults: self._reports,
            People: self._people,
            Events: self._events,
            VisitorHistory: self._history,
        }
        for row in CATALOG:
            yield from makers[type(row)](row)
        for pipeline in self._run.settings.aggregations:
            yield self._aggregation(pipeline)

    def _list(self, row: Definitions) -> Iterable[PendoStream]:
        derived = self._derived(row.name)
        followers: list[DerivedStream | UsersStream] = [*derived]
        if row.users:
            followers.append(self._users)
        stream = ListStream(self._tap, self._run, row, followers)
        stream.child_streams.extend(followers)
        return [*derived, stream]

    def _each_of(self, row: EachOf) -> Iterable[PendoStream]:
        parent = t.cast("Definitions", self._rows[row.parent])
        return [EachOfStream(self._tap, self._run, row, parent)]

    def _people(self, row: People) -> Iterable[PendoStream]:
        derived = self._derived(row.name, read_at=True)
        stream = PeopleStream(self._tap, self._run, row, derived)
        stream.child_streams.extend(derived)
        return [*derived, stream]

    def _events(self, row: Events) -> Iterable[PendoStream]:
        return [EventStream(self._tap, self._run, row, self._sync_windows)]

    def _history(self, row: VisitorHistory) -> Iterable[PendoStream]:
        return [VisitorHistoryStream(self._tap, self._run, row, self._sync_windows)]

    def _aggregation(self, pipeline: Pipeline) -> PendoStream:
        row = Kind(name=pipeline.name, about="An aggregation of your own.")
        if not pipeline.grain:
            return SnapshotStream(self._tap, self._run, row, pipeline)
        return BucketsStream(self._tap, self._run, row, pipeline, self._sync_windows)

    def _derived(self, parent: str, *, read_at: bool = False) -> list[DerivedStream]:
        stamps = {"read_at": READ_AT} if read_at else None
        return [
            DerivedStream(self._tap, self._run, row, stamps)
            for row in CATALOG
            if isinstance(row, Derived) and row.parent == parent
        ]

    def _reports(self, row: ReportResults) -> Iterator[PendoStream]:
        reports = ReportRows(self._run)
        yield ReportResultsStream(self._tap, self._run, row, reports)
        for report_id in self._run.settings.report_ids:
            own = dataclasses.replace(row, name=report_stream(report_id), selected=True)
            yield OneReportStream(self._tap, self._run, own, reports, report_id)
