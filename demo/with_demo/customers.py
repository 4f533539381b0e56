"""Knows which of Pendo's accounts and visitors the demo's Planhat has, and as what."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

Row = dict[str, Any]

_UNKNOWN_ACCOUNT = 9  # each ninth account is not in Planhat
_UNKNOWN_VISITOR = 12  # nor is each twelfth visitor
_WITHOUT_ID = 40  # each fortieth end user is there by e-mail only


def customers(accounts: Iterable[Row], visitors: Iterable[Row]) -> dict[str, list[Row]]:
    """What Planhat is filled with: most of Pendo's people, and the difficulties of real tenants.

    `accounts` have accountId, name and crm (an id of another system, or null), `visitors` have
    visitorId, accounts (ids), email and name. A company's externalId is the account's id, an end
    user's the visitor's; one company, the first that can, has a sourceId (crm) instead. Some
    people are unknown, some end users have no externalId, and one visitor is an end user of two
    companies. The order of the rows does not matter.
    """
    companies = _companies(sorted(accounts, key=lambda row: str(row["accountId"])))
    homes = {key: _reference(company) for key, company in companies.items()}
    people = sorted(visitors, key=lambda row: str(row["visitorId"]))
    return {"companies": list(companies.values()), "endusers": list(_end_users(people, homes))}


def _companies(accounts: list[Row]) -> dict[str, Row]:
    """The companies by their account's id."""
    known = [row for number, row in enumerate(accounts, 1) if number % _UNKNOWN_ACCOUNT]
    other = next((row["accountId"] for row in known if row.get("crm")), None)
    return {row["accountId"]: _company(row, by_crm=row["accountId"] == other) for row in known}


def _company(row: Row, *, by_crm: bool) -> Row:
    key = {"sourceId": row["crm"]} if by_crm else {"externalId": row["accountId"]}
    return {"name": row.get("name") or row["accountId"], **key}


def _reference(company: Row) -> str:
    """A company as it is sent to Planhat."""
    if "externalId" in company:
        return f"extid-{company['externalId']}"
    return f"srcid-{company['sourceId']}"


def _end_users(visitors: list[Row], homes: dict[str, str]) -> Iterator[Row]:
    twofold = False
    for number, row in enumerate(visitors, 1):
        here = [homes[key] for key in row.get("accounts") or () if key in homes]
        if not here or not number % _UNKNOWN_VISITOR:
            continue
        end_user = {key: row[key] for key in ("email", "name") if row.get(key)}
        if number % _WITHOUT_ID or "email" not in end_user:
            end_user["externalId"] = row["visitorId"]
        yield {**end_user, "companyId": here[0]}
        if len(here) > 1 and not twofold:
            twofold = True
            yield {**end_user, "companyId": here[1]}
