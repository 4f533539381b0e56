"""The run's report as figures, as a line and as files."""

from __future__ import annotations

import json
import typing as t
from datetime import datetime, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st
from target_planhat.errors import TargetError
from target_planhat.reporting.report import Reason, RunReport, UnmatchedId, figures, summary
from target_planhat.reporting.report_files import open_private_file, write
from target_planhat.rule_model import FATES

from tests.planhat.reports import rich, rule, run

if t.TYPE_CHECKING:
    from pathlib import Path

COUNTS = st.dictionaries(st.sampled_from(FATES), st.integers(0, 10**9))
DAYS = st.dictionaries(st.dates().map(str), COUNTS, max_size=4)


@given(st.lists(st.tuples(DAYS, COUNTS), max_size=3), st.dictionaries(st.text(), COUNTS))
def test_figures_add_up_to_what_was_received(rules: list[t.Any], streams: dict[str, t.Any]) -> None:
    put_in = [
        count
        for days, undated in rules
        for counts in (*days.values(), undated)
        for count in counts.values()
    ] + [count for counts in streams.values() for count in counts.values()]

    said = figures(
        run(rules=[rule(days=days, undated=undated) for days, undated in rules], streams=streams)
    )

    assert said["received"] == sum(put_in)
    every = [said, *said["rules"], *said["streams"].values()]
    for each in said["rules"]:
        parts = [*each["days"].values(), each["undated"]]
        every += parts
        for name in ("received", *FATES):
            assert each[name] == sum(part[name] for part in parts)
    for name in ("received", *FATES):
        assert said[name] == sum(each[name] for each in (*said["rules"], *said["streams"].values()))
    for each in every:
        assert each["received"] == sum(each[fate] for fate in FATES)


def test_json_has_the_documented_fields(tmp_path: Path) -> None:
    write(rich(), tmp_path)

    said = json.loads((tmp_path / "latest.json").read_text())

    assert set(said) == {
        *("version", "outcome", "problem", "dry_run", "started", "ended", "records"),
        *("received", *FATES),
        *("calls", "next", "notes", "rules", "streams"),
    }
    assert said["version"] == 1
    assert (said["started"], said["ended"]) == ("2026-03-11T12:34:56Z", "2026-03-11T12:37:56Z")
    assert said["rules"][0]["days"]["2026-03-06"]["in_doubt"] == 120
    assert said["rules"][0]["reasons"][1] == {
        "fate": "waiting",
        "reason": "its day is not over, or not for settle_hours yet",
        "records": 600,
    }
    assert said["rules"][1]["sent_amount"] == pytest.approx(sum(range(41, 51)) * 7.5)


def test_day_with_amounts_only_is_there_too() -> None:
    said = figures(run(rules=[rule(days={}, sent_amount={"2026-03-01": 5.0})]))

    day = said["rules"][0]["days"]["2026-03-01"]
    assert (day["received"], day["sent_amount"]) == (0, 5.0)


PARKED = rule(days={"2026-03-10": {"parked": 2, "waiting": 1}})
REJECTED = [
    Reason("waiting", "its day is not over", 9),
    Reason("rejected", "hour: no date", 2),
    Reason("rejected", "num_events: not a number", 3),
]


@pytest.mark.parametrize(
    ("report", "line"),
    [
        pytest.param(
            run(records=1234, calls=2, rules=[rule(days={"2026-03-10": {"sent": 1234}})]),
            "done; 1,234 records read: 1,234 sent; 2 calls",
            id="all sent",
        ),
        pytest.param(run(), "done; 0 records read: 0 sent; 0 calls", id="nothing"),
        pytest.param(
            run(records=4, rules=[rule()]),
            "done; 4 records read: 3 sent, 1 waiting; 0 calls. "
            "Next: waiting records are sent by a later run",
            id="waiting",
        ),
        pytest.param(
            run(records=4, dry_run=True, rules=[rule(earlier={"sent": 1200})]),
            "done; dry run: nothing was posted; 4 records read: 3 would be sent, 1 waiting; "
            "1,200 items of earlier runs would be sent; 0 calls. "
            "Next: waiting records are sent by a later run",
            id="dry run",
        ),
        pytest.param(
            run(records=3, rules=[PARKED]),
            "done; 3 records read: 0 sent, 1 waiting, 2 parked; 0 calls. "
            "Next: parked records are sent once their end user or company exists in Planhat",
            id="parked",
        ),
        pytest.param(
            run(records=4, rules=[rule(awaits="features"), rule(awaits="features"), PARKED]),
            "done; 4 records read: 6 sent, 3 waiting, 2 parked; 0 calls. "
            "Next: let the tap select features, too: records wait for the names in there",
            id="names that never came",
        ),
        pytest.param(
            run(records=5, rules=[rule(days={}, undated={"rejected": 5}, reasons=REJECTED)]),
            "done; 5 records read: 0 sent, 5 rejected; 0 calls. "
            "Next: see why rule feature_use rejects 3 records: num_events: not a number",
            id="rejected",
        ),
        pytest.param(
            run(rules=[rule(days={}, earlier={"in_doubt": 1})]),
            "done; 0 records read: 0 sent; 0 calls. "
            "Next: target-planhat --ledger shows what is in doubt, and resolves it",
            id="in doubt since an earlier run",
        ),
        pytest.param(
            run(outcome="failed", problem="Planhat does not answer", records=7),
            "failed: Planhat does not answer; 7 records read: 0 sent; 0 calls",
            id="failed",
        ),
        pytest.param(
            run(outcome="stopped", streams={"features": {"reference": 1, "ignored": 2}}),
            "stopped; 0 records read: 0 sent, 1 reference, 2 ignored; 0 calls",
            id="stopped",
        ),
    ],
)
def test_summary_tells_the_run_in_one_line(report: RunReport, line: str) -> None:
    assert summary(report) == line


def test_report_is_written_as_page_and_json_and_again_as_latest(tmp_path: Path) -> None:
    folder = tmp_path / "reports" / "planhat"

    first = write(run(records=1), folder)
    second = write(run(records=2, started=datetime(2026, 3, 12, tzinfo=timezone.utc)), folder)

    assert first == folder / "target-planhat-20260311T123456Z.html"
    assert sorted(file.name for file in folder.iterdir()) == [
        "latest.html",
        "latest.json",
        "target-planhat-20260311T123456Z.html",
        "target-planhat-20260311T123456Z.json",
        "target-planhat-20260312T000000Z.html",
        "target-planhat-20260312T000000Z.json",
    ]
    assert (folder / "latest.html").read_text() == second.read_text()
    assert json.loads((folder / "latest.json").read_text())["records"] == 2
    assert json.loads(first.with_suffix(".json").read_text())["records"] == 1


def test_reports_of_runs_that_begin_in_one_second_are_kept_both(tmp_path: Path) -> None:
    first, second = write(run(records=1), tmp_path), write(run(records=2), tmp_path)

    assert first.name == "target-planhat-20260311T123456Z.html"
    assert second.name == "target-planhat-20260311T123456Z-1.html"
    kept = [
        json.loads(file.with_suffix(".json").read_text())["records"] for file in (first, second)
    ]
    assert kept == [1, 2]


def test_unmatched_ids_are_listed_beside_for_the_owner_only(tmp_path: Path) -> None:
    given = [
        UnmatchedId("use", "v1", "acme", "Acme, Inc.", 4, 2, "2026-03-08", "2026-03-09"),
        UnmatchedId("use", "=1+1", "", "", 1.5, 1, "2026-03-09", "2026-03-09"),
    ]
    page = write(run(), tmp_path, given)
    for name in (page.stem, "latest"):
        file = tmp_path / f"{name}-unmatched.csv"
        assert file.stat().st_mode & 0o777 == 0o600
        assert file.read_text().splitlines() == [
            "rule,id,company_id,company,events,records,first_date,last_date",
            'use,v1,acme,"Acme, Inc.",4,2,2026-03-08,2026-03-09',
            # no spreadsheet computes it
            "use,'=1+1,,,1.5,1,2026-03-09,2026-03-09",
        ]
    write(run(), tmp_path)
    assert not (tmp_path / "latest-unmatched.csv").exists()


def test_rejects_of_two_runs_at_once_are_kept_both(tmp_path: Path) -> None:
    path = tmp_path / "some" / "rejects.jsonl"
    first, into = open_private_file(path)
    second, other = open_private_file(path)
    for file in (into, other):
        file.write("line\n")
        file.close()
    assert [file.name for file in (first, second)] == ["rejects.jsonl", "rejects-2.jsonl"]
    assert {file.read_text() for file in (first, second)} == {"line\n"}
    assert {file.stat().st_mode & 0o777 for file in (first, second)} == {0o600}

    # and the next one begins with none
    third, into = open_private_file(path)
    into.close()
    assert (third, third.read_text()) == (path, "")


def test_folder_that_cannot_be_written_to_is_one_clear_line(tmp_path: Path) -> None:
    (tmp_path / "file").touch()

    with pytest.raises(TargetError) as raised:
        write(run(), tmp_path / "file" / "reports")

    assert raised.value.message == (
        "setting `report_path`: the report cannot be written there: Not a directory"
    )
