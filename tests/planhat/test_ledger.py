"""What a ledger promises of itself: who reads it, who opens it, and what may change beside it."""

from __future__ import annotations

import json
import os
import re
import resource
import sqlite3
import stat
import subprocess
import sys
import typing as t

import pytest

from tests.planhat.ledgers import LATER, U2, feed, opened, whole
from tests.planhat.running import day, event, record, schema, state

if t.TYPE_CHECKING:
    from pathlib import Path

    from tests.planhat.running import Message, TargetRunner


@pytest.fixture
def ledger(target: TargetRunner) -> Path:
    """Give the SQLite file of the ledger."""
    return target.folder / "ledger.db"


def process(target: TargetRunner) -> list[str]:
    """Give the command of another process on the same ledger, with reports of its own."""
    config = target.folder / "config.json"
    own = {"report_path": str(target.folder / "other"), "rejects_path": str(target.folder / "r")}
    config.write_text(json.dumps({**target.config, **own}))
    return [sys.executable, "-m", "target_planhat", "--config", str(config)]


# Who may use it


@pytest.mark.parametrize("exists", [False, True])
def test_only_the_owner_reads_the_file_and_what_sqlite_puts_beside_it(
    exists: bool, target: TargetRunner, ledger: Path
) -> None:
    if exists:
        ledger.touch(0o644)
    with opened(target) as run:
        feed(run, whole(event(day(9, 8))))
        beside = list(target.folder.glob("ledger.db*"))
        assert len(beside) > 1
        assert {stat.S_IMODE(path.stat().st_mode) for path in beside} == {0o600}
    assert stat.S_IMODE(ledger.stat().st_mode) == 0o600


def test_a_second_process_on_one_file_is_refused(target: TargetRunner) -> None:
    command = process(target)
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as other:
        assert other.stdin is not None
        assert other.stdout is not None
        for message in whole(event(day(9, 8))):
            other.stdin.write(json.dumps(message) + "\n")
        other.stdin.flush()
        # it has the ledger, and waits for more
        assert other.stdout.readline() == '{"at": 1}\n'
        target.run()
        assert "is in use by another run" in str(target.error)
        assert "PostgreSQL" in str(target.error)
        for option in ("--ledger", "--confirm=all", "--forget=u2"):
            looked = subprocess.run(
                [*command, "--ledger", option], capture_output=True, text=True, check=False
            )
            assert looked.returncode == 1
            assert "is in use by another run" in looked.stderr
            assert "Traceback" not in looked.stderr
    assert other.returncode == 0

    target.run()
    assert target.error is None
    assert target.sums == {U2: 1}


@pytest.mark.usefixtures("either_ledger")
def test_two_tenants_of_one_ledger_do_not_mix(
    target: TargetRunner, monkeypatch: pytest.MonkeyPatch
) -> None:
    tokens = target.planhat.tokens
    monkeypatch.setattr(tokens, "tenants", {*tokens.tenants, "another"})
    messages = whole(event(day(9, 8), count=2), event(day(9, 8), "nobody", 4))
    target.run(*messages)
    # another one may be what is left of a token that was changed
    target.run(*messages, tenant_token="another", require_ledger=True)
    assert str(target.error).startswith("the part for this `tenant_token` of the ledger")
    assert target.sums == {U2: 2}
    report = target.run(*messages, tenant_token="another")
    assert (report["sent"], report["parked"]) == (1, 1)
    assert any("`tenant_token` is new to the ledger" in line for line in target.log.lines)
    # the emulated Planhat takes both for its own
    assert target.sums == {U2: 2 + 2}

    report = target.run(*whole(event(day(9, 8), count=3, read=LATER), read=LATER))
    assert target.sums == {U2: 4 + 1}
    report = target.run(*messages, tenant_token="another")
    assert (report["unchanged"], report["parked"]) == (1, 1)
    assert not any("is new to the ledger" in line for line in target.log.lines)


# Ledgers that cannot be used


@pytest.mark.parametrize("exists", [False, True])
def test_a_ledger_that_is_required_must_be_there(
    exists: bool, target: TargetRunner, ledger: Path
) -> None:
    if exists:
        ledger.touch()
    target.run(*whole(event(day(9, 8))), require_ledger=True)

    assert "does not exist, and `require_ledger` is set" in str(target.error)
    assert "`require_ledger: false`" in str(target.error)
    assert target.planhat.world.count("activities") == 0
    assert ledger.exists() is exists

    target.run(*whole(event(day(9, 8))))
    target.run(require_ledger=True)
    assert target.error is None


def test_a_sqlite_that_is_too_old_is_named_before_anything_is_read(
    target: TargetRunner, ledger: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sqlite3, "sqlite_version_info", (3, 34, 1))
    monkeypatch.setattr(sqlite3, "sqlite_version", "3.34.1")
    target.run(*whole(event(day(9, 8))))

    assert target.error == (
        "the ledger needs SQLite 3.35 or newer, and this Python has 3.34.1: use another Python, or "
        "set `ledger_url` to PostgreSQL"
    )
    assert not ledger.exists()


@pytest.mark.parametrize("version", [0, 99])
def test_tables_of_another_version_are_refused(
    version: int, target: TargetRunner, ledger: Path
) -> None:
    target.run(*whole(event(day(9, 8))))
    with sqlite3.connect(ledger) as connection:
        connection.execute("update planhat_ledger set version = ?", [version])
    connection.close()
    before = ledger.read_bytes()
    target.run(*whole(event(day(9, 8), count=3, read=LATER), read=LATER))

    assert f"has tables of version {version}" in str(target.error)
    assert "use the version of target-planhat that wrote it, or a newer one" in str(target.error)
    assert target.sums == {U2: 1}
    assert ledger.read_bytes() == before


def a_text(ledger: Path) -> None:
    """No database at all."""
    ledger.write_bytes(b"not a database, but long enough for a page\n" * 200)


def a_folder(ledger: Path) -> None:
    """A folder in its place."""
    ledger.mkdir()


def half_a_ledger(ledger: Path) -> None:
    """A ledger that somebody took tables from."""
    with sqlite3.connect(ledger) as connection:
        connection.execute("create table planhat_ledger (version integer not null)")
        connection.execute("insert into planhat_ledger values (1)")
    connection.close()


def another_schema(ledger: Path) -> None:
    """A table of that name without a version."""
    with sqlite3.connect(ledger) as connection:
        connection.execute("create table planhat_ledger (version integer not null)")
    connection.close()


@pytest.mark.parametrize("make", [a_text, a_folder, half_a_ledger, another_schema])
def test_what_is_no_ledger_ends_in_one_line(
    make: t.Callable[[Path], None], target: TargetRunner, ledger: Path
) -> None:
    make(ledger)
    target.run(*whole(event(day(9, 8))))

    assert str(ledger) in str(target.error)
    assert "\n" not in str(target.error)
    assert target.planhat.world.count("activities") == 0


def test_a_folder_that_is_missing_is_made(target: TargetRunner) -> None:
    file = target.folder / "new" / "folder" / "ledger.db"
    target.run(*whole(event(day(9, 8))), ledger_url=f"sqlite:///{file}")

    assert target.error is None
    assert file.exists()


def test_a_place_where_nothing_can_be_made_ends_in_one_line(target: TargetRunner) -> None:
    (target.folder / "file").touch()
    target.run(ledger_url=f"sqlite:///{target.folder / 'file' / 'ledger.db'}")

    assert "cannot be made: " in str(target.error)
    assert "\n" not in str(target.error)


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads and writes everything")
@pytest.mark.parametrize("mode", [0o000, 0o400])
def test_a_file_that_is_not_ours_to_use_ends_in_one_line(
    mode: int, target: TargetRunner, ledger: Path
) -> None:
    target.run(*whole(event(day(9, 8))))
    ledger.chmod(mode)
    target.run(*whole(event(day(9, 8))))

    assert "cannot be used: " in str(target.error)


@pytest.mark.parametrize(
    "url",
    ["sqlite+xyzzy:////tmp/x", "sqlite:////tmp/x?mode=xyzzy", "postgresql+xyzzy://me:word@db/x"],
)
def test_drivers_and_options_that_are_not_known_are_refused(url: str, target: TargetRunner) -> None:
    target.run(ledger_url=url)

    assert "setting `ledger_url` is not valid: it must be sqlite:///FILE" in str(target.error)
    assert "xyzzy" not in str(target.error)


def test_a_full_disk_ends_in_one_line_and_loses_nothing(target: TargetRunner) -> None:
    target.run(*whole(event(day(9, 7))))
    places = [(hour, app) for hour in range(24) for app in range(400)]
    events = [event(day(9, hour), app=app, read=LATER) for hour, app in places]
    messages = whole(*events, read=LATER)

    def little_room() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (300_000, 300_000))

    ended = subprocess.run(
        process(target),
        input="".join(json.dumps(message) + "\n" for message in messages),
        capture_output=True,
        text=True,
        check=False,
        preexec_fn=little_room,
    )
    assert (ended.returncode, ended.stdout) == (1, "")
    assert re.search("ledger.db cannot be used: .*(full|I/O error)", ended.stderr)
    assert "Traceback" not in ended.stderr

    target.run(*messages)
    assert (target.error, target.sums) == (None, {U2: 24 * 400})


def test_a_dry_run_leaves_the_file_as_it_is(target: TargetRunner, ledger: Path) -> None:
    target.run(*whole(event(day(9, 8), count=2), event(day(9, 8), "nobody")))
    before = ledger.read_bytes()
    report = target.run(
        *whole(event(day(9, 8), count=5, read=LATER), read=LATER),
        dry_run=True,
        activities=[
            {"stream": "feature_events"},
            {"stream": "feature_events", "name": "more", "action": "More of {feature_name}"},
        ],
    )

    assert report["sent"] == 2
    assert ledger.read_bytes() == before
    assert list(target.folder.glob("ledger.db*")) == [ledger]


# Rules that change


RULE: t.Any = {"stream": "feature_events", "name": "use"}
METRIC: t.Any = {"stream": "uses", "name": "use", "dimension_id": "uses", "value": "n"}


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"stream": "page_events"}, "`stream`, the fields that `action` names"),
        ({"count": "num_minutes"}, "`count`"),
        ({"granularity": "hour"}, "`granularity`"),
        ({"match": {"by": "email"}}, "`match`"),
        ({"company": "app_id"}, "`company`"),
        ({"action": "{feature_name} in {app_id}"}, "the fields that `action` names"),
    ],
    ids=lambda value: "-".join(value) if isinstance(value, dict) else "",
)
def test_a_change_that_would_mix_figures_is_refused_with_the_way_out(
    change: t.Any, said: str, target: TargetRunner
) -> None:
    messages = whole(event(day(9, 8), count=2))
    target.run(*messages, activities=[RULE])
    target.run(*messages, activities=[RULE | change])

    assert f"rule use: {said} changed" in str(target.error)
    assert "give the rule a new `name` (and its own `since`" in str(target.error)
    report = target.run(*messages, activities=[RULE])
    assert (report["unchanged"], target.sums) == (1, {U2: 2})


def test_an_activity_does_not_become_a_metric(target: TargetRunner) -> None:
    target.run(activities=[RULE])
    target.run(activities=[], metrics=[METRIC])

    assert "whether it is an activity or a metric" in str(target.error)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"value": "m"}, "`value`"),
        ({"aggregate": "sum"}, "`aggregate`"),
        ({"dimension_id": "other"}, "`dimension_id`"),
        ({"model": "EndUser", "match": {"field": "account_id"}}, "`model`"),
        ({"date": "read_at"}, "`date`"),
    ],
    ids=lambda value: "-".join(value) if isinstance(value, dict) else "",
)
def test_a_changed_metric_is_refused_too(change: t.Any, said: str, target: TargetRunner) -> None:
    target.run(activities=[], metrics=[METRIC])
    target.run(activities=[], metrics=[METRIC | change])

    assert f"rule use: {said} changed" in str(target.error)


def test_another_action_names_what_was_not_sent_yet(target: TargetRunner) -> None:
    target.run(*whole(event(day(9, 8), count=2)), activities=[RULE])
    more = [event(day(9, 8), count=3, read=LATER), event(day(9, 8), feature="f2", read=LATER)]
    renamed = {**RULE, "action": "Used {feature_name}"}
    target.run(*whole(*more, read=LATER), activities=[renamed])

    assert target.sums == {U2: 3, ("u2", "Used Search", "2026-03-09"): 1}


def test_what_only_leaves_out_stays_in_planhat_and_is_set_off_when_it_is_back(
    target: TargetRunner,
) -> None:
    both = [event(day(9, 8), count=2), event(day(9, 8), count=5, feature="f2")]
    target.run(*whole(*both), activities=[RULE])
    f2 = ("u2", "Search", "2026-03-09")
    more = [
        event(day(9, 8), count=3, read=LATER),
        event(day(9, 8), count=6, feature="f2", read=LATER),
    ]
    report = target.run(*whole(*more, read=LATER), activities=[{**RULE, "only": ["f1"]}])
    assert target.sums == {U2: 3, f2: 5}
    assert report["rules"][0]["excess"] == 5

    read = LATER + (LATER - day(11, 12))
    again = [
        event(day(9, 8), count=3, read=read),
        event(day(9, 8), count=6, feature="f2", read=read),
    ]
    report = target.run(*whole(*again, read=read), activities=[RULE])
    assert target.sums == {U2: 3, f2: 6}
    assert report["rules"][0]["excess"] == 0


def test_another_weight_and_more_info_hold_for_what_is_sent_from_then_on(
    target: TargetRunner,
) -> None:
    target.run(*whole(event(day(9, 8), count=2, num_minutes=4)), activities=[RULE])
    changed = {**RULE, "weight": 3, "info": {"minutes": "num_minutes"}}
    messages = whole(event(day(9, 8), count=5, num_minutes=7, read=LATER), read=LATER)
    target.run(*messages, activities=[changed])
    target.run(*messages, activities=[changed])

    [first, second] = target.planhat.world.activities()
    assert [first.weight, second.weight] == [1, 3]
    assert [first.count, second.count] == [2, 3]
    assert second.info == {"minutes": 7}


def figure(value: float, read: t.Any) -> list[Message]:
    """Input of an aggregation with one value of acme."""
    told = schema("uses", "account_id", "n", "window_start", "read_at")
    at = "2026-03-09T00:00:00Z"
    row = record("uses", account_id="acme", n=value, window_start=at, read_at=read.isoformat())
    return [told, row, state(1)]


def test_another_on_change_holds_for_figures_that_are_known_already(target: TargetRunner) -> None:
    def run(on_change: str, *messages: Message) -> list[float]:
        target.run(*messages, activities=[], metrics=[{**METRIC, "on_change": on_change}])
        assert target.error is None
        return [point.value for point in target.planhat.world.points()]

    reads = [day(11, hour) for hour in range(4)]
    assert run("report", *figure(7, reads[0])) == [7]
    assert run("report", *figure(9, reads[1])) == [7]
    # for readers that take the last one, then for readers that add up
    assert run("resend") == [7, 9]
    assert run("delta") == [7, 9]
    assert run("delta", *figure(12, reads[2])) == [7, 9, 3]
    assert run("report", *figure(20, reads[3])) == [7, 9, 3]


@pytest.mark.some(1)
@pytest.mark.usefixtures("either_ledger")
def test_a_rule_that_is_taken_out_and_brought_back_goes_on_where_it_was(
    target: TargetRunner,
) -> None:
    other = {"stream": "feature_events", "name": "other", "action": "Other"}
    first = whole(event(day(9, 8), count=2), event(day(9, 8), "nobody", 4))
    target.run(*first, activities=[RULE])
    target.planhat.world.add("endusers", {"externalId": "nobody", "companyId": "extid-acme"})
    later = whole(
        event(day(9, 8), count=5, read=LATER), event(day(9, 8), "nobody", 4, read=LATER), read=LATER
    )
    target.run(*later, activities=[other])
    others = {("u2", "Other", "2026-03-09"): 5, ("nobody", "Other", "2026-03-09"): 4}
    assert target.sums == {U2: 2, **others}

    target.run(activities=[RULE])
    parked = {("nobody", "Export", "2026-03-09"): 4}
    assert target.sums == {U2: 2, **others, **parked}
    target.run(*later, activities=[RULE, other])
    assert target.sums == {U2: 5, **others, **parked}
