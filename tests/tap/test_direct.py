"""Records that go out directly are those that the SDK's way gives; what it has to do is done."""

from __future__ import annotations

import typing as t

import pytest
from tap_pendo.streams.base import PendoStream

if t.TYPE_CHECKING:
    from tests.conftest import Message, Output, TapRunner


def lines(output: Output) -> list[Message]:
    """Give the messages without what tells the moment that they were made at."""
    return [{k: v for k, v in m.items() if k not in ("time_extracted", "version")} for m in output]


@pytest.mark.parametrize("settings", [{}, {"period": "day"}, {"page_size": 40}])
def test_both_ways_print_the_same_lines(
    settings: dict[str, t.Any], tap: TapRunner, monkeypatch: pytest.MonkeyPatch
) -> None:
    every = tuple(name for name in tap.tap().streams if name != "visitor_history")
    # one read after the other: what the tap learns of one shows in the next
    settings = {**settings, "concurrency": 1, "report_ids": ["report-1"]}
    directly = tap.run(select=every, **settings)
    monkeypatch.setattr(PendoStream, "direct", property(lambda _: False))
    by_the_sdk = tap.run(select=every, **settings)
    assert lines(directly) == lines(by_the_sdk)
    assert sum(m["type"] == "RECORD" for m in directly) > 5000


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
    made = tap.tap(select=("feature_events",))
    stream = t.cast("PendoStream", made.streams["feature_events"])
    stream.metadata["properties", "remote_ip"].selected = False
    output = tap.collect(made)
    records = output.records("feature_events")
    assert records
    assert not stream.direct
    assert all("remote_ip" not in record for record in records)
    assert any("server" in record for record in records)


def test_a_mapped_stream_is_mapped(tap: TapRunner) -> None:
    maps = {"feature_events": {"visitor_id": "md5(visitor_id)"}}
    plain, hashed = (
        tap.run(select=("feature_events",), stream_maps=each).records("feature_events")
        for each in ({}, maps)
    )
    assert [r["row_id"] for r in plain] == [r["row_id"] for r in hashed]
    assert {len(r["visitor_id"]) for r in hashed} == {32}
