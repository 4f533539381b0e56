"""Metrics from rows to the points that Planhat has: one value per object and day."""

from __future__ import annotations

import functools
import itertools
import operator
import typing as t
from datetime import timedelta

import pytest
from target_planhat.reporting.ledger_cli import LedgerAction

from tests.planhat.running import (
    EVENTS,
    NOW,
    WINDOWS,
    day,
    event,
    iso,
    record,
    schema,
    window,
)

if t.TYPE_CHECKING:
    from datetime import datetime

    from tests.planhat.running import Message, Record, TargetRunner

D9, D10 = "2026-03-09", "2026-03-10"
HEALTH = schema("health", "account_id", "visitor_id", "score", "window_start", "read_at")
# scores whose sum depends on the order in which they are added
LARGE = [100000000.13, 0.85, 0.76, 0.26]
SEATS = schema("seats", "account_id", "seats", "read_at")


def at(hours: int) -> datetime:
    """Give a time after NOW."""
    return NOW + timedelta(hours=hours)


def metric(stream: str = "health", **given: t.Any) -> Record:
    """Configure one metric, by default the value `score`."""
    rule = {"stream": stream, "dimension_id": "m", **given}
    if stream == "health" and "aggregate" not in rule:
        rule = {"value": "score", **rule}
    return {"metrics": [rule]}


def health(value: t.Any, read: datetime = NOW, **more: t.Any) -> Message:
    """Make a row of a daily aggregation, of March 9th."""
    told = {"account_id": "acme", "visitor_id": "u2", "window_start": iso(day(9))}
    return record("health", **{**told, "score": value, "read_at": iso(read), **more})


def daily(*rows: Message, read: datetime = NOW) -> list[Message]:
    """Input with rows of the aggregation of March 9th, read whole."""
    return [WINDOWS, HEALTH, *rows, window(day(9), day(10), read, stream="health")]


def seats(value: int, read: datetime, account: str = "acme") -> Message:
    """Make a row of a snapshot."""
    return record("seats", account_id=account, seats=value, read_at=iso(read))


def values(target: TargetRunner, **which: str) -> list[tuple[str, float]]:
    """Give the points in Planhat, (day, value), in the order of their arrival."""
    points = target.planhat.world.points(**which)
    return [((day(1) + timedelta(days=p.day - 20513)).date().isoformat(), p.value) for p in points]


# Event rows


@pytest.mark.parametrize(
    ("rule", "expected"),
    [
        ({}, 6),
        ({"aggregate": "sum"}, 6),
        ({"aggregate": "sum", "value": "num_minutes"}, 11),
        ({"aggregate": "count"}, 3),
        ({"only": ["f2"]}, 1),
        ({"where": {"app_id": [2]}}, 3),
    ],
)
def test_rows_of_events_are_summed_or_counted_by_day(
    rule: Record, expected: float, target: TargetRunner
) -> None:
    target.run(
        WINDOWS,
        EVENTS,
        event(day(9, 8), count=2, num_minutes=4),
        event(day(9, 9), "u1", count=3, app=2, num_minutes=5),
        event(day(9, 9), count=1, feature="f2", num_minutes=2),
        event(day(10, 9), count=9, account="beta", num_minutes=1, feature="f3"),
        window(day(9), day(11)),
        **metric("feature_events", **rule),
    )

    assert target.error is None
    assert values(target, external_id="acme") == [(D9, expected)]


def added(scores: t.Iterable[float]) -> float:
    """Add one after the other, as `sum` no longer does."""
    return functools.reduce(operator.add, scores)


def test_a_sum_in_another_order_is_no_change(target: TargetRunner, either_ledger: str) -> None:
    del either_ledger
    scores = [0.1, 0.2, 0.3]
    assert added(scores) != added(reversed(scores))
    for hours, order in enumerate([scores, scores[::-1], [*scores, 1e-6]]):
        rows = [health(score, at(hours), visitor_id=f"u{score}") for score in order]
        target.run(
            *daily(*rows, read=at(hours)),
            **metric(aggregate="sum", value="score", on_change="resend"),
        )

    assert values(target) == [(D9, pytest.approx(0.6)), (D9, pytest.approx(0.600001))]


def test_a_large_sum_in_another_order_adds_nothing(target: TargetRunner) -> None:
    orders = sorted(itertools.permutations(LARGE), key=added)
    assert added(orders[0]) < added(orders[-1])
    for hours, order in enumerate((orders[0], orders[-1])):
        rows = [health(score, at(hours), visitor_id=f"u{score}") for score in order]
        target.run(
            *daily(*rows, read=at(hours)),
            **metric(aggregate="sum", value="score", on_change="delta"),
        )

    assert values(target) == [(D9, pytest.approx(sum(LARGE)))]


def test_a_sum_that_was_given_up_stays_so_in_another_order(target: TargetRunner) -> None:
    scores = [0.1, 0.2, 0.3]
    rule = metric(aggregate="sum", value="score", on_change="resend")
    for hours, order in enumerate([scores, scores[::-1]]):
        rows = [
            health(score, at(hours), visitor_id=f"u{score}", account_id="unknown")
            for score in order
        ]
        report = target.run(*daily(*rows, read=at(hours)), **rule)
        assert report["parked"] == (0 if hours else 3)
        target.target(**rule).ledger(LedgerAction(drop_parked="all"))


@pytest.mark.parametrize(
    ("on_change", "expected"),
    [("delta", [5, 2]), ("resend", [5, 2, 7]), ("report", [5])],
)
def test_sums_that_change_are_added_to_sent_again_or_only_reported(
    on_change: str, expected: list[float], target: TargetRunner
) -> None:
    report: Record = {}
    for hours, count in enumerate([5, 2, 7]):
        rows = [event(day(9, 8), count=count, read=at(hours)), window(day(9), day(10), at(hours))]
        report = target.run(WINDOWS, EVENTS, *rows, **metric("feature_events", on_change=on_change))

    assert values(target) == [(D9, value) for value in expected]
    assert report["rules"][0]["changed"] == (1 if on_change == "report" else 0)
    assert report["unchanged" if on_change == "report" else "sent"] == 1


def test_a_sum_of_nothing_is_no_point(target: TargetRunner) -> None:
    target.run(
        WINDOWS, EVENTS, event(day(9), count=0), window(day(9), day(10)), **metric("feature_events")
    )

    assert values(target) == []


# Values of a day


@pytest.mark.parametrize("first", [0, -2, 0.5, "3"])
def test_a_first_value_is_sent_whatever_number_it_is(first: t.Any, target: TargetRunner) -> None:
    target.run(*daily(health(first)), **metric())

    assert values(target) == [(D9, float(first))]


@pytest.mark.parametrize("value", [None, "", "many", True, [1], "NaN"])
def test_what_is_no_number_is_rejected(value: t.Any, target: TargetRunner) -> None:
    report = target.run(*daily(health(value)), **metric())

    assert values(target) == []
    assert report["rejected"] == 1
    assert "`score`" in report["rules"][0]["reasons"][0]["reason"]


@pytest.mark.some(2)
@pytest.mark.parametrize(
    ("on_change", "read", "expected"),
    [
        ("report", [4, 6, 1], [4]),
        ("delta", [4, 6, 1, 7], [4, 2, 1]),
        ("delta", [-4, -6, 1], [-4, 5]),
        ("delta", [0, 0, 3], [0, 3]),
        ("resend", [4, 6, 1, 1], [4, 6, 1]),
        ("resend", [0, -1, 0], [0, -1, 0]),
    ],
)
def test_values_that_change_are_dealt_with_as_set(
    on_change: str, read: list[float], expected: list[float], target: TargetRunner
) -> None:
    report: Record = {}
    for hours, value in enumerate(read):
        report = target.run(
            *daily(health(value, at(hours)), read=at(hours)), **metric(on_change=on_change)
        )

    assert values(target) == [(D9, value) for value in expected]
    differs = on_change == "report" and read[0] != read[-1]
    assert report["rules"][0]["changed"] == (1 if differs else 0)


def test_two_values_of_one_object_and_day_are_rejected_with_the_way_out(
    target: TargetRunner,
) -> None:
    report = target.run(*daily(health(4), health(5), health(7, account_id="beta")), **metric())

    assert values(target) == [(D9, 7)]
    assert report["rejected"] == 2
    [reason] = report["rules"][0]["reasons"]
    assert "several values" in reason["reason"]
    assert "`aggregate`" in reason["reason"]


def test_two_rows_that_agree_are_one_value(target: TargetRunner) -> None:
    report = target.run(*daily(health(4), health(4)), **metric())

    assert values(target) == [(D9, 4)]
    assert report["sent"] == 2


@pytest.mark.parametrize(
    ("aggregate", "expected"), [("max", 5), ("last", 3), ("sum", 12), ("count", 3)]
)
def test_several_values_of_a_day_become_one_as_set(
    aggregate: str, expected: float, target: TargetRunner
) -> None:
    given = {} if aggregate == "count" else {"value": "score"}
    target.run(*daily(health(4), health(5), health(3)), **metric(aggregate=aggregate, **given))

    assert values(target) == [(D9, expected)]


@pytest.mark.parametrize("aggregate", ["value", "max", "last"])
@pytest.mark.parametrize("hour", [0, 8])
def test_values_of_hours_are_no_value_of_a_day(
    aggregate: str, hour: int, target: TargetRunner
) -> None:
    rule = metric() if aggregate == "value" else metric(aggregate=aggregate, value="score")
    begin = day(9, hour)
    report = target.run(
        WINDOWS,
        HEALTH,
        health(4, window_start=iso(begin)),
        window(begin, begin + timedelta(hours=1), stream="health"),
        **rule,
    )

    assert values(target) == []
    assert report["rejected"] == 1
    why = "is not the start of a day" if hour else "its rows are not for whole days"
    assert why in report["rules"][0]["reasons"][0]["reason"]


def test_values_of_hours_can_be_summed(target: TargetRunner) -> None:
    rows: list[Message] = []
    for hour in (0, 8):
        begin = day(9, hour)
        rows.append(health(4, window_start=iso(begin)))
        rows.append(window(begin, begin + timedelta(hours=1), stream="health"))
    target.run(WINDOWS, HEALTH, *rows, **metric(aggregate="sum", value="score"))

    assert values(target) == [(D9, 8)]


def test_a_value_that_is_gone_from_a_newer_read_was_0_for_readers_of_the_last(
    target: TargetRunner,
) -> None:
    target.run(*daily(health(4)), **metric(on_change="resend"))
    target.run(*daily(read=at(1)), **metric(on_change="resend"))

    assert values(target) == [(D9, 4), (D9, 0)]


def test_a_value_that_was_skipped_is_not_sent_later_but_another_one_is(
    target: TargetRunner,
) -> None:
    settings = {"unmatched": "skip", **metric()}
    target.run(*daily(health(4, account_id="gamma")), **settings)
    target.planhat.world.add("companies", {"externalId": "gamma", "name": "Gamma"})
    target.run(*daily(health(4, at(1), account_id="gamma"), read=at(1)), **settings)
    assert values(target) == []

    target.run(*daily(health(5, at(2), account_id="gamma"), read=at(2)), **settings)
    assert values(target) == [(D9, 5)]


# Snapshots


def snapshot(**more: t.Any) -> Record:
    """Configure the snapshot as metric."""
    return metric("seats", value="seats", date="read_at", **more)


def test_a_snapshot_is_of_the_day_that_it_was_read(target: TargetRunner) -> None:
    target.run(SEATS, seats(4, day(9, 7)), seats(5, day(10, 23)), **snapshot())

    assert values(target) == [(D9, 4), (D10, 5)]


def test_a_snapshot_is_of_the_day_in_the_set_time_zone(target: TargetRunner) -> None:
    target.run(SEATS, seats(4, day(9, 23)), timezone="Asia/Tokyo", **snapshot())

    assert values(target) == [(D10, 4)]


@pytest.mark.parametrize(("on_change", "expected"), [("report", [4]), ("resend", [4, 6, 5])])
def test_several_snapshots_of_a_day_are_dealt_with_as_set(
    on_change: str, expected: list[float], target: TargetRunner
) -> None:
    for hour, value in ((7, 4), (9, 6), (11, 5)):
        target.run(SEATS, seats(value, day(9, hour)), **snapshot(on_change=on_change))

    assert values(target) == [(D9, value) for value in expected]


def test_with_settle_hours_the_last_snapshot_of_a_day_is_sent_once_the_day_is_over(
    target: TargetRunner,
) -> None:
    for hour, value in ((7, 4), (9, 6), (23, 5)):
        target.now = day(9, hour)
        report = target.run(SEATS, seats(value, target.now), settle_hours=8, **snapshot())
        assert (report["waiting"], values(target)) == (1, [])

    target.now = day(10, 8)
    target.run(settle_hours=8, **snapshot())
    assert values(target) == [(D9, 5)]


def test_a_snapshot_is_not_undone_by_an_older_one(target: TargetRunner) -> None:
    target.run(SEATS, seats(6, day(9, 9)), **snapshot(on_change="resend"))
    target.run(SEATS, seats(4, day(9, 7)), **snapshot(on_change="resend"))

    assert values(target) == [(D9, 6)]


# Objects


@pytest.mark.some(4)
@pytest.mark.parametrize(
    ("model", "field", "by", "subject", "external_id"),
    [
        ("Company", "account_id", "externalId", "acme", "acme"),
        ("Company", "account_id", "sourceId", "s-acme", "acme"),
        ("EndUser", "visitor_id", "externalId", "u2", "u2"),
        ("EndUser", "visitor_id", "email", "U2@Acme.example", "u2"),
        ("EndUser", "visitor_id", "sourceId", "s-u9", "u9"),
        ("Asset", "asset_id", "externalId", "a1", "a1"),
        ("Asset", "asset_id", "sourceId", "s-a2", "a2"),
        ("Project", "project.id", "externalId", "p1", "p1"),
        ("Project", "project.id", "sourceId", "s-p2", "p2"),
    ],
)
def test_metrics_are_of_any_model_found_by_its_keys(
    model: str, field: str, by: str, subject: str, external_id: str, target: TargetRunner
) -> None:
    world = target.planhat.world
    world.add("endusers", {"externalId": "u9", "sourceId": "s-u9", "companyId": "extid-acme"})
    for path, key in (("assets", "a2"), ("projects", "p2")):
        keys = {"externalId": key, "sourceId": f"s-{key}"}
        world.add(path, {**keys, "name": key, "companyId": "extid-acme"})
    outer, _, inner = field.partition(".")
    row = record(
        "usage", **{outer: {inner: subject} if inner else subject}, n=3, window_start=iso(day(9))
    )
    report = target.run(
        schema("usage", outer, "n", "window_start"),
        row,
        **metric("usage", value="n", model=model, match={"field": field, "by": by}),
    )

    assert target.error is None
    assert report["sent"] == 1
    [point] = world.points()
    assert (point.model, point.of["externalId"], point.value) == (model, external_id, 3)


def test_an_object_without_external_id_cannot_have_metrics_and_is_parked_until_it_has(
    target: TargetRunner,
) -> None:
    world = target.planhat.world
    made = world.add("companies", {"sourceId": "s-gamma", "name": "Gamma"})
    settings = metric(match={"field": "account_id", "by": "sourceId"})
    report = target.run(*daily(health(4, account_id="s-gamma")), **settings)

    assert report["parked"] == 1
    assert report["rules"][0]["reasons"][0]["reason"] == (
        "the company has no externalId in Planhat"
    )
    world.upserts.update("companies", made, {"externalId": "gamma"})
    target.now = at(1)
    target.run(**settings)
    assert values(target, external_id="gamma") == [(D9, 4)]


# Metadata

ACCOUNTS = schema("accounts", "account_id", "metadata")
VISITORS = schema("visitors", "visitor_id", "metadata")
BY_CRM = {"field": "account.metadata.custom.crm_id", "by": "externalId"}


def account(crm_id: t.Any, id_: str = "a-1") -> Message:
    """Make an accounts record."""
    return record("accounts", account_id=id_, metadata={"custom": {"crm_id": crm_id}})


def test_an_id_may_sit_in_the_metadata_of_an_earlier_run(target: TargetRunner) -> None:
    target.run(ACCOUNTS, account("acme"), **metric(match=BY_CRM))
    target.run(*daily(health(4, account_id="a-1")), **metric(match=BY_CRM))

    assert values(target, external_id="acme") == [(D9, 4)]


def test_an_id_in_metadata_that_comes_after_the_rows_is_used(target: TargetRunner) -> None:
    rows = daily(health(4, account_id="a-1"))
    target.run(*rows, ACCOUNTS, account("acme"), **metric(match=BY_CRM))

    assert values(target, external_id="acme") == [(D9, 4)]


@pytest.mark.parametrize("crm_id", [None, "", {"id": 1}])
def test_rows_wait_parked_until_their_metadata_have_the_id(
    crm_id: t.Any, target: TargetRunner
) -> None:
    rows = daily(health(4, account_id="a-1"))
    report = target.run(ACCOUNTS, account(crm_id), *rows, **metric(match=BY_CRM))
    assert report["parked"] == 1
    assert report["rules"][0]["reasons"][0]["reason"] == (
        "no account record with `metadata.custom.crm_id` has come yet"
    )

    target.run(ACCOUNTS, account("acme"), **metric(match=BY_CRM))
    assert values(target, external_id="acme") == [(D9, 4)]


def test_a_number_in_metadata_is_an_id_without_a_fraction(target: TargetRunner) -> None:
    target.planhat.world.add("companies", {"externalId": "123", "name": "Number"})
    rows = daily(health(4, account_id="a-1"))
    target.run(ACCOUNTS, account(123.0), *rows, **metric(match=BY_CRM))

    assert values(target, external_id="123") == [(D9, 4)]


def test_metadata_that_change_concern_what_is_sent_from_then_on(target: TargetRunner) -> None:
    settings = metric(match=BY_CRM, aggregate="sum", value="score")
    target.run(ACCOUNTS, account("acme"), *daily(health(4, account_id="a-1")), **settings)
    later = daily(health(6, at(1), account_id="a-1"), read=at(1))
    target.run(ACCOUNTS, account("beta"), *later, **settings)

    assert values(target, external_id="acme") == [(D9, 4)]
    assert values(target, external_id="beta") == [(D9, 2)]


def test_visitors_metadata_name_end_users_too(target: TargetRunner) -> None:
    match = {"field": "visitor.metadata.agent.email", "by": "email"}
    visitor = record("visitors", visitor_id="v", metadata={"agent": {"email": "U2@acme.example"}})
    rows = daily(health(4, visitor_id="v"))
    target.run(VISITORS, visitor, *rows, **metric(match=match, model="EndUser"))

    assert values(target, external_id="u2") == [(D9, 4)]


# dimensionId


@pytest.mark.parametrize(
    ("given", "sent"),
    [
        ({"dimension_id": "active visitors (daily)"}, "active_visitors_daily_"),
        ({"dimension_id": "Active-Visitors"}, "Active_Visitors"),
        (
            {"dimension_id": "Process Runs", "dimension_id_as_is": True},
            "Process Runs",
        ),
    ],
)
def test_the_dimension_id_is_sanitised_or_as_it_is(
    given: Record, sent: str, target: TargetRunner
) -> None:
    target.run(*daily(health(4)), **metric(**given))

    assert [p.dimension_id for p in target.planhat.world.points()] == [sent]


def test_two_rules_on_one_stream_are_two_metrics(target: TargetRunner) -> None:
    both = metric()["metrics"] + metric(dimension_id="n", aggregate="count")["metrics"]
    report = target.run(*daily(health(4)), metrics=both)

    world = target.planhat.world
    assert world.point_sums() == {
        ("m", "Company", "acme", D9): 4,
        ("n", "Company", "acme", D9): 1,
    }
    assert report["sent"] == 2


def test_rows_with_a_date_of_their_own_count_as_their_windows_are_read(
    target: TargetRunner,
) -> None:
    told = schema("uses", "account_id", "window_start", "seen", "n", "read_at")
    rule = {"stream": "uses", "dimension_id": "uses", "value": "n", "aggregate": "sum"}
    target.config |= {"activities": [], "metrics": [{**rule, "date": "seen"}]}

    def read_of(number: int, figure: int | None, at: datetime) -> list[Message]:
        fields = {"account_id": "acme", "window_start": iso(day(number)), "read_at": iso(at)}
        rows = [] if figure is None else [record("uses", **fields, seen=iso(day(5)), n=figure)]
        return [*rows, window(day(number), day(number + 1), at, stream="uses")]

    reads = [NOW + timedelta(hours=n) for n in range(4)]
    target.run(WINDOWS, told, *read_of(8, 3, reads[0]), *read_of(9, 4, reads[1]))
    assert [point.value for point in target.planhat.world.points()] == [7]

    report = target.run(WINDOWS, told, *read_of(9, 6, reads[2]), *read_of(8, None, reads[3]))
    assert [point.value for point in target.planhat.world.points()] == [7]
    assert report["rules"][0]["excess"] == 1


def test_rows_of_one_window_with_different_dates_of_their_own_are_different_points(
    target: TargetRunner,
) -> None:
    told = schema("uses", "account_id", "window_start", "seen", "n", "read_at")
    fields = {"account_id": "acme", "window_start": iso(day(9)), "read_at": iso(NOW)}
    rows = [
        record("uses", **fields, seen=seen, n=n)
        for seen, n in ((iso(day(5)), 2), (iso(day(6)), 3), (iso(day(5)), 4))
    ]
    closed = window(day(9), day(10), stream="uses")

    target.run(
        WINDOWS, told, *rows, closed, **metric("uses", value="n", date="seen", aggregate="sum")
    )

    assert values(target) == [("2026-03-05", 6), ("2026-03-06", 3)]
