"""What Planhat's Pendo integration v1 does, lacks or announces: docs/planhat-cookbook.md."""

from __future__ import annotations

import typing as t

import pytest

from tests.planhat.running import (
    EVENTS,
    FEATURES,
    WINDOWS,
    day,
    event,
    record,
    schema,
    state,
    window,
)

if t.TYPE_CHECKING:
    from tests.planhat.running import Message, Record, TargetRunner

DAY = "2026-03-09"
ACTIVE = schema("active", "id", "account_id", "active", "window_start")
PAGES = (schema("pages", "id", "name"), record("pages", id="p7", name="Home"))


def events(*rows: Message) -> list[Message]:
    """Input with these rows of feature_events of March 9th, read whole."""
    return [WINDOWS, *FEATURES, EVENTS, *rows, window(day(9), day(10)), state({"at": 1})]


def figure(value: float, **ids: str) -> Message:
    """Make a row of an aggregation."""
    return record("active", active=value, window_start=f"{DAY}T00:00:00Z", **ids)


def metric(**more: t.Any) -> Record:
    """Make a rule for that aggregation."""
    return {"stream": "active", "dimension_id": "active", "value": "active", **more}


@pytest.mark.parametrize(
    ("model", "id_"), [("Company", "acme"), ("EndUser", "u2"), ("Asset", "a1"), ("Project", "p1")]
)
def test_an_aggregation_becomes_a_metric_of_any_model(
    model: str, id_: str, target: TargetRunner
) -> None:
    rule = metric(model=model, match={"field": "id"})
    target.run(ACTIVE, figure(12.5, id=id_), metrics=[rule])

    assert target.planhat.world.point_sums() == {("active", model, id_, DAY): 12.5}


def test_pendos_account_id_is_the_externalid_of_the_company(target: TargetRunner) -> None:
    target.run(ACTIVE, figure(3, account_id="acme"), metrics=[metric()])

    assert target.planhat.world.point_sums() == {("active", "Company", "acme", DAY): 3}


def test_pendos_visitor_id_is_the_externalid_of_the_end_user(target: TargetRunner) -> None:
    target.run(*events(event(day(9, 8), "u2")))

    [activity] = target.planhat.world.activities()
    assert activity.end_user["externalId"] == "u2"


def test_activities_and_metrics_change_no_object(target: TargetRunner) -> None:
    target.run(*events(event(day(9, 8))), activities=None)
    target.run(ACTIVE, figure(3, account_id="acme"), metrics=[metric()])

    log = target.planhat.calls.log
    assert {call.path for call in log if call.verb == "POST"} == {
        "/analytics/bulk",
        "/dimensiondata",
    }
    assert {call.verb for call in log} == {"GET", "POST"}


def test_nobody_is_created_unless_that_is_wished(target: TargetRunner) -> None:
    target.run(*events(event(day(9, 8), "new")))
    target.run(*events(event(day(9, 8), "new")), unmatched="send")

    assert target.planhat.world.created == []


def test_end_users_are_created_where_their_company_exists(target: TargetRunner) -> None:
    people = (
        schema("visitors", "visitor_id", "metadata"),
        record("visitors", visitor_id="new", metadata={"agent": {"email": "new@acme.example"}}),
    )
    rows = (event(day(9, 8), "new"), event(day(9, 8), "other", account="nowhere"))
    target.run(*people, *events(*rows), create_end_users=True)

    assert target.sums == {("new", "Export", DAY): 1}
    assert target.report["parked"] == 1


def test_history_of_any_age_is_sent_with_its_dates(target: TargetRunner) -> None:
    old = {"hour": "2014-05-06T07:00:00.000Z"}
    row = {**event(day(9, 8))["record"], **old}
    target.run(*FEATURES, EVENTS, record("feature_events", **row))

    assert target.sums == {("u2", "Export", "2014-05-06"): 1}


def test_only_the_features_that_are_named_are_sent(target: TargetRunner) -> None:
    rows = (event(day(9, 8)), event(day(9, 8), feature="f2"))
    target.run(*events(*rows), activities=[{"stream": "feature_events", "only": ["f2"]}])

    assert target.sums == {("u2", "Search", DAY): 1}


def test_end_users_are_matched_by_email(target: TargetRunner) -> None:
    people = (
        schema("visitors", "visitor_id", "metadata"),
        record("visitors", visitor_id="v2", metadata={"agent": {"email": "U2@acme.example"}}),
    )
    rule = {
        "stream": "feature_events",
        "match": {"field": "visitor.metadata.agent.email", "by": "email"},
    }
    target.run(*people, *events(event(day(9, 8), "v2")), activities=[rule])

    assert target.sums == {("u2", "Export", DAY): 1}


def test_of_end_users_with_one_id_the_one_of_the_rows_company_is_meant(
    target: TargetRunner,
) -> None:
    target.planhat.knobs.ambiguous = "drop"
    rows = (event(day(9, 8), "u1", account="beta"), event(day(9, 8), "u1", account="nowhere"))
    target.run(*events(*rows))

    [activity] = target.planhat.world.activities()
    assert activity.end_user["email"] == "u1@beta.example"
    [reason] = target.report["rules"][0]["reasons"]
    assert (target.report["sent"], target.report["parked"]) == (1, 1)
    assert "several" in reason["reason"]


def test_companies_are_matched_by_an_id_in_the_accounts_metadata(target: TargetRunner) -> None:
    people = (
        schema("accounts", "account_id", "metadata"),
        record("accounts", account_id="7", metadata={"custom": {"crm_id": "s-acme"}}),
    )
    rule = metric(match={"field": "account.metadata.custom.crm_id", "by": "sourceId"})
    target.run(*people, ACTIVE, figure(4, account_id="7"), metrics=[rule])

    assert target.planhat.world.point_sums() == {("active", "Company", "acme", DAY): 4}


def test_uses_become_activities_or_metrics_of_the_end_user_as_wished(target: TargetRunner) -> None:
    rule = {"stream": "feature_events", "dimension_id": "uses", "model": "EndUser"}
    target.run(*events(event(day(9, 8), count=3), event(day(9, 9), count=4)), metrics=[rule])
    assert target.sums == {}
    assert target.planhat.world.point_sums() == {("uses", "EndUser", "u2", DAY): 7}

    target.run(*events(event(day(9, 8), count=3), event(day(9, 9), count=4)))
    assert target.sums == {("u2", "Export", DAY): 7}


def test_other_events_than_uses_of_features_are_sent_too(target: TargetRunner) -> None:
    view = {
        "visitor_id": "u2",
        "account_id": "acme",
        "app_id": 1,
        "page_id": "p7",
        "hour": f"{DAY}T08:00:00Z",
        "num_events": 2,
    }
    told = schema("page_events", *view, "read_at")
    rule = {"stream": "page_events", "action": "Viewed {page_name}", "granularity": "hour"}
    target.run(*PAGES, told, record("page_events", **view), activities=[rule])

    [activity] = target.planhat.world.activities()
    assert (activity.action, activity.count) == ("Viewed Home", 2)
    assert activity.date == day(9, 8).timestamp() * 1000


def test_what_is_parked_is_sent_with_its_date_once_the_end_user_exists(
    target: TargetRunner,
) -> None:
    target.run(*events(event(day(9, 8), "late", 4)))
    assert (target.report["parked"], target.sums) == (1, {})

    target.planhat.world.add("endusers", {"externalId": "late", "companyId": "extid-acme"})
    target.run()
    assert target.sums == {("late", "Export", DAY): 4}
