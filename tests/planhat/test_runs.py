"""Runs of the target from its input to what Planhat has: once, whatever happens."""

from __future__ import annotations

import random
import typing as t
from datetime import timedelta

import pytest
from target_planhat.errors import TargetError
from target_planhat.planhat.endpoints import PlanhatClient

from tests.planhat.running import (
    EVENTS,
    FEATURES,
    NOW,
    WINDOWS,
    day,
    event,
    iso,
    record,
    schema,
    state,
    window,
)

if t.TYPE_CHECKING:
    from collections.abc import Callable

    from tests.planhat.running import Message, TargetRunner

pytestmark = pytest.mark.usefixtures("either_ledger")
U2 = ("u2", "Export", "2026-03-09")
LATER = NOW + timedelta(hours=1)


def whole(*events: Message, read: t.Any = NOW) -> list[Message]:
    """Input with these events of March 9th, read whole."""
    return [WINDOWS, *FEATURES, EVENTS, *events, window(day(9), day(10), read), state({"at": 1})]


def gone_after(method: Callable[..., t.Any]) -> Callable[..., t.Any]:
    """Let the process be gone as soon as a method has had its effect."""

    def called(*given: t.Any) -> t.NoReturn:
        method(*given)
        raise RuntimeError("gone")

    return called


def test_events_of_a_day_become_one_activity_per_end_user_and_feature(target: TargetRunner) -> None:
    report = target.run(
        *whole(
            event(day(9, 8), count=2),
            event(day(9, 9), count=3),
            event(day(9, 9), count=1, app=2),
            event(day(9, 9), count=5, feature="f2"),
        )
    )

    assert target.error is None
    assert target.sums == {U2: 6, ("u2", "Search", "2026-03-09"): 5}
    assert target.planhat.world.count("activities") == 2
    [activity] = target.planhat.world.activities(action="Export")
    assert activity.end_user["externalId"] == "u2"
    assert report["sent"] == 4
    assert report["received"] == 4 + 2 + 1
    assert target.states == [{"at": 1}]


def test_the_same_input_again_sends_nothing(target: TargetRunner) -> None:
    messages = whole(event(day(9, 8), count=2))
    target.run(*messages)
    report = target.run(*messages)

    assert target.sums == {U2: 2}
    assert report["unchanged"] == 1


def test_late_rows_add_the_difference(target: TargetRunner) -> None:
    target.run(*whole(event(day(9, 8), count=2)))
    target.run(
        *whole(event(day(9, 8), count=3, read=LATER), event(day(9, 9), read=LATER), read=LATER)
    )

    assert target.sums == {U2: 4}
    assert [a.count for a in target.planhat.world.activities()] == [2, 2]


def test_what_pendo_takes_back_is_kept_and_set_off_against_later_increases(
    target: TargetRunner,
) -> None:
    reads = [NOW + timedelta(hours=n) for n in range(4)]
    for read, count in zip(reads, (5, 2, 4, 7), strict=True):
        report = target.run(*whole(event(day(9, 8), count=count, read=read), read=read))
        assert report["rules"][0]["excess"] == max(0, 5 - count)

    assert target.sums == {U2: 7}


def test_rows_that_are_gone_from_a_newer_read_count_nothing(target: TargetRunner) -> None:
    target.run(*whole(event(day(9, 8), count=5)))
    target.run(*whole(read=LATER))
    target.run(*whole(event(day(9, 9), count=6, read=LATER), read=LATER + timedelta(hours=1)))
    again = NOW + timedelta(hours=3)
    target.run(*whole(event(day(9, 9), count=6, read=again), read=again))

    assert target.sums == {U2: 6}


def test_a_newer_read_of_one_app_leaves_the_rows_of_others(target: TargetRunner) -> None:
    target.run(*whole(event(day(9, 8), count=5), event(day(9, 8), count=2, app=2)))
    of_one = event(day(9, 8), count=6, read=LATER), window(day(9), day(10), LATER, app_ids="1")
    target.run(WINDOWS, *FEATURES, EVENTS, *of_one, state({"at": 2}))

    assert target.sums == {U2: 6 + 2}


def test_a_window_without_its_row_counts_nothing(target: TargetRunner) -> None:
    report = target.run(WINDOWS, *FEATURES, EVENTS, event(day(9, 8)), state({"at": 1}))

    assert target.sums == {}
    assert report["ignored"] == 1
    # the tap's mark does not cover the window either, but all else that it has read
    assert target.states == [{"at": 1}]


def test_a_read_that_is_begun_anew_counts_once(target: TargetRunner) -> None:
    given_up = (event(day(9, 8), count=2), event(day(9, 9), count=2))
    report = target.run(*whole(*given_up, event(day(9, 8), count=3, read=LATER), read=LATER))

    assert target.sums == {U2: 3}
    assert (report["sent"], report["unchanged"]) == (1, 2)


def test_without_sync_windows_rows_count_at_the_next_state(target: TargetRunner) -> None:
    messages = (*FEATURES, EVENTS, event(day(9, 8), count=2), state(1), event(day(9, 8), count=3))
    target.run(*messages)
    assert target.sums == {U2: 5}
    assert target.states == [1]

    target.run(*messages)
    assert target.sums == {U2: 5}


def test_an_older_read_changes_nothing(target: TargetRunner) -> None:
    target.run(*whole(event(day(9, 8), count=5, read=LATER), read=LATER))
    report = target.run(*whole(event(day(9, 8), count=9), event(day(9, 7), count=9)))

    assert target.sums == {U2: 5}
    assert report["unchanged"] == 2


@pytest.mark.parametrize("policy", ["park", "skip", "send", "fail"])
def test_unmatched_items_are_dealt_with_as_set(policy: str, target: TargetRunner) -> None:
    messages = whole(event(day(9, 8), "nobody", 4), event(day(9, 8), "u2", 1))
    report = target.run(*messages, unmatched=policy)

    world = target.planhat.world
    if policy == "fail":
        assert "unmatched: fail" in str(target.error)
        assert world.count("activities") == 0
        return
    assert target.sums == {U2: 1}
    fates = {"park": "parked", "skip": "rejected", "send": "sent"}
    assert report[fates[policy]] == (1 if policy != "send" else 2)

    world.add("endusers", {"externalId": "nobody", "companyId": "extid-acme"})
    target.run(*messages, unmatched=policy)
    late = {("nobody", "Export", "2026-03-09"): 4} if policy == "park" else {}
    assert target.sums == {U2: 1, **late}


def test_an_unsettled_day_waits_and_goes_out_later_though_it_is_not_read_again(
    target: TargetRunner,
) -> None:
    report = target.run(*whole(event(day(9, 8), count=2)), settle_hours=40)
    assert (report["waiting"], target.sums) == (1, {})

    target.now = day(11, 17)
    report = target.run(settle_hours=40)
    assert target.sums == {U2: 2}
    assert report["rules"][0]["earlier"] == {"sent": 1}


def test_a_name_that_has_not_come_is_waited_for(target: TargetRunner) -> None:
    events = [WINDOWS, EVENTS, event(day(9, 8)), window(day(9), day(10))]
    report = target.run(*events)
    assert (report["waiting"], target.sums) == (1, {})
    assert "select features" in report["next"]

    target.run(*FEATURES)
    assert target.sums == {U2: 1}


def test_an_id_that_no_definition_has_stands_for_the_name(target: TargetRunner) -> None:
    report = target.run(*whole(event(day(9, 8), feature="gone")))

    assert target.sums == {("u2", "gone", "2026-03-09"): 1}
    assert any("the id is used as the name" in note for note in report["notes"])


def test_a_renamed_feature_stays_the_activity_that_it_was(target: TargetRunner) -> None:
    target.run(*whole(event(day(9, 8))))
    renamed = record("features", id="f1", name="Export 2")
    target.run(
        WINDOWS,
        schema("features", "id", "name"),
        renamed,
        EVENTS,
        event(day(9, 8), count=3, read=LATER),
        window(day(9), day(10), LATER),
    )

    assert target.sums == {U2: 3}


def test_a_dry_run_posts_nothing_keeps_nothing_and_hands_no_state_on(target: TargetRunner) -> None:
    messages = whole(event(day(9, 8), count=2))
    report = target.run(*messages, dry_run=True)

    assert report["sent"] == 1
    assert target.sums == {}
    assert target.states == []
    assert not (target.folder / "ledger.db").exists()
    target.run(*messages)
    assert target.sums == {U2: 2}


def test_an_aggregation_becomes_activities_with_names_learnt_from_definitions(
    target: TargetRunner,
) -> None:
    rule = {
        "stream": "searches",
        "action": "Searched in {feature_name} on {device}",
        "company": "account_id",
        "count": "searches",
    }
    names = ("visitor_id", "account_id", "feature_id", "device", "searches", "window_start")
    fields = {"visitor_id": "u2", "account_id": "acme", "feature_id": "f1", "read_at": iso(NOW)}
    row = {**fields, "device": "phone", "searches": 3, "window_start": iso(day(9))}
    messages = [WINDOWS, *FEATURES, schema("searches", *names), record("searches", **row)]

    target.run(*messages, window(day(9), day(10), stream="searches"), activities=[rule])
    assert target.sums == {("u2", "Searched in Export on phone", "2026-03-09"): 3}


def test_a_rule_whose_stream_does_not_come_is_named(target: TargetRunner) -> None:
    rule = {"stream": "serches", "action": "Searched", "count": "searches"}
    report = target.run(WINDOWS, *FEATURES, activities=[rule])

    assert any("the stream serches did not come" in note for note in report["notes"])


@pytest.mark.parametrize(
    ("rule", "said"),
    [
        ({"stream": "feature_evnts"}, "must be one of feature_events"),
        ({"action": "{0}", "count": "n"}, "not the name of a field"),
        ({"action": "{feature_name} {page_name}", "count": "n"}, "several entities"),
        ({"stream": "visitors", "action": "x", "count": "n"}, "must be one of feature_events"),
    ],
)
def test_rules_that_an_aggregation_cannot_have(
    rule: Message, said: str, target: TargetRunner
) -> None:
    with pytest.raises(TargetError, match=said):
        target.target(activities=[{"stream": "searches", **rule}])


def test_what_comes_after_a_crash_is_sent_beside_what_the_crash_left_in_doubt(
    target: TargetRunner, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch, pytest.raises(RuntimeError, match="gone"):
        patch.setattr(PlanhatClient, "post_activities", gone_after(PlanhatClient.post_activities))
        target.run(*whole(event(day(9, 8), count=2)))
    report = target.run(*whole(event(day(9, 8), count=7, read=LATER), read=LATER))

    assert target.sums == {U2: 7}
    assert [a.count for a in target.planhat.world.activities()] == [2, 5]
    assert report["sent"] == 1


def test_rows_older_than_a_complete_read_count_nothing_though_nobody_says_they_are_whole(
    target: TargetRunner,
) -> None:
    target.run(*whole(read=LATER))
    report = target.run(*FEATURES, EVENTS, event(day(9, 8), count=2))

    assert target.sums == {}
    assert report["unchanged"] == 1


def test_a_day_of_histories_that_a_later_run_resumes_counts_whole(target: TargetRunner) -> None:
    target.planhat.world.add("endusers", {"externalId": "u3", "companyId": "extid-acme"})
    told = schema("visitor_history", "visitor_id", "app_id", "ts", "read_at")

    def visits(visitor: str, read: t.Any = NOW) -> Message:
        fields = {"visitor_id": visitor, "app_id": 1, "read_at": iso(read)}
        return record("visitor_history", **fields, ts=iso(day(9, 8)))

    def whole_day(read: t.Any) -> Message:
        return window(day(9), day(10), read, stream="visitor_history")

    rules: t.Any = [{"stream": "visitor_history", "action": "Came"}]
    target.run(WINDOWS, told, visits("u2"), state({"begun": 1}), activities=rules)
    target.run(WINDOWS, told, visits("u3"), visits("u3"), whole_day(NOW), activities=rules)
    sums = {("u2", "Came", "2026-03-09"): 1, ("u3", "Came", "2026-03-09"): 2}
    assert target.sums == sums

    again = [visits("u3", LATER), visits("u3", LATER), whole_day(LATER)]
    report = target.run(WINDOWS, told, *again, activities=rules)
    assert (target.sums, report["rules"][0]["excess"]) == (sums, 1)


def test_rows_of_one_thing_that_come_in_parts_of_a_day_of_histories_add_up(
    target: TargetRunner,
) -> None:
    told = schema("visitor_history", "visitor_id", "app_id", "ts", "read_at")

    def visit(visitor: str, read: t.Any = NOW) -> Message:
        fields = {"visitor_id": visitor, "app_id": "a1", "read_at": iso(read)}
        return record("visitor_history", **fields, ts=iso(day(9, 8)))

    def whole_day(read: t.Any) -> Message:
        return window(day(9), day(10), read, stream="visitor_history")

    rule = {
        "stream": "visitor_history",
        "dimension_id": "visits",
        "model": "Asset",
        "match": {"field": "app_id"},
    }
    rules: t.Any = {"activities": [], "metrics": [rule]}
    place = ("visits", "Asset", "a1", "2026-03-09")
    target.run(WINDOWS, told, visit("u1"), state(1), visit("u2"), state(2), **rules)
    target.run(WINDOWS, told, visit("u3"), visit("u3"), whole_day(NOW), state(3), **rules)
    assert target.planhat.world.point_sums() == {place: 4}

    again = [
        visit("u1", LATER),
        state(4),
        visit("u3", LATER),
        visit("u4", LATER),
        visit("u4", LATER),
    ]
    report = target.run(WINDOWS, told, *again, visit("u5", LATER), whole_day(LATER), **rules)
    assert target.planhat.world.point_sums() == {place: 5}
    assert report["rules"][0]["excess"] == 0


def test_info_of_a_read_in_parts_adds_up_and_that_of_an_older_read_changes_nothing(
    target: TargetRunner,
) -> None:
    rules: t.Any = [
        {"stream": "feature_events", "info": {"minutes": "num_minutes", "country": "country"}}
    ]
    target.config["activities"] = rules
    told = schema(
        *("feature_events", "visitor_id", "account_id", "app_id", "feature_id", "hour"),
        *("num_events", "num_minutes", "country", "read_at"),
    )

    def used(minutes: int, country: str = "SE", hour: int = 8, read: t.Any = LATER) -> Message:
        return event(day(9, hour), num_minutes=minutes, country=country, read=read)

    target.run(*FEATURES, told, used(30), state(1), used(4), state(2))
    target.run(*FEATURES, told, used(2, "NO", read=NOW), state(3))
    target.run(*FEATURES, told, used(1, hour=9), state(4))
    target.run(*FEATURES, told, used(5, "NO", hour=10), state(5))

    assert [(a.count, a.info) for a in target.planhat.world.activities()] == [
        (2, {"minutes": 34, "country": "SE"}),
        (1, {"minutes": 1, "country": "SE"}),
        (1, {"minutes": 5}),
    ]


def test_ids_that_no_ledger_could_find_again_hold_nothing_up(target: TargetRunner) -> None:
    draw = random.Random(1)
    signs = [chr(draw.randrange(0x4E00, 0x9000)) for _ in range(5000)]
    long, longer = "".join(signs[:900]), "".join(signs)
    person = {"metadata": {"agent": {"email": "u2@acme.example"}}}
    messages = [
        schema("visitors", "visitor_id", "metadata"),
        *(record("visitors", visitor_id=id_, **person) for id_ in (longer, "u2")),
        *FEATURES,
        EVENTS,
        event(day(9, 8), long),
        event(day(9, 8)),
    ]
    rules: t.Any = [
        {
            "stream": "feature_events",
            "match": {"field": "visitor.metadata.agent.email", "by": "email"},
        }
    ]
    report = target.run(*messages, activities=rules)

    assert target.sums == {("u2", "Export", "2026-03-09"): 1}
    assert report["rejected"] == 1
    reason = "its ids, and what the action names, are too long together"
    assert report["rules"][0]["reasons"][0]["reason"] == reason


def test_reads_far_ahead_of_the_clock_count_nothing_and_outdo_no_read(target: TargetRunner) -> None:
    ahead = NOW + timedelta(days=2)
    target.run(*whole(event(day(9, 8), count=9, read=ahead), read=ahead))
    assert "ahead of the clock" in str(target.error)

    report = target.run(*FEATURES, EVENTS, event(day(9, 8), count=9, read=ahead))
    assert report["rejected"] == 1
    target.run(*whole(event(day(9, 8), count=2)))
    assert target.sums == {U2: 2}


def test_an_end_user_who_was_renamed_since_is_known_by_the_new_id(target: TargetRunner) -> None:
    target.run(*whole(event(day(9, 8))))
    world = target.planhat.world
    [found] = [one for one in world.objects("endusers") if one["externalId"] == "u2"]
    found["externalId"] = "u2 new"
    target.now = NOW + timedelta(hours=1)
    report = target.run(*whole(event(day(9, 8), count=3, read=LATER), read=LATER))

    assert report["parked"] == 1
    assert world.count("failed") == 0
