"""The SDK's own suite for taps, whole, against the emulator."""

from __future__ import annotations

import typing as t
from datetime import datetime, timedelta, timezone

import pytest
from pendo_emulator.server import serve
from pendo_emulator.world import World
from singer_sdk.testing import SuiteConfig, get_tap_test_class
from tap_pendo.catalog import CATALOG
from tap_pendo.tap import TapPendo

# The suite warns of optional fields that its few records do not hold
pytestmark = [
    pytest.mark.filterwarnings("default:Fields in transformed catalog but not in records"),
    pytest.mark.filterwarnings("default:No records were available to test"),
]

# The suite builds the tap while pytest collects, so its Pendo lives as long as this module.
_serving = serve(World(events_per_day=100, visitors=150))
_pendo = _serving.__enter__()


@pytest.fixture(scope="module", autouse=True)
def _stop_serving() -> t.Iterator[None]:
    yield
    _serving.__exit__(None, None, None)


_pendo.knobs.parent_accounts = "present"
_REPORTS = [
    r["id"] for r in _pendo.world.listed("report", _pendo.clock.now()) if r["type"] == "Page Report"
]
CONFIG: dict[str, t.Any] = {
    "costly_streams": [row.name for row in CATALOG if not row.by_default],
    "api_url": _pendo.url,
    "integration_key": _pendo.key,
    "start_date": (datetime.now(timezone.utc) - timedelta(days=3)).isoformat(),
    "max_calls_per_second": 100,
    "report_ids": _REPORTS,
}


def everything() -> dict[str, t.Any]:
    """Select also the streams that are off by default."""
    catalog = TapPendo(config=CONFIG).catalog_dict
    for stream in catalog["streams"]:
        (root,) = (m for m in stream["metadata"] if m["breadcrumb"] == [])
        root["metadata"]["selected"] = True
    return catalog


TestTapPendo = get_tap_test_class(
    TapPendo,
    config=CONFIG,
    catalog=everything(),
    suite_config=SuiteConfig(
        max_records_limit=100,
        # Pendo wants an agent's id for these
        ignore_no_records_for_streams=["agentic_events"],
    ),
)
