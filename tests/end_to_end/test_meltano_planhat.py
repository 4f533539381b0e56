"""Usage into the emulated Planhat over Meltano, beside the demo, as meltano.yml has it."""

from __future__ import annotations

import json
import typing as t

from tests.end_to_end.meltano import MELTANO, arrived, delivered, run

if t.TYPE_CHECKING:
    from pathlib import Path

METRICS = ("active_visitors (Company)", "feature_uses (Company)")


def last_report(folder: Path) -> t.Any:
    """The report that the target wrote where with-demo tells it to."""
    return json.loads((folder / ".meltano/with-demo/reports/latest.json").read_text())


def test_the_usage_job_fills_the_warehouse_and_planhat_and_doubles_nothing(folder: Path) -> None:
    first = run(folder, *MELTANO, "run", "usage")
    assert first.returncode == 0, first.stdout + first.stderr
    rows = arrived(first.stdout)
    assert {verdict for _, _, verdict in rows.values()} == {"equal"}
    companies = delivered(first.stdout)
    everything = companies["all companies"]
    assert len(companies) > 10
    assert everything.activities == everything.new_activities > 0
    assert everything.points == everything.new_points > 0
    assert all(metric in first.stdout for metric in METRICS)
    assert "Report of target-planhat: " in first.stdout
    report = last_report(folder)
    assert report["sent"] > 0
    for rule in report["rules"]:
        received = rule["received"]
        loaded = rows.get(rule["stream"], (received,))[0]
        # the warehouse is filled first: an hour may have settled in between
        assert loaded <= received <= loaded * 1.1

    second = run(folder, *MELTANO, "run", "usage")
    assert second.returncode == 0, second.stdout + second.stderr
    loaded_again = arrived(second.stdout)
    assert {verdict for _, _, verdict in loaded_again.values()} == {"equal"}
    # at most the events of an hour that has ended in between
    assert all(new <= rows[name][0] / 10 for name, (_, new, _) in loaded_again.items())
    again = delivered(second.stdout)["all companies"]
    # at most what an hour that has settled in between brings
    assert again.new_activities <= everything.activities / 10
    assert again.new_points <= everything.points / 10
    assert again.activities - again.new_activities == everything.activities
    assert again.points - again.new_points == everything.points


def test_rules_come_from_the_environment_as_json(folder: Path) -> None:
    rules = {
        "TARGET_PLANHAT_ACTIVITIES": json.dumps(
            [{"name": "views", "stream": "page_events", "action": "Viewed {page_name}"}]
        ),
        "TARGET_PLANHAT_METRICS": "[]",
        "TARGET_PLANHAT_SETTLE_HOURS": "0",
        # no database is needed here
        "TARGET_POSTGRES_HOST": "unused",
    }
    pipe = (*MELTANO, "run", "tap-pendo", "target-planhat")
    preview = run(folder, *pipe, TARGET_PLANHAT_DRY_RUN="true", **rules)
    assert preview.returncode == 0, preview.stdout + preview.stderr
    assert "Nothing arrived in Planhat." in preview.stdout
    would_be_sent = last_report(folder)["sent"]
    assert would_be_sent > 0

    done = run(folder, *pipe, **rules)
    assert done.returncode == 0, done.stdout + done.stderr
    [rule] = last_report(folder)["rules"]
    assert (rule["name"], rule["to"]) == ("views", "Viewed {page_name}")
    assert rule["sent"] >= would_be_sent
    assert delivered(done.stdout)["all companies"].points == 0

    rules["TARGET_PLANHAT_ACTIVITIES"] = '[{"stream": "xyzzy/"}]'
    bad = run(folder, *pipe, **rules)
    assert bad.returncode == 1
    told = bad.stdout + bad.stderr
    assert "setting `activities.0.stream` must be" in told
    assert "xyzzy" not in told
