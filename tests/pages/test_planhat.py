"""target-planhat/README.md: rules from the environment, over Meltano."""

from __future__ import annotations

import json
import typing as t

from tests.end_to_end.meltano import MELTANO, delivered, run
from tests.end_to_end.test_meltano import last_report

if t.TYPE_CHECKING:
    from pathlib import Path


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
