"""The rows of lists, and of what is derived from them."""

from __future__ import annotations

from tap_pendo.api import queries
from tap_pendo.catalog import list_fields
from tap_pendo.catalog.stream_specs import (
    ChildSpec,
    ListSpec,
    PeopleSpec,
    PerParentSpec,
    ReportResultsSpec,
    StreamSpec,
    UsersSpec,
)
from tap_pendo.records import nested_rows
from tap_pendo.records.fields import INTEGER, STRING, TIME, Shape, field


def _metadata(name: str, about: str, kind: str) -> ListSpec:
    return ListSpec(
        name=name,
        about=about,
        path=f"/api/v1/metadata/schema/{kind}",
        shape=list_fields.METADATA_FIELD,
        keys=("metadata_group", "field"),
        rows=nested_rows.metadata_fields,
        absent=kind == "parentAccount",
    )


def _undescribed(name: str, about: str, path: str, shape: Shape) -> ListSpec:
    """Make the row of a list that nobody has described: whatever Pendo sends is kept."""
    return ListSpec(
        name=name,
        about=about,
        path=f"/api/v1/{path}",
        shape=shape,
        keys=(),
        rows=nested_rows.any_rows,
        verified=False,
    )


_APP = ("app_id",)
_APPS = ("app_id", "app_ids")
_EXPAND = {"expand": "*"}  # without it Pendo gives the default app's only

DEFINED: tuple[StreamSpec, ...] = (
    ListSpec(
        name="applications",
        about="Apps of the subscription.",
        source="apps",
        shape=list_fields.APPLICATION,
        apps=("id",),
        fallback=queries.apps_of_events(),
        fallback_is_whole=False,
    ),
    ListSpec(
        name="product_areas",
        about="Product areas, which group pages and features.",
        source="groups",
        params={"items": True},
        shape=list_fields.PRODUCT_AREA,
    ),
    ChildSpec(
        name="product_area_items",
        about="Pages, features and others of each product area.",
        parent="product_areas",
        shape=list_fields.PRODUCT_AREA_ITEM,
        keys=("group_id", "item_type", "item_id"),
        derive=nested_rows.objects("items", "groupId"),
    ),
    ListSpec(
        name="pages",
        about="Tagged pages.",
        path="/api/v1/page",
        params=_EXPAND,
        shape=list_fields.PAGE,
        apps=_APPS,
        users=True,
    ),
    ChildSpec(
        name="page_rules",
        about="URL rules of each page.",
        parent="pages",
        shape=list_fields.PAGE_RULE,
        keys=("page_id", "position"),
        derive=nested_rows.objects("rules", "pageId"),
    ),
    ListSpec(
        name="features",
        about="Tagged features.",
        path="/api/v1/feature",
        params=_EXPAND,
        shape=list_fields.FEATURE,
        apps=_APPS,
        users=True,
    ),
    ChildSpec(
        name="feature_element_path_rules",
        about="CSS selectors of each feature.",
        parent="features",
        shape=list_fields.FEATURE_ELEMENT_PATH_RULE,
        keys=("feature_id", "position"),
        derive=nested_rows.texts("elementPathRules", "featureId", "rule"),
    ),
    ListSpec(
        name="track_types",
        about="Kinds of track events.",
        path="/api/v1/tracktype",
        params=_EXPAND,
        shape=list_fields.TRACK_TYPE,
        apps=_APP,
        users=True,
    ),
    ChildSpec(
        name="track_type_rules",
        about="Event names of each track type.",
        parent="track_types",
        shape=list_fields.TRACK_TYPE_RULE,
        keys=("track_type_id", "position"),
        derive=nested_rows.texts("trackTypeRules", "trackTypeId", "rule"),
    ),
    ListSpec(
        name="guides",
        about="Guides with their steps and polls.",
        path="/api/v1/guide",
        params=_EXPAND,
        shape=list_fields.GUIDE,
        apps=_APPS,
        users=True,
    ),
    ChildSpec(
        name="guide_steps",
        about="Steps of each guide.",
        parent="guides",
        shape=list_fields.GUIDE_STEP,
        keys=("guide_id", "id"),
        derive=nested_rows.objects("steps", "guideId"),
    ),
    ChildSpec(
        name="polls",
        about="Polls of each guide; an NPS guide has two.",
        parent="guides",
        shape=list_fields.GUIDE_POLL,
        keys=("guide_id", "id"),
        derive=nested_rows.objects("polls", "guideId"),
    ),
    ChildSpec(
        name="guide_step_polls",
        about="Which polls are on which step.",
        parent="guides",
        shape=list_fields.GUIDE_STEP_POLL,
        keys=("guide_step_id", "poll_id"),
        derive=nested_rows.polls_of_steps,
    ),
    PerParentSpec(
        name="guide_history",
        about="Changes of each guide.",
        parent="guides",
        items=nested_rows.its_id("guideId"),
        counted=queries.whole("guides", {"appId": queries.ALL_APPS}),
        path="/api/v1/guide/{guideId}/history",
        rows=nested_rows.any_rows,
        shape=list_fields.GUIDE_HISTORY,
        verified=False,
    ),
    _undescribed(
        "guide_order",
        "Order in which automatic guides come.",
        "guide/order",
        list_fields.GUIDE_ORDER,
    ),
    ListSpec(
        name="reports",
        about="Public reports.",
        path="/api/v1/report",
        params=_EXPAND,
        shape=list_fields.REPORT,
        users=True,
    ),
    ReportResultsSpec(
        name="report_results",
        about="Rows of the reports in `report_ids` as JSON; each also is a stream of its own, "
        "`report_results_<id>`, with the report's columns.",
        selected=False,
    ),
    ListSpec(
        name="segments",
        about="Segments that are shared with everyone.",
        path="/api/v1/segment",
        shape=list_fields.SEGMENT,
        users=True,
    ),
    PerParentSpec(
        name="segment_members",
        about="Visitors of each shared segment, by account.",
        parent="segments",
        items=nested_rows.its_id("segmentId"),
        body=queries.segment_members,
        shape=list_fields.SEGMENT_MEMBER,
        keys=("segment_id", "visitor_id", "account_id"),
        selected=False,
    ),
    UsersSpec(
        name="users",
        about="Pendo users who made, changed or own pages, features, guides, reports …",
        shape=list_fields.PENDO_USER,
    ),
    _metadata("metadata_accounts", "Metadata fields of accounts.", "account"),
    _metadata("metadata_visitors", "Metadata fields of visitors.", "visitor"),
    _metadata(
        "metadata_parent_accounts",
        "Metadata fields of parent accounts, if there are any.",
        "parentAccount",
    ),
    _undescribed(
        "metadata_dependencies",
        "Where metadata fields are used.",
        "metadata/dependencies",
        list_fields.UNKNOWN,
    ),
    _undescribed(
        "exclude_lists",
        "Entries of Pendo's exclude list.",
        "blacklist",
        list_fields.EXCLUDE_LIST,
    ),
    _undescribed(
        "server_names",
        "Host names that Pendo has seen, with their flags.",
        "servername",
        list_fields.SERVER_NAME,
    ),
    _undescribed(
        "feedback_options",
        "Configuration of Pendo Feedback.",
        "feedback/options",
        list_fields.UNKNOWN,
    ),
    ListSpec(
        name="do_not_process_visitors",
        about="Visitors whose events Pendo does not process.",
        source="doNotProcessVisitors",
        shape=list_fields.VISITOR_ONLY,
        keys=("visitor_id",),
    ),
    ListSpec(
        name="do_not_process_accounts",
        about="Accounts whose events Pendo does not process.",
        source="doNotProcessAccounts",
        shape=list_fields.ACCOUNT_ONLY,
        keys=("account_id",),
    ),
    _undescribed(
        "bulk_deletion_jobs",
        "Jobs that delete visitors or accounts.",
        "bulkdelete",
        list_fields.BULK_DELETION_JOB,
    ),
)


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


PEOPLE: tuple[StreamSpec, ...] = (
    PeopleSpec(
        name="accounts",
        about="Accounts with their metadata.",
        source="accounts",
        id=ACCOUNT_ID,
        metadata_kind="account",
    ),
    ChildSpec(
        name="account_applications",
        about="Apps that each account has used.",
        parent="accounts",
        shape=ACCOUNT_APPLICATION,
        keys=("account_id", "app_id"),
        derive=nested_rows.applications_of("accountId"),
    ),
    PeopleSpec(
        name="visitors",
        about="Visitors with their metadata.",
        source="visitors",
        id=VISITOR_ID,
        metadata_kind="visitor",
        anonymous=True,
    ),
    ChildSpec(
        name="visitor_accounts",
        about="Accounts of each visitor.",
        parent="visitors",
        shape=VISITOR_ACCOUNT,
        keys=("visitor_id", "account_id"),
        derive=nested_rows.accounts_of_visitor,
    ),
    ChildSpec(
        name="visitor_applications",
        about="Apps that each visitor has used.",
        parent="visitors",
        shape=VISITOR_APPLICATION,
        keys=("visitor_id", "app_id"),
        derive=nested_rows.applications_of("visitorId"),
    ),
    ListSpec(
        name="guides_seen",
        about="What each visitor has seen of each guide step, of all time.",
        source="guidesSeenEver",
        params={"appId": queries.ALL_APPS},
        shape=list_fields.GUIDE_SEEN,
        keys=("visitor_id", "guide_id", "guide_step_id"),
        fallback=queries.of_all_time("guidesSeenEver", {"appId": queries.ALL_APPS}),
        selected=False,
    ),
    PerParentSpec(
        name="polls_seen",
        about="Last answer of each visitor to each poll, of all time.",
        parent="guides",
        items=nested_rows.its_polls,
        counted=queries.polls_of_guides(),
        body=queries.polls_seen,
        shape=list_fields.POLL_SEEN,
        keys=("visitor_id", "guide_id", "poll_id"),
        selected=False,
    ),
)
