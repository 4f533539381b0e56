"""THE TABLE: one row per Pendo object.

A new list is one row here and one shape in `schemas`.
"""

from __future__ import annotations

import dataclasses
import typing as t

from tap_pendo.schemas import events as e
from tap_pendo.schemas import lists, people
from tap_pendo.shapes import Field, Shape
from tap_pendo.windows import LENGTHS

if t.TYPE_CHECKING:
    from datetime import timedelta

    from tap_pendo.windows import Period


@dataclasses.dataclass(frozen=True, kw_only=True)
class SyncWindows:
    """The log of complete reads; its rows come from the event streams."""

    name: str
    about: str


@dataclasses.dataclass(frozen=True, kw_only=True)
class Definitions:
    """A list that Pendo gives whole: by GET on `path`, or from the aggregation source `source`."""

    name: str
    about: str
    shape: Shape
    path: str | None = None
    source: str | None = None


@dataclasses.dataclass(frozen=True, kw_only=True)
class People:
    """Visitors or accounts: changed rows by the aggregation source, with typed metadata."""

    name: str
    about: str
    source: str
    id: Field
    metadata_kind: str
    anonymous: bool = False
    """Whether some have no identity, to be left out by `include_anonymous_visitors`."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Events:
    """Rows of an event source.

    Grouped rows (`time` is None) count the uses in a bucket and are merged by identity; single
    events have a time of their own and are numbered within their identity.
    """

    name: str
    about: str
    source: str
    shape: Shape
    identity: tuple[Field, ...]
    objects: tuple[Field, ...] = ()
    """Dimensions that are objects: part of the identity, but nothing to sort by."""
    time: Field | None = None
    longest: timedelta = LENGTHS[-1]
    """Most time that is asked for at once: less for sources with very many rows."""

    @property
    def grouped(self) -> bool:
        """Whether rows are counts per bucket."""
        return self.time is None

    @property
    def measures(self) -> tuple[Field, ...]:
        """Fields that are added up when rows are merged."""
        return tuple(f for f in self.shape.fields if f.merge)

    def period(self, period: Period) -> Period:
        """Bucket of the stream, of that setting: single events have none but the hour."""
        return period if self.grouped else "hour"

    def clock(self, period: Period) -> Field:
        """Field that says when: the bucket's start, or the event's own time."""
        return self.time or (e.HOUR if period == "hour" else e.DAY)

    @property
    def record_shape(self) -> Shape:
        """Shape of the rows, with the columns of either bucket."""
        return self.shape if self.time else Shape(e.HOUR, e.DAY) + self.shape

    def sort(self, period: Period) -> tuple[str, ...]:
        """Pendo's names of the fields to sort by: time, visitor, then the other scalars."""
        return (self.clock(period).pendo, *(f.pendo for f in self.identity))


def _grouped(name: str, about: str, source: str, entity: Field) -> Events:
    return Events(
        name=name,
        about=about,
        source=source,
        shape=e.grouped(entity),
        identity=(e.VISITOR, e.ACCOUNT, e.APP, entity, *e.DIMENSIONS),
        objects=e.OBJECT_DIMENSIONS,
    )


_SINGLE = (
    e.VISITOR,
    e.ACCOUNT,
    e.APP,
    e.GUIDE_ID,
    e.GUIDE_STEP_ID,
    e.EVENT_TYPE,
    e.TAB_ID,
    e.UI_ELEMENT_ID,
)

Row = SyncWindows | Definitions | People | Events

# In the order of a run: what explains comes before what is explained.
CATALOG: tuple[Row, ...] = (
    SyncWindows(name="sync_windows", about="Each complete read of a window of an event stream."),
    Definitions(
        name="applications",
        about="Apps of the subscription.",
        source="apps",
        shape=lists.APPLICATION,
    ),
    Definitions(name="pages", about="Tagged pages.", path="/api/v1/page", shape=lists.PAGE),
    Definitions(
        name="features", about="Tagged features.", path="/api/v1/feature", shape=lists.FEATURE
    ),
    Definitions(
        name="track_types",
        about="Kinds of track events.",
        path="/api/v1/tracktype",
        shape=lists.TRACK_TYPE,
    ),
    Definitions(
        name="guides",
        about="Guides with their steps and polls.",
        path="/api/v1/guide",
        shape=lists.GUIDE,
    ),
    People(
        name="accounts",
        about="Accounts with their metadata.",
        source="accounts",
        id=people.ACCOUNT_ID,
        metadata_kind="account",
    ),
    People(
        name="visitors",
        about="Visitors with their metadata.",
        source="visitors",
        id=people.VISITOR_ID,
        metadata_kind="visitor",
        anonymous=True,
    ),
    _grouped("events", "All clicks and page views, tagged or not.", "events", e.ALL_EVENTS_PAGE_ID),
    _grouped("page_events", "Views of tagged pages.", "pageEvents", e.PAGE_ID),
    _grouped("feature_events", "Uses of tagged features.", "featureEvents", e.FEATURE_ID),
    _grouped("track_events", "Track events.", "trackEvents", e.TRACK_TYPE_ID),
    Events(
        name="guide_events",
        about="What visitors did with guides, one row per event.",
        source="guideEvents",
        shape=e.SINGLE_EVENT,
        identity=_SINGLE,
        time=e.BROWSER_TIME,
    ),
    Events(
        name="poll_events",
        about="Answers to polls, one row per answer.",
        source="pollEvents",
        shape=e.POLL_EVENT,
        identity=(*_SINGLE, e.POLL_ID),
        time=e.BROWSER_TIME,
    ),
)
