"""The event streams that are back-filled: what Pendo calls them, and how they are added up."""

from __future__ import annotations

import typing as t


class EventStream(t.NamedTuple):
    """A stream of the tap.

    source   of Pendo's aggregations
    grouped  rows are counts by the hour or day: num_events is added up; else rows are counted
    """

    name: str
    source: str
    grouped: bool


STREAMS = {
    name: EventStream(name, source, grouped)
    for name, source, grouped in (
        ("events", "events", True),
        ("page_events", "pageEvents", True),
        ("feature_events", "featureEvents", True),
        ("track_events", "trackEvents", True),
        ("guide_events", "guideEvents", False),
        ("poll_events", "pollEvents", False),
    )
}
