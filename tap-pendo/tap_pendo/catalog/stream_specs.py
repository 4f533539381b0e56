"""The kinds of Pendo objects: what has to be known of one to make it a stream."""

from __future__ import annotations

import dataclasses
import typing as t

from tap_pendo.calendar import LENGTHS
from tap_pendo.records.fields import TIME, Field, Shape, field
from tap_pendo.records.nested_rows import Answer, Derive, rows_of_list

if t.TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from datetime import timedelta

    from tap_pendo import Row
    from tap_pendo.api.queries import Body
    from tap_pendo.calendar import Period


HOUR_FIELD = field("hour", TIME, "Start of the hour in UTC; null with `period: day`.")
DAY_FIELD = field(
    "day", TIME, "Start of the day in the subscription's time zone; null with `period: hour`."
)


@dataclasses.dataclass(frozen=True, kw_only=True)
class StreamSpec:
    """What every row of the table says."""

    name: str
    about: str
    selected: bool = True
    """False if it is costly: very many rows, or very many calls."""
    verified: bool = True
    """False if nobody has described what Pendo answers; such a stream is treated as costly."""

    @property
    def by_default(self) -> bool:
        """Whether it is read without being named in the setting `costly_streams`."""
        return self.selected and self.verified

    @property
    def origin(self) -> str:
        """Where its rows come from, in Markdown."""
        return "the tap itself"


@dataclasses.dataclass(frozen=True, kw_only=True)
class SyncWindowsSpec(StreamSpec):
    """The log of complete reads; its rows come from the event streams."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class ListSpec(StreamSpec):
    """A list that Pendo gives whole: by GET on `path`, or from the aggregation source `source`.

    `keys` are columns; with none, a hash of the row is its key.
    """

    shape: Shape
    path: str | None = None
    params: t.Any = None
    source: str | None = None
    keys: tuple[str, ...] = ("id",)
    rows: Answer = rows_of_list
    apps: tuple[str, ...] = ()
    """Columns with the ids of its apps; none if it belongs to the subscription."""
    users: bool = False
    """Whether it names the Pendo users who made, changed or own it."""
    absent: bool = False
    """Whether 404 means that there are none."""
    fallback: Body | None = None
    """What is asked if Pendo refuses the source as it is."""
    fallback_is_whole: bool = True
    """Whether that gives all rows too."""

    @property
    def origin(self) -> str:
        """The call."""
        return f"`GET {self.path}`" if self.path else f"aggregation, `{self.source}`"


@dataclasses.dataclass(frozen=True, kw_only=True)
class ChildSpec(StreamSpec):
    """Rows made from the rows of another stream, `parent`, when that one is read."""

    parent: str
    shape: Shape
    keys: tuple[str, ...]
    derive: Derive

    @property
    def origin(self) -> str:
        """The parent."""
        return f"the rows of `{self.parent}`"


@dataclasses.dataclass(frozen=True, kw_only=True)
class UsersSpec(StreamSpec):
    """Pendo users, gathered from all lists that name them."""

    shape: Shape

    @property
    def origin(self) -> str:
        """The lists."""
        return "the rows of all lists that name users"


@dataclasses.dataclass(frozen=True, kw_only=True)
class PerParentSpec(StreamSpec):
    """A list that Pendo gives for each item of another one, `parent`: a call for each.

    `items` gives the ids, by Pendo's names, of the items in a row of the parent; they fill the
    braces of `path`, or are given to `body`, and are added to each row.
    """

    parent: str
    items: Callable[[Row], Iterator[dict[str, str]]]
    shape: Shape
    keys: tuple[str, ...] = ()
    path: str | None = None
    rows: Answer = rows_of_list
    body: Callable[[dict[str, str], bool], Body] | None = None
    """Makes the request from the ids, and from whether anonymous visitors are to be left out."""
    counted: Body | None = None
    """Asks for rows as many as there are items, if Pendo has them; they are only counted."""

    @property
    def origin(self) -> str:
        """The call, and for what it is made."""
        call = f"`GET {self.path}`" if self.path else "aggregation"
        return f"{call}, for each of `{self.parent}`"


@dataclasses.dataclass(frozen=True, kw_only=True)
class ReportResultsSpec(StreamSpec):
    """The results of the reports of the setting `report_ids`."""

    @property
    def origin(self) -> str:
        """The call."""
        return "`GET /api/v1/report/{id}/results.json`"


@dataclasses.dataclass(frozen=True, kw_only=True)
class PeopleSpec(StreamSpec):
    """Visitors or accounts: changed rows by the aggregation source, with typed metadata."""

    source: str
    id: Field
    metadata_kind: str
    anonymous: bool = False
    """Whether some have no identity, to be left out by `include_anonymous_visitors`."""

    @property
    def origin(self) -> str:
        """The source."""
        return f"aggregation, `{self.source}`"


@dataclasses.dataclass(frozen=True, kw_only=True)
class EventSpec(StreamSpec):
    """Rows of an event source.

    Grouped rows (`time` is None) count the uses in a bucket and are merged by identity; single
    events have a time of their own and are numbered within their identity.
    """

    source: str
    shape: Shape
    identity: tuple[Field, ...]
    objects: tuple[Field, ...] = ()
    """Dimensions that are objects: part of the identity, but nothing to sort by."""
    time: Field | None = None
    by_agent: bool = False
    """Whether Pendo wants to be asked for one AI agent of one app at a time."""
    longest: timedelta = LENGTHS[-1]
    """Most time that is asked for at once: less for sources with very many rows."""

    @property
    def origin(self) -> str:
        """The source."""
        return f"aggregation, `{self.source}`"

    @property
    def grouped(self) -> bool:
        """Whether rows are counts per bucket."""
        return self.time is None

    @property
    def counts(self) -> bool:
        """Whether a row says how many events it counts; without that, a single row is one."""
        return any(f.name == "num_events" for f in self.shape.fields)

    @property
    def measures(self) -> tuple[Field, ...]:
        """Fields that are added up when rows are merged."""
        return tuple(f for f in self.shape.fields if f.merge)

    def by_place(self, period: Period) -> tuple[Field, ...]:
        """All fields of the rows, the dimensions first."""
        first = self.dimensions(period)
        return (*first, *(f for f in self.record_shape.fields if f not in first))

    def dimensions(self, period: Period) -> tuple[Field, ...]:
        """What identifies a row: when, who and what, first what rows are sorted by."""
        return (self.clock(period), *self.identity, *self.objects)

    def period(self, period: Period) -> Period:
        """Bucket of the stream, of that setting: single events have none but the hour."""
        return period if self.grouped else "hour"

    def clock(self, period: Period) -> Field:
        """Field that says when: the bucket's start, or the event's own time."""
        return self.time or (HOUR_FIELD if period == "hour" else DAY_FIELD)

    @property
    def record_shape(self) -> Shape:
        """Shape of the rows, with the columns of either bucket."""
        return self.shape if self.time else Shape(HOUR_FIELD, DAY_FIELD) + self.shape

    def sort(self, period: Period) -> tuple[str, ...]:
        """Pendo's names of the fields to sort by: time, visitor, then the other scalars."""
        return (self.clock(period).pendo, *(f.pendo for f in self.identity))


@dataclasses.dataclass(frozen=True, kw_only=True)
class VisitorHistorySpec(StreamSpec):
    """What each visitor did, a call for each visitor and day."""

    shape: Shape
    identity: tuple[Field, ...]
    time: Field

    @property
    def origin(self) -> str:
        """The call, and for what it is made."""
        return "`GET /api/v1/visitor/{id}/history`, for each visitor and day"
