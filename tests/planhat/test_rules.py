"""Rules: what is understood without being said, and one clear line for what cannot be."""

from __future__ import annotations

import json
import typing as t
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from singer_sdk.plugin_base import JSONSchemaValidator
from target_planhat.config import settings
from target_planhat.config.pendo_streams import EVENT_STREAMS, OTHER_STREAMS
from target_planhat.config.rule_parser import action, missing_fields, sanitised
from target_planhat.config.validation import problems as found_problems
from target_planhat.rule_model import Match, Rule
from target_planhat.target import TargetPlanhat

Raw = dict[str, t.Any]
CATALOG = Path(__file__).parents[1] / "golden" / "catalog.json"
OWN = {"stream": "active", "dimension_id": "active", "value": "visitors"}
ASSET = {**OWN, "model": "Asset"}


def problems(**config: t.Any) -> list[str]:
    config = {"tenant_token": "token", "api_token": "token", **config}
    return found_problems(config, JSONSchemaValidator(settings.SCHEMA).iter_errors(config))


def rules(**config: t.Any) -> list[Rule]:
    config = {"tenant_token": "token", "api_token": "token", **config}
    return list(settings.parsed(TargetPlanhat(config=config).config).rules)


def activity(**raw: t.Any) -> Rule:
    return rules(activities=[{"stream": "feature_events", **raw}])[0]


def metric(**raw: t.Any) -> Rule:
    return rules(metrics=[{**OWN, **raw}])[0]


# The streams


def test_the_table_has_the_streams_and_fields_of_the_tap() -> None:
    streams = {
        one["tap_stream_id"]: one["schema"]["properties"]
        for one in json.loads(CATALOG.read_text())["streams"]
    }

    assert streams.keys() == EVENT_STREAMS.keys() | OTHER_STREAMS
    for name, stream in EVENT_STREAMS.items():
        assert set(stream.fields) == streams[name].keys(), name
        assert len(set(stream.fields)) == len(stream.fields), name
        scalar = {"string", "integer", "number", "boolean", "null"}
        for field in stream.texts:
            assert set(streams[name][field]["type"]) <= scalar, (name, field)
            assert "format" not in streams[name][field], (name, field)
        for field in stream.numbers:
            assert {"integer", "number"} & set(streams[name][field]["type"]), (name, field)
        for field in stream.times:
            assert streams[name][field]["format"] == "date-time", (name, field)


# What is not said


def test_without_rules_features_become_activities() -> None:
    assert rules() == [
        Rule(
            name="feature_events",
            kind="activity",
            stream="feature_events",
            only=frozenset(),
            where={},
            match=Match("row", ("visitor_id",), "externalId"),
            model="EndUser",
            granularity="day",
            combine="sum",
            value="num_events",
            date=None,
            template=action("{feature_name}", EVENT_STREAMS["feature_events"]),
            company="account_id",
            weight=1,
        )
    ]


@pytest.mark.parametrize(
    ("config", "kinds"),
    [
        ({"activities": []}, []),
        ({"metrics": []}, []),
        ({"metrics": [OWN]}, ["metric"]),
        ({"activities": [{"stream": "page_events"}], "metrics": [OWN]}, ["activity", "metric"]),
    ],
)
def test_with_rules_there_is_none_by_default(config: Raw, kinds: list[str]) -> None:
    assert [rule.kind for rule in rules(**config)] == kinds


def test_a_rule_with_everything() -> None:
    rule = activity(
        name="feature_use",
        only=["f1", 7],
        where={"app_id": [-323232, "2"]},
        action="Used {feature_name} ({feature_id}) in {app_id} {{}}",
        match={"field": "visitor.metadata.agent.email", "by": "email"},
        company=None,
        granularity="hour",
        count="num_minutes",
        weight=2.5,
        info={"minutes": "num_minutes", "app": "app_id"},
    )

    assert rule.name == "feature_use"
    assert rule.only == {"f1", "7"}
    assert rule.where == {"app_id": {"-323232", "2"}}
    assert rule.match == Match("visitor", ("metadata", "agent", "email"), "email")
    assert (rule.company, rule.granularity, rule.value, rule.weight) == (
        None,
        "hour",
        "num_minutes",
        2.5,
    )
    assert rule.info == {"minutes": "num_minutes", "app": "app_id"}


@pytest.mark.parametrize(
    ("stream", "template", "count", "company"),
    [
        ("feature_events", "{feature_name}", "num_events", "account_id"),
        ("page_events", "{page_name}", "num_events", "account_id"),
        ("track_events", "{track_type_name}", "num_events", "account_id"),
        ("guide_events", "{guide_name}", None, "account_id"),
        ("poll_events", "{guide_name}", None, "account_id"),
        ("email_events", "{guide_name}", None, "account_id"),
    ],
)
def test_defaults_of_event_streams(
    stream: str, template: str, count: str | None, company: str
) -> None:
    (rule,) = rules(activities=[{"stream": stream}])

    assert (rule.name, rule.action, rule.value, rule.company) == (stream, template, count, company)


@pytest.mark.parametrize("stream", ["events", "single_events", "visitor_history"])
def test_streams_without_names_want_an_action(stream: str) -> None:
    assert "`action` is required" in problems(activities=[{"stream": stream}])[0]
    (rule,) = rules(activities=[{"stream": stream, "action": "Was active"}])
    assert rule.action == "Was active"


def test_visitors_history_has_no_account_to_send() -> None:
    (rule,) = rules(activities=[{"stream": "visitor_history", "action": "{type}"}])

    assert rule.company is None


@pytest.mark.parametrize(
    ("raw", "combine", "value", "on_change", "date"),
    [
        (OWN, "value", "visitors", "report", "window_start"),
        ({**OWN, "date": "read_at"}, "value", "visitors", "report", "read_at"),
        ({**OWN, "aggregate": "sum"}, "sum", "visitors", "delta", "window_start"),
        ({**OWN, "aggregate": "max"}, "max", "visitors", "report", "window_start"),
        (
            {**OWN, "aggregate": "last", "on_change": "resend"},
            "last",
            "visitors",
            "resend",
            "window_start",
        ),
        (
            {"stream": "active", "dimension_id": "n", "aggregate": "count"},
            "count",
            None,
            "delta",
            "window_start",
        ),
        ({"stream": "page_events", "dimension_id": "n"}, "sum", "num_events", "delta", None),
        (
            {"stream": "page_events", "dimension_id": "n", "value": "num_minutes"},
            "sum",
            "num_minutes",
            "delta",
            None,
        ),
        (
            {"stream": "page_events", "dimension_id": "n", "aggregate": "count"},
            "count",
            None,
            "delta",
            None,
        ),
        (
            {"stream": "guide_events", "dimension_id": "n", "date": "browser_time"},
            "sum",
            None,
            "delta",
            None,
        ),
    ],
)
def test_defaults_of_metrics(
    raw: Raw, combine: str, value: str | None, on_change: str, date: str | None
) -> None:
    (rule,) = rules(metrics=[raw])

    assert (rule.combine, rule.value, rule.on_change, rule.date) == (
        combine,
        value,
        on_change,
        date,
    )
    assert (rule.name, rule.granularity) == (raw["dimension_id"], "day")


@pytest.mark.parametrize(("model", "field"), [("Company", "account_id"), ("EndUser", "visitor_id")])
def test_companies_and_end_users_are_matched_by_pendos_ids(model: str, field: str) -> None:
    assert metric(model=model).match == Match("row", (field,), "externalId")


def test_ids_may_lie_in_metadata_of_the_account() -> None:
    match = metric(match={"field": "account.metadata.custom.crm_id", "by": "sourceId"}).match

    assert match == Match("account", ("metadata", "custom", "crm_id"), "sourceId")


# Ids of metrics


@pytest.mark.parametrize(
    ("given", "found"),
    [
        ("active_visitors", "active_visitors"),
        ("Active visitors (30 d)", "Active_visitors_30_d_"),
        ("a__b", "a__b"),
        ("größe", "gr_e"),
        ("pes.score", "pes_score"),
    ],
)
def test_dimension_ids_are_sanitised(given: str, found: str) -> None:
    assert sanitised(given) == found
    assert metric(dimension_id=given).dimension_id == found


@given(st.text())
def test_what_is_sanitised_stays_so(text: str) -> None:
    once = sanitised(text)

    assert sanitised(once) == once
    assert set(once) <= set("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_")


def test_an_id_that_a_tenant_has_already_is_kept_on_demand() -> None:
    rule = metric(dimension_id="Cumulative Billable CPUs", dimension_id_as_is=True)

    assert rule.dimension_id == rule.name == "Cumulative Billable CPUs"


def test_two_metrics_with_one_sanitised_id_are_refused_unless_of_different_models() -> None:
    one = {**OWN, "name": "first", "dimension_id": "pes score"}
    two = {**OWN, "name": "second", "dimension_id": "pes.score"}

    (line,) = problems(metrics=[one, two])
    assert "first" in line
    assert "second" in line
    assert "pes_score of Company" in line
    assert problems(metrics=[one, {**two, "model": "EndUser"}]) == []
    assert problems(metrics=[one, {**two, "dimension_id_as_is": True}]) == []
    (line,) = problems(metrics=[OWN, OWN])
    assert "`metrics.0`" in line
    assert "`metrics.1`" in line


# Names


def test_several_rules_of_one_stream_need_names_of_their_own() -> None:
    feature: Raw = {"stream": "feature_events"}

    exports: Raw = {**feature, "only": ["f1"]}
    assert [rule.name for rule in rules(activities=[{**exports, "name": "a"}, feature])] == [
        "a",
        "feature_events",
    ]
    (line,) = problems(activities=[feature, {**exports, "name": "a"}, exports])
    assert "`activities.2`: `name` is required, as another rule for feature_events has" in line
    (line,) = problems(activities=[feature, {**feature, "name": "a"}])
    assert "`activities.1` (rule a): it sends the same as setting `activities.0`" in line
    (line,) = problems(activities=[{**feature, "name": "a"}, {**feature, "name": "a"}])
    assert "`name` a is that of setting `activities.0`" in line
    (line,) = problems(
        activities=[feature],
        metrics=[{"stream": "feature_events", "dimension_id": "feature_events"}],
    )
    assert "`metrics.0`: `name` feature_events" in line


# What is not allowed: a rule, what the line must name, what it must say is allowed

BAD_ACTIVITIES: list[tuple[Raw, str, str]] = [
    ({"stream": "feature_evnts"}, "feature_evnts", "page_events"),
    ({"stream": "features"}, "features", "feature_events"),
    ({"stream": "active_visitors"}, "active_visitors", "guide_events"),
    ({"stream": "two words"}, "activities.0.stream", "letters"),
    ({"action": "Used {featureName}"}, "placeholder {featureName}", "{feature_name}, {visitor_id}"),
    ({"action": "Used {num_events}"}, "action", "{feature_name}"),
    ({"action": "Used {hour}"}, "action", "{feature_name}"),
    ({"action": "Used {0}"}, "action", "{feature_name}"),
    ({"action": "Used {}"}, "action", "{feature_name}"),
    ({"action": "Used {feature_name.__class__}"}, "action", "{feature_name}"),
    ({"action": "Used {feature_name[0]}"}, "action", "{feature_name}"),
    ({"action": "Used {feature_name!r}"}, "action", "alone"),
    ({"action": "Used {feature_name:>99}"}, "action", "alone"),
    ({"action": "Used {feature_name"}, "action", "{{"),
    ({"action": "Used }"}, "action", "}}"),
    ({"action": ""}, "action", "at least 1"),
    ({"match": {"field": "visitorId"}}, "`match.field` names the field `visitorId`", "visitor_id"),
    ({"match": {"by": "name"}}, "activities.0.match.by", "externalId, email, sourceId"),
    ({"match": {"id": "visitor_id"}}, "activities.0.match.id", "field, by"),
    ({"company": "accountId"}, "company", "account_id"),
    ({"count": "clicks"}, "count", "num_events"),
    ({"count": "feature_id"}, "count", "num_minutes"),
    ({"info": {"minutes": "minutes"}}, "info", "num_minutes"),
    ({"where": {"app": [1]}}, "where", "app_id"),
    ({"where": {"app_id": 1}}, "activities.0.where.app_id", "array"),
    ({"where": {"country": ["D\0E"]}}, "where.country", "NUL character"),
    ({"where": {"app_id": [float("inf")]}}, "where.app_id", "usable size"),
    ({"where": {"country": [["DE"]]}}, "activities.0.where.country.0", "a text"),
    ({"only": ["f" * 1001]}, "`only`", "1000 characters"),
    ({"only": ["f\x001"]}, "`only`", "NUL character"),
    ({"only": [1.5]}, "activities.0.only.0", "a text or an integer"),
    ({"only": {"f1": 1}}, "activities.0.only", "array"),
    ({"only": []}, "only", "ids"),
    ({"stream": "events", "action": "A", "only": ["a"]}, "only", "feature_events"),
    ({"granularity": "week"}, "activities.0.granularity", "hour, day"),
    ({"weight": -1}, "activities.0.weight", "at least 0"),
    ({"agregate": "sum"}, "activities.0.agregate", "granularity"),
    ({"name": ""}, "activities.0.name", "200"),
    ({"name": "mine", "granularity": "week"}, "rule mine", "hour, day"),
    (
        {"stream": "visitor_history", "action": "A", "match": {"field": "account.id"}},
        "match.field",
        "account_id",
    ),
]
BAD_METRICS: list[tuple[Raw, str, str]] = [
    ({**OWN, "stream": "sync_windows"}, "sync_windows", "an aggregation"),
    ({**OWN, "stream": "accounts"}, "accounts", "an aggregation"),
    ({"stream": "active", "value": "n"}, "metrics.0.dimension_id", "required"),
    ({"dimension_id": "active", "value": "n"}, "metrics.0.stream", "required"),
    ({**OWN, "dimension_id": "§ $"}, "dimension_id", "letters"),
    ({**OWN, "dimension_id": " a", "dimension_id_as_is": True}, "dimension_id", "printable"),
    ({**OWN, "model": "company"}, "metrics.0.model", "Company, Asset, Project"),
    (ASSET, "match.field", "required"),
    ({**ASSET, "match": {"field": "asset", "by": "email"}}, "match.by", "externalId or sourceId"),
    ({**OWN, "match": {"by": "email"}}, "match.by", "externalId or sourceId"),
    ({**OWN, "aggregate": "count"}, "value", "exclude"),
    ({"stream": "active", "dimension_id": "n"}, "value", "aggregate: count"),
    ({"stream": "active", "dimension_id": "n", "aggregate": "sum"}, "value", "required"),
    ({**OWN, "aggregate": "mean"}, "metrics.0.aggregate", "sum, count, max, last"),
    ({**OWN, "only": ["a"]}, "only", "feature_events"),
    ({**OWN, "on_change": "ignore"}, "metrics.0.on_change", "report, delta, resend"),
    (
        {"stream": "page_events", "dimension_id": "n", "aggregate": "max"},
        "aggregate",
        "sum or count",
    ),
    ({"stream": "page_events", "dimension_id": "n", "value": "uses"}, "value", "num_events"),
    ({"stream": "page_events", "dimension_id": "n", "date": "first_time"}, "date", "hour, day"),
    (
        {"stream": "page_events", "dimension_id": "n", "match": {"field": "account"}},
        "match.field",
        "account_id",
    ),
    ({**OWN, "action": "Used"}, "metrics.0.action", "dimension_id"),
]


@pytest.mark.parametrize(
    ("raw", "named", "allowed"), BAD_ACTIVITIES, ids=[str(case[0]) for case in BAD_ACTIVITIES]
)
def test_bad_activities(raw: Raw, named: str, allowed: str) -> None:
    (line,) = problems(activities=[{"stream": "feature_events", **raw}])

    assert "activities.0" in line
    assert named in line
    assert allowed in line


@pytest.mark.parametrize(
    ("raw", "named", "allowed"), BAD_METRICS, ids=[str(case[0]) for case in BAD_METRICS]
)
def test_bad_metrics(raw: Raw, named: str, allowed: str) -> None:
    (line,) = problems(metrics=[raw])

    assert "metrics.0" in line
    assert named in line
    assert allowed in line


def test_a_field_that_may_be_a_secret_is_not_shown() -> None:
    (line,) = problems(activities=[{"stream": "feature_events", "company": "xyzzy@example.com"}])

    assert "xyzzy" not in line
    assert "account_id" in line


def test_each_faulty_rule_gets_its_line() -> None:
    lines = problems(
        activities=[{"stream": "a"}, {"stream": "page_events"}],
        metrics=[{**OWN, "stream": "users"}],
    )

    assert [line.split("`")[1] for line in lines] == ["activities.0", "metrics.0"]


# Fields at SCHEMA


def test_fields_that_a_stream_lacks_are_named() -> None:
    own = metric(date="day", where={"app_id": [1]}, match={"field": "visitor.metadata.id"})
    assert missing_fields(own, ["visitors", "app_id"]) == ["day", "visitor_id"]
    assert missing_fields(metric(date="read_at"), ["account_id", "visitors"]) == []

    use = activity(action="{feature_name} in {country}", only=["f"], info={"m": "num_minutes"})
    properties = {"visitor_id", "account_id", "num_events", "feature_id", "hour"}
    assert missing_fields(use, properties) == ["country", "num_minutes"]
    assert missing_fields(use, ["country", "num_minutes"]) == [
        "account_id",
        "day",
        "feature_id",
        "hour",
        "num_events",
        "visitor_id",
    ]


# Actions


def test_an_action_says_which_fields_tell_it_apart_and_which_names_it_wants() -> None:
    found = action("{app_id}: {feature_name} ({feature_id}) {{x}}", EVENT_STREAMS["feature_events"])

    assert (found.fields, found.named) == (("app_id", "feature_id"), 1)
    assert found.definitions == "features"
    assert found.text(["7", "f1"], "Export {now}") == "7: Export {now} (f1) {x}"


def test_an_action_without_the_entity_tells_no_entities_apart() -> None:
    found = action("Was active", EVENT_STREAMS["feature_events"])

    assert (found.fields, found.definitions, found.named) == ((), None, None)
    assert found.text([]) == "Was active"
