"""A ledger that is new is refused where the tap resumes, as another one knows what was sent."""

from __future__ import annotations

import json
import typing as t

import pytest
from target_planhat.intake.resuming import Earlier, earlier
from target_planhat.reporting.ledger_cli import LedgerAction

from tests.planhat.ledgers import LATER
from tests.planhat.running import (
    EVENTS,
    FEATURES,
    WINDOWS,
    day,
    event,
    iso,
    state,
    window,
)

if t.TYPE_CHECKING:
    from datetime import datetime
    from pathlib import Path

    from tests.planhat.running import Message, TargetRunner

INIT = LedgerAction(init="--init")


def covered(start: datetime, end: datetime, stream: str = "feature_events") -> Message:
    """Make a STATE as tap-pendo's: all of a stream is read between two moments."""
    marks = {"covered_from": iso(start), "covered_to": iso(end), "start": iso(start)}
    return state({"bookmarks": {stream: marks, "sync_windows": {}}})


def a_first_run(*, newest_first: bool = True) -> list[Message]:
    """Input of three days, each with its window and STATE."""
    messages = [WINDOWS, *FEATURES, EVENTS, state({"bookmarks": {"features": {}}})]
    days = (10, 9, 8) if newest_first else (8, 9, 10)
    for n in days:
        first, last = min(n, days[0]), max(n, days[0])
        messages += [event(day(n, 8), count=5), window(day(n), day(n + 1))]
        messages.append(covered(day(first), day(last + 1)))
    return messages


def a_resumed_run(read: datetime = LATER) -> list[Message]:
    """Input of a later run: two days again, of three that are covered."""
    again = [event(day(n, 8), count=5, read=read) for n in (9, 10)]
    marks = covered(day(8), day(11))
    return [WINDOWS, marks, *FEATURES, EVENTS, *again, window(day(9), day(11), read), marks]


def broken(messages: list[Message]) -> str:
    """Write input that breaks off after some messages."""
    return "".join(json.dumps(message) + "\n" for message in messages) + "{"


def assert_refused(target: TargetRunner) -> None:
    """Nothing was sent, no STATE was handed on, and the line says the ways out."""
    assert target.error is not None
    for said in (
        "but the tap resumes: by its STATE it has read feature_events",
        "from 2026-03-08T00:00:00.000Z to 2026-03-",
        "`ledger_url`",
        "set `since` to the day after the last one that was sent",
        "`target-planhat --ledger --init`",
    ):
        assert said in target.error
    assert target.states == []
    assert target.planhat.world.count("activities") == 0


# A first run needs no more than before


@pytest.mark.parametrize("newest_first", [True, False])
@pytest.mark.usefixtures("either_ledger")
def test_a_first_run_is_taken_and_goes_on(newest_first: bool, target: TargetRunner) -> None:
    target.run(*a_first_run(newest_first=newest_first))
    assert target.error is None
    assert any("A new ledger is begun" in line for line in target.log.lines)

    target.run(*a_resumed_run())
    assert target.error is None
    assert target.sums == {("u2", "Export", f"2026-03-{n:02}"): 5 for n in (8, 9, 10)}
    assert not any("A new ledger is begun" in line for line in target.log.lines)


def test_a_first_run_that_broke_off_goes_on_with_its_ledger(target: TargetRunner) -> None:
    messages = a_first_run()
    # the first day is in the ledger; the tap resumes from the STATE behind it
    target.run(text=broken(messages[:10]))
    assert "is not JSON" in str(target.error)
    assert len(target.states) == 2

    target.run(*messages[:6], messages[9], *messages[10:])
    assert target.error is None
    assert sum(target.sums.values()) == 15


def test_a_first_run_that_broke_off_before_any_state_begins_again(target: TargetRunner) -> None:
    text = broken([*a_first_run()[:6], *a_first_run()[7:9]])
    target.run(text=text, activities=[{"stream": "feature_events", "granularity": "hour"}])
    assert target.error is not None
    target.run(require_ledger=True)
    assert "`require_ledger` is set" in str(target.error)

    # another rule of the same name mixes with nothing
    target.run(*a_first_run())
    assert (target.error, sum(target.sums.values())) == (None, 15)


@pytest.mark.parametrize(
    "messages",
    [
        [FEATURES[0], EVENTS, event(day(9, 8), count=5), covered(day(1), day(11))],
        [WINDOWS, EVENTS, event(day(9, 8), count=5), window(day(9), day(10)), state({"at": 1})],
        [WINDOWS, EVENTS, window(day(9), day(10)), covered(day(1), day(11), "page_events")],
        [WINDOWS, EVENTS, window(day(9), day(10)), state({"bookmarks": {"feature_events": 7}})],
    ],
    ids=["no windows", "another state", "a stream without a rule", "no marks"],
)
def test_where_nothing_is_shown_nothing_is_refused(
    messages: list[Message], target: TargetRunner
) -> None:
    target.run(*messages)

    assert target.error is None
    assert len(target.states) == 1


# The tap resumes


@pytest.mark.usefixtures("either_ledger")
def test_a_missing_ledger_is_not_made_anew(target: TargetRunner) -> None:
    for _ in range(2):
        # by each run, also where the one before has left a file
        target.run(*a_resumed_run())
        assert_refused(target)
    with pytest.raises(Exception, match="does not exist"):
        target.target().ledger(LedgerAction())


@pytest.mark.parametrize("before", ["all", "the rows", "nothing"])
def test_it_does_not_matter_when_a_state_comes_first(before: str, target: TargetRunner) -> None:
    windows, marks, *rest = a_resumed_run()
    target.run(
        *{"all": [marks, windows], "the rows": [windows, marks], "nothing": [windows]}[before],
        *rest,
    )
    assert_refused(target)

    # nothing that is read again may be missing at the end
    target.run(marks, windows, *FEATURES, EVENTS, since="2026-03-10")
    assert "but the tap resumes" in str(target.error)
    assert target.states == []


def test_a_partial_first_run_went_into_another_ledger(target: TargetRunner, tmp_path: Path) -> None:
    messages = a_first_run()
    target.run(*messages[:10])
    target.run(*messages[:6], *messages[9:], ledger_url=f"sqlite:///{tmp_path / 'other.db'}")

    assert "but the tap resumes" in str(target.error)
    assert sum(target.sums.values()) == 5


def test_a_part_of_a_new_tenant_is_new_too(
    target: TargetRunner, monkeypatch: pytest.MonkeyPatch
) -> None:
    tokens = target.planhat.tokens
    monkeypatch.setattr(tokens, "tenants", {*tokens.tenants, "another"})
    target.run(*a_first_run(), tenant_token="another", settle_hours=1000)
    target.run(*a_resumed_run())

    assert_refused(target)
    assert "the part for this `tenant_token` of the ledger" in str(target.error)


def test_a_dry_run_says_that_it_would_be_refused(target: TargetRunner) -> None:
    report = target.run(*a_resumed_run(), dry_run=True)

    assert (target.error, report["sent"]) == (None, 2)
    (note,) = [note for note in report["notes"] if "would be refused" in note]
    assert "but the tap resumes" in note


# The ways out


@pytest.mark.usefixtures("either_ledger")
def test_a_ledger_may_be_made_by_hand(target: TargetRunner) -> None:
    target.run(*a_resumed_run())
    assert "has been made: it is empty" in target.target().ledger(INIT)
    assert "exists already, and is not changed" in target.target().ledger(INIT)
    target.run(*a_resumed_run(), require_ledger=True)

    assert target.error is None
    assert sum(target.sums.values()) == 10
    assert "exists already, and is not changed" in target.target().ledger(INIT)


def test_no_ledger_is_made_by_a_dry_run(target: TargetRunner) -> None:
    with pytest.raises(Exception, match="--init: the setting `dry_run` is true"):
        target.target(dry_run=True).ledger(INIT)


@pytest.mark.parametrize("own", [True, False])
def test_a_since_that_leaves_the_earlier_time_out_will_do(own: bool, target: TargetRunner) -> None:
    target.run(*a_resumed_run())
    rule = {"stream": "feature_events", "name": "use"}
    if own:
        target.run(*a_resumed_run(), activities=[{**rule, "since": "2026-03-10"}])
    else:
        target.run(*a_resumed_run(), activities=[rule], since="2026-03-10")

    assert target.error is None
    assert target.sums == {("u2", "Export", "2026-03-10"): 5}


def test_a_since_that_was_always_set_will_not_do(target: TargetRunner) -> None:
    target.run(*a_resumed_run(), since="2026-03-08")

    assert_refused(target)


# What a STATE shows

HOUR = 3_600_000
START = int(day(8).timestamp() * 1000)


@pytest.mark.parametrize(
    ("windows", "since", "found"),
    [
        ([(0, 72)], 0, None),
        ([(48, 72), (24, 48), (0, 24)], 0, None),
        ([(-24, 96)], 0, None),
        ([], 0, (0, 72, False)),
        ([], 1, (1, 72, True)),
        ([(24, 72)], 0, (0, 24, False)),
        ([(24, 48)], 0, (0, 24, False)),
        ([(0, 24)], 0, (24, 72, True)),
        ([(0, 24), (48, 72)], 0, (24, 48, False)),
        ([(0, 30), (20, 24), (31, 72)], 0, (30, 31, False)),
        ([(72, 96)], 0, (0, 72, False)),
        ([(24, 72)], 24, None),
        ([(24, 72)], 23, (23, 24, False)),
        ([(24, 48)], 24, (48, 72, True)),
        ([], 72, None),
    ],
)
def test_what_is_covered_beyond_what_came(
    windows: list[tuple[int, int]], since: int, found: tuple[int, int, bool] | None
) -> None:
    def at(hours: int) -> int:
        return START + hours * HOUR

    came = {"feature_events": [(at(first), at(last)) for first, last in windows]}
    value = covered(day(8), day(11))["value"]
    told = earlier(value, came, {"page_events": 0, "feature_events": at(since)})

    expected = found and Earlier("feature_events", at(found[0]), at(found[1]), found[2])
    assert told == expected
