"""The user's own aggregations as streams, and the examples of docs/aggregations.md."""

from __future__ import annotations

import re
import typing as t
from collections import Counter, defaultdict
from datetime import timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
import yaml
from tap_pendo.calendar import to_ms, to_text

from tests.conftest import NOW

if t.TYPE_CHECKING:
    from tests.conftest import Output, TapRunner, Warehouse

Record = dict[str, t.Any]
DOC = Path(__file__).parents[2] / "docs" / "aggregations.md"
EXAMPLES: dict[str, Record] = {
    entry["name"]: entry
    for block in re.findall(r"```yaml\n(.*?)```", DOC.read_text(), re.DOTALL)
    for entry in yaml.safe_load(block)["aggregations"]
}
START = (NOW - timedelta(days=3)).replace(hour=0, minute=0, second=0)
DAILY = {"period": "day", "start_date": START.isoformat()}
HOURLY_USES = {
    "name": "uses",
    "grain": "hour",
    "primary_keys": ["feature", "window_start"],
    "pipeline": [
        {"source": {"featureEvents": {"appId": 'expandAppIds("*")'}}},
        {"group": {"group": ["featureId"], "fields": {"uses": {"sum": "numEvents"}}}},
        {"select": {"feature": "featureId", "uses": "uses"}},
    ],
}
SNAPSHOT = {
    "name": "plans",
    "primary_keys": ["plan"],
    "pipeline": [
        {"source": {"accounts": None}},
        {"eval": {"plan": "metadata.custom.plan"}},
        {"group": {"group": ["plan"], "fields": {"accounts": {"count": None}}}},
    ],
}


def example(tap: TapRunner, name: str, *others: str) -> Output:
    """Run an example of the documents beside event streams, by the day."""
    output = tap.run(select=(name, *others), aggregations=[EXAMPLES[name]], **DAILY)
    assert tap.exit_code == 0
    keys = EXAMPLES[name]["primary_keys"]
    records = output.records(name)
    assert len({tuple(r[key] for key in keys) for r in records}) == len(records) > 0
    return output


def test_active_visitors_per_account_and_day(tap: TapRunner) -> None:
    output = example(tap, "active_visitors", "events")
    active: dict[tuple[str, str], set[str]] = defaultdict(set)
    for event in output.records("events"):
        if not event["visitor_id"].startswith("_PENDO_T_"):
            active[event.get("account_id") or "", event["day"]].add(event["visitor_id"])
    found = {
        (r["account_id"], r["window_start"]): r["active_visitors"]
        for r in output.records("active_visitors")
    }
    assert found == {key: len(visitors) for key, visitors in active.items()}


def test_feature_adoption(tap: TapRunner) -> None:
    output = example(tap, "feature_adoption", "feature_events")
    uses: Counter[tuple[str, str]] = Counter()
    visitors: dict[tuple[str, str], set[str]] = defaultdict(set)
    for event in output.records("feature_events"):
        key = event["feature_id"], event["day"]
        uses[key] += event["num_events"]
        visitors[key].add(event["visitor_id"])
    found = {
        (r["feature_id"], r["window_start"]): (r["uses"], r["visitors"])
        for r in output.records("feature_adoption")
    }
    assert found == {key: (uses[key], len(visitors[key])) for key in uses}


def test_nps_per_account(tap: TapRunner) -> None:
    span = {"start_date": (NOW - timedelta(days=91)).isoformat()}
    output = tap.run(select=("nps", "poll_events"), aggregations=[EXAMPLES["nps"]], **span)
    assert tap.exit_code == 0
    last: dict[tuple[str, str], tuple[str, int]] = {}
    first_day = (NOW - timedelta(days=90)).strftime("%Y-%m-%d")
    for answer in output.records("poll_events"):
        text, at = answer.get("poll_response") or "", answer["browser_time"]
        today = at[:10] == NOW.strftime("%Y-%m-%d")
        if answer["poll_type"] != "NPSRating" or not text.isdigit() or today:
            continue
        if at[:10] >= first_day:
            key = answer.get("account_id") or "", answer["visitor_id"]
            last[key] = max(last.get(key, ("", 0)), (at, int(text)))
    ratings: dict[str, list[int]] = defaultdict(list)
    for (account, _), (_, rating) in last.items():
        ratings[account].append(rating)
    assert len(ratings) > 10
    found = {r["account_id"]: (r["answers"], r["nps"]) for r in output.records("nps")}
    assert found.keys() == ratings.keys()
    for account, of_account in ratings.items():
        balance = sum((n >= 9) - (n <= 6) for n in of_account)
        assert found[account][0] == len(of_account)
        assert found[account][1] == pytest.approx(100 * balance / len(of_account))


def test_time_on_app(tap: TapRunner) -> None:
    output = example(tap, "time_on_app", "events")
    minutes: Counter[tuple[str, int, str]] = Counter()
    for event in output.records("events"):
        key = event.get("account_id") or "", event["app_id"], event["day"]
        minutes[key] += event["num_minutes"]
    found = {
        (r["account_id"], r["app_id"], r["window_start"]): r["minutes"]
        for r in output.records("time_on_app")
    }
    assert found == dict(minutes)


def test_two_sources_in_one_pipeline(tap: TapRunner) -> None:
    output = example(tap, "uses_and_views", "feature_events", "page_events")
    sums = {}
    for stream, column in (("feature_events", "uses"), ("page_events", "views")):
        counts: Counter[tuple[str, str]] = Counter()
        for event in output.records(stream):
            counts[event.get("account_id") or "", event["day"]] += event["num_events"]
        sums[column] = dict(counts)
    for column, expected in sums.items():
        found = {
            (r["account_id"], r["window_start"]): r[column]
            for r in output.records("uses_and_views")
            if r.get(column)
        }
        assert found == expected


def test_buckets_are_logged_bookmarked_and_read_again(tap: TapRunner) -> None:
    settings = {"aggregations": [HOURLY_USES], "select": ("uses",)}
    start = {"start_date": (NOW - timedelta(hours=30)).isoformat()}
    first = tap.run(**settings, **start)
    windows = first.records("sync_windows")
    assert len(windows) == 29
    assert {w["stream"] for w in windows} == {"uses"}
    assert all(w["calls"] == 1 for w in windows)
    marks = first.state["bookmarks"]["uses"]
    assert marks["covered_to"] == "2026-03-11T12:00:00.000Z"

    tap.pendo.clock.advance(3600)
    hours = tap.run(**settings, **start, state=first.state, lookback_hours=2)
    assert [w["window_start"][11:13] for w in hours.records("sync_windows")] == ["10", "11", "12"]
    tap.pendo.clock.advance(24 * 3600)
    days = tap.run(**settings, **start, state=hours.state, lookback_days=1, lookback_hours=0)
    assert len(days.records("sync_windows")) == 24 + 24


def test_another_pipeline_is_read_from_the_start(
    tap: TapRunner, caplog: pytest.LogCaptureFixture
) -> None:
    start = {"start_date": (NOW - timedelta(hours=10)).isoformat(), "select": ("uses",)}
    first = tap.run(aggregations=[HOURLY_USES], **start)
    same = tap.run(aggregations=[HOURLY_USES], **start, state=first.state, lookback_hours=0)
    assert not same.records("sync_windows")
    changed = {**HOURLY_USES, "pipeline": [*HOURLY_USES["pipeline"], {"filter": "uses > 1"}]}  # type: ignore[misc]
    again = tap.run(aggregations=[changed], **start, state=same.state, lookback_hours=0)
    assert len(again.records("sync_windows")) == len(first.records("sync_windows"))
    assert "its pipeline is not the one that was read before; all is read again" in caplog.text


def test_another_grain_is_refused_by_its_name(
    tap: TapRunner, caplog: pytest.LogCaptureFixture
) -> None:
    start = {"start_date": START.isoformat(), "select": ("uses",)}
    first = tap.run(aggregations=[HOURLY_USES], **start)
    tap.run(aggregations=[{**HOURLY_USES, "grain": "day"}], **start, state=first.state)
    assert tap.exit_code == 1
    assert "setting `aggregations.grain` (for days also `timezone`) is not that of" in caplog.text


def test_a_snapshot_is_a_full_table(tap: TapRunner) -> None:
    output = tap.run(aggregations=[SNAPSHOT], select=("plans",))
    records = output.records("plans")
    assert sum(r["accounts"] for r in records) == tap.pendo.world.count("accounts")
    assert {r["read_at"] for r in records} == {"2026-03-11T12:34:56.000Z"}
    # an account without a plan has the empty text in the key
    assert "" in {r["plan"] for r in records}
    of_stream = [m["type"] for m in output if m.get("stream") == "plans"]
    assert of_stream == ["SCHEMA", *["RECORD"] * len(records), "ACTIVATE_VERSION"]


def payload(series: Record, *steps: Record, **source: t.Any) -> Record:
    """Write a payload as Pendo's interface shows it."""
    pipeline = [{"source": {**(source or {"featureEvents": None}), "timeSeries": series}}, *steps]
    request = {"name": "q", "pipeline": pipeline, "streamId": "0-q", "params": {}}
    return {"response": {"mimeType": "application/json"}, "requests": [request]}


BY_FEATURE = {"group": {"group": ["featureId"], "fields": {"uses": {"sum": "numEvents"}}}}
FIRST, LAST = (str(to_ms(START + timedelta(days=days))) for days in (0, 2))


@pytest.mark.parametrize("grain", [None, "day"])
def test_a_payload_of_pendos_interface_is_read(grain: str | None, tap: TapRunner) -> None:
    keys = ["featureId", *(["window_start"] if grain else [])]
    series = {"period": "dayRange", "first": FIRST, "last": LAST}
    entry = {"name": "q", "primary_keys": keys, "pipeline": payload(series, BY_FEATURE)}
    entry |= {"grain": grain} if grain else {}
    output = tap.run(select=("q",), aggregations=[entry], **DAILY)
    assert tap.exit_code == 0
    end = to_ms(START + timedelta(days=3))
    sums = tap.pendo.world.sums("featureEvents", to_ms(START), end, {-323232})
    assert sum(r["uses"] for r in output.records("q")) == sum(sums.values()) > 0


@pytest.mark.parametrize(
    ("period", "length"), [("daily", timedelta(days=1)), ("hourly", timedelta(hours=1))]
)
def test_results_by_period_get_its_start(period: str, length: timedelta, tap: TapRunner) -> None:
    tap.pendo.knobs.iterative_periods = True
    series = {"period": period, "first": FIRST, "last": LAST}
    keys = ["featureId", "start_time"]
    entry = {"name": "q", "primary_keys": keys, "pipeline": payload(series, BY_FEATURE)}
    output = tap.run(select=("q",), aggregations=[entry])
    assert tap.exit_code == 0
    found: Counter[str] = Counter()
    for record in output.records("q"):
        found[record["start_time"]] += record["uses"]
    start = START
    while start <= START + timedelta(days=2):
        of_period = tap.pendo.world.sums(
            "featureEvents", to_ms(start), to_ms(start + length), {-323232}
        )
        assert found.pop(to_text(start), 0) == sum(of_period.values())
        start += length
    assert not found
    (schema,) = (m["schema"] for m in output if m["type"] == "SCHEMA" and m["stream"] == "q")
    assert schema["properties"]["start_time"]["format"] == "date-time"
    assert [m["type"] for m in output if m.get("stream") == "q"][-1] == "ACTIVATE_VERSION"


@pytest.mark.parametrize("per_period", [True, False])
def test_periods_that_pendo_does_not_answer_for_fail_the_stream_in_one_line(
    per_period: bool, tap: TapRunner, caplog: pytest.LogCaptureFixture
) -> None:
    tap.pendo.knobs.iterative_periods = per_period
    if per_period:
        text = '{"results":[{"featureId":"a","uses":1}]}'
        fault = {"kind": "status", "status": 200, "text": text, "times": None}
        tap.pendo.faults.add({**fault, "source": "featureEvents"})
    series = {"period": "daily", "first": FIRST, "count": 2}
    entry = {"name": "q", "primary_keys": ["featureId"], "pipeline": payload(series, BY_FEATURE)}
    output = tap.run(select=("q",), aggregations=[entry])
    assert tap.exit_code == 1
    (line,) = (r.getMessage() for r in caplog.records if r.getMessage().startswith("q failed"))
    assert ("use `grain`" if per_period else "iterative period daily is not allowed") in line
    assert not output.records("q")


@pytest.mark.parametrize("answer", ["refused", "all_time"])
def test_an_event_source_without_time_series(
    answer: str, tap: TapRunner, caplog: pytest.LogCaptureFixture
) -> None:
    tap.pendo.knobs.without_series = answer  # type: ignore[assignment]
    pipeline = [{"source": {"featureEvents": None}}, {"filter": "true"}, BY_FEATURE]
    entry = {"name": "q", "primary_keys": ["featureId"], "pipeline": pipeline}
    output = tap.run(select=("q",), aggregations=[entry])
    assert tap.exit_code == (answer == "refused")
    assert bool(output.records("q")) is (answer == "all_time")
    assert ("timeSeries required" in caplog.text) is (answer == "refused")


def test_a_pipeline_that_pendo_refuses_fails_its_stream_only(
    tap: TapRunner, caplog: pytest.LogCaptureFixture
) -> None:
    bad = [{"source": {"accounts": None}}, {"conjure": 1}]
    entries = [
        {**SNAPSHOT, "name": "broken", "pipeline": bad},
        {**HOURLY_USES, "name": "broken_too", "pipeline": bad},
        SNAPSHOT,
    ]
    output = tap.run(aggregations=entries, select=("broken", "broken_too", "plans"))
    assert tap.exit_code == 1
    assert output.records("plans")
    assert not [m for m in output if m["type"] == "ACTIVATE_VERSION" and m["stream"] == "broken"]
    for name in ("broken", "broken_too"):
        (line,) = [r.getMessage() for r in caplog.records if f"{name} failed" in r.getMessage()]
        assert "unknown step type 'conjure'" in line


def test_a_bucket_that_pendo_cannot_answer_for_is_named(
    tap: TapRunner, caplog: pytest.LogCaptureFixture
) -> None:
    fault = {"kind": "status", "status": 408, "source": "featureEvents", "times": None, "after": 4}
    tap.pendo.faults.add(fault)
    start = (NOW - timedelta(hours=6)).isoformat()
    output = tap.run(aggregations=[HOURLY_USES], select=("uses",), start_date=start, concurrency=1)
    assert tap.exit_code == 1
    (line,) = [r.getMessage() for r in caplog.records if "uses failed" in r.getMessage()]
    missing = min(w["window_start"] for w in output.records("sync_windows"))
    hour = int(missing[11:13]) - 1
    assert f"hour from 2026-03-11T{hour:02}:00:00.000Z: /api/v1/aggregation: 408" in line


def test_days_of_another_time_zone_are_refused(
    tap: TapRunner, caplog: pytest.LogCaptureFixture
) -> None:
    entry = EXAMPLES["time_on_app"]
    tap.pendo.world.zone = ZoneInfo("America/New_York")
    tap.run(aggregations=[entry], select=("time_on_app",), **DAILY)
    assert tap.exit_code == 1
    assert "Pendo's day begins at 2026-03-09T04:00:00.000Z" in caplog.text
    assert "set `timezone`" in caplog.text
    settings = {**DAILY, "timezone": "America/New_York"}
    assert tap.run(aggregations=[entry], select=("time_on_app",), **settings)
    assert tap.exit_code == 0


def schema_of(output: Output, stream: str) -> Record:
    (message,) = [m for m in output if m["type"] == "SCHEMA" and m["stream"] == stream]
    properties: Record = message["schema"]["properties"]
    return properties


def test_columns_are_found_in_a_sample(tap: TapRunner) -> None:
    found = schema_of(tap.run(aggregations=[HOURLY_USES], select=("uses",)), "uses")
    assert found.keys() == {"feature", "uses", "window_start", "read_at", "extra"}
    assert found["uses"]["type"] == ["number", "null"]
    assert found["feature"]["type"] == ["string", "null"]
    assert found["window_start"]["format"] == "date-time"


def test_a_sample_that_breaks_off_is_asked_for_again(tap: TapRunner) -> None:
    tap.pendo.faults.add({"kind": "cut", "bytes": 20, "times": 3, "source": "featureEvents"})
    found = schema_of(tap.run(aggregations=[HOURLY_USES], select=("uses",)), "uses")
    assert found["uses"]["type"] == ["number", "null"]


def test_columns_of_an_own_schema_are_kept_and_what_does_not_fit_goes_to_extra(
    tap: TapRunner,
) -> None:
    schema = {
        "properties": {
            "feature": {"type": "string", "maxLength": 80},
            "uses": {"type": ["boolean", "null"]},
        }
    }
    output = tap.run(aggregations=[{**HOURLY_USES, "schema": schema}], select=("uses",))
    found = schema_of(output, "uses")
    assert found["feature"] == {"type": "string", "maxLength": 80}
    assert all(r["uses"] is None and r["extra"]["uses"] > 0 for r in output.records("uses"))


def test_a_value_that_a_given_schema_cannot_hold_may_be_null(
    tap: TapRunner, warehouse: Warehouse
) -> None:
    schema = {"properties": {"plan": {"type": "string"}, "accounts": {"type": "boolean"}}}
    output = tap.run(aggregations=[{**SNAPSHOT, "schema": schema}], select=("plans",))
    assert schema_of(output, "plans")["accounts"] == {"type": ["boolean", "null"]}
    warehouse.load(output, validate=True)
    ((kept,),) = warehouse.rows("select sum((extra->>'accounts')::int) from plans")
    assert kept == tap.pendo.world.count("accounts")


def test_columns_of_the_catalogue_are_kept_when_a_run_begins(tap: TapRunner) -> None:
    made = tap.tap(aggregations=[HOURLY_USES])
    catalog = made.catalog_dict
    for entry in catalog["streams"]:
        entry["metadata"][0]["metadata"]["selected"] = entry["tap_stream_id"] == "uses"
    tap.pendo.calls.clear()
    again = type(made)(config={**tap.config, "aggregations": [HOURLY_USES]}, catalog=catalog)
    columns = again.streams["uses"].schema["properties"].keys()
    assert columns == {"feature", "uses", "window_start", "read_at", "extra"}
    asked = sum(n for (_, source), n in tap.pendo.calls.counts.items() if source == "featureEvents")
    assert asked == 0


def test_what_the_catalogue_does_not_know_is_kept_in_extra(tap: TapRunner) -> None:
    made = tap.tap(aggregations=[SNAPSHOT])
    catalog = made.catalog_dict
    for entry in catalog["streams"]:
        entry["metadata"][0]["metadata"]["selected"] = entry["tap_stream_id"] == "plans"
        entry["schema"]["properties"].pop("accounts", None)
    output = tap.collect(
        type(made)(config={**tap.config, "aggregations": [SNAPSHOT]}, catalog=catalog)
    )
    assert schema_of(output, "plans").keys() == {"plan", "read_at", "extra"}
    kept = [r["extra"]["accounts"] for r in output.records("plans")]
    assert sum(kept) == tap.pendo.world.count("accounts")


def test_keys_that_do_not_distinguish_rows_are_logged(
    tap: TapRunner, caplog: pytest.LogCaptureFixture
) -> None:
    entry = {**HOURLY_USES, "primary_keys": ["window_start"]}
    tap.run(
        aggregations=[entry], select=("uses",), start_date=(NOW - timedelta(hours=4)).isoformat()
    )
    assert "`primary_keys` do not distinguish all rows" in caplog.text


def test_a_bucket_that_breaks_off_is_given_once(tap: TapRunner) -> None:
    settings: Record = {"aggregations": [HOURLY_USES], "select": ("uses",)}
    settings["start_date"] = (NOW - timedelta(hours=6)).isoformat()
    whole = tap.run(**settings).records("uses")
    tap.pendo.faults.add({"kind": "cut", "bytes": 120, "times": 3, "source": "featureEvents"})
    output = tap.run(**settings)
    assert tap.exit_code == 0
    assert len(output.records("uses")) == len(whole)
