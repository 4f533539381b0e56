"""What the log says of each stream: one line at the end, some on the way; text and fields."""

from __future__ import annotations

import json
import logging
import os
import re
import subprocess
import sys
import typing as t
from datetime import datetime, timedelta

from meltano.core.logging.parsers import SingerSDKLogParser
from tap_pendo.calendar import DAY, UTC, Window
from tap_pendo.metrics import Progress

if t.TYPE_CHECKING:
    from pathlib import Path

    import pytest

    from tests.conftest import TapRunner

STRUCTURED = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"structured": {"()": "singer_sdk.logging.StructuredFormatter"}},
    "handlers": {
        "stderr": {
            "class": "logging.StreamHandler",
            "stream": "ext://sys.stderr",
            "formatter": "structured",
        }
    },
    "root": {"level": "INFO", "handlers": ["stderr"]},
}


class Clock:
    """Seconds that pass only when told, or so many at each look."""

    def __init__(self, step: float = 0.0) -> None:
        self.now, self.step = 1000.0, step

    def __call__(self) -> float:
        """Look at it."""
        self.now += self.step
        return self.now


def told(caplog: pytest.LogCaptureFixture, stream: str) -> list[t.Any]:
    return [r for r in caplog.records if getattr(r, "stream_name", None) == stream]


def test_each_stream_ends_with_one_line_of_its_counts(
    tap: TapRunner, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    tap.pendo.faults.add(
        {"kind": "status", "status": 429, "retry_after": 0, "times": 2, "source": "featureEvents"},
        {"kind": "status", "status": 500, "times": 1, "source": "featureEvents"},
        {"kind": "status", "status": 403, "times": None, "path": "/api/v1/guide"},
        {"kind": "status", "status": 400, "times": None, "source": "trackEvents"},
    )
    made = tap.tap()
    output = tap.collect(made)
    of_guides = {"guides", "guide_steps", "polls", "guide_step_polls"}
    statuses = {"track_events": "failed", **dict.fromkeys(of_guides, "skipped")}
    for name in (name for name, stream in made.streams.items() if stream.selected):
        (line,) = told(caplog, name)
        assert line.status == statuses.get(name, "ok")
        assert line.rows == len(output.records(name))
        assert line.getMessage().startswith(f"{name}: {line.status}; {line.rows:,} rows")
        assert "\n" not in line.getMessage()
    windows = output.records("sync_windows")
    (features,) = told(caplog, "feature_events")
    assert features.windows == sum(w["stream"] == "feature_events" for w in windows)
    calls = sum(w["calls"] for w in windows if w["stream"] == "feature_events")
    assert features.calls == calls == features.windows + 3
    assert (features.retries, features.throttled) == (3, 2)
    assert features.bytes > 100 * features.rows
    # 12:34:56, and all is read up to 12:00
    assert features.freshness_seconds == 34 * 60 + 56
    (guides,), (visitors,) = told(caplog, "guides"), told(caplog, "visitors")
    assert (guides.rows, guides.freshness_seconds) == (0, None)
    assert (visitors.calls, visitors.freshness_seconds) == (2, 0)
    (log,) = told(caplog, "sync_windows")
    assert log.rows == log.windows == len(windows)


def test_a_stream_that_fails_on_the_way_counts_what_it_gave(
    tap: TapRunner, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    fault = {"kind": "status", "status": 400, "times": None, "source": "featureEvents"}
    tap.pendo.faults.add({**fault, "after": 2})
    output = tap.run(select=("feature_events",), start_date="2026-02-01", concurrency=1)
    (line,) = told(caplog, "feature_events")
    assert (line.status, line.windows) == ("failed", 2)
    assert line.rows == len(output.records("feature_events")) > 0
    # newest first: the newest bucket is read
    assert line.freshness_seconds == 34 * 60 + 56


def test_progress_is_told_at_most_every_thirty_seconds(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    clock = Clock()
    progress = Progress("feature_events", clock)
    progress.rows = 50_000
    window = Window(datetime(2026, 3, 1, tzinfo=UTC), datetime(2026, 3, 2, tzinfo=UTC))
    for _ in range(100):
        clock.now += 1
        progress.tell(window, 6 * DAY, 30 * DAY)
    first, second, third = told(caplog, "feature_events")
    assert first.getMessage() == (
        "feature_events: reading 2026-03-01T00:00:00.000Z to 2026-03-02T00:00:00.000Z; "
        "50,000 rows so far; 1,667 rows/s; 20% of the time is read; about 2 min left"
    )
    assert (first.rows, first.rows_per_second) == (50_000, 1666.7)
    assert (first.share, first.remaining_seconds) == (0.2, 120)
    assert first.window_start == "2026-03-01T00:00:00.000Z"
    assert [r.seconds for r in (first, second, third)] == [30, 60, 90]


def test_a_long_backfill_says_how_far_it_is(
    tap: TapRunner, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    made = tap.tap(select=("feature_events",), start_date="2026-02-01", concurrency=1)
    made.streams["feature_events"].progress._clock = Clock(step=20)  # type: ignore[attr-defined] # noqa: SLF001 - time that passes quickly
    tap.collect(made)
    *on_the_way, last = told(caplog, "feature_events")
    assert len(on_the_way) >= 2
    shares = [line.share for line in on_the_way]
    assert shares == sorted(shares)
    assert shares[-1] > 0
    assert last.status == "ok"


def test_progress_is_told_while_pendo_is_slow(
    tap: TapRunner, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    tap.pendo.faults.add({"kind": "delay", "seconds": 0.7, "source": "visitors"})
    made = tap.tap(select=("visitors",))
    made.streams["visitors"].progress._clock = Clock(step=20)  # type: ignore[attr-defined] # noqa: SLF001 - as above
    tap.collect(made)
    assert told(caplog, "visitors")[0].getMessage().startswith("visitors: 0 rows so far")


def test_meltano_reads_the_lines_with_their_fields(tap: TapRunner, tmp_path: Path) -> None:
    now = datetime.now(UTC)
    tap.pendo.clock.set(now.isoformat())
    config = {**tap.config, "start_date": (now - timedelta(days=2)).isoformat()}
    (tmp_path / "config.json").write_text(json.dumps(config))
    (tmp_path / "log.json").write_text(json.dumps(STRUCTURED))
    ended = subprocess.run(
        [sys.executable, "-m", "tap_pendo", "--config", str(tmp_path / "config.json")],
        env={**os.environ, "SINGER_SDK_LOG_CONFIG": str(tmp_path / "log.json")},
        capture_output=True,
        text=True,
        check=True,
    )
    parsed = [SingerSDKLogParser().parse(line) for line in ended.stderr.splitlines()]
    of_streams = {r.stream_name: r for r in parsed if r and r.stream_name and "status" in r.extra}
    line = of_streams["feature_events"]
    assert re.fullmatch(
        r"feature_events: ok; [\d,]+ rows, \d windows, \d calls, .* s; all is read from .*Z",
        line.message,
    )
    assert line.level == logging.INFO
    assert line.extra["status"] == "ok"
    assert line.extra["rows"] > 0
    assert line.extra["throttled"] == 0
    assert 0 <= line.extra["freshness_seconds"] < 3600
    assert set(of_streams) == {json.loads(m)["stream"] for m in schemas(ended.stdout)}


def schemas(stdout: str) -> list[str]:
    return [line for line in stdout.splitlines() if line.startswith('{"type":"SCHEMA"')]
