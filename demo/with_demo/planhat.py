"""The demo's Planhat: its companies and end users, what it keeps, and how it is found."""

from __future__ import annotations

import os
import uuid
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from with_demo.emulators import Emulator, emulator
from with_demo.processes import StartError, sole_use

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping
    from pathlib import Path


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


LEDGER = "TARGET_PLANHAT_LEDGER_URL"
_ACCOUNTS = {
    "accountId": "accountId",
    "name": "metadata.agent.name",
    "crm": "metadata.salesforce.id",
}
_VISITORS = {
    "visitorId": "visitorId",
    "accounts": "metadata.auto.accountids",
    "email": "metadata.agent.email",
    "name": "metadata.agent.full_name",
}


@dataclass(frozen=True)
class Planhat:
    """A running Planhat of one tenant; in `folder` it keeps what happened to it."""

    emulator: Emulator
    tenant_token: str = field(repr=False)
    folder: Path

    def environment(self, given: Mapping[str, str]) -> dict[str, str]:
        """The settings by which target-planhat finds it, and a ledger that stays with it.

        A ledger that is `given` is used instead.
        """
        ledger = given.get(LEDGER) or f"sqlite:///{self.folder / 'target-planhat.db'}"
        return {
            "TARGET_PLANHAT_API_URL": self.emulator.url,
            "TARGET_PLANHAT_ANALYTICS_URL": self.emulator.analytics_url,
            "TARGET_PLANHAT_API_TOKEN": self.emulator.key,
            "TARGET_PLANHAT_TENANT_TOKEN": self.tenant_token,
            LEDGER: ledger,
        }

    def summary(self) -> Any:
        """What it holds, in figures; raises OSError or ValueError."""
        return self.emulator.ask("/_emulator/summary")


@contextmanager
def demo_planhat(folder: Path, pendo: Emulator, check: Callable[[], None]) -> Iterator[Planhat]:
    """Run a Planhat that keeps its data in `folder` (made if need be); a new one is filled.

    `check` is called while waiting. Raises StartError with one line, or OSError.
    """
    folder.mkdir(parents=True, exist_ok=True)
    history = folder / "history.jsonl"
    with sole_use(folder, check) as lock:
        token = _tenant_token(folder, new=not history.exists())
        options = ["--tenant-token", token, "--state", str(history)]
        log = folder / "log"
        with emulator("planhat_emulator", options, log=log, check=check, keep=[lock]) as running:
            try:
                _fill(running, pendo)
            except (OSError, ValueError, KeyError) as error:
                raise StartError(f"cannot fill Planhat with Pendo's people: {error}") from error
            yield Planhat(running, token, folder)


def _tenant_token(folder: Path, *, new: bool) -> str:
    """The tenant's token. A Planhat that begins again has another one.

    So whatever a ledger in the folder says of the former one does not count for it.
    """
    file = folder / "tenant-token"
    if new:
        file.unlink(missing_ok=True)
        with os.fdopen(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as made:
            made.write(str(uuid.uuid4()))
    try:
        return file.read_text()
    except OSError as error:
        raise StartError(f"cannot read {file}: {error.strerror}; remove {folder}") from error


def _fill(planhat: Emulator, pendo: Emulator) -> None:
    if planhat.count("companies"):
        return
    accounts = _people(pendo, {"accounts": None}, _ACCOUNTS)
    visitors = _people(pendo, {"visitors": {"identified": True}}, _VISITORS)
    planhat.ask("/_emulator/seed", customers(accounts, visitors))


def _people(pendo: Emulator, source: dict[str, Any], fields: dict[str, str]) -> Any:
    pipeline = [{"source": source}, {"select": fields}]
    body = {"response": {"mimeType": "application/json"}, "request": {"pipeline": pipeline}}
    return pendo.ask("/api/v1/aggregation", body)["results"]
