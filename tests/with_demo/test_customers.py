"""Whom the demo's Planhat knows, of the emulated Pendo's people."""

from __future__ import annotations

import json
import urllib.request
from collections import Counter
from typing import TYPE_CHECKING, Any

import pytest
from pendo_emulator.world import World
from planhat_emulator.world import World as Tenant
from with_demo.emulators import emulator
from with_demo.planhat import customers, demo_planhat

if TYPE_CHECKING:
    from pathlib import Path

    from with_demo.emulators import Emulator

PENDO = World(events_per_day=10)


def rows() -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """The people of the emulated Pendo, as with-demo asks for them."""
    accounts, visitors = [], []
    for row in PENDO.accounts(PENDO.clock.now()):
        metadata = row["metadata"]
        crm = metadata.get("salesforce", {}).get("id")
        name = metadata.get("agent", {}).get("name")
        accounts.append({"accountId": row["accountId"], "name": name, "crm": crm})
    for row in PENDO.visitors(PENDO.clock.now(), identified=True):
        agent, auto = row["metadata"].get("agent", {}), row["metadata"].get("auto", {})
        people = {"email": agent.get("email"), "name": agent.get("full_name")}
        here = auto.get("accountids")
        visitors.append({"visitorId": row["visitorId"], "accounts": here, **people})
    return accounts, visitors


@pytest.fixture(scope="module")
def known() -> dict[str, list[dict[str, Any]]]:
    return customers(*rows())


def test_most_people_are_known_and_some_are_not(known: dict[str, list[dict[str, Any]]]) -> None:
    accounts, visitors = rows()
    companies = {one.get("externalId") for one in known["companies"]}
    end_users = {one.get("externalId") for one in known["endusers"]}

    assert 0.8 < len(companies) / len(accounts) < 0.95
    assert 0.7 < len(end_users) / len(visitors) < 0.95
    assert companies - {None} < {one["accountId"] for one in accounts}
    assert end_users - {None} < {one["visitorId"] for one in visitors}


def test_the_difficulties_of_real_tenants_are_there(
    known: dict[str, list[dict[str, Any]]],
) -> None:
    (other,) = (one for one in known["companies"] if "externalId" not in one)
    times = Counter(one["externalId"] for one in known["endusers"] if "externalId" in one)
    twice = [key for key, number in times.items() if number > 1]
    homes = {one["companyId"] for one in known["endusers"] if one.get("externalId") in twice}

    assert other["sourceId"]
    assert any(one["companyId"] == f"srcid-{other['sourceId']}" for one in known["endusers"])
    assert (len(twice), len(homes)) == (1, 2)
    assert any("externalId" not in one and one["email"] for one in known["endusers"])


def test_the_order_of_the_rows_does_not_matter(known: dict[str, list[dict[str, Any]]]) -> None:
    accounts, visitors = rows()

    assert customers(accounts[::-1], visitors[::-1]) == known


def test_planhat_is_filled_with_them_once(
    known: dict[str, list[dict[str, Any]]], tmp_path: Path
) -> None:
    tenant = Tenant()
    tenant.seed(**known)
    companies = {one["_id"]: one["name"] for one in tenant.objects("companies")}
    options = ["--events-per-day", "10"]

    with emulator("pendo_emulator", options, log=tmp_path / "log", check=lambda: None) as pendo:
        found = [listed(tmp_path / "planhat", pendo) for _ in range(2)]

    fields = ("externalId", "email", "name")
    expected = Counter(
        (companies[one["companyId"]], *(one.get(field) for field in fields))
        for one in tenant.objects("endusers")
    )
    for end_users in found:
        there = ((one["companyName"], *(one.get(field) for field in fields)) for one in end_users)
        assert Counter(there) == expected


def listed(folder: Path, pendo: Emulator) -> list[dict[str, Any]]:
    """The end users of the demo's Planhat, as its REST host lists them."""
    with demo_planhat(folder, pendo, lambda: None) as planhat:
        headers = {"Authorization": f"Bearer {planhat.emulator.key}"}
        found: list[dict[str, Any]] = []
        for offset in (0, 2000):
            url = f"{planhat.emulator.url}/endusers?limit=2000&offset={offset}"
            with urllib.request.urlopen(urllib.request.Request(url, headers=headers)) as answer:
                found += json.load(answer)
        return found
