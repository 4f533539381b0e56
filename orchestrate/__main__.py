"""The command line: `python -m orchestrate pools` gives each tenant's pool its slots."""

from __future__ import annotations

import argparse
import os
import sys

import dagster as dg

from orchestrate.connections import tenants
from orchestrate.errors import ConnectionsError


def main() -> int:
    """Run one command; exit code 1 with one line if the file of connections is not right."""
    parser = argparse.ArgumentParser(prog="python -m orchestrate", description=__doc__)
    parser.add_argument("command", choices=("check", "pools"))
    command = parser.parse_args().command
    try:
        found = tenants(os.environ)
    except ConnectionsError as error:
        print(error, file=sys.stderr)  # noqa: T201 - what the user waits for
        return 1
    if command == "pools":
        with dg.DagsterInstance.get() as instance:
            for tenant in found:
                instance.event_log_storage.set_concurrency_slots(tenant.pool, tenant.workers)
    for tenant in found:
        rate = f"{tenant.max_calls_per_second:g} calls a second"
        print(f"{tenant.name}: {tenant.workers} workers, {rate}, into {tenant.schema}")  # noqa: T201
    return 0


if __name__ == "__main__":
    sys.exit(main())
