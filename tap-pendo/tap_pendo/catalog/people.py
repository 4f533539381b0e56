"""The rows of accounts, visitors, and what each of them has seen."""

from __future__ import annotations

from tap_pendo import aggregation, deriving
from tap_pendo.objects import (
    Definitions,
    Derived,
    EachOf,
    Kind,
    People,
)
from tap_pendo.schemas import guides, people

PEOPLE: tuple[Kind, ...] = (
    People(
        name="accounts",
        about="Accounts with their metadata.",
        source="accounts",
        id=people.ACCOUNT_ID,
        metadata_kind="account",
    ),
    Derived(
        name="account_applications",
        about="Apps that each account has used.",
        parent="accounts",
        shape=people.ACCOUNT_APPLICATION,
        keys=("account_id", "app_id"),
        derive=deriving.applications_of("accountId"),
    ),
    People(
        name="visitors",
        about="Visitors with their metadata.",
        source="visitors",
        id=people.VISITOR_ID,
        metadata_kind="visitor",
        anonymous=True,
    ),
    Derived(
        name="visitor_accounts",
        about="Accounts of each visitor.",
        parent="visitors",
        shape=people.VISITOR_ACCOUNT,
        keys=("visitor_id", "account_id"),
        derive=deriving.accounts_of_visitor,
    ),
    Derived(
        name="visitor_applications",
        about="Apps that each visitor has used.",
        parent="visitors",
        shape=people.VISITOR_APPLICATION,
        keys=("visitor_id", "app_id"),
        derive=deriving.applications_of("visitorId"),
    ),
    Definitions(
        name="guides_seen",
        about="What each visitor has seen of each guide step, of all time.",
        source="guidesSeenEver",
        params={"appId": aggregation.ALL_APPS},
        shape=guides.GUIDE_SEEN,
        keys=("visitor_id", "guide_id", "guide_step_id"),
        otherwise=aggregation.of_all_time("guidesSeenEver", {"appId": aggregation.ALL_APPS}),
        selected=False,
    ),
    EachOf(
        name="polls_seen",
        about="Last answer of each visitor to each poll, of all time.",
        parent="guides",
        items=deriving.its_polls,
        counted=aggregation.polls_of_guides(),
        body=aggregation.polls_seen,
        shape=guides.POLL_SEEN,
        keys=("visitor_id", "guide_id", "poll_id"),
        selected=False,
    ),
)
