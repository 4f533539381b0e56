"""What the loaders are given: two runs of the tap against an emulated Pendo, and the truth."""

from __future__ import annotations

import dataclasses
import typing as t
from unittest import mock

from pendo_emulator.server import serve
from pendo_emulator.world import World
from tap_pendo import tap as tap_module
from tap_pendo.calendar import from_ms, to_ms

from tests.conftest import NOW, TapRunner
from tests.sink import EVENTS, Sink

if t.TYPE_CHECKING:
    from pendo_emulator.server import Emulator

    from tests.conftest import Output

HOUR_MS = 3_600_000
START = NOW.replace(day=9, hour=0, minute=0, second=0)


@dataclasses.dataclass(frozen=True)
class Stream:
    """A stream as a complete loader has it after both runs."""

    keys: tuple[str, ...]
    columns: frozenset[str]
    whole: bool
    """Whether it is read whole each time, so that rows can be gone."""
    rows: int
    ever: int
    """Its rows and those that are gone."""
    events: int | None
    """The sum of `num_events`; None where there is no such column."""


@dataclasses.dataclass(frozen=True)
class Runs:
    """The messages of both runs, and what they make."""

    texts: tuple[str, str]
    streams: dict[str, Stream]


def runs(record_format: str) -> Runs:
    """Read a small product of three days; let late events arrive and a feature go; read again."""
    with serve(World(events_per_day=60, visitors=60, accounts=20)) as pendo:
        pendo.clock.set(NOW.isoformat())
        with mock.patch.object(
            tap_module, "utc_now", side_effect=lambda: from_ms(pendo.clock.now())
        ):
            tap = TapRunner(pendo)
            settings = {"start_date": START.isoformat(), "record_format": record_format}
            first = tap.run(**settings)
            _change(pendo)
            second = tap.run(state=first.state, **settings)
            assert tap.exit_code == 0
        streams = _streams(first, second)
        _check(pendo, streams)
    return Runs((first.text, second.text), streams)


def _change(pendo: Emulator) -> None:
    late = to_ms(NOW.replace(hour=9))
    pendo.world.inject(
        {"source": row.source, "ts": late, "visitorId": 'o\'hara, "a" \\ 🦊\n'} | _ids(pendo, row)
        for row in EVENTS
        for _ in range(2)
    )
    pendo.world.remove_definition(
        "feature", pendo.world.listed("feature", pendo.clock.now())[0]["id"]
    )
    pendo.clock.advance(2 * 3600)


def _ids(pendo: Emulator, row: t.Any) -> dict[str, t.Any]:
    if row.name == "events":
        return {}
    entity = pendo.world.activity.entities[row.source][0]
    return {"appId": entity.app_id, row.identity[3].pendo: entity.id, "pollId": "late"}


def _streams(first: Output, second: Output) -> dict[str, Stream]:
    sink, ever = Sink(), Sink()
    sink.load([*first, *second])
    ever.load(m for m in [*first, *second] if m["type"] != "ACTIVATE_VERSION")
    versioned = {m["stream"] for m in second if m["type"] == "ACTIVATE_VERSION"}
    return {
        m["stream"]: Stream(
            keys=tuple(m["key_properties"]),
            columns=frozenset(m["schema"]["properties"]),
            whole=m["stream"] in versioned,
            rows=len(sink.tables[m["stream"]]),
            ever=len(ever.tables[m["stream"]]),
            events=sum(row.get("num_events") or 0 for row in sink.tables[m["stream"]].values())
            if "num_events" in m["schema"]["properties"]
            else None,
        )
        for m in second
        if m["type"] == "SCHEMA"
    }


def _check(pendo: Emulator, streams: dict[str, Stream]) -> None:
    """Compare with what Pendo itself counts."""
    now = pendo.clock.now()
    for row in EVENTS:
        truth = sum(pendo.world.sums(row.source, to_ms(START), now - now % HOUR_MS).values())
        stream = streams[row.name]
        found = stream.events if row.grouped else stream.rows
        assert found == truth, (row.name, found, truth)
    features = streams["features"]
    assert features.rows == len(pendo.world.listed("feature", now))
    assert features.ever == features.rows + 1
