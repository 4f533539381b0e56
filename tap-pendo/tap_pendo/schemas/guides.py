"""The fields of guides, their steps and polls, and of what visitors have seen of them.

Source: pendo-api.md §2.6, §4.8.
"""

from __future__ import annotations

from tap_pendo.schemas.shared import AUDIT, USER
from tap_pendo.shapes import (
    ANY,
    BOOLEAN,
    INTEGER,
    STRING,
    TIME,
    Shape,
    array,
    field,
    struct,
)

STEP = Shape(
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

POLL = Shape(
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
    field("accountId", STRING, "Account of the visitor at that time, if any."),
    field("guideId", STRING, "Guide."),
    field("pollId", STRING, "Poll."),
    field("time", TIME, "When the visitor last answered."),
    field("response", ANY, "The last answer, if Pendo names it so."),
    field("pollResponse", ANY, "The last answer, if Pendo names it so."),
)
