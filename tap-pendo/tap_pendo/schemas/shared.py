"""Shapes that several Pendo objects have in common (pendo-api.md §2.2)."""

from __future__ import annotations

from tap_pendo.shapes import ANY, BOOLEAN, INTEGER, STRING, TIME, Shape, array, field, struct

USER_FIELDS = (
    field("id", STRING, "Id of the Pendo user."),
    field("username", STRING, "Login name, usually the e-mail address."),
    field("first", STRING, "First name."),
    field("last", STRING, "Last name."),
    field("role", INTEGER, "Role in Pendo, as a number."),
    field("userType", STRING, "Kind of user."),
    field("hasLoggedIn", BOOLEAN, "Whether the user has ever logged in."),
    field("lastLogin", TIME, "Last login."),
    field("deletedAt", TIME, "When the user was deleted."),
    field("visitorIds", array(STRING), "Visitors that are this user."),
)
USER = struct(*USER_FIELDS)

AUDIT = Shape(
    field("createdAt", TIME, "When it was created."),
    field("createdByUser", USER, "Who created it."),
    field("lastUpdatedAt", TIME, "When its definition last changed (use does not count)."),
    field("lastUpdatedByUser", USER, "Who changed it last."),
)

GROUP_FIELDS = (
    field("id", STRING, "Id of the product area."),
    field("name", STRING, "Name."),
    field("description", STRING, "Description."),
    field("color", STRING, "Colour class in Pendo's UI."),
    field("type", STRING, "Kind of group."),
    field("length", INTEGER, "Number of items."),
    field("items", ANY, "Its items: kind and id; when Pendo sends them."),
    *AUDIT.fields,
)
GROUP = struct(*GROUP_FIELDS)

# Page, Feature, TrackType: what Pendo counts
COUNTABLE = Shape(
    field("id", STRING, "Id; stable over edits."),
    field("appId", INTEGER, "App that it belongs to; -323232 is the default app."),
    field("kind", STRING, "Pendo's kind: Page, Feature or TrackType."),
    field("name", STRING, "Name given in Pendo."),
    field("description", STRING, "Description."),
    *AUDIT.fields,
    field("rootVersionId", STRING, "Id of the first version."),
    field("stableVersionId", STRING, "Id of this version."),
    field("group", GROUP, "Product area."),
    field("color", STRING, "Colour in Pendo's UI."),
    field("dirty", BOOLEAN, "Whether Pendo has yet to process an edit."),
    field("isCoreEvent", BOOLEAN, "Whether it is marked as a core event."),
    field("isSuggested", BOOLEAN, "Whether Pendo suggested it."),
    field("suggestedName", STRING, "Name that Pendo suggested."),
    field("validThrough", TIME, "Until when Pendo has processed usage; moves hourly."),
    field("dailyMergeFirst", TIME, "Pendo's own processing mark."),
    field("dailyRollupFirst", TIME, "Pendo's own processing mark."),
    field("ignoredFrustrationTypes", array(STRING), "Frustration signals that are ignored."),
    field("tagMaintenanceExclude", BOOLEAN, "Whether it is left out of tag maintenance."),
)
