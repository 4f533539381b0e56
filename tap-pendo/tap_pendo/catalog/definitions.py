"""The rows of lists, and of what is derived from them."""

from __future__ import annotations

import typing as t

from tap_pendo import aggregation, deriving
from tap_pendo.objects import (
    Definitions,
    Derived,
    EachOf,
    Kind,
    ReportResults,
    Users,
)
from tap_pendo.schemas import guides, lists, others

if t.TYPE_CHECKING:
    from tap_pendo.shapes import Shape


def _metadata(name: str, about: str, kind: str) -> Definitions:
    return Definitions(
        name=name,
        about=about,
        path=f"/api/v1/metadata/schema/{kind}",
        shape=others.METADATA_FIELD,
        keys=("group", "field"),
        rows=deriving.metadata_fields,
        absent=kind == "parentAccount",
    )


def _undescribed(name: str, about: str, path: str, shape: Shape) -> Definitions:
    """Make the row of a list that nobody has described: whatever Pendo sends is kept."""
    return Definitions(
        name=name,
        about=about,
        path=f"/api/v1/{path}",
        shape=shape,
        keys=(),
        rows=deriving.any_rows,
        verified=False,
    )


_APP = ("app_id",)
_EXPAND = {"expand": "*"}  # without it Pendo gives the default app's only

DEFINED: tuple[Kind, ...] = (
    Definitions(
        name="applications",
        about="Apps of the subscription.",
        source="apps",
        shape=lists.APPLICATION,
        apps=("id",),
        otherwise=aggregation.apps_of_events(),
        otherwise_whole=False,
    ),
    Definitions(
        name="product_areas",
        about="Product areas, which group pages and features.",
        source="groups",
        params={"items": True},
        shape=others.PRODUCT_AREA,
    ),
    Derived(
        name="product_area_items",
        about="Pages, features and others of each product area.",
        parent="product_areas",
        shape=others.PRODUCT_AREA_ITEM,
        keys=("group_id", "item_type", "item_id"),
        derive=deriving.objects("items", "groupId"),
    ),
    Definitions(
        name="pages",
        about="Tagged pages.",
        path="/api/v1/page",
        params=_EXPAND,
        shape=lists.PAGE,
        apps=_APP,
        users=True,
    ),
    Derived(
        name="page_rules",
        about="URL rules of each page.",
        parent="pages",
        shape=lists.PAGE_RULE,
        keys=("page_id", "position"),
        derive=deriving.objects("rules", "pageId"),
    ),
    Definitions(
        name="features",
        about="Tagged features.",
        path="/api/v1/feature",
        params=_EXPAND,
        shape=lists.FEATURE,
        apps=_APP,
        users=True,
    ),
    Derived(
        name="feature_element_path_rules",
        about="CSS selectors of each feature.",
        parent="features",
        shape=lists.FEATURE_ELEMENT_PATH_RULE,
        keys=("feature_id", "position"),
        derive=deriving.texts("elementPathRules", "featureId", "rule"),
    ),
    Definitions(
        name="track_types",
        about="Kinds of track events.",
        path="/api/v1/tracktype",
        params=_EXPAND,
        shape=lists.TRACK_TYPE,
        apps=_APP,
        users=True,
    ),
    Derived(
        name="track_type_rules",
        about="Event names of each track type.",
        parent="track_types",
        shape=lists.TRACK_TYPE_RULE,
        keys=("track_type_id", "position"),
        derive=deriving.texts("trackTypeRules", "trackTypeId", "rule"),
    ),
    Definitions(
        name="guides",
        about="Guides with their steps and polls.",
        path="/api/v1/guide",
        params=_EXPAND,
        shape=guides.GUIDE,
        apps=("app_id", "app_ids"),
        users=True,
    ),
    Derived(
        name="guide_steps",
        about="Steps of each guide.",
        parent="guides",
        shape=guides.GUIDE_STEP,
        keys=("guide_id", "id"),
        derive=deriving.objects("steps", "guideId"),
    ),
    Derived(
        name="polls",
        about="Polls of each guide; an NPS guide has two.",
        parent="guides",
        shape=guides.GUIDE_POLL,
        keys=("guide_id", "id"),
        derive=deriving.objects("polls", "guideId"),
    ),
    Derived(
        name="guide_step_polls",
        about="Which polls are on which step.",
        parent="guides",
        shape=guides.GUIDE_STEP_POLL,
        keys=("guide_step_id", "poll_id"),
        derive=deriving.polls_of_steps,
    ),
    EachOf(
        name="guide_history",
        about="Changes of each guide.",
        parent="guides",
        items=deriving.its_id("guideId"),
        counted=aggregation.whole("guides", {"appId": aggregation.ALL_APPS}),
        path="/api/v1/guide/{guideId}/history",
        rows=deriving.any_rows,
        shape=guides.GUIDE_HISTORY,
        verified=False,
    ),
    _undescribed(
        "guide_order", "Order in which automatic guides come.", "guide/order", guides.GUIDE_ORDER
    ),
    Definitions(
        name="reports",
        about="Public reports.",
        path="/api/v1/report",
        params=_EXPAND,
        shape=others.REPORT,
        users=True,
    ),
    ReportResults(
        name="report_results",
        about="Rows of the reports in `report_ids` as JSON; each also is a stream of its own, "
        "`report_results_<id>`, with the report's columns.",
        selected=False,
    ),
    Definitions(
        name="segments",
        about="Segments that are shared with everyone.",
        path="/api/v1/segment",
        shape=others.SEGMENT,
        users=True,
    ),
    EachOf(
        name="segment_members",
        about="Visitors of each shared segment, by account.",
        parent="segments",
        items=deriving.its_id("segmentId"),
        body=aggregation.segment_members,
        shape=others.SEGMENT_MEMBER,
        keys=("segment_id", "visitor_id", "account_id"),
        selected=False,
    ),
    Users(
        name="users",
        about="Pendo users who made, changed or own pages, features, guides, reports …",
        shape=others.PENDO_USER,
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
        others.UNKNOWN,
    ),
    _undescribed(
        "exclude_lists", "Entries of Pendo's exclude list.", "blacklist", others.EXCLUDE_LIST
    ),
    _undescribed(
        "server_names",
        "Host names that Pendo has seen, with their flags.",
        "servername",
        others.SERVER_NAME,
    ),
    _undescribed(
        "feedback_options", "Configuration of Pendo Feedback.", "feedback/options", others.UNKNOWN
    ),
    Definitions(
        name="do_not_process_visitors",
        about="Visitors whose events Pendo does not process.",
        source="doNotProcessVisitors",
        shape=others.VISITOR_ONLY,
        keys=("visitor_id",),
    ),
    Definitions(
        name="do_not_process_accounts",
        about="Accounts whose events Pendo does not process.",
        source="doNotProcessAccounts",
        shape=others.ACCOUNT_ONLY,
        keys=("account_id",),
    ),
    _undescribed(
        "bulk_deletion_jobs",
        "Jobs that delete visitors or accounts.",
        "bulkdelete",
        others.BULK_DELETION_JOB,
    ),
)
