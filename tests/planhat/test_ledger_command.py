"""`target-planhat --ledger`: what it says of a ledger, and what it settles by hand."""

from __future__ import annotations

import json
import re
import stat
import typing as t
from datetime import timedelta

import pytest
from click.testing import CliRunner
from target_planhat.ledger import dialects
from target_planhat.planhat.endpoints import PlanhatClient
from target_planhat.target import TargetPlanhat

from tests.planhat.ledgers import LATER, U2, whole
from tests.planhat.running import (
    EVENTS,
    FEATURES,
    NOW,
    WINDOWS,
    day,
    event,
    record,
    schema,
    window,
)

if t.TYPE_CHECKING:
    from tests.planhat.running import Message, Record, TargetRunner

pytestmark = pytest.mark.usefixtures("either_ledger")


class Command:
    """The command line with the settings of a runner; `said` is what it logged."""

    def __init__(self, target: TargetRunner, caplog: pytest.LogCaptureFixture) -> None:
        self._target, self._log = target, caplog

    def __call__(self, *options: str, code: int = 0, **settings: t.Any) -> str:
        """Call it; give its output, or its line of error."""
        config = {**self._target.config, **settings}
        file = self._target.folder / "config.json"
        file.write_text(json.dumps({k: v for k, v in config.items() if v is not None}))
        self._log.clear()
        result = CliRunner().invoke(
            TargetPlanhat.get_singer_command(), ["--config", str(file), *options]
        )
        assert result.exit_code == code, result.output
        errors = [r.getMessage() for r in self._log.records if r.levelname == "ERROR"]
        assert len(errors) == (1 if code else 0)
        return errors[0] if code else result.stdout

    def overview(self, **settings: t.Any) -> Record:
        """Look at the ledger."""
        found = json.loads(self("--ledger", "--format=json", **settings))
        assert isinstance(found, dict)
        return found


@pytest.fixture
def command(target: TargetRunner, caplog: pytest.LogCaptureFixture) -> Command:
    """Give the command line."""
    return Command(target, caplog)


def killed_while_posting(
    target: TargetRunner, *messages: Message, arrives: bool, **settings: t.Any
) -> None:
    """Run, and end while posts are under way, which arrive or do not."""
    post = PlanhatClient.post_activities

    def killed(client: PlanhatClient, bodies: list[t.Any]) -> t.NoReturn:
        if arrives:
            post(client, bodies)
        raise KeyboardInterrupt

    with pytest.MonkeyPatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(PlanhatClient, "post_activities", killed)
        target.run(*messages, **settings)


def test_the_overview_counts_items_by_state_and_masks_ids(
    target: TargetRunner, command: Command
) -> None:
    target.run(
        *whole(
            event(day(9, 8), count=2),
            event(day(9, 8), "nobody", 4),
            event(day(9, 8), "noone", 1),
            event(day(9, 8), "u1", 7, account="beta", feature="f2"),
        )
    )
    target.run(*whole(event(day(9, 8), count=1, read=LATER), read=LATER))
    target.now = NOW + timedelta(days=3)
    found = command.overview()

    [rule] = found["rules"]
    assert (rule["name"], rule["kind"], rule["configured"]) == ("feature_events", "activity", True)
    assert {s["state"]: s["items"] for s in rule["states"]} == {"sent": 2, "nothing_to_send": 2}
    assert rule["excess"] == {"items": 2, "amount": 1 + 7}
    assert (found["runs"], len(found["last_runs"])) == (2, 2)
    assert [c["path"] for c in found["copies"]] == ["companies", "endusers"]
    assert [c["objects"] for c in found["copies"]] == [2, 3]
    assert found["copies"][0]["hours_old"] == 72


def test_the_oldest_parked_item_is_named_with_its_date_and_age(
    target: TargetRunner, command: Command
) -> None:
    target.run(*whole(event(day(9, 8), "nobody", 4)))
    target.run(
        *[WINDOWS, *FEATURES, EVENTS, event(day(10, 8), "noone", read=LATER)],
        window(day(10), day(11), LATER),
    )
    target.now = NOW + timedelta(days=3)
    [rule] = command.overview()["rules"]

    assert rule["states"] == [
        {"state": "parked", "reason": "Planhat has no end user with this externalId", "items": 2}
    ]
    assert rule["oldest_parked"] == {
        "subject": rule["oldest_parked"]["subject"],
        "date": "2026-03-09",
        "since": "2026-03-11T12:30:00.000Z",
        "days": 3.0,
    }
    masked = rule["oldest_parked"]["subject"]
    assert re.fullmatch("n…[0-9a-f]{8}", masked)
    text = command("--ledger")
    assert f"oldest parked: {masked} of 2026-03-09, known for 3 days" in text
    assert "2  parked: Planhat has no end user with this externalId" in text
    assert "nobody" not in text


NONE = {"items": 0, "amount": 0}
SURELY = {"assumed_sent": NONE, "perhaps_twice": NONE, "unanswered": NONE}


def doubts(command: Command) -> Record:
    """Give what is in doubt of the first rule."""
    rule = command.overview()["rules"][0]
    return {name: rule[name] for name in SURELY}


@pytest.mark.parametrize("arrives", [True, False])
def test_unanswered_posts_of_a_run_that_ended_are_settled_by_hand(
    arrives: bool, target: TargetRunner, command: Command
) -> None:
    killed_while_posting(target, *whole(event(day(9, 8), count=2)), arrives=arrives)
    assert doubts(command) == {**SURELY, "unanswered": {"items": 1, "amount": 2}}
    [state_of_it] = command.overview()["rules"][0]["states"]
    assert state_of_it["reason"] == "the run that posted it ended before the answer came"

    said = command("--ledger", "--confirm" if arrives else "--retry", "all")
    assert said.startswith("feature_events: 1 items (2) in doubt: counted as")
    assert doubts(command) == SURELY
    target.run(*whole(event(day(9, 8), count=5, read=LATER), read=LATER))
    assert target.sums == {U2: 5}
    assert [a.count for a in target.planhat.world.activities()] == [2, 3] if arrives else [5]


@pytest.mark.parametrize("arrives", [True, False])
def test_what_is_assumed_sent_is_settled_by_hand(
    arrives: bool, target: TargetRunner, command: Command
) -> None:
    target.run(*whole(event(day(9, 8), count=2)))
    more = whole(event(day(9, 8), count=6, read=LATER), read=LATER)
    killed_while_posting(target, *more, arrives=arrives)
    target.run()
    assert doubts(command) == {**SURELY, "assumed_sent": {"items": 1, "amount": 4}}
    assert "4 in 1 items: taken as sent, though nobody knows" in command("--ledger")

    command("--ledger", "--confirm" if arrives else "--retry", "feature_events")
    assert doubts(command) == SURELY
    target.run()
    target.run()
    assert target.sums == {U2: 6}


@pytest.mark.parametrize("arrives", [True, False])
def test_what_was_sent_again_is_settled_by_hand(
    arrives: bool, target: TargetRunner, command: Command
) -> None:
    killed_while_posting(target, *whole(event(day(9, 8), count=2)), arrives=arrives)
    target.run(in_doubt="resend")
    assert target.sums == {U2: 4 if arrives else 2}
    assert doubts(command) == {**SURELY, "perhaps_twice": {"items": 1, "amount": 2}}

    command("--ledger", "--confirm" if arrives else "--retry", "feature_events")
    rule = command.overview()["rules"][0]
    assert rule["excess"] == ({"items": 1, "amount": 2} if arrives else NONE)
    target.run(*whole(event(day(9, 8), count=5, read=LATER), read=LATER))
    assert target.sums == {U2: 5}


UNIQUE = {
    "stream": "uses",
    "dimension_id": "uses",
    "value": "n",
    "on_change": "resend",
    "match": {"field": "account"},
}


def figure(value: float, read: t.Any = NOW) -> list[Message]:
    """Input of an aggregation with one value of acme."""
    told = schema("uses", "account", "n", "window_start", "read_at")
    at, when = "2026-03-09T00:00:00Z", read.isoformat()
    return [told, record("uses", account="acme", n=value, window_start=at, read_at=when)]


@pytest.mark.parametrize("arrives", [True, False])
def test_a_figure_in_doubt_that_replaces_others_is_settled_by_hand(
    arrives: bool, target: TargetRunner, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    # without an api_token it cannot be read back
    target.config |= {"metrics": [UNIQUE], "activities": [], "api_token": None}
    target.run(*figure(7))
    post = PlanhatClient.post_metrics

    def killed(client: PlanhatClient, bodies: list[t.Any]) -> t.NoReturn:
        if arrives:
            post(client, bodies)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(PlanhatClient, "post_metrics", killed)
        target.run(*figure(9, LATER))
    target.run()
    assert doubts(command) == {**SURELY, "assumed_sent": {"items": 1, "amount": 9}}

    command("--ledger", "--confirm" if arrives else "--retry", "all")
    target.run()
    values = [point.value for point in target.planhat.world.points()]
    assert values == [7, 9]


def test_parked_items_are_given_up_and_later_increases_sent(
    target: TargetRunner, command: Command
) -> None:
    target.run(*whole(event(day(9, 8), "nobody", 4), event(day(9, 8), count=1)))
    said = command("--ledger", "--drop-parked", "feature_events")
    assert said == "feature_events: 1 items (4) parked: given up; later increases are sent\n"

    target.planhat.world.add("endusers", {"externalId": "nobody", "companyId": "extid-acme"})
    target.run()
    assert target.sums == {U2: 1}
    states = command.overview()["rules"][0]["states"]
    assert {"state": "given_up", "reason": "given up while it was parked", "items": 1} in states
    target.run(*whole(event(day(9, 8), "nobody", 9, read=LATER), read=LATER))
    assert target.sums[("nobody", "Export", "2026-03-09")] == 5


def test_one_rule_is_settled_and_the_others_are_left(
    target: TargetRunner, command: Command
) -> None:
    target.config["activities"] = [
        {"stream": "feature_events", "name": name, "action": name} for name in ("one", "two")
    ]
    target.run(*whole(event(day(9, 8), "nobody", 4)))
    command("--ledger", "--drop-parked", "two")
    target.planhat.world.add("endusers", {"externalId": "nobody", "companyId": "extid-acme"})
    target.run()

    assert target.sums == {("nobody", "one", "2026-03-09"): 4}


def test_rules_that_are_not_configured_any_more_and_new_ones_are_told(
    target: TargetRunner, command: Command
) -> None:
    target.run(*whole(event(day(9, 8), count=1)))
    other = [{"stream": "feature_events", "name": "other"}]
    found = command.overview(activities=other)

    assert [(r["name"], r["configured"]) for r in found["rules"]] == [("feature_events", False)]
    assert found["new_rules"] == ["other"]
    text = command("--ledger", activities=other)
    assert "feature_events (no longer configured)" in text
    assert "Nothing yet of other" in text


def test_an_unknown_rule_is_refused_with_those_that_are_known(
    target: TargetRunner, command: Command
) -> None:
    target.run()

    assert "it must be one of all, feature_events" in command(
        "--ledger", "--retry", "other", code=1
    )


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--confirm", "all"), "--confirm: use it with --ledger"),
        (("--ledger", "--confirm", "all", "--retry", "all"), "one of them at a time"),
        (("--ledger", "--forget", " "), "--forget must not be empty"),
        (("--ledger", "--drop-parked", ""), "--drop-parked must not be empty"),
    ],
)
def test_options_that_do_not_fit_are_refused(
    options: tuple[str, ...], said: str, target: TargetRunner, command: Command
) -> None:
    target.run()

    assert said in command(*options, code=1)


def test_a_dry_run_is_no_time_to_settle_anything(target: TargetRunner, command: Command) -> None:
    target.run()

    assert "dry_run" in command("--ledger", "--retry", "all", code=1, dry_run=True)


@pytest.mark.parametrize("options", [(), ("--retry", "all"), ("--forget", "u2")])
def test_a_ledger_that_does_not_exist_is_not_made(
    options: tuple[str, ...], target: TargetRunner, command: Command
) -> None:
    for _ in range(2):
        assert "does not exist" in command("--ledger", *options, code=1)
    assert not (target.folder / "ledger.db").exists()
    target.run(require_ledger=True)
    assert "does not exist" in str(target.error)


def test_a_ledger_is_made_on_purpose(target: TargetRunner, command: Command) -> None:
    assert "--init: use it with --ledger" in command("--init", code=1)
    for said in ("has been made: it is empty", "exists already, and is not changed"):
        assert said in command("--ledger", "--init")
    if (target.folder / "ledger.db").exists():  # not so in PostgreSQL
        assert stat.S_IMODE((target.folder / "ledger.db").stat().st_mode) == 0o600
    assert command.overview()["runs"] == 0

    target.run(*whole(event(day(9, 8), count=1)), require_ledger=True)
    assert target.sums == {U2: 1}
    assert "exists already, and is not changed" in command("--ledger", "--init")
    assert command.overview()["runs"] == 1


def test_looking_asks_planhat_nothing_and_changes_nothing(
    target: TargetRunner, command: Command
) -> None:
    target.run(*whole(event(day(9, 8), "nobody", 4), event(day(9, 8), count=1)))
    calls, found = target.planhat.calls.report(), command.overview()

    assert command.overview() == found
    assert "Copy of Planhat's endusers: 3" in command("--ledger")
    # another tenant is not entered by looking
    for _ in range(2):
        said = command("--ledger", code=1, tenant_token="another")
        assert said.startswith("the part for this `tenant_token` of the ledger")
    assert target.planhat.calls.report() == calls


def test_a_forgotten_person_is_gone_and_stays_away(target: TargetRunner, command: Command) -> None:
    visitors = schema("visitors", "visitor_id", "metadata")
    of_u2 = record("visitors", visitor_id="u2", metadata={"agent": {"email": "U2@acme.example"}})
    by_email = {"field": "visitor.metadata.agent.email", "by": "email"}
    target.config["activities"] = [
        {"stream": "feature_events", "name": "id"},
        {"stream": "feature_events", "name": "email", "match": by_email, "action": "By mail"},
    ]
    target.config["metrics"] = [
        {"stream": "feature_events", "dimension_id": "uses", "aggregate": "sum"}
    ]
    messages = [visitors, of_u2, *whole(event(day(9, 8), count=2), event(day(9, 8), "u1"))]
    target.run(*messages)
    said = command("--ledger", "--forget", "u2")

    assert re.match(
        "u…[0-9a-f]{8}: forgotten, with 2 items, 1 fields and 1 end users in the copy of Planhat; "
        "records of this id, and of 1 e-mail addresses that visitors records gave, are ignored",
        said,
    )
    found = command.overview()
    assert {r["name"]: sum(s["items"] for s in r["states"]) for r in found["rules"]} == {
        "id": 1,
        "email": 1,
        "uses": 1,
    }
    # the id, and the address of the visitors record
    assert (found["people"], found["forgotten"]) == (0, 2)
    assert found["copies"][1]["objects"] == 2

    # neither its records nor Planhat bring it back, and nothing is sent again
    target.now += timedelta(days=1)
    more = [event(day(9, 8), count=9, read=LATER), event(day(9, 8), "u1", read=LATER)]
    report = target.run(visitors, of_u2, *whole(*more, read=LATER))
    rules = {rule["name"]: rule for rule in report["rules"]}
    assert rules["id"]["ignored"] == rules["email"]["ignored"] == 1
    assert {"fate": "ignored", "reason": "the person is forgotten", "records": 1} in rules["id"][
        "reasons"
    ]
    # a company's figures name no person
    assert rules["uses"]["ignored"] == 0
    found = command.overview()
    assert found["people"] == 0
    assert found["copies"][1]["objects"] == 2
    assert target.sums[U2] == 2


def test_a_person_known_by_address_is_forgotten_by_it(
    target: TargetRunner, command: Command
) -> None:
    by_email = {"field": "visitor_id", "by": "email"}
    target.config["activities"] = [{"stream": "feature_events", "match": by_email}]
    target.run(*whole(event(day(9, 8), "U2@Acme.example", 2)))
    said = command("--ledger", "--forget", "u2@acme.example")
    assert "1 items, 0 fields and 1 end users" in said
    assert "acme" not in said

    report = target.run(*whole(event(day(9, 8), "u2@ACME.example", 5, read=LATER), read=LATER))
    assert report["ignored"] == 1


def test_a_company_of_the_same_id_is_not_forgotten_with_a_person(
    target: TargetRunner, command: Command
) -> None:
    target.config["metrics"] = [
        {"stream": "feature_events", "dimension_id": "uses", "aggregate": "sum"}
    ]
    target.run(*whole(event(day(9, 8), count=2)))

    assert "the ledger has nothing of this id" in command("--ledger", "--forget", "acme")
    report = target.run(*whole(event(day(9, 8), count=3, read=LATER), read=LATER))
    assert report["ignored"] == 0


def test_nothing_of_a_forgotten_person_stays_readable_in_the_file(
    target: TargetRunner, command: Command, either_ledger: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if either_ledger == "postgresql":
        pytest.skip("when removed rows leave its files is PostgreSQL's to say")
    tune = dialects.tune  # its settings, and one that other builds of SQLite have

    def leave_behind(connection: t.Any, record: t.Any) -> None:
        tune(connection, record)
        connection.execute("PRAGMA secure_delete = OFF")

    monkeypatch.setattr(dialects, "tune", leave_behind)
    target.planhat.world.add(
        "endusers",
        {"externalId": "xyzzy-1", "email": "xyzzy@acme.example", "companyId": "extid-acme"},
    )
    target.config["activities"] = [
        {"stream": "feature_events", "action": "{feature_name}, by {visitor_id}"}
    ]
    crowd = [event(day(9, 8), f"someone-{number}") for number in range(500)]
    for hour in range(4):
        read = NOW + timedelta(hours=hour)
        events = [event(day(9, h), "xyzzy-1", h, read=read) for h in range(4, 8 + hour)]
        target.run(*whole(*crowd, *events, read=read))
        target.now += timedelta(hours=7)
    file = target.folder / "ledger.db"
    assert b"xyzzy" in file.read_bytes()
    command("--ledger", "--forget", "xyzzy-1")

    left = [path for path in target.folder.glob("ledger.db*") if b"xyzzy" in path.read_bytes()]
    assert left == []
    target.run(*whole(*crowd, event(day(9, 8), "xyzzy-1", 99)))
    left = [path for path in target.folder.glob("ledger.db*") if b"xyzzy" in path.read_bytes()]
    assert left == []
