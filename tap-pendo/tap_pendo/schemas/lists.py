"""The fields of applications, pages, features and track types, and of their rules.

Source: pendo-api.md §2.3 to 2.5, §4.3.
"""

from __future__ import annotations

from tap_pendo.schemas.shared import AUDIT, COUNTABLE
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

_RULE = (
    field("rule", STRING, "URL rule as written."),
    field("designerHint", STRING, "URL on which it was made."),
    field("parsedRule", STRING, "The rule as a regular expression."),
)
_POSITION = field("position", INTEGER, "Place in the list, from 0.")

PAGE = COUNTABLE + Shape(
    field("rules", array(struct(*_RULE)), "URL rules that make up the page."),
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
