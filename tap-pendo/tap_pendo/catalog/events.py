"""The rows of event streams."""

from __future__ import annotations

import typing as t

from tap_pendo.calendar import HOUR
from tap_pendo.catalog.stream_specs import EventSpec, StreamSpec, VisitorHistorySpec
from tap_pendo.records.fields import (
    ANY_AS_TEXT,
    BOOLEAN,
    ID,
    INTEGER,
    INTEGERS,
    LIST,
    NUMBER,
    OBJECT,
    STRING,
    TEXTS,
    TIME,
    Field,
    Shape,
    field,
)

if t.TYPE_CHECKING:
    from tap_pendo.records.fields import Field

VISITOR = field("visitorId", ID, "Visitor; `_PENDO_T_…` when anonymous.")
ACCOUNT = field("accountId", ID, "Account of the visitor at that time, if any.")
APP = field("appId", INTEGER, "App in which it happened.")

# scalar dimensions first, in the order in which answers are sorted
DIMENSIONS = (
    field("server", STRING, "Host name of your product."),
    field("remoteIp", STRING, "IP address, if Pendo keeps it."),
    field("userAgent", STRING, "Browser or device."),
    field("country", STRING, "Country of the IP address."),
    field("region", STRING, "Region of the IP address."),
    field("latitude", NUMBER, "Latitude of the IP address."),
    field("longitude", NUMBER, "Longitude of the IP address."),
    field("tabId", STRING, "Browser tab."),
    field("analyticsSessionId", STRING, "Session."),
    field("recordingId", ID, "Session replay."),
    field("recordingSessionId", ID, "Session of the replay."),
    field("signatureAgent", STRING, "Agent's signature."),
)
OBJECT_DIMENSIONS = (
    field("parameters", OBJECT, "Parameters captured from the page's URL."),
    field("properties", OBJECT, "Event properties."),
)
MEASURES = (
    field("numEvents", INTEGER, "Number of events.", merge="sum"),
    field("numMinutes", INTEGER, "Number of minutes with an event.", merge="sum"),
    field("firstTime", TIME, "First event of the bucket.", merge="min"),
    field("lastTime", TIME, "Last event of the bucket.", merge="max"),
    field("lastKeyFrameTimestamp", TIME, "Last key frame of the replay.", merge="max"),
    field("rageClickCount", INTEGER, "Rage clicks.", merge="sum"),
    field("errorClickCount", INTEGER, "Error clicks.", merge="sum"),
    field("deadClickCount", INTEGER, "Dead clicks.", merge="sum"),
    field("uTurnCount", INTEGER, "U-turns.", merge="sum"),
)
CALENDAR = (
    field("week", TIME, "Start of the bucket's week, as Pendo sends it."),
    field("month", TIME, "Start of the bucket's month, as Pendo sends it."),
    field("quarter", TIME, "Start of the bucket's quarter, as Pendo sends it."),
)

PAGE_ID = field("pageId", ID, "Page.")
ALL_EVENTS_PAGE_ID = field("pageId", ID, "Always `allevents`: events are not cut by page.")
FEATURE_ID = field("featureId", ID, "Feature.")
TRACK_TYPE_ID = field("trackTypeId", ID, "Track type.")

GUIDE_ID = field("guideId", ID, "Guide.")
GUIDE_STEP_ID = field("guideStepId", ID, "Step of the guide.")
POLL_ID = field("pollId", ID, "Poll.")
EVENT_TYPE = field("type", STRING, "What happened: guideSeen, guideDismissed, pollResponse, …")
BROWSER_TIME = field("browserTime", TIME, "When it happened, by the visitor's clock.")
TAB_ID = field("tabId", STRING, "Browser tab.")
UI_ELEMENT_ID = field("uiElementId", STRING, "Element that was clicked.")

SINGLE_EVENT = Shape(
    VISITOR,
    ACCOUNT,
    APP,
    GUIDE_ID,
    GUIDE_STEP_ID,
    EVENT_TYPE,
    BROWSER_TIME,
    TAB_ID,
    UI_ELEMENT_ID,
    field("accountIds", TEXTS, "All accounts of the visitor."),
    field("guideTimestamp", TIME, "Time of the guide's event."),
    field("guideSeenReason", STRING, "Why the guide showed: auto, launcher, badge, dom, …"),
    field("receivedTime", TIME, "When Pendo received it."),
    field("loadTime", INTEGER, "Load time in milliseconds."),
    field("url", STRING, "URL."),
    field("title", STRING, "Title of the page."),
    field("language", STRING, "Language of the browser."),
    field("userAgent", STRING, "Browser or device."),
    field("remoteIp", STRING, "IP address, if Pendo keeps it."),
    field("serverName", STRING, "Host name of your product."),
    field("country", STRING, "Country of the IP address."),
    field("region", STRING, "Region of the IP address."),
    field("latitude", NUMBER, "Latitude of the IP address."),
    field("longitude", NUMBER, "Longitude of the IP address."),
    field("elementPath", STRING, "CSS path of the element."),
    field("eventId", STRING, "Id of the event; may be empty."),
    field("fragment", STRING, "Fragment of the URL."),
    field("analyticsSessionId", STRING, "Session."),
    field("oldVisitorId", ID, "Visitor id before it was merged."),
    field("uiElementType", STRING, "Kind of the element."),
    field("uiElementText", STRING, "Text of the element."),
    field("uiElementActions", LIST, "Actions of the element."),
    field("destinationStepId", ID, "Step that was gone to."),
    field("guideStepPollTypes", TEXTS, "Kinds of polls on the step."),
    field("properties", OBJECT, "Event properties."),
)
POLL_EVENT = SINGLE_EVENT + Shape(
    POLL_ID,
    field("pollType", STRING, "Kind of poll: NPSRating, …"),
    field(
        "pollResponse",
        ANY_AS_TEXT,
        "Answer as text: a number, a text, the id of an option; several as a JSON list.",
    ),
)


def grouped(entity: Field) -> Shape:
    """Fields of a source whose rows count the uses of an entity in a bucket."""
    return Shape(
        VISITOR,
        ACCOUNT,
        APP,
        entity,
        *DIMENSIONS,
        *OBJECT_DIMENSIONS,
        *MEASURES,
        *CALENDAR,
    )


EVENT_ID = field("eventId", STRING, "Id of the event; may be empty.")
UI_EVENT_TIME = field(
    BROWSER_TIME.pendo,
    TIME,
    "When it happened, by the visitor's clock; the start of its hour if Pendo gives only that.",
)
UI_EVENT = Shape(
    VISITOR,
    ACCOUNT,
    APP,
    EVENT_TYPE,
    UI_EVENT_TIME,
    TAB_ID,
    field("hour", TIME, "Start of its hour in UTC, if Pendo sends it."),
    field("day", TIME, "Start of its day in the subscription's time zone, if Pendo sends it."),
    field("numEvents", INTEGER, "Number of events that the row counts; one if null."),
    field("url", STRING, "URL."),
    field("elementPath", STRING, "CSS path of the element."),
    EVENT_ID,
    field("country", STRING, "Country of the IP address."),
    field("region", STRING, "Region of the IP address."),
    field("remoteIp", STRING, "IP address, if Pendo keeps it."),
    field("userAgent", STRING, "Browser or device."),
    field("recordingSessionId", ID, "Session of the replay."),
    field("properties", OBJECT, "Event properties."),
)

RECORDING_ID = field("recordingId", ID, "Recording.")
RECORDING_SESSION_ID = field("recordingSessionId", ID, "Session of the recording.")
START_TIME = field("startTime", TIME, "Start of this part of the recording.")
RECORDING = Shape(
    RECORDING_ID,
    RECORDING_SESSION_ID,
    TAB_ID,
    START_TIME,
    VISITOR,
    ACCOUNT,
    APP,
    field("endTime", TIME, "End of this part of the recording."),
    field("minBrowserTime", TIME, "First event, by the visitor's clock."),
    field("maxBrowserTime", TIME, "Last event, by the visitor's clock."),
    field("recordingStartTime", TIME, "Start of the whole recording."),
    field("recordingEndTime", TIME, "End of the whole recording."),
    field("recordingSize", INTEGER, "Size in bytes."),
    field("recordingRrwebEventCount", INTEGER, "Number of recorded events."),
    field("isBroken", BOOLEAN, "Whether it cannot be played."),
    field("isSessionStart", BOOLEAN, "Whether the session begins here."),
    field("activityTimelineTimestamps", INTEGERS, "Times of activity, in epoch milliseconds."),
    field("recordingFirstActiveTs", TIME, "First activity of the recording."),
    field("recordingLastActiveTs", TIME, "Last activity of the recording."),
    field(
        "recordingInactivityPeriodStartTimes",
        INTEGERS,
        "When periods without activity began, in epoch milliseconds.",
    ),
    field(
        "recordingInactivityPeriodEndTimes",
        INTEGERS,
        "When periods without activity ended, in epoch milliseconds.",
    ),
    field("recordingLastMobileState", STRING, "Last state of a mobile app."),
)

AGENT_ID = field("agentId", ID, "AI agent.")
AGENTIC_EVENT = Shape(
    VISITOR,
    ACCOUNT,
    APP,
    AGENT_ID,
    EVENT_ID,
    EVENT_TYPE,
    BROWSER_TIME,
    field("content", STRING, "What was said."),
    field("conversationId", STRING, "Conversation."),
    field("messageId", STRING, "Message within the conversation."),
    field("suggestedPrompt", BOOLEAN, "Whether the prompt was a suggested one."),
    field("toolsUsed", LIST, "Tools that the agent called."),
    field("agentModelUsed", STRING, "Model that answered."),
    field("agentFilesUploaded", LIST, "Files that the visitor uploaded."),
    field("agentUserReactionComments", STRING, "Comment of the visitor on the answer."),
    field("agentSubagentsUsed", LIST, "Agents that the agent called."),
)

EMAIL_EVENT = Shape(VISITOR, ACCOUNT, APP, GUIDE_ID, EVENT_TYPE, BROWSER_TIME)

HISTORY_TIME = field("ts", TIME, "When it began.")
HISTORY_URI = field("uri", STRING, "URI.")
HISTORY_IDS = (
    field("pageId", ID, "Page, if it is about one."),
    field("featureId", ID, "Feature, if it is about one."),
    field("guideId", ID, "Guide, if it is about one."),
    field("guideStepId", ID, "Step of the guide, if it is about one."),
)
HISTORY = Shape(
    VISITOR,
    EVENT_TYPE,
    HISTORY_TIME,
    field("lastTs", TIME, "When it ended.", name="last_ts"),
    field("duration", INTEGER, "Duration, as Pendo sends it."),
    field("parsedUserAgent", OBJECT, "Browser: name, version, os."),
    field("untaggedUrl", STRING, "URL of a page that is not tagged."),
    HISTORY_URI,
    *HISTORY_IDS,
    APP,
)


def _grouped(name: str, about: str, source: str, entity: Field) -> EventSpec:
    return EventSpec(
        name=name,
        about=about,
        source=source,
        shape=grouped(entity),
        identity=(VISITOR, ACCOUNT, APP, entity, *DIMENSIONS),
        objects=OBJECT_DIMENSIONS,
    )


_SINGLE = (
    VISITOR,
    ACCOUNT,
    APP,
    GUIDE_ID,
    GUIDE_STEP_ID,
    EVENT_TYPE,
    TAB_ID,
    UI_ELEMENT_ID,
)

EVENTS: tuple[StreamSpec, ...] = (
    _grouped("events", "All clicks and page views, tagged or not.", "events", ALL_EVENTS_PAGE_ID),
    _grouped("page_events", "Views of tagged pages.", "pageEvents", PAGE_ID),
    _grouped("feature_events", "Uses of tagged features.", "featureEvents", FEATURE_ID),
    _grouped("track_events", "Track events.", "trackEvents", TRACK_TYPE_ID),
    EventSpec(
        name="guide_events",
        about="What visitors did with guides, one row per event.",
        source="guideEvents",
        shape=SINGLE_EVENT,
        identity=_SINGLE,
        time=BROWSER_TIME,
    ),
    EventSpec(
        name="poll_events",
        about="Answers to polls, one row per answer.",
        source="pollEvents",
        shape=POLL_EVENT,
        identity=(*_SINGLE, POLL_ID),
        time=BROWSER_TIME,
    ),
    EventSpec(
        name="single_events",
        about="Every click and page view, one row per event: very many.",
        source="singleEvents",
        shape=UI_EVENT,
        identity=(VISITOR, ACCOUNT, APP, EVENT_TYPE, TAB_ID, EVENT_ID),
        time=UI_EVENT_TIME,
        longest=HOUR,
        selected=False,
    ),
    EventSpec(
        name="session_recordings",
        about="Session replays, one row per part of a recording.",
        source="recordingMetadata",
        shape=RECORDING,
        identity=(
            VISITOR,
            ACCOUNT,
            APP,
            RECORDING_ID,
            RECORDING_SESSION_ID,
            TAB_ID,
        ),
        time=START_TIME,
        selected=False,
    ),
    EventSpec(
        name="agentic_events",
        about="Conversations with AI agents, those of `agent_ids`, one row per event.",
        source="agenticEvents",
        shape=AGENTIC_EVENT,
        identity=(VISITOR, ACCOUNT, APP, AGENT_ID, EVENT_ID, EVENT_TYPE),
        time=BROWSER_TIME,
        by_agent=True,
        verified=False,
    ),
    EventSpec(
        name="email_events",
        about="Guides sent by e-mail: sent, opened, clicked.",
        source="emailEvents",
        shape=EMAIL_EVENT,
        identity=(VISITOR, ACCOUNT, APP, GUIDE_ID, EVENT_TYPE),
        time=BROWSER_TIME,
        verified=False,
    ),
    VisitorHistorySpec(
        name="visitor_history",
        about="What each visitor did, of 180 days at most: a call for each visitor and day.",
        shape=HISTORY,
        identity=(
            VISITOR,
            HISTORY_TIME,
            EVENT_TYPE,
            APP,
            HISTORY_URI,
            *HISTORY_IDS,
        ),
        time=HISTORY_TIME,
        selected=False,
    ),
)
