"""The fields of the costly event streams: one row per event, recording or history entry.

Source: pendo-api.md §2.9, §4.8.
"""

from __future__ import annotations

from tap_pendo.schemas.events import (
    ACCOUNT,
    APP,
    BROWSER_TIME,
    EVENT_TYPE,
    GUIDE_ID,
    TAB_ID,
    VISITOR,
)
from tap_pendo.shapes import ANY, BOOLEAN, INTEGER, STRING, TIME, Shape, field

EVENT_ID = field("eventId", STRING, "Id of the event; may be empty.")
UI_EVENT = Shape(
    VISITOR,
    ACCOUNT,
    APP,
    EVENT_TYPE,
    BROWSER_TIME,
    TAB_ID,
    field("url", STRING, "URL."),
    field("elementPath", STRING, "CSS path of the element."),
    EVENT_ID,
    field("country", STRING, "Country of the IP address."),
    field("region", STRING, "Region of the IP address."),
    field("remoteIp", STRING, "IP address, if Pendo keeps it."),
    field("userAgent", STRING, "Browser or device."),
    field("recordingSessionId", STRING, "Session of the replay."),
    field("properties", ANY, "Event properties."),
)

RECORDING_ID = field("recordingId", STRING, "Recording.")
RECORDING_SESSION_ID = field("recordingSessionId", STRING, "Session of the recording.")
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
    field("activityTimelineTimestamps", ANY, "Times of activity, in epoch milliseconds."),
)

AGENT_ID = field("agentId", STRING, "AI agent.")
AGENTIC_EVENT = Shape(
    VISITOR,
    ACCOUNT,
    APP,
    AGENT_ID,
    EVENT_ID,
    EVENT_TYPE,
    BROWSER_TIME,
    field("content", STRING, "What was said."),
)

EMAIL_EVENT = Shape(VISITOR, ACCOUNT, APP, GUIDE_ID, EVENT_TYPE, BROWSER_TIME)

HISTORY_TIME = field("ts", TIME, "When it began.")
HISTORY_URI = field("uri", STRING, "URI.")
HISTORY_IDS = (
    field("pageId", STRING, "Page, if it is about one."),
    field("featureId", STRING, "Feature, if it is about one."),
    field("guideId", STRING, "Guide, if it is about one."),
    field("guideStepId", STRING, "Step of the guide, if it is about one."),
)
HISTORY = Shape(
    VISITOR,
    EVENT_TYPE,
    HISTORY_TIME,
    field("lastTs", TIME, "When it ended.", name="last_ts"),
    field("duration", INTEGER, "Duration, as Pendo sends it."),
    field("parsedUserAgent", ANY, "Browser: name, version, os."),
    field("untaggedUrl", STRING, "URL of a page that is not tagged."),
    HISTORY_URI,
    *HISTORY_IDS,
    APP,
)
