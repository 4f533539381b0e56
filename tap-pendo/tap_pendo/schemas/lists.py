"""The fields of Pendo's definitions: applications, pages, features, track types, guides.

Source: pendo-api.md §2.3 to 2.6, §4.3.
"""

from __future__ import annotations

from tap_pendo.schemas.shared import AUDIT, COUNTABLE, USER
from tap_pendo.shapes import (
    ANY,
    BOOLEAN,
    INTEGER,
    NUMBER,
    STRING,
    TIME,
    Shape,
    array,
    field,
    struct,
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
    field("applicationFlags", ANY, "Switches of the app."),
)

PAGE = COUNTABLE + Shape(
    field(
        "rules",
        array(
            struct(
                field("rule", STRING, "URL rule as written."),
                field("designerHint", STRING, "URL on which it was made."),
                field("parsedRule", STRING, "The rule as a regular expression."),
            )
        ),
        "URL rules that make up the page.",
    ),
    field("rulesjson", STRING, "The rules as Pendo's UI stores them."),
    field("excludeRules", ANY, "URL rules that take URLs out again."),
    field("isAutoTagged", BOOLEAN, "Whether Pendo tagged it by itself."),
    field("suggestedTagRules", ANY, "Rules that Pendo suggests."),
)

FEATURE = COUNTABLE + Shape(
    field("pageId", STRING, "Page that it is on; none when app-wide."),
    field("appWide", BOOLEAN, "Whether it counts on every page."),
    field("elementPathRules", array(STRING), "CSS selectors that make up the feature."),
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
    field("trackTypeRules", array(STRING), "Event names that count as this type."),
    field("eventPropertyNameList", array(STRING), "Names of its event properties."),
)

_STEP = struct(
    field("id", STRING, "Step id."),
    field("guideId", STRING, "Guide that it belongs to."),
    field("templateId", STRING, "Template."),
    field("name", STRING, "Name."),
    field("type", STRING, "Kind of step."),
    field("pageId", STRING, "Page on which it shows."),
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
    field("advanceMethod", STRING, "How one goes on."),
    field("attributes", ANY, "Size and style."),
    field("pollIds", array(STRING), "Polls on the step."),
    field("lastUpdatedAt", TIME, "When the step last changed."),
    field("resetAt", TIME, "When its counts were reset."),
)

_POLL = struct(
    field("id", STRING, "Poll id."),
    field("question", STRING, "Question."),
    field("resetAt", TIME, "When its answers were reset."),
    field("numericResponses", array(INTEGER), "Numbers that may be answered."),
    field("idResponses", ANY, "Options that may be chosen."),
    field("attributes", ANY, "Kind of poll (type), follow-up poll and display."),
)

GUIDE = Shape(
    field("id", STRING, "Guide id."),
    field("appId", INTEGER, "App that it belongs to."),
    field("appIds", array(INTEGER), "Apps, when there are several."),
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
    field("emailConfiguration", ANY, "Subject and address property of its e-mail."),
    field("authoredLanguage", STRING, "Language it was written in."),
    field("translationStates", ANY, "State of each translation."),
    field("minAgentVersion", STRING, "Agent version that it needs."),
    field("originId", STRING, "Guide that it was copied from."),
    field("resourceCenterId", STRING, "Resource centre that it belongs to."),
    field("children", array(STRING), "Modules of a resource centre."),
    field("conversion", ANY, "Item and window of its conversion."),
    field("experiment", ANY, "Times and group size of its experiment."),
    field("dependentMetadata", array(STRING), "Metadata fields that it uses."),
    field("audience", ANY, "Pipeline that chooses its audience."),
    field("audienceUiHint", ANY, "The audience as Pendo's UI shows it."),
    field("attributes", ANY, "Type, device, badge, priority, capping, …"),
    field("steps", array(_STEP), "Steps in order."),
    field("polls", array(_POLL), "Polls; an NPS guide has two, joined by attributes.followUp."),
    field("ownedByUser", USER, "Owner."),
)
