"""A person who is forgotten is in no table any more, whatever the spelling; hashes need the key."""

from __future__ import annotations

import hashlib
import re
import typing as t

import pytest
import sqlalchemy as sa
from target_planhat.ledger import schema as tables
from target_planhat.reporting.ledger_cli import LedgerAction

from tests.planhat.ledgers import LATER, whole
from tests.planhat.running import day, event, record, schema
from tests.planhat.test_ledger_versions import connected

if t.TYPE_CHECKING:
    from tests.planhat.running import Message, TargetRunner

pytestmark = pytest.mark.usefixtures("either_ledger")

VISITORS = schema("visitors", "visitor_id", "metadata")
ACCOUNTS = schema("accounts", "account_id", "metadata")
NAME = "Ärger@Straße.example"


def dump(target: TargetRunner) -> str:
    """Give all texts of all tables, folded."""
    with connected(target) as connection:
        return "\n".join(
            str(value).casefold()
            for table in tables.metadata.sorted_tables
            for row in connection.execute(sa.select(table))
            for value in row
        )


def forget(target: TargetRunner, id_: str) -> str:
    """Forget a person; give what is said."""
    return target.target().ledger(LedgerAction(forget=id_))


def visitor(id_: str, email: str) -> list[Message]:
    """Give a visitor with an address."""
    return [VISITORS, record("visitors", visitor_id=id_, metadata={"agent": {"email": email}})]


def everywhere(target: TargetRunner) -> None:
    """Use rules that put a person into each table where one can be."""
    by_email = {"field": "visitor_id", "by": "email"}
    of_visitor = {"field": "visitor.metadata.agent.email", "by": "email"}
    of_owner = {"field": "account.metadata.custom.owner", "by": "externalId"}
    target.config["activities"] = [
        {"stream": "feature_events", "name": "row", "match": by_email, "action": "By {visitor_id}"},
        {"stream": "feature_events", "name": "visitor", "match": of_visitor},
        {"stream": "feature_events", "name": "informed", "info": {"who": "visitor_id"}},
    ]
    target.config["metrics"] = [
        {
            "stream": "feature_events",
            "dimension_id": "uses",
            "aggregate": "sum",
            "match": {"field": "visitor.metadata.agent.email", "by": "sourceId"},
        },
        {
            "stream": "feature_events",
            "dimension_id": "owned",
            "aggregate": "sum",
            "match": of_owner,
        },
    ]
    target.planhat.world.add(
        "endusers", {"externalId": "x-1", "email": NAME.upper(), "companyId": "extid-acme"}
    )


@pytest.mark.parametrize("said", [NAME, NAME.upper(), NAME.casefold()])
def test_nothing_of_a_forgotten_address_is_in_any_table(said: str, target: TargetRunner) -> None:
    everywhere(target)
    owner = record("accounts", account_id="acme", metadata={"custom": {"owner": NAME}})
    target.run(
        *visitor(NAME.lower(), NAME),
        *(ACCOUNTS, owner),
        *whole(event(day(9, 8), NAME), event(day(9, 9), NAME.lower(), 2), event(day(9, 8))),
    )
    assert NAME.casefold() in dump(target)

    line = forget(target, said)
    assert NAME.casefold() not in dump(target)
    assert re.match("[ÄäA]…[0-9a-f]{8}: forgotten, with ", line)
    assert "still say" not in line
    assert NAME.casefold() not in line.casefold()

    # nothing brings it back: neither records, nor the copy of Planhat
    target.now = LATER
    again = [event(day(9, 8), NAME, 7, read=LATER), event(day(9, 8), count=2, read=LATER)]
    report = target.run(*visitor(NAME, NAME), *(ACCOUNTS, owner), *whole(*again, read=LATER))
    assert NAME.casefold() not in dump(target)
    assert {rule["name"]: rule["ignored"] for rule in report["rules"]} == {
        "row": 1,
        "visitor": 1,
        "informed": 1,
        "uses": 1,
        "owned": 0,
    }


def test_the_address_of_a_forgotten_visitor_goes_with_the_id(target: TargetRunner) -> None:
    everywhere(target)
    target.run(*visitor("v-77", NAME), *whole(event(day(9, 8), "v-77"), event(day(9, 8), NAME, 2)))
    line = forget(target, "v-77")

    assert "and of 1 e-mail addresses that visitors records gave" in line
    assert "v-77" not in dump(target)
    assert NAME.casefold() not in dump(target)
    assert "x-1" not in dump(target)


def test_what_is_not_there_is_said_not_to_be(target: TargetRunner) -> None:
    target.run(*whole(event(day(9, 8))))
    line = forget(target, "somebody@else.example")

    assert "the ledger has nothing of this id; records of this id are ignored from now on" in line
    assert "forgotten" not in line


def test_what_still_says_the_name_is_told_by_table(target: TargetRunner) -> None:
    named = record("features", id="f1", name=f"Call {NAME}")
    target.run(schema("features", "id", "name"), named)

    assert "Rows about other things still contain this id: planhat_names (1)." in forget(
        target, NAME
    )


def test_hashes_need_the_key_of_the_ledger(target: TargetRunner) -> None:
    target.run(*whole(event(day(9, 8), "nobody-1")))
    forget(target, "somebody-2")
    with connected(target) as connection:
        key = connection.execute(sa.select(tables.tenants.c.mask_key)).scalar_one()
        [kept] = connection.execute(sa.select(tables.forgotten.c.id_hash)).scalars()
    assert re.fullmatch("[0-9a-f]{64}", key)
    assert kept != hashlib.sha256(b"somebody-2").hexdigest()


def test_the_same_id_has_other_masks_in_another_ledger(target: TargetRunner) -> None:
    masks = set()
    for dry_run in (True, True, False):
        report = target.run(*whole(event(day(9, 8))), dry_run=dry_run)
        masks.add(report["rules"][0]["samples"][0]["externalId"])
    assert len(masks) == 3
    plain = hashlib.sha256(b"u2").hexdigest()[:8]
    assert f"u…{plain}" not in masks
    # and the same ones in the runs of a ledger
    more = event(day(9, 8), count=5, read=LATER)
    report = target.run(*whole(more, read=LATER))
    assert report["rules"][0]["samples"][0]["externalId"] in masks
