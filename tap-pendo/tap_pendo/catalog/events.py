"""The rows of event streams."""

from __future__ import annotations

import typing as t

from tap_pendo.objects import (
    Events,
    Kind,
    VisitorHistory,
)
from tap_pendo.schemas import events as e
from tap_pendo.schemas import single_events as single
from tap_pendo.windows import HOUR

if t.TYPE_CHECKING:
    from tap_pendo.shapes import Field


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

EVENTS: tuple[Kind, ...] = (
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
    Events(
        name="single_events",
        about="Every click and page view, one row per event: very many.",
        source="singleEvents",
        shape=single.UI_EVENT,
        identity=(e.VISITOR, e.ACCOUNT, e.APP, e.EVENT_TYPE, e.TAB_ID, single.EVENT_ID),
        time=e.BROWSER_TIME,
        longest=HOUR,
        selected=False,
    ),
    Events(
        name="session_recordings",
        about="Session replays, one row per part of a recording.",
        source="recordingMetadata",
        shape=single.RECORDING,
        identity=(
            e.VISITOR,
            e.ACCOUNT,
            e.APP,
            single.RECORDING_ID,
            single.RECORDING_SESSION_ID,
            e.TAB_ID,
        ),
        time=single.START_TIME,
        selected=False,
    ),
    Events(
        name="agentic_events",
        about="Conversations with AI agents, one row per event.",
        source="agenticEvents",
        shape=single.AGENTIC_EVENT,
        identity=(e.VISITOR, e.ACCOUNT, e.APP, single.AGENT_ID, single.EVENT_ID, e.EVENT_TYPE),
        time=e.BROWSER_TIME,
        verified=False,
    ),
    Events(
        name="email_events",
        about="Guides sent by e-mail: sent, opened, clicked.",
        source="emailEvents",
        shape=single.EMAIL_EVENT,
        identity=(e.VISITOR, e.ACCOUNT, e.APP, e.GUIDE_ID, e.EVENT_TYPE),
        time=e.BROWSER_TIME,
        verified=False,
    ),
    VisitorHistory(
        name="visitor_history",
        about="What each visitor did, of 180 days at most: a call for each visitor and day.",
        shape=single.HISTORY,
        identity=(
            e.VISITOR,
            single.HISTORY_TIME,
            e.EVENT_TYPE,
            e.APP,
            single.HISTORY_URI,
            *single.HISTORY_IDS,
        ),
        time=single.HISTORY_TIME,
        selected=False,
    ),
)
