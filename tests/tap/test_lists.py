"""Lists, what is derived from them, and the lists that Pendo gives item by item."""

from __future__ import annotations

import typing as t
from collections import Counter

import pytest
from tap_pendo.records import nested_rows

if t.TYPE_CHECKING:
    from pathlib import Path

    from tests.conftest import Output, TapRunner

TABLE = [
    "visitors",
    "accounts",
    "visitor_accounts",
    "visitor_applications",
    "account_applications",
    "applications",
    "pages",
    "page_rules",
    "features",
    "feature_element_path_rules",
    "track_types",
    "track_type_rules",
    "guides",
    "guide_steps",
    "polls",
    "guide_step_polls",
    "guide_history",
    "guide_order",
    "reports",
    "report_results",
    "segments",
    "segment_members",
    "product_areas",
    "product_area_items",
    "metadata_accounts",
    "metadata_visitors",
    "metadata_parent_accounts",
    "metadata_dependencies",
    "users",
    "exclude_lists",
    "server_names",
    "feedback_options",
    "do_not_process_visitors",
    "do_not_process_accounts",
    "events",
    "page_events",
    "feature_events",
    "track_events",
    "guide_events",
    "poll_events",
    "guides_seen",
    "polls_seen",
    "single_events",
    "email_events",
    "session_recordings",
    "agentic_events",
    "visitor_history",
    "bulk_deletion_jobs",
]
COSTLY = {
    "guides_seen",
    "polls_seen",
    "report_results",
    "segment_members",
    "single_events",
    "session_recordings",
    "visitor_history",
}
UNVERIFIED = {
    "agentic_events",
    "bulk_deletion_jobs",
    "email_events",
    "exclude_lists",
    "feedback_options",
    "guide_history",
    "guide_order",
    "metadata_dependencies",
    "server_names",
}
LOOSE = ("bulk_deletion_jobs", "exclude_lists", "guide_order", "server_names")


def activated(output: Output, stream: str) -> int:
    """How often the stream's version was activated, each time after its last record."""
    of_stream = [m["type"] for m in output if m.get("stream") == stream]
    times = of_stream.count("ACTIVATE_VERSION")
    if times:
        assert of_stream[-1] == "ACTIVATE_VERSION"
    return times


def test_every_object_of_the_table_is_a_stream(tap: TapRunner) -> None:
    streams = tap.tap().streams
    assert set(TABLE) <= set(streams)
    assert set(streams) - set(TABLE) == {"sync_windows"}
    assert {n for n, s in streams.items() if not s.selected_by_default} == COSTLY | UNVERIFIED
    assert all(stream.primary_keys for stream in streams.values())


def test_what_is_derived_comes_with_its_parent_and_without_calls(tap: TapRunner) -> None:
    derived = {
        "page_rules": ("pages", "rules", "page_id", lambda rule: rule["rule"]),
        "feature_element_path_rules": ("features", "element_path_rules", "feature_id", str),
        "track_type_rules": ("track_types", "track_type_rules", "track_type_id", str),
        "guide_steps": ("guides", "steps", "guide_id", lambda step: step["id"]),
        "polls": ("guides", "polls", "guide_id", lambda poll: poll["id"]),
        "product_area_items": ("product_areas", "items", "group_id", lambda i: i["itemId"]),
    }
    said = {
        "page_rules": "rule",
        "feature_element_path_rules": "element_path_rule",
        "track_type_rules": "track_type_rule",
        "product_area_items": "item_id",
    }
    parents = {parent for parent, *_ in derived.values()}
    tap.run(select=tuple(parents))
    calls = dict(tap.pendo.calls.counts)
    tap.pendo.calls.clear()
    output = tap.run(select=(*parents, *derived, "guide_step_polls"))
    assert dict(tap.pendo.calls.counts) == calls
    for name, (parent, inside, parent_id, value) in derived.items():
        expected = Counter(
            (record["id"], value(item))
            for record in output.records(parent)
            for item in record.get(inside) or ()
        )
        column = said.get(name, "id")
        records = output.records(name)
        assert expected
        assert Counter((r[parent_id], r[column]) for r in records) == expected
        assert [m["type"] for m in output if m.get("stream") == name].count("SCHEMA") == 1
        assert activated(output, name) == 1
        keys = tap.tap().streams[name].primary_keys
        assert len({tuple(r[key] for key in keys) for r in records}) == len(records)
    steps = {
        (s["guide_id"], s["id"]): s.get("poll_ids") or [] for s in output.records("guide_steps")
    }
    on_steps = {(g, s, p) for (g, s), polls in steps.items() for p in polls}
    found = output.records("guide_step_polls")
    assert {(r["guide_id"], r["guide_step_id"], r["poll_id"]) for r in found} == on_steps
    assert on_steps


def test_a_derived_stream_alone_reads_its_parent_without_writing_it(tap: TapRunner) -> None:
    output = tap.run(select=("page_rules", "visitor_accounts"))
    assert tap.exit_code == 0
    assert output.records("page_rules")
    assert output.records("visitor_accounts")
    written = {m["stream"] for m in output if m["type"] != "STATE"}
    assert written == {"page_rules", "visitor_accounts", "sync_windows"}


@pytest.mark.parametrize("settings", [{"app_ids": [-323232]}, {}])
def test_a_read_that_is_not_whole_activates_nothing(
    tap: TapRunner, settings: dict[str, t.Any]
) -> None:
    if not settings:
        tap.pendo.faults.add(
            {"kind": "truncate", "bytes": 2000, "times": None, "path": "/api/v1/page"}
        )
    output = tap.run(select=("pages", "page_rules", "users"), **settings)
    assert not [m for m in output if m["type"] == "ACTIVATE_VERSION"]
    if settings:
        apps = {p["id"]: p["app_id"] for p in output.records("pages")}
        assert {apps[r["page_id"]] for r in output.records("page_rules")} == {-323232}


def test_users_are_those_whom_any_list_names(tap: TapRunner) -> None:
    output = tap.run(
        select=("users", "pages", "features", "track_types", "guides", "reports", "segments")
    )
    named: dict[str, set[str]] = {}
    for stream in ("pages", "features", "track_types", "guides", "reports", "segments"):
        for record in output.records(stream):
            for column in ("created_by_user", "last_updated_by_user", "owned_by_user"):
                user = record.get(column) or {}
                if user.get("id"):
                    said = {name for name, value in user.items() if value not in (None, "")}
                    named.setdefault(user["id"], set()).update(said)
    users = {user["id"]: user for user in output.records("users")}
    assert len(users) == len(output.records("users"))
    assert users.keys() == named.keys()
    for key, names in named.items():
        assert names <= users[key].keys() | {"extra"}
    assert activated(output, "users") == 1


def test_derived_rows_of_people_carry_the_read_of_their_parent(tap: TapRunner) -> None:
    names = ("visitors", "visitor_accounts", "visitor_applications", "accounts")
    output = tap.run(select=(*names, "account_applications"))
    visitors = {v["visitor_id"]: v for v in output.records("visitors")}
    pairs = Counter((r["visitor_id"], r["account_id"]) for r in output.records("visitor_accounts"))
    assert pairs == Counter(
        (key, account)
        for key, visitor in visitors.items()
        for account in ((visitor.get("metadata") or {}).get("auto") or {}).get("accountids") or ()
    )
    assert max(pairs.values()) == 1
    apps = {(r["visitor_id"], r["app_id"]) for r in output.records("visitor_applications")}
    assert apps == {
        (key, int(group.removeprefix("auto_").replace("_", "-")))
        for key, visitor in visitors.items()
        for group in visitor.get("metadata") or ()
        if group.startswith("auto_")
    }
    assert -323232 in {app for _, app in apps}
    assert len({app for _, app in apps}) > 1
    for child, parent in (("visitor_accounts", "visitors"), ("account_applications", "accounts")):
        (read_at,) = {r["read_at"] for r in output.records(parent)}
        assert {r["read_at"] for r in output.records(child)} == {read_at}


def test_a_derived_stream_that_is_new_to_the_state_gets_all_rows(tap: TapRunner) -> None:
    first = tap.run(select=("visitors",))
    again = tap.run(select=("visitors",), state=first.state)
    assert len(again.records("visitors")) < len(first.records("visitors"))
    # what comes later has not followed the visitors so far
    later = tap.run(select=("visitors", "visitor_accounts"), state=again.state)
    assert len(later.records("visitors")) == len(first.records("visitors"))
    followed = tap.run(select=("visitors", "visitor_accounts"), state=later.state)
    assert len(followed.records("visitors")) == len(again.records("visitors"))
    # nor have visitors themselves, while they were only read for others
    alone = tap.run(select=("visitor_accounts",), state=followed.state)
    back = tap.run(select=("visitors",), state=alone.state)
    assert len(back.records("visitors")) == len(first.records("visitors"))


@pytest.mark.parametrize("form", ["objects", "strings", "object"])
def test_lists_that_nobody_described_are_kept_in_whatever_form(tap: TapRunner, form: str) -> None:
    tap.pendo.knobs.unknown_shapes = form  # type: ignore[assignment]
    output = tap.run(select=(*UNVERIFIED - {"agentic_events", "email_events"},))
    assert tap.exit_code == 0
    for name in LOOSE:
        records = output.records(name)
        assert records
        assert len({r["row_id"] for r in records}) == len(records)
        assert activated(output, name) == 1
    again = tap.run(select=LOOSE)
    for name in LOOSE:
        assert again.records(name) == output.records(name)


def test_guide_history_is_asked_for_each_guide(tap: TapRunner) -> None:
    output = tap.run(select=("guide_history",))
    guides = tap.run(select=("guides",)).records("guides")
    assert {r["guide_id"] for r in output.records("guide_history")} <= {g["id"] for g in guides}
    assert output.records("guide_history")
    assert tap.pendo.calls.counts["/api/v1/guide/{id}/history", ""] == len(guides)


@pytest.mark.parametrize("present", ["absent", "present"])
def test_parent_accounts_may_be_unknown_to_pendo(tap: TapRunner, present: str) -> None:
    tap.pendo.knobs.parent_accounts = present  # type: ignore[assignment]
    output = tap.run(select=("metadata_parent_accounts",))
    assert tap.exit_code == 0
    assert bool(output.records("metadata_parent_accounts")) == (present == "present")


def test_feedback_that_is_not_in_the_plan_is_skipped(tap: TapRunner) -> None:
    tap.pendo.knobs.feedback = "not_included"
    output = tap.run(select=("feedback_options", "pages"))
    assert tap.exit_code == 0
    assert tap.tap().run.skipped == {}
    assert output.records("pages")
    assert not output.records("feedback_options")


@pytest.mark.parametrize("wants", ["either", "series", "no_series"])
def test_guides_seen_with_or_without_a_time_series(tap: TapRunner, wants: str) -> None:
    tap.pendo.knobs.guides_seen_ever = wants  # type: ignore[assignment]
    output = tap.run(select=("guides_seen",))
    assert tap.exit_code == 0
    records = output.records("guides_seen")
    assert len(records) == tap.pendo.world.count("guidesSeenEver", 0, tap.pendo.clock.now())
    keys = {(r["visitor_id"], r["guide_id"], r["guide_step_id"]) for r in records}
    assert len(keys) == len(records) > 0


@pytest.mark.parametrize("name", ["response", "pollResponse"])
@pytest.mark.parametrize("wants", ["any", "one_poll"])
def test_polls_seen_poll_by_poll(tap: TapRunner, wants: str, name: str) -> None:
    tap.pendo.knobs.polls_seen_ever = wants  # type: ignore[assignment]
    tap.pendo.knobs.poll_response = name  # type: ignore[assignment]
    output = tap.run(select=("polls_seen",))
    assert tap.exit_code == 0
    records = output.records("polls_seen")
    assert len(records) == tap.pendo.world.count("pollsSeenEver", 0, tap.pendo.clock.now())
    column = "response" if name == "response" else "poll_response"
    assert all(record[column] is not None for record in records)


def test_members_of_each_shared_segment(tap: TapRunner) -> None:
    output = tap.run(select=("segments", "segment_members", "visitor_accounts"))
    assert tap.exit_code == 0
    segments = {s["id"] for s in output.records("segments")}
    members = output.records("segment_members")
    assert {m["segment_id"] for m in members} == segments
    assert {(m["visitor_id"], m["account_id"]) for m in members if m["account_id"]} <= {
        (r["visitor_id"], r["account_id"]) for r in output.records("visitor_accounts")
    }
    keys = {(m["segment_id"], m["visitor_id"], m["account_id"]) for m in members}
    assert len(keys) == len(members)


def test_each_report_is_a_stream_with_its_own_columns(tap: TapRunner, tmp_path: Path) -> None:
    reports = tap.run(select=("reports",)).records("reports")
    ids = {r["name"]: r["id"] for r in reports}
    wanted = [ids["Feature use by visitor"], ids["Page views by day"], ids["Nobody yet"]]
    names = [f"report_results_{i.replace('-', '_')}" for i in wanted]
    result, _ = tap.cli(tmp_path, "--discover", report_ids=wanted)
    assert result.exit_code == 0
    output = tap.run(report_ids=wanted, select=(*names, "report_results"))
    assert tap.exit_code == 0
    uses, views, nobody = (output.records(name) for name in names)
    assert {"visitorId", "featureId", "uses", "lastUsed"} <= uses[0].keys()
    assert {"day", "appId", "views", "visitors"} <= views[0].keys()
    assert not nobody
    assert activated(output, names[2]) == 1
    assert {r["report_id"] for r in uses} == {wanted[0]}
    generic = output.records("report_results")
    assert Counter(r["report_id"] for r in generic) == {
        wanted[0]: len(uses),
        wanted[1]: len(views),
    }
    assert sum(r["result"].get("uses", 0) for r in generic) == sum(r["uses"] for r in uses)
    # each report is asked for its columns, unless a catalogue has them, and for its rows
    tap.pendo.calls.clear()
    tap.run(report_ids=wanted, select=tuple(names))
    assert tap.pendo.calls.counts["/api/v1/report/{id}/results.json", ""] == 2 * len(wanted)


def test_a_report_without_results_fails_its_stream_only(
    tap: TapRunner, caplog: pytest.LogCaptureFixture
) -> None:
    reports = {r["name"]: r["id"] for r in tap.run(select=("reports",)).records("reports")}
    funnel, known = reports["From trial to plan"], reports["Page views by day"]
    names = [f"report_results_{i.replace('-', '_')}" for i in (funnel, known)]
    output = tap.run(report_ids=[funnel, known], select=tuple(names))
    assert tap.exit_code == 1
    assert f"{names[0]} failed" in caplog.text
    assert output.records(names[1])
    assert not activated(output, names[0])


@pytest.mark.parametrize(
    ("answer", "rows"),
    [
        ([], []),
        ({}, []),
        (None, []),
        ("text", [{"value": "text"}]),
        (["a", {"b": 1}], [{"value": "a", "position": 0}, {"b": 1, "position": 1}]),
        ([{"position": 7}], [{"position": 7}]),
        ({"a": {"b": 1}, "c": {}}, [{"key": "a", "b": 1}, {"key": "c"}]),
        ({"a": {"b": 1}, "c": 2}, [{"a": {"b": 1}, "c": 2}]),
    ],
)
def test_rows_of_any_answer(answer: t.Any, rows: list[t.Any]) -> None:
    assert nested_rows.any_rows(answer) == rows


@pytest.mark.parametrize(
    ("derive", "row"),
    [
        (nested_rows.objects("rules", "pageId"), {"id": "p", "rules": "none"}),
        (nested_rows.objects("rules", "pageId"), {"id": "p", "rules": ["text", None]}),
        (nested_rows.texts("paths", "featureId", "rule"), {"id": "f", "paths": [1, None, {}]}),
        (
            nested_rows.accounts_of_visitor,
            {"visitorId": "v", "metadata": {"auto": {"accountids": 7}}},
        ),
        (nested_rows.accounts_of_visitor, {"visitorId": "v", "metadata": None}),
        (nested_rows.applications_of("visitorId"), {"visitorId": "v", "metadata": {"auto_x": {}}}),
        (nested_rows.polls_of_steps, {"id": "g", "steps": [{"id": "s", "pollIds": None}]}),
        (nested_rows.users, {"createdByUser": "name", "lastUpdatedByUser": {"id": ""}}),
    ],
)
def test_what_is_not_as_expected_gives_no_rows(derive: nested_rows.Derive, row: t.Any) -> None:
    assert not list(derive(row))


def test_apps_are_taken_from_events_if_pendo_does_not_list_them(
    tap: TapRunner, caplog: pytest.LogCaptureFixture
) -> None:
    tap.pendo.faults.add({"kind": "status", "status": 400, "times": None, "source": "apps"})
    output = tap.run(select=("applications",))
    assert tap.exit_code == 0
    tap.pendo.faults.clear()
    known = {r["id"] for r in tap.run(select=("applications",)).records("applications")}
    found = {r["id"] for r in output.records("applications")}
    assert len(found) > 1
    assert found < known
    assert not activated(output, "applications")
    assert "applications: read in another way" in caplog.text
