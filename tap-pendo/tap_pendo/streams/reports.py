"""Results of Pendo's reports: each of `report_ids` a stream with the report's own columns."""

from __future__ import annotations

import typing as t
from functools import cached_property, partial

from tap_pendo import grouping
from tap_pendo.deriving import rows_of_list
from tap_pendo.errors import StreamError
from tap_pendo.inferring import shape_from, shape_of
from tap_pendo.planning import Planned
from tap_pendo.shapes import ANY, EXTRA, STRING, Shape
from tap_pendo.streams.base import READ_AT, ROW_ID, Record, WholeStream, object_schema
from tap_pendo.traffic import Traffic
from tap_pendo.windows import to_text

if t.TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from singer_sdk.tap_base import Tap

    from tap_pendo.deriving import Raw
    from tap_pendo.objects import ReportResults
    from tap_pendo.planning import Counting
    from tap_pendo.run import Run

_STAMPS = {
    "report_id": {**STRING.schema, "description": "Report."},
    "row_id": ROW_ID,
    "read_at": READ_AT,
}
_RESERVED = {*_STAMPS, EXTRA}


class ReportRows:
    """The rows of reports, each read once in a run: for its columns, and for its records."""

    def __init__(self, run: Run) -> None:
        self._run = run
        self._found: dict[str, list[Raw] | StreamError] = {}
        self._with_nul: set[str] = set()

    def of(self, report_id: str, traffic: Traffic) -> list[Raw]:
        """Read a report (pendo-api.md §2.1).

        Raises:
            StreamError: Pendo refuses; paths, funnels, retention and workflows have no results.
        """
        if report_id not in self._found:
            counted = Traffic(traffic)
            try:
                self._found[report_id] = self._read(report_id, counted)
            except StreamError as error:
                self._found[report_id] = error
            if counted.nul:
                self._with_nul.add(report_id)
        # whoever asks second has to know too
        traffic.add(nul=report_id in self._with_nul)
        found = self._found[report_id]
        if isinstance(found, StreamError):
            raise found
        return found

    def forget(self, report_id: str) -> None:
        """Free the memory of rows that nobody needs any more."""
        self._found.pop(report_id, None)

    def _read(self, report_id: str, traffic: Traffic) -> list[Raw]:
        path = "/api/v1/report/{id}/results.json"
        rows = rows_of_list(self._run.client.get(path, traffic=traffic, ids={"id": report_id}))
        if rows is None:
            raise StreamError(f"{path}: the answer is not a list of objects")
        return rows


class ReportResultsStream(WholeStream):
    """Rows of some reports, read anew each run."""

    def __init__(self, tap: Tap, run: Run, row: ReportResults, reports: ReportRows) -> None:
        super().__init__(tap, run, row, None)
        self.primary_keys = ("report_id", "row_id")
        self._report_ids: Sequence[str] = run.settings.report_ids
        self._reports = reports

    @property
    def schema(self) -> dict[str, t.Any]:
        """The stamps, and the columns."""
        if self._schema is None:
            self._schema = object_schema({**_STAMPS, **self.columns()})
        return self._schema

    def columns(self) -> dict[str, t.Any]:
        """One column that holds each row as it is: those of several reports differ."""
        return {"row": {**ANY.schema, "description": "The report's row."}}

    def record(self, row: Raw) -> Record:
        """Put a row in its column."""
        return {"row": row}

    def read(self) -> Iterator[list[Record]]:
        """Yield the rows of each report; equal rows of one are numbered."""
        if not self._report_ids:
            self.logger.warning("%s: `report_ids` names no report; nothing is read", self.name)
        self._stream_version = self._tap.initialized_at
        read_at = to_text(self.run.now())
        for report_id in self._report_ids:
            seen: dict[str, int] = {}
            for rows in self.fetched(partial(self._blocks, report_id)):
                records = []
                for row in rows:
                    identity = grouping.row_id("report_results", [report_id, row])
                    ordinal = seen[identity] = seen.get(identity, -1) + 1
                    row_id = grouping.row_id(identity, [ordinal]) if ordinal else identity
                    stamps = {"report_id": report_id, "row_id": row_id, "read_at": read_at}
                    records.append({**self.record(row), **stamps})
                yield records
        self._activates = bool(self._report_ids) and not self.dry_run
        self.read_complete()

    def planned(self, counting: Counting) -> Planned:
        """A call for each report."""
        del counting
        return Planned(calls=len(self._report_ids))

    def _blocks(self, report_id: str) -> Iterator[list[Raw]]:
        yield self._reports.of(report_id, self.traffic)


class OneReportStream(ReportResultsStream):
    """Rows of one report, with its columns.

    With a catalogue they are its columns, since a table cannot change their types, and the SDK
    drops others from records; what is new is kept in `extra`.
    """

    def __init__(
        self, tap: Tap, run: Run, row: ReportResults, reports: ReportRows, report_id: str
    ) -> None:
        super().__init__(tap, run, row, reports)
        self._report_ids = (report_id,)

    @cached_property
    def _shape(self) -> Shape:
        """Columns of the catalogue, or what the report holds now.

        Nothing if it cannot be read, which fails the stream later.
        """
        catalogue = self._tap.input_catalog
        entry = catalogue.get_stream(self.name) if catalogue else None
        if entry:
            return shape_from(entry.schema.to_dict().get("properties", {}), _RESERVED)
        try:
            return shape_of(self._reports.of(self._report_ids[0], self.traffic), _RESERVED)
        except StreamError:
            return Shape()

    def read(self) -> Iterator[list[Record]]:
        """Yield the rows; they are not needed again."""
        yield from super().read()
        self._reports.forget(self._report_ids[0])

    def columns(self) -> dict[str, t.Any]:
        """The report's columns."""
        return self._shape.properties()

    def record(self, row: Raw) -> Record:
        """Convert a row."""
        return self._shape.record(row)
