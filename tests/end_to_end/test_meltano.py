"""The job `usage` of meltano.yml: Pendo into PostgreSQL and Planhat over Meltano, run after run."""

from __future__ import annotations

import json
import typing as t
from datetime import datetime, timedelta, timezone

from tests.end_to_end.meltano import MELTANO, arrived, delivered, run

if t.TYPE_CHECKING:
    from pathlib import Path

METRICS = ("active_visitors (Company)", "feature_uses (Company)")
# both runs of the job read up to the same hour, and nothing of it waits for `settle_hours`
END = (datetime.now(timezone.utc) - timedelta(hours=30)).replace(minute=0, second=0)
PERIOD = {"TAP_PENDO_END_DATE": END.isoformat()}

# the connection, a bad setting, and the first run
FIRST = """
meltano --environment=demo invoke tap-pendo --test
TAP_PENDO_TIMEZONE=Mars/xyzzy meltano --environment=demo run usage
echo "refused: $?"
meltano --environment=demo run usage
"""


def last_report(folder: Path) -> t.Any:
    """The report of target-planhat, in the place that with-demo names to it."""
    return json.loads((folder / ".meltano/with-demo/reports/latest.json").read_text())


def test_the_usage_job_fills_the_warehouse_and_planhat_and_doubles_nothing(folder: Path) -> None:
    first = run(folder, "sh", "-c", FIRST, **PERIOD)
    assert first.returncode == 0, first.stdout + first.stderr
    assert "Aggregation is allowed." in first.stdout
    assert "refused: 1" in first.stdout
    assert "setting `timezone` must be an IANA name" in first.stdout + first.stderr
    assert "xyzzy" not in first.stdout + first.stderr
    rows = arrived(first.stdout)
    assert len(rows) == 18
    assert {verdict for _, _, verdict in rows.values()} == {"equal"}
    assert all(now == new > 0 for now, new, _ in rows.values())
    companies = delivered(first.stdout)
    everything = companies["all companies"]
    assert len(companies) > 10
    assert everything.activities == everything.new_activities > 0
    assert everything.points == everything.new_points > 0
    assert all(metric in first.stdout for metric in METRICS)
    assert "Report of target-planhat: " in first.stdout
    report = last_report(folder)
    assert report["sent"] > 0
    loaded = {name: now for name, (now, _, _) in rows.items()}
    for rule in report["rules"]:
        assert rule["received"] == loaded.get(rule["stream"], rule["received"])

    second = run(folder, *MELTANO, "run", "usage", **PERIOD)
    assert second.returncode == 0, second.stdout + second.stderr
    loaded_again = arrived(second.stdout)
    assert {verdict for _, _, verdict in loaded_again.values()} == {"equal"}
    assert not any(new for name, (_, new, _) in loaded_again.items() if name.endswith("events"))
    assert delivered(second.stdout)["all companies"] == everything._replace(
        new_activities=0, new_points=0
    )
