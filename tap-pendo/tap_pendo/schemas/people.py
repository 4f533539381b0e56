"""The fields of visitors and accounts (pendo-api.md §4.1, §4.2)."""

from __future__ import annotations

from tap_pendo.shapes import STRING, TIME, field

VISITOR_ID = field("visitorId", STRING, "Id of the visitor, as your product sets it.")
ACCOUNT_ID = field("accountId", STRING, "Id of the account, as your product sets it.")
LAST_UPDATED = field(
    "metadata.auto.lastupdated",
    TIME,
    "When anything about the visitor or account last changed.",
    name="last_updated_at",
)
