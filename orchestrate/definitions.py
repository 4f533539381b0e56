"""The code location: `dagster dev -m orchestrate.definitions`."""

from __future__ import annotations

import os
import typing as t

import dagster as dg

from orchestrate.assets import history, increments, tables
from orchestrate.connections import tenants

if t.TYPE_CHECKING:
    from orchestrate.connections import Tenant

# before the pieces of a back-fill that wait
_FIRST = {"dagster/priority": "10"}


def _of(tenant: Tenant) -> dg.Definitions:
    """What there is of one tenant."""
    assets: list[dg.AssetsDefinition] = [tables(tenant), history(tenant)]
    jobs, schedules = [], []
    if tenant.increments.schedule:
        for each in increments(tenant):
            assets.append(each)
            job = dg.define_asset_job(
                "_".join(each.key.path),
                selection=[each],
                tags={**_FIRST, "pendo/increments": "_".join(each.key.path)},
            )
            jobs.append(job)
            schedules.append(
                dg.ScheduleDefinition(
                    job=job,
                    cron_schedule=tenant.increments.schedule,
                    execution_timezone=tenant.zone.key,
                )
            )
    job = dg.define_asset_job(f"{tenant.name}_tables", selection=[assets[0]], tags=_FIRST)
    schedules.append(
        # new months and apps become partitions
        dg.ScheduleDefinition(
            job=job,
            cron_schedule=_DAILY if tenant.history.cut == "day" else _MONTHLY,
            execution_timezone=tenant.zone.key,
        )
    )
    return dg.Definitions(assets=assets, jobs=[*jobs, job], schedules=schedules)


_DAILY, _MONTHLY = "30 3 * * *", "30 3 2 * *"


defs = dg.Definitions.merge(
    dg.Definitions(executor=dg.multiprocess_executor),
    *(_of(tenant) for tenant in tenants(os.environ)),
)
