"""Run in Dagster's environment, beside the demo: a schedule fires each minute and fills Planhat.

Argument: a folder for what Dagster keeps. Tells as JSON what came of the first run.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
import time
from pathlib import Path

import dagster as dg

from orchestrate.connections import FILE
from orchestrate.trial.server import dagster

SCHEDULE = "acme_increments_planhat_schedule"
PATIENCE = 300.0  # seconds
START = """mutation ($name: String!) { startSchedule(scheduleSelector: {
    repositoryLocationName: "orchestrate.definitions", repositoryName: "__repository__",
    scheduleName: $name}) { __typename ... on PythonError { message } } }"""

home = Path(sys.argv[1])
urls, tokens = ("analytics_url", "api_url"), ("tenant_token", "api_token")
tenant = {
    "name": "acme",
    "schema": "acme",
    "pendo": {
        "settings": {"api_url": os.environ["TAP_PENDO_API_URL"]},
        "secrets": {"integration_key": "ACME_KEY"},
    },
    "increments": {"schedule": "* * * * *", "into": ["target-planhat"]},
    "planhat": {
        "settings": {name: os.environ[f"TARGET_PLANHAT_{name.upper()}"] for name in urls},
        "secrets": {name: f"ACME_{name.upper()}" for name in (*tokens, "ledger_url")},
    },
}
home.mkdir()
(home / "connections.json").write_text(json.dumps({"tenants": [tenant]}))
shutil.copy(Path(__file__).parents[1] / "dagster.yaml", home)
os.environ.update(
    {
        "DAGSTER_HOME": str(home),
        FILE: str(home / "connections.json"),
        "ACME_KEY": os.environ["TAP_PENDO_INTEGRATION_KEY"],
        "ACME_LEDGER_URL": f"sqlite:///{home / 'ledger.db'}",
        **{f"ACME_{n.upper()}": os.environ[f"TARGET_PLANHAT_{n.upper()}"] for n in tokens},
    }
)
over = [dg.DagsterRunStatus.SUCCESS, dg.DagsterRunStatus.FAILURE]
wanted = dg.RunsFilter(tags={"dagster/schedule_name": SCHEDULE}, statuses=over)
with dg.DagsterInstance.get() as instance:
    instance.event_log_storage.set_concurrency_slots("pendo_acme", 4)
    with dagster(os.environ, home / "dagster.log") as server:
        started = server.query(START, name=SCHEDULE)
        patience = PATIENCE if started["__typename"] == "ScheduleStateResult" else 0
        deadline = time.monotonic() + patience
        while not (runs := instance.get_runs(wanted)) and time.monotonic() < deadline:
            time.sleep(0.5)
    found = {"started": started, "status": [run.status.value for run in runs][-1:]}
sys.stdout.write(json.dumps(found) + "\n")
