"""Several of Pendo's ids that are one object of Planhat: sums add up, other figures are none."""

from __future__ import annotations

import tracemalloc
import typing as t
from datetime import timedelta

import pytest

from tests.planhat.running import NOW, WINDOWS, day, iso, record, schema, window

if t.TYPE_CHECKING:
    from tests.planhat.running import Message, Record, TargetRunner

PLACE = ("health", "Company", "acme", "2026-03-09")


def rule(**more: t.Any) -> Record:
    """Make a metric of companies, which accounts name by an id of the CRM."""
    match = {"field": "account.metadata.custom.crm_id", "by": "externalId"}
    told = {"stream": "health", "dimension_id": "health", "value": "score", "match": match}
    return {"activities": [], "metrics": [{**told, **more}]}


def rows(minutes: int = 0, **scores: int) -> list[Message]:
    """Give the scores of accounts, of which a1 and a2 are one company, as read some time later."""
    read = NOW + timedelta(minutes=minutes)
    said: list[Message] = [
        *(WINDOWS, schema("accounts", "account_id", "metadata")),
        schema("health", "account_id", "score", "window_start", "read_at"),
    ]
    for name, crm_id in (("a1", "acme"), ("a2", "acme"), ("b1", "beta")):
        said.append(record("accounts", account_id=name, metadata={"custom": {"crm_id": crm_id}}))
    for name, score in scores.items():
        fields = {"account_id": name, "score": score, "read_at": iso(read)}
        said.append(record("health", **fields, window_start=iso(day(9))))
    return [*said, window(day(9), day(10), read, stream="health")]


def whys(report: Record) -> dict[str, int]:
    """Records by the reason why they are rejected."""
    return {r["reason"]: r["records"] for r in report["rules"][0]["reasons"]}


@pytest.mark.usefixtures("either_ledger")
def test_several_figures_of_one_object_and_day_are_rejected_with_the_way_out(
    target: TargetRunner,
) -> None:
    report = target.run(*rows(a1=3, a2=5, b1=7), **rule())

    assert (report["sent"], report["rejected"]) == (1, 2)
    [(why, records)] = whys(report).items()
    assert records == 2
    assert "several of Pendo's ids are one object of Planhat" in why
    assert "`aggregate: sum`" in why
    assert PLACE not in target.planhat.world.point_sums()

    added = rule(name="added", aggregate="sum")
    target.run(*rows(1, a1=3, a2=5, b1=7), **added)
    assert target.planhat.world.point_sums()[PLACE] == 8


def test_what_one_of_them_has_been_sent_stands_beside_no_other(target: TargetRunner) -> None:
    assert target.run(*rows(a1=3), **rule())["sent"] == 1
    report = target.run(*rows(1, a1=3, a2=5), **rule())

    assert (report["unchanged"], report["rejected"]) == (1, 1)
    assert target.planhat.world.point_sums() == {PLACE: 3}


def test_a_point_of_one_of_them_is_not_taken_for_that_of_the_other(target: TargetRunner) -> None:
    added = rule(aggregate="sum")
    target.planhat.faults.add({"kind": "reset", "path": "/dimensiondata", "after": 1, "times": 9})
    target.run(*rows(a1=3), **added)
    target.planhat.faults.clear()
    # it came from another account, or by hand
    target.planhat.world.take_metrics(
        [{"dimensionId": "health", "externalId": "acme", "value": 3, "date": iso(day(9))}]
    )
    target.now = NOW + timedelta(hours=1)
    report = target.run(*rows(1, a1=3, a2=3), **added)

    [told] = report["rules"]
    assert (told["sent"], told["in_doubt"]) == (1, 1)


def test_memory_grows_with_those_who_share_an_address_not_with_their_square(
    target: TargetRunner,
) -> None:
    match = {"field": "visitor.metadata.agent.email", "by": "email"}
    metric = rule(model="EndUser", match=match, value="n")
    given: list[Message] = [WINDOWS, schema("visitors", "visitor_id", "metadata")]
    given.append(schema("health", "visitor_id", "n", "window_start", "read_at"))
    for number in range(1500):
        shared = {"agent": {"email": "U2@acme.example" if number % 2 else "u2@ACME.example"}}
        given.append(record("visitors", visitor_id=f"v-{number}", metadata=shared))
        fields = {"n": number, "read_at": iso(NOW), "window_start": iso(day(9))}
        given.append(record("health", visitor_id=f"v-{number}", **fields))
    given.append(window(day(9), day(10), NOW, stream="health"))
    tracemalloc.start()
    try:
        report = target.run(*given, **metric)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert report["rejected"] == 1500
    # with all pairs it were over 200 MB
    assert peak < 60e6
