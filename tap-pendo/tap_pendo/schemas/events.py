"""The fields of event rows (pendo-api.md §4.5 to 4.7).

In grouped rows a field with `merge` is a measure; the others are dimensions, which make up
the row's identity, except those that follow from the bucket.
"""

from __future__ import annotations

from tap_pendo.shapes import ANY, INTEGER, NUMBER, STRING, TIME, Field, Shape, array, field

VISITOR = field("visitorId", STRING, "Visitor; `_PENDO_T_…` when anonymous.")
ACCOUNT = field("accountId", STRING, "Account of the visitor at that time, if any.")
APP = field("appId", INTEGER, "App in which it happened.")
HOUR = field("hour", TIME, "Start of the hour in UTC; null with `period: day`.")
DAY = field(
    "day", TIME, "Start of the day in the subscription's time zone; null with `period: hour`."
)

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
    field("recordingId", STRING, "Session replay."),
    field("recordingSessionId", STRING, "Session of the replay."),
    field("signatureAgent", STRING, "Agent's signature."),
)
OBJECT_DIMENSIONS = (
    field("parameters", ANY, "Parameters captured from the page's URL."),
    field("properties", ANY, "Event properties."),
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

PAGE_ID = field("pageId", STRING, "Page.")
ALL_EVENTS_PAGE_ID = field("pageId", STRING, "Always `allevents`: events are not cut by page.")
FEATURE_ID = field("featureId", STRING, "Feature.")
TRACK_TYPE_ID = field("trackTypeId", STRING, "Track type.")

GUIDE_ID = field("guideId", STRING, "Guide.")
GUIDE_STEP_ID = field("guideStepId", STRING, "Step of the guide.")
POLL_ID = field("pollId", STRING, "Poll.")
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
    field("accountIds", array(STRING), "All accounts of the visitor."),
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
    field("oldVisitorId", STRING, "Visitor id before it was merged."),
    field("uiElementType", STRING, "Kind of the element."),
    field("uiElementText", STRING, "Text of the element."),
    field("uiElementActions", ANY, "Actions of the element."),
    field("destinationStepId", STRING, "Step that was gone to."),
    field("guideStepPollTypes", ANY, "Kinds of polls on the step."),
    field("properties", ANY, "Event properties."),
)
POLL_EVENT = SINGLE_EVENT + Shape(
    POLL_ID,
    field("pollType", STRING, "Kind of poll: NPSRating, …"),
    field("pollResponse", ANY, "Answer: a number, a text, the id of an option, or several."),
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
