"""The fields of visitors and accounts (pendo-api.md §4.1, §4.2)."""

from __future__ import annotations

from tap_pendo.shapes import INTEGER, STRING, TIME, Shape, field

VISITOR_ID = field("visitorId", STRING, "Id of the visitor, as your product sets it.")
ACCOUNT_ID = field("accountId", STRING, "Id of the account, as your product sets it.")
LAST_UPDATED = field(
    "metadata.auto.lastupdated",
    TIME,
    "When anything about the visitor or account last changed.",
    name="last_updated_at",
)
READ_AT = field(
    "",
    TIME,
    "Start of the read; rows of one read have the same, and so have rows made from them.",
    name="read_at",
)
APP_ID = field("appId", INTEGER, "App.")
_VISITS = (
    field("firstvisit", TIME, "First visit to the app.", name="first_visit"),
    field("firstidentifiedvisit", TIME, "First identified visit.", name="first_identified_visit"),
    field("lastvisit", TIME, "Last visit to the app.", name="last_visit"),
    field("lastupdated", TIME, "Last change of anything about it.", name="last_updated"),
)
VISITOR_ACCOUNT = Shape(VISITOR_ID, ACCOUNT_ID)
VISITOR_APPLICATION = Shape(VISITOR_ID, APP_ID, *_VISITS)
ACCOUNT_APPLICATION = Shape(ACCOUNT_ID, APP_ID, *_VISITS)
