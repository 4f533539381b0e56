"""The fields of applications, pages, features and track types, and of their rules."""

from __future__ import annotations

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
    Shape,
    array,
    field,
    struct,
)

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
    field("visitorIds", TEXTS, "Visitors that are this user."),
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
    field("items", array(OBJECT), "Its items: kind and id; when Pendo sends them."),
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
    field("group", GROUP, "Product area.", name="product_area"),
    field("color", STRING, "Colour in Pendo's UI."),
    field("dirty", BOOLEAN, "Whether Pendo has yet to process an edit."),
    field("isCoreEvent", BOOLEAN, "Whether it is marked as a core event."),
    field("isSuggested", BOOLEAN, "Whether Pendo suggested it."),
    field("suggestedName", STRING, "Name that Pendo suggested."),
    field("validThrough", TIME, "Until when Pendo has processed usage; moves hourly."),
    field("dailyMergeFirst", TIME, "Pendo's own processing mark."),
    field("dailyRollupFirst", TIME, "Pendo's own processing mark."),
    field("ignoredFrustrationTypes", TEXTS, "Frustration signals that are ignored."),
    field("tagMaintenanceExclude", BOOLEAN, "Whether it is left out of tag maintenance."),
)


APPLICATION = Shape(
    field("id", INTEGER, "App id; -323232 is the default app."),
    field("name", STRING, "Name."),
    field("displayName", STRING, "Name shown in Pendo."),
    field("platform", STRING, "web, ios, android, …"),
    field("description", STRING, "Description."),
    field("subscriptionId", STRING, "Subscription that owns the app."),
    field("pushApplicationId", STRING, "App id for push messages."),
    field("agentPolicyProd", STRING, "Update policy of the agent in production."),
    field("agentPolicyStaging", STRING, "Update policy of the agent in staging."),
    field("agentVersionProd", STRING, "Agent version in production."),
    field("agentVersionStaging", STRING, "Agent version in staging."),
    field("iconUrl", STRING, "Icon."),
    field("guideCssUrl", STRING, "Style sheet of the guides."),
    field("storeUrl", STRING, "Page in the app store."),
    *AUDIT.fields,
    field("disabledAt", TIME, "When it was disabled."),
    field("markedForDeletionAt", TIME, "When it was marked for deletion."),
    field("firstEventTime", TIME, "First event."),
    field("startingEventTime", TIME, "From when events are kept."),
    field("recordUntil", TIME, "Until when events are recorded."),
    field("isDeleted", BOOLEAN, "Whether it is deleted."),
    field("integrated", BOOLEAN, "Whether the agent has been seen."),
    field("eventCount", NUMBER, "Number of events."),
    field("eventRate", NUMBER, "Rate of events."),
    field("samplingRate", NUMBER, "Share of events kept."),
    field("applicationFlags", OBJECT, "Switches of the app."),
)

_RULE = (
    field("rule", STRING, "URL rule as written."),
    field("designerHint", STRING, "URL on which it was made."),
    field("parsedRule", STRING, "The rule as a regular expression."),
)
_POSITION = field("position", INTEGER, "Place in the list, from 0.")

_APP_IDS = field("appIds", INTEGERS, "Apps, when there are several.")

PAGE = COUNTABLE + Shape(
    _APP_IDS,
    field("rules", array(struct(*_RULE)), "URL rules that make up the page."),
    field("rulesjson", ANY_AS_TEXT, "The rules as Pendo's UI stores them, as JSON text."),
    field("excludeRules", LIST, "URL rules that take URLs out again."),
    field("isAutoTagged", BOOLEAN, "Whether Pendo tagged it by itself."),
    field("suggestedTagRules", LIST, "Rules that Pendo suggests."),
)

FEATURE = COUNTABLE + Shape(
    _APP_IDS,
    field("pageId", ID, "Page that it is on; none when app-wide."),
    field("appWide", BOOLEAN, "Whether it counts on every page."),
    field("elementPathRules", TEXTS, "CSS selectors that make up the feature."),
    field("elementInitialTag", STRING, "Element on which it was made."),
    field("elementSelectionType", STRING, "How the element was chosen."),
    field("createdDesignerVersion", STRING, "Version of Pendo's designer."),
    field("suggestedMatch", STRING, "Selector that Pendo suggests."),
    field(
        "eventPropertyConfigurations",
        array(
            struct(
                field("name", STRING, "Property's name."),
                field("type", STRING, "Where it is read from."),
                field("path", STRING, "Path to it."),
                field("pattern", STRING, "Pattern that cuts it out."),
                field("rule", STRING, "Rule."),
                field("selector", STRING, "CSS selector."),
                field("isActive", BOOLEAN, "Whether it is collected."),
            )
        ),
        "Event properties collected with each use.",
    ),
)

TRACK_TYPE = COUNTABLE + Shape(
    field("trackTypeName", STRING, "Name of the event as sent."),
    field("trackTypeRules", TEXTS, "Event names that count as this type."),
    field("eventPropertyNameList", TEXTS, "Names of its event properties."),
)

PAGE_RULE = Shape(field("pageId", STRING, "Page."), _POSITION, *_RULE)
FEATURE_ELEMENT_PATH_RULE = Shape(
    field("featureId", STRING, "Feature."),
    _POSITION,
    field("rule", STRING, "CSS selector.", name="element_path_rule"),
)
TRACK_TYPE_RULE = Shape(
    field("trackTypeId", STRING, "Track type."),
    _POSITION,
    field("rule", STRING, "Event name that counts as this type.", name="track_type_rule"),
)


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
    field("definition", OBJECT, "What the report shows."),
    field("aggregation", OBJECT, "Its pipeline and fields."),
    field("aggregationList", LIST, "Its pipelines, if several."),
)

SEGMENT = Shape(
    field("id", STRING, "Segment id."),
    field("name", STRING, "Name."),
    field("kind", STRING, "Pendo's kind: Segment."),
    field("description", STRING, "Description."),
    *AUDIT.fields,
    field("rootVersionId", STRING, "Id of the first version."),
    field("stableVersionId", STRING, "Id of this version."),
    field("definition", OBJECT, "Rules as Pendo's UI stores them."),
    field("pipeline", LIST, "Operators that choose its members."),
    field("shared", BOOLEAN, "Whether it is shared with everyone."),
    field("createdByApi", BOOLEAN, "Whether it was made through the API."),
    field("isFocusGroup", BOOLEAN, "Whether it is a focus group."),
    field("dependentMetadata", TEXTS, "Metadata fields that it uses."),
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
    field(
        "group", STRING, "Group: auto, agent, custom, pendo, salesforce, …", name="metadata_group"
    ),
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
    field("cardinality", INTEGER, "Number of different values, as Pendo counts them."),
    field("sample", ANY_AS_TEXT, "An example of its values, as text.", name="sample_value"),
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
UNKNOWN = Shape(field("value", ANY_AS_TEXT, "What Pendo sent, as text, where it is not an object."))
BULK_DELETION_JOB = Shape(
    field("id", STRING, "Id of the job."),
    field("status", STRING, "State of the job."),
)


STEP = Shape(
    field("id", STRING, "Step id."),
    field("guideId", STRING, "Guide that it belongs to."),
    field("templateId", ID, "Template."),
    field("name", STRING, "Name."),
    field("type", STRING, "Kind of step."),
    field("pageId", ID, "Page on which it shows."),
    field("regexUrlRule", STRING, "URL rule as a regular expression."),
    field("elementPathRule", STRING, "CSS selector of the element it points at."),
    field("triggerElementPathRule", STRING, "CSS selector of its trigger."),
    field("confirmationElementPathRule", STRING, "CSS selector of its confirmation."),
    field("contentType", STRING, "Kind of content."),
    field("contentUrl", STRING, "Content."),
    field("contentUrlCss", STRING, "Style sheet."),
    field("contentUrlJs", STRING, "Script."),
    field("buildingBlocksUrl", STRING, "Building blocks."),
    field("domUrl", STRING, "DOM."),
    field("domJsonpUrl", STRING, "DOM as JSONP."),
    field("launchUrl", STRING, "URL on which it starts."),
    field("rank", INTEGER, "Place in the guide."),
    field("advanceMethod", STRING, "How the step advances."),
    field("attributes", OBJECT, "Size and style."),
    field("pollIds", TEXTS, "Polls on the step."),
    field("lastUpdatedAt", TIME, "When the step last changed."),
    field("resetAt", TIME, "When its counts were reset."),
)

POLL = Shape(
    field("id", STRING, "Poll id."),
    field("question", STRING, "Question."),
    field("resetAt", TIME, "When its answers were reset."),
    field("numericResponses", INTEGERS, "Numbers that may be answered."),
    field(
        "idResponses", ANY_AS_TEXT, "Options that may be chosen, as JSON text: a list or an object."
    ),
    field("attributes", OBJECT, "Kind of poll (type), follow-up poll and display."),
)

GUIDE = Shape(
    field("id", STRING, "Guide id."),
    field("appId", INTEGER, "App that it belongs to."),
    field("appIds", INTEGERS, "Apps, when there are several."),
    field("kind", STRING, "Pendo's kind: Guide."),
    field("name", STRING, "Name."),
    field("description", STRING, "Description."),
    *AUDIT.fields,
    field("rootVersionId", STRING, "Id of the first version."),
    field("stableVersionId", STRING, "Id of this version."),
    field("state", STRING, "draft, staged, public, disabled or _pendingReview_."),
    field("launchMethod", STRING, "How it starts: auto, badge, dom, launcher, api, page, …"),
    field("isMultiStep", BOOLEAN, "Whether it has several steps."),
    field("isTraining", BOOLEAN, "Whether it is training."),
    field("isModule", BOOLEAN, "Whether it is a module of a resource centre."),
    field("isTopLevel", BOOLEAN, "Whether it is a resource centre's top level."),
    field("autoCreateFeedback", BOOLEAN, "Whether answers become feedback by themselves."),
    field("validThrough", TIME, "Until when Pendo has processed usage."),
    field("publishedAt", TIME, "When it was published; null if never."),
    field("publishedEver", BOOLEAN, "Whether it was ever published."),
    field("resetAt", TIME, "When its counts were reset."),
    field("expiresAfter", TIME, "When it ends."),
    field("showsAfter", TIME, "When it begins."),
    field("currentFirstEligibleToBeSeenAt", TIME, "From when it could be seen."),
    field("recurrence", INTEGER, "Recurrence in milliseconds."),
    field("recurrenceEligibilityWindow", INTEGER, "Window of the recurrence in milliseconds."),
    field("redisplay", STRING, "When it is shown again."),
    field("editorType", STRING, "Editor it was made with."),
    field("emailState", STRING, "State of its e-mail."),
    field("emailConfiguration", OBJECT, "Subject and address property of its e-mail."),
    field("authoredLanguage", STRING, "Language it was written in."),
    field(
        "translationStates",
        ANY_AS_TEXT,
        "State of each translation, as JSON text: an object or a list.",
    ),
    field("minAgentVersion", STRING, "Agent version that it needs."),
    field("originId", ID, "Guide that it was copied from."),
    field("resourceCenterId", ID, "Resource centre that it belongs to."),
    field("children", TEXTS, "Modules of a resource centre."),
    field("conversion", OBJECT, "Item and window of its conversion."),
    field("experiment", OBJECT, "Times and group size of its experiment."),
    field("dependentMetadata", TEXTS, "Metadata fields that it uses."),
    field("audience", LIST, "Pipeline that chooses its audience."),
    field("audienceUiHint", OBJECT, "The audience as Pendo's UI shows it."),
    field("attributes", OBJECT, "Type, device, badge, priority, capping, …"),
    field("steps", array(struct(*STEP.fields)), "Steps in order."),
    field(
        "polls",
        array(struct(*POLL.fields)),
        "Polls; an NPS guide has two, joined by attributes.followUp.",
    ),
    field("ownedByUser", USER, "Owner."),
)

GUIDE_STEP = STEP + Shape(field("position", INTEGER, "Place in the guide, from 0."))
GUIDE_POLL = Shape(
    field("guideId", STRING, "Guide that it belongs to."),
    *POLL.fields,
    field("position", INTEGER, "Place among the guide's polls, from 0."),
)
GUIDE_STEP_POLL = Shape(
    field("guideId", STRING, "Guide."),
    field("guideStepId", STRING, "Step of the guide."),
    field("pollId", STRING, "Poll on the step."),
)
GUIDE_ID = field("guideId", STRING, "Guide.")
GUIDE_HISTORY = Shape(GUIDE_ID)
GUIDE_ORDER = Shape(
    field("position", INTEGER, "Place in the answer, from 0."),
    field("id", STRING, "Guide id, if Pendo names it so."),
    field("value", STRING, "Guide id, if Pendo sends no more than that."),
)
GUIDE_SEEN = Shape(
    field("visitorId", STRING, "Visitor."),
    field("guideId", STRING, "Guide."),
    field("guideStepId", STRING, "Step of the guide."),
    field("firstSeenAt", TIME, "First time that it was seen."),
    field("lastSeenAt", TIME, "Last time that it was seen."),
    field("lastAdvancedAutoAt", TIME, "Last time that it went on by itself."),
    field("lastDismissedAutoAt", TIME, "Last time that it was dismissed by itself."),
    field("lastTimeoutAt", TIME, "Last time that it timed out."),
    field("seenCount", INTEGER, "How often it was seen."),
    field("lastState", STRING, "What happened last: dismissed, advanced, …"),
)
POLL_SEEN = Shape(
    field("visitorId", STRING, "Visitor."),
    field("accountId", ID, "Account of the visitor at that time, if any."),
    field("guideId", STRING, "Guide."),
    field("pollId", STRING, "Poll."),
    field("time", TIME, "When the visitor last answered."),
    field("response", ANY_AS_TEXT, "The last answer as text, if Pendo names it so."),
    field("pollResponse", ANY_AS_TEXT, "The last answer as text, if Pendo names it so."),
)
