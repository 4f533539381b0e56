"""Records that go out directly are those that the SDK's way gives; what it has to do is done."""

from __future__ import annotations

import json
import typing as t
from collections import Counter
from functools import partial

import pytest
from tap_pendo.streams.base_stream import PendoStream
from tap_pendo.tap import TapPendo

if t.TYPE_CHECKING:
    from tests.conftest import Output, TapRunner

MOMENTS = {"time_extracted", "version"}


def lines(output: Output) -> tuple[Counter[str], list[str]]:
    """Give the records, in any order, and what else is said, without what tells the moment.

    Pendo gives rows that are alike in what they are sorted by in any order.
    """
    said = [{k: v for k, v in message.items() if k not in MOMENTS} for message in output]
    records = Counter(json.dumps(m, sort_keys=True) for m in said if m["type"] == "RECORD")
    return records, [json.dumps(m, sort_keys=True) for m in said if m["type"] != "RECORD"]


@pytest.mark.some(1)
@pytest.mark.parametrize("settings", [{}, {"period": "day", "page_size": 200}])
def test_both_ways_print_the_same_lines(
    settings: dict[str, t.Any], tap: TapRunner, monkeypatch: pytest.MonkeyPatch
) -> None:
    every = tuple(name for name in tap.tap().streams if name != "visitor_history")
    # one read after the other: what the tap learns of one shows in the next
    settings = {
        **settings,
        "concurrency": 1,
        "report_ids": ["report-1"],
        "start_date": "2026-03-09",
    }
    directly = tap.run(select=every, **settings)
    monkeypatch.setattr(PendoStream, "direct", property(lambda _: False))
    by_the_sdk = tap.run(select=every, **settings)
    assert lines(directly) == lines(by_the_sdk)
    assert sum(m["type"] == "RECORD" for m in directly) > 2000


def direct(tap: TapRunner, **settings: t.Any) -> set[str]:
    """Name the streams whose records go out directly."""
    streams = t.cast("dict[str, PendoStream]", tap.tap(**settings).streams)
    return {name for name, stream in streams.items() if stream.direct}


def test_what_the_sdk_has_to_do_something_to_goes_its_way(tap: TapRunner) -> None:
    all_streams = direct(tap)
    assert {"sync_windows", "visitors", "features", "feature_events"} <= all_streams
    assert "visitor_history" not in all_streams  # not selected
    assert direct(tap, flattening_enabled=True, flattening_max_depth=1) == set()
    mapped = {"stream_maps": {"visitors": {"visitor_id": "md5(visitor_id)"}}}
    assert direct(tap, **mapped) == all_streams - {"visitors"}
    renamed = {"stream_maps": {"features": {"__alias__": "tags"}}}
    assert direct(tap, **renamed) == all_streams - {"features"}


def test_a_deselected_property_is_left_out(tap: TapRunner) -> None:
    catalog = tap.tap(select=("feature_events",)).catalog_dict
    (entry,) = (each for each in catalog["streams"] if each["stream"] == "feature_events")
    breadcrumb = ["properties", "remote_ip"]
    (said,) = (each for each in entry["metadata"] if list(each["breadcrumb"]) == breadcrumb)
    said["metadata"]["selected"] = False
    made = TapPendo(config=tap.config, catalog=catalog)
    records = tap.collect(made).records("feature_events")
    assert records
    assert not t.cast("PendoStream", made.streams["feature_events"]).direct
    assert all("remote_ip" not in record for record in records)
    assert any("server" in record for record in records)


def test_a_mapped_stream_is_mapped(tap: TapRunner) -> None:
    maps = {"feature_events": {"visitor_id": "md5(visitor_id)"}}
    run = partial(tap.run, select=("feature_events",))
    plain, hashed = (run(stream_maps=m).records("feature_events") for m in ({}, maps))
    assert {r["row_id"] for r in plain} == {r["row_id"] for r in hashed}
    assert {len(r["visitor_id"]) for r in hashed} == {32}
