"""The fields of reports, segments, product areas, metadata fields, users, and the unverified.

Source: pendo-api.md §2.7, §2.8, §4.4, §9. Of unverified objects no example is known: what they
hold beyond the few fields here is kept under `extra`.
"""

from __future__ import annotations

from tap_pendo.schemas.shared import AUDIT, GROUP_FIELDS, USER, USER_FIELDS
from tap_pendo.shapes import ANY, BOOLEAN, INTEGER, STRING, TIME, Shape, array, field

REPORT = Shape(
    field("id", STRING, "Report id."),
    field("name", STRING, "Name."),
    field("kind", STRING, "Pendo's kind: Report."),
    field("type", STRING, "Type of report."),
    field("level", STRING, "What it counts."),
    field("scope", STRING, "Scope."),
    field("share", STRING, "With whom it is shared."),
    field("shared", BOOLEAN, "Whether it is shared."),
    field("target", STRING, "Target."),
    field("description", STRING, "Description."),
    *AUDIT.fields,
    field("ownedByUser", USER, "Owner."),
    field("rootVersionId", STRING, "Id of the first version."),
    field("stableVersionId", STRING, "Id of this version."),
    field("lastRunAt", TIME, "Last run."),
    field("lastSuccessRunAt", TIME, "Last run that succeeded."),
    field("lastSuccessRunObj", STRING, "Result of that run."),
    field("definition", ANY, "What the report shows."),
    field("aggregation", ANY, "Its pipeline and fields."),
    field("aggregationList", ANY, "Its pipelines, if several."),
)

SEGMENT = Shape(
    field("id", STRING, "Segment id."),
    field("name", STRING, "Name."),
    field("kind", STRING, "Pendo's kind: Segment."),
    field("description", STRING, "Description."),
    *AUDIT.fields,
    field("rootVersionId", STRING, "Id of the first version."),
    field("stableVersionId", STRING, "Id of this version."),
    field("definition", ANY, "Rules as Pendo's UI stores them."),
    field("pipeline", ANY, "Operators that choose its members."),
    field("shared", BOOLEAN, "Whether it is shared with everyone."),
    field("createdByApi", BOOLEAN, "Whether it was made through the API."),
    field("isFocusGroup", BOOLEAN, "Whether it is a focus group."),
    field("dependentMetadata", array(STRING), "Metadata fields that it uses."),
)
SEGMENT_ID = field("segmentId", STRING, "Segment.")
SEGMENT_MEMBER = Shape(
    SEGMENT_ID,
    field("visitorId", STRING, "Visitor."),
    field("accountId", STRING, "Account of the visitor; empty when the visitor has none."),
)

PRODUCT_AREA = Shape(
    *GROUP_FIELDS,
    field("feedbackProductId", STRING, "Product in Pendo Feedback."),
    field("feedbackVisibility", STRING, "Who sees it in Pendo Feedback."),
)
PRODUCT_AREA_ITEM = Shape(
    field("groupId", STRING, "Product area."),
    field("itemType", STRING, "Kind of item: Page, Feature, …"),
    field("itemId", STRING, "Id of the page, feature, …"),
    field("position", INTEGER, "Place in the product area, from 0."),
)

METADATA_FIELD = Shape(
    field("group", STRING, "Group: auto, agent, custom, pendo, salesforce, …"),
    field("field", STRING, "Name of the field."),
    field(
        "Type", STRING, "string, time, boolean, integer, float or list; may be empty.", name="type"
    ),
    field("DisplayName", STRING, "Name shown in Pendo.", name="display_name"),
    field("ElementType", STRING, "Type of a list's items.", name="element_type"),
    field("ElementFormat", STRING, "Format of a list's items.", name="element_format"),
    field("Dirty", BOOLEAN, "Whether Pendo has yet to process an edit.", name="dirty"),
    field("isHidden", BOOLEAN, "Whether it is hidden in Pendo."),
    field("isDeleted", BOOLEAN, "Whether it is deleted."),
    field("isCalculated", BOOLEAN, "Whether Pendo calculates it."),
    field("isPerApp", BOOLEAN, "Whether each app has its own."),
    field("isPromoted", BOOLEAN, "Whether it is promoted."),
    field("neverIndex", BOOLEAN, "Whether it is never indexed."),
    field("sample", ANY, "An example of its values."),
)

PENDO_USER = Shape(*USER_FIELDS)

VISITOR_ONLY = Shape(field("visitorId", STRING, "Visitor."))
ACCOUNT_ONLY = Shape(field("accountId", STRING, "Account."))

EXCLUDE_LIST = Shape(
    field("type", STRING, "Kind of entry: visitor, account, server, …"),
    field("value", STRING, "What is excluded."),
)
SERVER_NAME = Shape(
    field("name", STRING, "Host name of your product."),
    field("value", STRING, "Host name, if Pendo sends no more than that."),
)
UNKNOWN = Shape(field("value", ANY, "What Pendo sent, where it is no object."))
BULK_DELETION_JOB = Shape(
    field("id", STRING, "Id of the job."),
    field("status", STRING, "State of the job."),
)
