"""Whom in Planhat an item is about, and who is created."""

from __future__ import annotations

import json
import typing as t
from datetime import timedelta

import pytest
from target_planhat.delivery import sender
from target_planhat.errors import StoppedError
from target_planhat.planhat import endpoints as client_module

from tests.planhat.knobs import OF_UPSERTS, positions
from tests.planhat.running import (
    EVENTS,
    FEATURES,
    NOW,
    WINDOWS,
    day,
    event,
    record,
    schema,
    state,
    window,
)

if t.TYPE_CHECKING:
    from datetime import datetime

    from tests.planhat.running import Message, Record, TargetRunner

DAY = "2026-03-09"
VISITORS = schema("visitors", "visitor_id", "metadata")
EMAIL = "visitor.metadata.agent.email"


def whole(*events: Message, read: datetime = NOW) -> list[Message]:
    """Input with these events of March 9th, read whole."""
    return [WINDOWS, *FEATURES, EVENTS, *events, window(day(9), day(10), read), state(1)]


def visitor(id_: str, email: str | None = None, **more: t.Any) -> Message:
    """Make a visitors record."""
    agent = {"email": email, **more} if email else more
    return record("visitors", visitor_id=id_, metadata={"agent": agent})


def match(field: str = "visitor_id", by: str = "externalId") -> Record:
    """Configure the match of feature_events."""
    return {"activities": [{"stream": "feature_events", "match": {"field": field, "by": by}}]}


def reasons(report: Record) -> list[str]:
    """Give the reasons that the report names."""
    return [one["reason"] for one in report["rules"][0]["reasons"]]


def bodies(target: TargetRunner, path: str, verb: str) -> list[list[Record]]:
    """Give what was sent to a path, call by call."""
    log = target.planhat.calls.log
    sent = (one.body for one in log if (one.path, one.verb) == (path, verb))
    return [json.loads(body) for body in sent if body]


def posted(target: TargetRunner) -> list[Record]:
    """Give all activities that were posted."""
    return [item for items in bodies(target, "/analytics/bulk", "POST") for item in items]


@pytest.fixture(autouse=True)
def _keep_bodies(target: TargetRunner) -> None:
    target.planhat.calls.keep_bodies = True


# The keys


@pytest.mark.parametrize(
    ("field", "by", "visitor_id", "email"),
    [
        ("visitor_id", "externalId", "u2", None),
        ("visitor_id", "email", "u2@acme.example", None),
        ("visitor_id", "email", "U2@ACME.example", None),
        ("visitor_id", "sourceId", "s-u2", None),
        (EMAIL, "email", "v7", "U2@acme.Example"),
        ("visitor.visitor_id", "externalId", "u2", "whoever@x.example"),
    ],
)
def test_end_users_are_found_by_any_key(
    field: str, by: str, visitor_id: str, email: str | None, target: TargetRunner
) -> None:
    world = target.planhat.world
    [u2] = world.store.tables["endusers"].find("externalId", "u2")
    world.upserts.update("endusers", u2, {"sourceId": "s-u2"})
    messages = [VISITORS, visitor(visitor_id, email), *whole(event(day(9, 8), visitor_id))]
    report = target.run(*messages, **match(field, by))

    assert target.sums == {("u2", "Export", DAY): 1}
    assert report["sent"] == 1
    [body] = posted(target)
    assert (body["externalId"], body["companyExternalId"]) == ("u2", "acme")


def test_an_id_in_several_companies_is_of_the_rows_account_or_reported(
    target: TargetRunner,
) -> None:
    report = target.run(
        *whole(
            event(day(9, 8), "u1", 2, account="acme"),
            event(day(9, 8), "u1", 3, account="beta"),
            event(day(9, 8), "u1", 4, account="gamma"),
            event(day(9, 8), "u1", 5, account=""),
        )
    )

    counts = {a.end_user["email"]: a.count for a in target.planhat.world.activities()}
    assert counts == {"u1@acme.example": 2, "u1@beta.example": 3}
    assert report["parked"] == 2
    assert reasons(report) == ["Planhat has several of end user with this externalId"]


def test_the_company_of_an_activity_is_the_matched_end_users(target: TargetRunner) -> None:
    target.run(*whole(event(day(9, 8), "u2", account="beta")))

    [body] = posted(target)
    assert body["companyExternalId"] == body["cId"] == "acme"
    assert target.planhat.world.created == []


def test_where_the_company_has_no_external_id_none_is_named(target: TargetRunner) -> None:
    world = target.planhat.world
    nameless = world.add("companies", {"name": "Nameless"})
    world.add("endusers", {"externalId": "u5", "companyId": nameless["_id"]})
    target.run(*whole(event(day(9, 8), "u5", account="acme")))

    [body] = posted(target)
    assert "companyExternalId" not in body
    assert target.sums == {("u5", "Export", DAY): 1}


def test_an_end_user_with_an_email_address_only_is_named_by_that(target: TargetRunner) -> None:
    target.planhat.world.add("endusers", {"email": "Only@x.example", "companyId": "extid-acme"})
    target.run(*whole(event(day(9, 8), "only@x.example")), **match(by="email"))

    [body] = posted(target)
    assert (body["email"], body.get("externalId")) == ("only@x.example", None)
    assert target.planhat.world.count("activities") == 1


def test_an_end_user_without_id_and_email_address_is_parked(target: TargetRunner) -> None:
    target.planhat.world.add("endusers", {"sourceId": "s-5", "companyId": "extid-acme"})
    report = target.run(*whole(event(day(9, 8), "s-5")), **match(by="sourceId"))

    assert reasons(report) == ["the end user has neither externalId nor e-mail address in Planhat"]


def test_an_end_user_who_cannot_be_told_from_another_by_what_a_post_says_is_parked(
    target: TargetRunner,
) -> None:
    metric = {
        "stream": "feature_events",
        "dimension_id": "m",
        "model": "EndUser",
        "match": {"field": "visitor_id", "by": "email"},
    }
    report = target.run(*whole(event(day(9, 8), "u1@beta.example")), metrics=[metric])

    assert report["parked"] == 1
    assert reasons(report) == ["Planhat has several of end user with the externalId of this one"]


def test_without_api_token_ids_are_sent_as_they_are(target: TargetRunner) -> None:
    target.run(*whole(event(day(9, 8), "u2"), event(day(9, 8), "nobody")), api_token=None)

    assert target.sums == {("u2", "Export", DAY): 1}
    assert all("companyExternalId" not in body for body in posted(target))
    assert target.planhat.world.created == []


# Planhat knows them, so they are ids
ODD_IDS = ("a\tb", "a\nb", "\u001ba", "a\u007f", "a\u2028b", " a")


@pytest.mark.some(3)
@pytest.mark.parametrize("id_", ODD_IDS)
def test_ids_with_control_characters_that_planhat_knows_are_sent(
    id_: str, either_ledger: str, target: TargetRunner
) -> None:
    del either_ledger
    world = target.planhat.world
    world.seed(
        companies=[{"externalId": id_, "name": "Odd"}],
        endusers=[{"externalId": id_, "companyId": f"extid-{id_}"}],
    )
    metric = {"stream": "feature_events", "dimension_id": "uses", "match": {"field": "account_id"}}
    rules = {
        "activities": [{"stream": "feature_events", "info": {"who": "visitor_id"}}],
        "metrics": [{**metric, "model": "Company", "aggregate": "sum", "value": "num_events"}],
    }
    report = target.run(*whole(event(day(9, 8), id_, 3, account=id_)), **rules)

    assert (target.error, report["sent"]) == (None, 2)
    assert target.sums == {(id_, "Export", DAY): 3}
    assert world.point_sums() == {("uses", "Company", id_, DAY): 3}
    [activity] = world.activities()
    assert activity.info == {"who": id_}
    # and none of it is said to anybody, nor sent again
    assert target.run(*whole(event(day(9, 8), id_, 3, account=id_)), **rules)["unchanged"] == 2


# The copy of Planhat


def reads(target: TargetRunner, path: str = "/endusers") -> int:
    """Count the lists of a model that were asked for."""
    return sum((c.path, c.verb) == (path, "GET") for c in target.planhat.calls.log)


def test_a_copy_is_kept_for_a_while_and_read_anew_for_what_is_not_in_it(
    target: TargetRunner,
) -> None:
    target.run(*whole(event(day(9, 8))))
    once = reads(target)
    assert once > 0

    target.now = NOW + timedelta(minutes=20)
    target.run(*whole(event(day(9, 8), count=2, read=target.now), read=target.now))
    assert reads(target) == once

    target.planhat.world.add("endusers", {"externalId": "new", "companyId": "extid-acme"})
    target.now += timedelta(minutes=1)
    rows = event(day(9, 9), "new", read=target.now)
    target.run(*whole(rows, read=target.now))
    assert reads(target) == 2 * once
    assert target.sums["new", "Export", DAY] == 1


def test_an_old_copy_is_read_anew_and_forgets_who_is_gone(target: TargetRunner) -> None:
    target.run(*whole(event(day(9, 8))))
    world = target.planhat.world
    [u2] = world.store.tables["endusers"].find("externalId", "u2")
    world.store.tables["endusers"].remove(u2)
    target.now = NOW + timedelta(hours=7)
    report = target.run(*whole(event(day(9, 8), count=3, read=target.now), read=target.now))

    assert report["parked"] == 1
    assert reasons(report) == ["Planhat has no end user with this externalId"]


def test_a_copy_that_breaks_off_leaves_the_old_one_and_loses_nothing(
    target: TargetRunner, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client_module, "LIMITS", (2,))
    target.run(*whole(event(day(9, 8))))
    target.now = NOW + timedelta(hours=7)
    world = target.planhat.world
    [u2] = world.store.tables["endusers"].find("externalId", "u2")
    world.upserts.update("endusers", u2, {"externalId": "u2-renamed"})
    target.planhat.faults.add({"kind": "status", "path": "/endusers", "after": 1, "times": None})
    target.run(*whole(event(day(9, 8), count=3, read=target.now), read=target.now))

    assert str(target.error).startswith("Planhat does not answer (/endusers")
    assert "\n" not in str(target.error)
    assert target.states == [1]

    target.planhat.faults.clear()
    world.upserts.update("endusers", u2, {"externalId": "u2"})
    target.run()
    assert target.sums == {("u2", "Export", DAY): 3}


def test_a_dry_run_leaves_the_copy_as_it_was(target: TargetRunner) -> None:
    target.run(*whole(event(day(9, 8), "new")))
    once = reads(target)
    target.planhat.world.add("endusers", {"externalId": "new", "companyId": "extid-acme"})
    target.now = NOW + timedelta(minutes=1)
    report = target.run(dry_run=True)
    assert report["rules"][0]["earlier"] == {"sent": 1}
    assert target.sums == {}

    target.run()
    assert reads(target) == 3 * once
    assert target.sums == {("new", "Export", DAY): 1}


# Creation


def create(target: TargetRunner, *messages: Message, **settings: t.Any) -> Record:
    """Run with `create_end_users`."""
    return target.run(*messages, create_end_users=True, **settings)


def creations(target: TargetRunner) -> list[list[Record]]:
    """Give the bodies of bulk upserts."""
    return bodies(target, "/endusers", "PUT")


NEW = visitor("new", "New@acme.example", first_name="Ada", last_name="L", plan="gold")


def test_who_is_absent_is_created_with_fields_of_identity_only(target: TargetRunner) -> None:
    report = create(target, VISITORS, NEW, *whole(event(day(9, 8), "new"), event(day(9, 8))))

    assert creations(target) == [
        [
            {
                "externalId": "new",
                "email": "New@acme.example",
                "name": "Ada L",
                "companyId": "extid-acme",
            }
        ]
    ]
    assert target.sums == {("new", "Export", DAY): 1, ("u2", "Export", DAY): 1}
    assert target.planhat.world.created == []
    assert report["sent"] == 2
    assert "1 end user was created" in report["notes"]


def test_a_created_end_user_is_not_created_again(target: TargetRunner) -> None:
    create(target, VISITORS, NEW, *whole(event(day(9, 8), "new")))
    target.now = NOW + timedelta(hours=1)
    rows = event(day(9, 8), "new", 4, read=target.now)
    create(target, *whole(rows, read=target.now))

    assert len(creations(target)) == 1
    assert target.sums == {("new", "Export", DAY): 4}


@pytest.mark.parametrize(
    ("visitor_record", "account", "reason"),
    [
        (visitor("new", "U2@acme.example"), "acme", "its e-mail address is another end user's"),
        (visitor("new", "n@x.example"), "gamma", "nor a company with the record's account id"),
        (visitor("new", "n@x.example"), "", "the record names no company to create it in"),
        (visitor("new"), "acme", "could not be created: email must be specified"),
    ],
)
@pytest.mark.parametrize("unmatched", ["park", "send"])
def test_who_cannot_be_created_is_parked_with_the_reason_and_never_created_by_accident(
    unmatched: str, visitor_record: Message, account: str, reason: str, target: TargetRunner
) -> None:
    events = whole(event(day(9, 8), "new", account=account), event(day(9, 8)))
    report = create(target, VISITORS, visitor_record, *events, unmatched=unmatched)

    world = target.planhat.world
    refused = "could not be created" in reason
    if unmatched == "park":
        assert report["parked"] == 1
        assert reason in reasons(report)[0]
    else:
        # only one who is absent by all keys may be created by what is sent
        assert len(world.created) == (1 if refused else 0)
    users = [one.get("externalId") for one in world.objects("endusers")]
    assert users.count("new") == (1 if refused and unmatched == "send" else 0)
    assert target.sums["u2", "Export", DAY] == 1


def test_of_two_visitors_with_one_email_address_one_is_created(target: TargetRunner) -> None:
    visitors = [VISITORS, visitor("a", "Two@x.example"), visitor("b", "two@X.example")]
    report = create(target, *visitors, *whole(event(day(9, 8), "a"), event(day(9, 8), "b")))

    assert [len(items) for items in creations(target)] == [1]
    assert (report["sent"], report["parked"]) == (1, 1)
    assert reasons(report) == [
        "Planhat has no end user with this externalId, but another visitor has its e-mail address"
    ]


def test_two_visitors_with_one_email_address_are_one_end_user_by_email(
    target: TargetRunner,
) -> None:
    visitors = [VISITORS, visitor("a", "Two@x.example"), visitor("b", "two@X.example")]
    events = whole(event(day(9, 8), "a", 1), event(day(9, 8), "b", 2))
    report = create(target, *visitors, *events, **match(EMAIL, "email"))

    assert report["sent"] == 2
    assert len(creations(target)) == 1
    assert sum(target.sums.values()) == 3
    assert len(target.sums) == 1


def test_a_visitor_with_two_accounts_is_created_once(target: TargetRunner) -> None:
    events = [
        event(day(9, 8), "new", 1, account="acme"),
        event(day(9, 8), "new", 2, account="beta"),
    ]
    create(target, VISITORS, NEW, *whole(*events))

    assert [len(items) for items in creations(target)] == [1]
    assert target.sums == {("new", "Export", DAY): 3}
    assert target.planhat.world.created == []


@pytest.mark.parametrize("field", ["visitor_id", EMAIL])
def test_who_is_matched_by_email_is_created_with_it(field: str, target: TargetRunner) -> None:
    id_ = "new@x.example"
    events = whole(event(day(9, 8), id_))
    create(target, VISITORS, visitor(id_, id_), *events, **match(field, "email"))

    [[body]] = creations(target)
    assert body == {"externalId": id_, "email": id_, "companyId": "extid-acme"}
    assert target.sums == {(id_, "Export", DAY): 1}


def test_who_is_matched_by_source_id_is_created_with_it(target: TargetRunner) -> None:
    record_ = record(
        "visitors",
        visitor_id="v",
        metadata={"agent": {"email": "v@x.example"}, "custom": {"crm": "s-v"}},
    )
    settings = match("visitor.metadata.custom.crm", "sourceId")
    create(target, VISITORS, record_, *whole(event(day(9, 8), "v")), **settings)

    [[body]] = creations(target)
    assert body == {
        "externalId": "v",
        "sourceId": "s-v",
        "email": "v@x.example",
        "companyId": "extid-acme",
    }
    assert target.sums == {("v", "Export", DAY): 1}


def test_end_users_are_created_one_bulk_upsert_after_the_other(
    target: TargetRunner, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client_module, "MOST_UPSERTS", 2)
    names = [f"n{number}" for number in range(5)]
    visitors = [visitor(name, f"{name}@x.example") for name in names]
    report = create(
        target, VISITORS, *visitors, *whole(*(event(day(9, 8), name) for name in names))
    )

    assert [len(items) for items in creations(target)] == [2, 2, 1]
    assert report["sent"] == 5


@pytest.mark.some(8)
@pytest.mark.parametrize(
    "knobs",
    [
        *({name: value} for name, value in positions(OF_UPSERTS)),
        {"error_entries": "string", "partial_status": 400},
    ],
    ids=str,
)
def test_creation_ends_well_whatever_planhat_does(
    knobs: dict[str, t.Any], target: TargetRunner
) -> None:
    for name, value in knobs.items():
        setattr(target.planhat.knobs, name, value)
    visitors = [VISITORS, NEW, visitor("bare"), visitor("twin", "u2@acme.example")]
    ids = ["new", "bare", "twin", "u2"]
    report = create(target, *visitors, *whole(*(event(day(9, 8), one) for one in ids)))

    world = target.planhat.world
    bare = knobs.get("end_user_needs") == "key"
    created = {"new", "bare"} if bare else {"new"}
    users = [one["externalId"] for one in world.objects("endusers")]
    assert sorted(users) == sorted(["u1", "u1", "u2", *created])
    assert {who for who, _, _ in target.sums} == {"u2", *created}
    assert (report["sent"], report["parked"]) == (1 + len(created), 3 - len(created))
    assert world.created == []


def test_who_is_in_the_company_by_email_address_is_not_moved_or_renamed(
    target: TargetRunner,
) -> None:
    before = json.dumps(target.planhat.world.objects("endusers"))
    create(target, VISITORS, visitor("new", "u2@acme.example"), *whole(event(day(9, 8), "new")))

    assert json.dumps(target.planhat.world.objects("endusers")) == before


def test_a_token_that_may_not_create_ends_the_run_with_one_line(target: TargetRunner) -> None:
    target.planhat.faults.add({"kind": "status", "status": 403, "path": "/endusers", "verb": "PUT"})
    create(target, VISITORS, NEW, *whole(event(day(9, 8), "new")))

    assert "to write endusers in Planhat" in str(target.error)
    create(target)
    assert target.sums == {("new", "Export", DAY): 1}


def test_a_dry_run_says_who_would_be_created_and_creates_nobody(target: TargetRunner) -> None:
    messages = [VISITORS, NEW, *whole(event(day(9, 8), "new"))]
    report = create(target, *messages, dry_run=True)

    assert report["sent"] == 1
    assert "1 end user would be created" in report["notes"]
    assert creations(target) == []
    assert target.planhat.world.count("endusers") == 3


@pytest.mark.parametrize("fault", ["unread", "refused", "stopped"])
def test_who_was_created_is_noted_though_delivery_fails_later(
    fault: str, target: TargetRunner, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings: Record = {"activities": [{"stream": "feature_events"}]}
    faults = target.planhat.faults
    if fault == "unread":
        match = {"field": "account_id", "by": "sourceId"}
        metric = {"stream": "feature_events", "dimension_id": "m", "model": "Project"}
        settings["metrics"] = [
            {**metric, "match": match, "aggregate": "sum", "value": "num_events"}
        ]
        faults.add({"kind": "status", "status": 403, "path": "/projects", "times": None})
    elif fault == "refused":
        faults.add({"kind": "status", "status": 403, "path": "/analytics/bulk"})
    else:

        def stopped(*_: t.Any) -> t.NoReturn:
            raise StoppedError

        monkeypatch.setattr(sender.Delivery, "_submit", stopped)
    report = create(target, VISITORS, NEW, *whole(event(day(9, 8), "new")), **settings)

    assert report["outcome"] != "done"
    assert "1 end user was created" in report["notes"]
    assert any("1 end user was created" in line for line in target.log.lines)
    assert target.planhat.world.count("endusers") == 4


def test_a_metric_creates_nobody_as_its_records_name_no_company(target: TargetRunner) -> None:
    metric = {"stream": "feature_events", "dimension_id": "m", "model": "EndUser"}
    report = create(target, VISITORS, NEW, *whole(event(day(9, 8), "new")), metrics=[metric])

    assert creations(target) == []
    assert report["parked"] == 1


# Nobody by accident


@pytest.mark.parametrize("unmatched", ["park", "send", "skip"])
@pytest.mark.parametrize("who", ["new", "u1"])
def test_nobody_is_created_unless_that_is_set(
    unmatched: str, who: str, target: TargetRunner
) -> None:
    target.planhat.knobs.company_mismatch = "create"
    events = whole(event(day(9, 8), who, account="gamma" if who == "u1" else "acme"))
    target.run(VISITORS, NEW, *events, unmatched=unmatched)

    assert target.planhat.world.created == []
    assert creations(target) == []
    assert all("companyExternalId" not in body and "cId" not in body for body in posted(target))
    assert len(posted(target)) == (1 if unmatched == "send" else 0)


ADDRESSES = [f"p{n}@acme.example" for n in range(20)]


@pytest.mark.some(4)
@pytest.mark.parametrize("unmatched", ["park", "send", "skip"])
@pytest.mark.parametrize("create", [False, True])
@pytest.mark.parametrize("field", ["visitor_id", EMAIL])
def test_no_address_goes_out_by_whose_domain_planhat_would_create_someone(
    field: str, create: bool, unmatched: str, target: TargetRunner
) -> None:
    world = target.planhat.world
    [acme] = world.store.tables["companies"].find("externalId", "acme")
    acme["domains"] = ["acme.example"]
    # whom `create_end_users` may not create: the record names no company of Planhat
    rows = [event(day(9, 8), one, account="gamma") for one in ADDRESSES]
    rows.append(event(day(9, 8), "u2@acme.example"))
    people = [visitor(one, one) for one in (*ADDRESSES, "u2@acme.example")]
    settings = {**match(field, "email"), "unmatched": unmatched, "create_end_users": create}
    before = world.count("endusers")
    report = target.run(VISITORS, *people, *whole(*rows), **settings)

    assert target.error is None
    assert (world.count("endusers"), world.created) == (before, [])
    assert target.sums == {("u2", "Export", DAY): 1}
    assert all("email" not in body for body in posted(target))
    assert report["rejected" if unmatched == "skip" else "parked"] == 20
    assert ("the address is not sent" in reasons(report)[0]) == (unmatched == "send")

    # they come, with their dates, once they are there
    world.seed(endusers=[{"email": one, "companyId": "extid-acme"} for one in ADDRESSES])
    target.now = NOW + timedelta(hours=1)
    target.run(**settings)
    assert sum(target.sums.values()) == (1 if unmatched == "skip" else 21)


def test_an_address_that_several_end_users_have_does_not_go_out(target: TargetRunner) -> None:
    for company in ("acme", "beta"):
        fields = {"email": "two@x.example", "companyId": f"extid-{company}"}
        target.planhat.world.add("endusers", fields)
    rows = whole(event(day(9, 8), "two@x.example", account="gamma"))
    report = target.run(*rows, **match(by="email"), unmatched="send")

    assert (posted(target), report["parked"]) == ([], 1)


def test_unmatched_fail_creates_nobody_where_someone_else_cannot_be(target: TargetRunner) -> None:
    people = (VISITORS, NEW)
    new, lost = event(day(9, 8), "new"), event(day(9, 8), "lost", account="nowhere")
    create(target, *people, *whole(new, lost), unmatched="fail")
    assert "nothing is sent" in str(target.error)
    assert creations(target) == []

    read = NOW + timedelta(hours=1)
    target.now = read
    rows = event(day(9, 8), "new", read=read)
    create(target, *people, *whole(rows, read=read), unmatched="fail")
    assert target.error is None
    assert target.sums == {("new", "Export", DAY): 1}
