"""Run in Dagster's environment: materializes or checks assets in this process, and tells as JSON.

Arguments: `load` or `check`, then partitions of the history as APP|MONTH; `load` makes the tables
and the increments first. Or `crowd`: the tables, with a slot in the pool more than workers. The
instance is that of DAGSTER_HOME.
"""

from __future__ import annotations

import json
import os
import sys

import dagster as dg

from orchestrate.assets import history, increments, tables
from orchestrate.connections import tenants

[tenant] = tenants(os.environ)
key = dg.AssetKey([tenant.name, "history"])
assets = [tables(tenant), history(tenant)]
action, *partitions = sys.argv[1:]
told = []
with dg.DagsterInstance.get() as instance:
    slots = tenant.workers + (action == "crowd")
    instance.event_log_storage.set_concurrency_slots(tenant.pool, slots)
    if action != "check":
        result = dg.materialize(assets[:1], instance=instance, raise_on_error=False)
        told += [
            {"failed": event.step_failure_data.user_failure_data.description}
            for event in result.filter_events(lambda event: event.is_step_failure)
        ]
    if action == "load":
        dg.materialize(increments(tenant), instance=instance)
    for partition in partitions:
        op = {"config": {"only_check": action == "check"}}
        result = dg.materialize(
            assets,
            instance=instance,
            partition_key=partition,
            selection=[key],
            run_config={"ops": {f"{tenant.name}_history": op}},
        )
        [check] = result.get_asset_check_evaluations()
        made = result.get_asset_materialization_events()
        told.append(
            {
                "passed": check.passed,
                "description": check.description,
                "metadata": {
                    name: value.value
                    for each in made
                    for name, value in each.materialization.metadata.items()
                },
            }
        )
sys.stdout.write(json.dumps(told) + "\n")
