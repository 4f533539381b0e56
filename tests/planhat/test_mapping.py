"""Records become contributions to items, or are left out for a reason."""

from __future__ import annotations

import json
import typing as t
from datetime import date, datetime, time, timedelta, timezone
from decimal import Decimal
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st
from target_planhat.config import settings
from target_planhat.intake.record_mapper import Mapper
from target_planhat.rule_model import Cell, Rejection
from target_planhat.target import TargetPlanhat
from target_planhat.value_parsing import HOUR, Calendar, iso

Raw = dict[str, t.Any]
UTC = timezone.utc
STARTED = datetime(2026, 3, 12, 9, 30, tzinfo=UTC)
ROW: Raw = {
    "visitor_id": "v1",
    "account_id": "acme",
    "app_id": -323232,
    "feature_id": "f1",
    "hour": "2026-03-11T05:00:00.000Z",
    "day": None,
    "num_events": 7,
    "num_minutes": 3,
    "country": "DE",
    "latitude": 52.5,
    "first_time": "2026-03-11T05:10:00.000Z",
    "properties": {"plan": "pro"},
    "read_at": "2026-03-11T08:00:00.000Z",
}
EVENT: Raw = {
    "visitor_id": "v1",
    "account_id": "acme",
    "app_id": 1,
    "guide_id": "g1",
    "type": "guideSeen",
    "browser_time": "2026-03-11T05:59:59.999Z",
    "read_at": "2026-03-11T08:00:00.000Z",
}
FIGURE: Raw = {"account_id": "acme", "visitors": 12, "window_start": "2026-03-11T00:00:00.000Z"}
OWN: Raw = {"stream": "active", "dimension_id": "active", "value": "visitors"}


class Contribution(t.NamedTuple):
    """What a record counts for, and what it adds."""

    cell: Cell
    value: float
    info: dict[str, t.Any]


def ms(moment: datetime) -> int:
    return (moment - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(milliseconds=1)


def mapper(kind: str, raw: Raw, **config: t.Any) -> Mapper:
    config = {"tenant_token": "t", "api_token": "t", kind: [raw], **config}
    found = settings.parsed(TargetPlanhat(config=config).config)
    return Mapper(found.rules[0], zone=found.zone, since=found.since, started=ms(STARTED))


def mapped(by: Mapper, record: Raw) -> Contribution | Rejection:
    cell = by.cell(record)
    if isinstance(cell, Rejection):
        return cell
    value = by.value(record)
    return value if isinstance(value, Rejection) else Contribution(cell, value, by.info(record))


def activity(record: Raw, raw: Raw | None = None, **config: t.Any) -> Contribution | Rejection:
    rule = {"stream": "feature_events", **(raw or {})}
    return mapped(mapper("activities", rule, **config), record)


def metric(record: Raw, raw: Raw | None = None, **config: t.Any) -> Contribution | Rejection:
    return mapped(mapper("metrics", {**OWN, **(raw or {})}, **config), record)


def made(found: Contribution | Rejection) -> Contribution:
    assert isinstance(found, Contribution), found
    return found


def times(found: Contribution | Rejection) -> tuple[str, str, str, str]:
    """Date, end, bucket and its kind, to the minute."""
    one = made(found).cell
    return (iso(one.date)[:16], iso(one.ends)[:16], iso(one.bucket)[:16], one.period)


# What a row becomes


def test_a_feature_event() -> None:
    found = made(activity(ROW))

    assert found.cell._replace(date=0, ends=0, bucket=0, read_at=0) == Cell(
        subject="v1",
        company="acme",
        entity='["f1"]',
        date=0,
        ends=0,
        app="-323232",
        bucket=0,
        period="hour",
        read_at=0,
    )
    assert (found.value, found.info) == (7, {})
    assert iso(found.cell.read_at) == "2026-03-11T08:00:00.000Z"
    assert times(found) == ("2026-03-11T00:00", "2026-03-12T00:00", "2026-03-11T05:00", "hour")


def test_a_figure_of_an_aggregation() -> None:
    found = made(metric(FIGURE))

    assert (found.cell.subject, found.cell.company, found.cell.entity) == ("acme", "", "[]")
    assert (found.cell.app, found.value, found.info) == ("", 12, {})
    assert found.cell.read_at == ms(STARTED)
    assert times(found) == ("2026-03-11T00:00", "2026-03-12T00:00", "2026-03-11T00:00", "day")


# streams and rules, a record, the times
PLACES: list[tuple[Raw, Raw, Raw, tuple[str, str, str, str]]] = [
    (
        {"granularity": "hour"},
        {},
        ROW,
        ("2026-03-11T05:00", "2026-03-11T06:00", "2026-03-11T05:00", "hour"),
    ),
    (
        {},
        {"timezone": "America/New_York"},
        {**ROW, "hour": "2026-03-09T03:00:00Z"},
        ("2026-03-08T00:00", "2026-03-09T04:00", "2026-03-09T03:00", "hour"),
    ),
    (
        {},
        {"timezone": "Asia/Tokyo"},
        {**ROW, "hour": "2026-03-10T15:00:00.000000Z"},
        ("2026-03-11T00:00", "2026-03-11T15:00", "2026-03-10T15:00", "hour"),
    ),
    (
        {},
        {"timezone": "Europe/Berlin"},
        {**ROW, "hour": None, "day": "2026-03-28T23:00:00Z"},
        ("2026-03-29T00:00", "2026-03-29T22:00", "2026-03-28T23:00", "day"),
    ),
    # hours of UTC where days begin at half past: the last one ends after the day
    (
        {},
        {"timezone": "Asia/Kolkata"},
        {**ROW, "hour": "2026-03-11T18:00:00Z"},
        ("2026-03-11T00:00", "2026-03-11T19:00", "2026-03-11T18:00", "hour"),
    ),
    (
        {"granularity": "hour"},
        {},
        {**ROW, "hour": "2026-03-11T05:30:00Z"},
        ("2026-03-11T05:30", "2026-03-11T06:30", "2026-03-11T05:30", "hour"),
    ),
    (
        {"stream": "guide_events"},
        {},
        EVENT,
        ("2026-03-11T00:00", "2026-03-12T00:00", "2026-03-11T05:00", "hour"),
    ),
    (
        {"stream": "guide_events", "granularity": "hour"},
        {},
        EVENT,
        ("2026-03-11T05:00", "2026-03-11T06:00", "2026-03-11T05:00", "hour"),
    ),
]


@pytest.mark.parametrize(("raw", "config", "record", "expected"), PLACES)
def test_events_are_placed(
    raw: Raw, config: Raw, record: Raw, expected: tuple[str, str, str, str]
) -> None:
    assert times(activity(record, raw, **config)) == expected


@pytest.mark.parametrize(
    "written",
    [
        "2026-03-11T05:00:00Z",
        "2026-03-11T05:00:00.000000Z",
        "2026-03-11T05:00:00+00:00",
        "2026-03-11T00:00:00-05:00",
        "2026-03-11 05:00:00",
        1773205200000,
        1773205200000.0,
        Decimal(1773205200000),
    ],
)
def test_times_are_read_in_each_form(written: t.Any) -> None:
    assert iso(made(activity({**ROW, "hour": written})).cell.bucket) == "2026-03-11T05:00:00.000Z"


def test_a_date_alone_is_the_day_of_the_time_zone() -> None:
    found = metric({**FIGURE, "window_start": "2026-03-11"}, timezone="Asia/Tokyo")

    assert times(found) == ("2026-03-11T00:00", "2026-03-11T15:00", "2026-03-10T15:00", "day")


@pytest.mark.parametrize("written", ["20260311", "2026-W11-3", "2026-070"])
def test_what_only_some_versions_of_python_read_is_no_time(written: str) -> None:
    found = mapped(mapper("metrics", OWN), {**FIGURE, "window_start": written})

    assert found == Rejection("rejected", "`window_start` is not a time of the years 2000 to 2099")


@pytest.mark.parametrize("combine", ["sum", "count"])
def test_hours_of_an_aggregation_are_added_up(combine: str) -> None:
    raw = {"aggregate": combine} if combine == "sum" else {"aggregate": "count", "value": None}
    rule = {key: value for key, value in {**OWN, **raw}.items() if value is not None}
    record = {**FIGURE, "window_start": "2026-03-11T07:00:00Z"}
    found = mapped(mapper("metrics", rule), record)

    assert times(found) == ("2026-03-11T00:00", "2026-03-12T00:00", "2026-03-11T07:00", "hour")
    assert made(found).value == (12 if combine == "sum" else 1)


def test_a_snapshot_is_of_the_day_that_it_was_read() -> None:
    snapshot = {"account_id": "acme", "visitors": 12, "read_at": "2026-03-11T23:30:00Z"}
    raw = {"date": "read_at"}
    day = ("2026-03-12T00:00", "2026-03-12T23:00", "2026-03-11T23:00", "day")

    assert times(metric(snapshot, raw, timezone="Europe/Berlin")) == day
    del snapshot["read_at"]
    assert times(metric(snapshot, raw, timezone="Europe/Berlin")) == day
    assert made(metric(snapshot, raw)).cell.read_at == ms(STARTED)


# Values


@pytest.mark.parametrize(
    ("value", "figure"),
    [(7, 7), ("7", 7), (" 7.50 ", 7.5), (Decimal("7.25"), 7.25), (7.0, 7), (0, 0), ("1e3", 1000)],
)
def test_figures_are_read_in_each_form(value: t.Any, figure: float) -> None:
    assert made(metric({**FIGURE, "visitors": value})).value == figure


def test_a_figure_may_be_negative_but_not_a_count() -> None:
    assert made(metric({**FIGURE, "visitors": -2.5})).value == -2.5
    assert metric({**FIGURE, "visitors": -2.5}, {"aggregate": "sum"}) == Rejection(
        "rejected", "`visitors` is negative"
    )


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (123, "123"),
        (123.0, "123"),
        (Decimal("123.0"), "123"),
        (Decimal("1E+2"), "100"),
        (1.5, "1.5"),
        (2**60, "1152921504606846976"),
        (" v 1 ", " v 1 "),
        ("Ünï·cødé\u00a0", "Ünï·cødé\u00a0"),
        ("a" * 1000, "a" * 1000),
    ],
)
def test_ids_become_texts(value: t.Any, text: str) -> None:
    assert made(activity({**ROW, "visitor_id": value})).cell.subject == text
    assert made(activity({**ROW, "account_id": value})).cell.company == text
    assert json.loads(made(activity({**ROW, "feature_id": value})).cell.entity) == [text]


@pytest.mark.parametrize(("longest", "fits"), [("e" * 950, True), ("é" * 950, False)])
def test_ids_and_entity_have_2000_bytes_at_most(longest: str, *, fits: bool) -> None:
    found = activity({**ROW, "visitor_id": longest, "account_id": longest})

    assert isinstance(found, Rejection) is not fits


@pytest.mark.parametrize("account", [None, "", "  "])
def test_a_visitor_may_have_no_account(account: str | None) -> None:
    assert made(activity({**ROW, "account_id": account})).cell.company == ""


def test_no_company_is_sent_if_the_rule_says_so() -> None:
    assert made(activity(ROW, {"company": None})).cell.company == ""


def test_the_company_may_lie_in_the_events_own_properties() -> None:
    assert made(activity(ROW, {"company": "properties.plan"})).cell.company == "pro"


def test_each_single_event_counts_one() -> None:
    assert made(activity(EVENT, {"stream": "guide_events"})).value == 1


def test_the_entity_is_what_the_action_names() -> None:
    raw = {"action": "{country}: {feature_name} ({feature_id}, {latitude})"}

    assert made(activity(ROW, raw)).cell.entity == '["DE","f1","52.5"]'
    assert made(activity(ROW, {"action": "Was active"})).cell.entity == "[]"


def test_info_has_figures_and_texts() -> None:
    info = {
        "minutes": "num_minutes",
        "app": "app_id",
        "latitude": "latitude",
        "plan": "properties.plan",
        "all": "properties",
        "first": "first_time",
        "region": "region",
        "odd": "server",
    }
    record = {**ROW, "num_minutes": "3", "server": "a\x00b"}

    assert made(activity(record, {"info": info})).info == {
        "minutes": 3,
        "app": "-323232",
        "latitude": "52.5",
        "plan": "pro",
        "all": {"plan": "pro"},
        "first": "2026-03-11T05:10:00.000Z",
        "odd": "a\ufffdb",
    }


def test_objects_are_found_by_any_field() -> None:
    raw = {"model": "Asset", "match": {"field": "asset.id", "by": "sourceId"}}
    assert made(metric({**FIGURE, "asset": {"id": 7}}, raw)).cell.subject == "7"

    raw = {"match": {"field": "visitor.metadata.agent.email", "by": "email"}}
    assert made(activity(ROW, raw)).cell.subject == "v1"

    raw = {"match": {"field": "account.metadata.custom.crm_id"}}
    assert made(metric(FIGURE, raw)).cell.subject == "acme"


# What is left out: changes of the record, the rule, the settings; the fate and a part of the reason

LEFT_OUT: list[tuple[Raw, Raw, Raw, str, str]] = [
    ({}, {"only": ["f2"]}, {}, "ignored", "`only`"),
    ({}, {"where": {"app_id": [1]}}, {}, "ignored", "`where`"),
    ({"country": ["DE"]}, {"where": {"country": ["DE"]}}, {}, "ignored", "`where`"),
    ({}, {}, {"since": "2026-03-12"}, "ignored", "before `since`"),
    ({"hour": None}, {}, {}, "rejected", "`hour` or `day` is missing"),
    ({"hour": ""}, {}, {}, "rejected", "`hour` or `day` is missing"),
    ({"hour": "yesterday"}, {}, {}, "rejected", "`hour` is not a time"),
    ({"hour": "11.03.2026"}, {}, {}, "rejected", "`hour` is not a time"),
    ({"hour": "0001-01-01T00:00:00Z"}, {}, {}, "rejected", "`hour` is not a time"),
    ({"hour": "0001-01-01"}, {}, {"timezone": "Asia/Tokyo"}, "rejected", "`hour` is not a time"),
    ({"hour": "9999-12-31T23:59:59-12:00"}, {}, {}, "rejected", "`hour` is not a time"),
    ({"hour": 1773205200}, {}, {}, "rejected", "`hour` is not a time"),
    ({"hour": 10**30}, {}, {}, "rejected", "`hour` is not a time"),
    ({"hour": float("nan")}, {}, {}, "rejected", "`hour` is not a time"),
    ({"hour": True}, {}, {}, "rejected", "`hour` is not a time"),
    ({"hour": ["2026-03-11"]}, {}, {}, "rejected", "`hour` is not a time"),
    ({"read_at": "soon"}, {}, {}, "rejected", "`read_at` is not a time"),
    ({"num_events": None}, {}, {}, "rejected", "`num_events` is missing"),
    ({"num_events": True}, {}, {}, "rejected", "`num_events` is not a number"),
    ({"num_events": "7 or so"}, {}, {}, "rejected", "`num_events` is not a number"),
    ({"num_events": "1_000"}, {}, {}, "rejected", "`num_events` is not a number"),
    ({"num_events": "nan"}, {}, {}, "rejected", "`num_events` is not a number"),
    ({"num_events": float("nan")}, {}, {}, "rejected", "of usable size"),
    ({"num_events": float("-inf")}, {}, {}, "rejected", "of usable size"),
    ({"num_events": Decimal("NaN")}, {}, {}, "rejected", "of usable size"),
    ({"num_events": Decimal("sNaN")}, {}, {}, "rejected", "of usable size"),
    ({"num_events": 10**400}, {}, {}, "rejected", "of usable size"),
    ({"num_events": -1}, {}, {}, "rejected", "`num_events` is negative"),
    ({"visitor_id": None}, {}, {}, "rejected", "`visitor_id` is empty"),
    ({"visitor_id": "  "}, {}, {}, "rejected", "`visitor_id` is empty"),
    ({"visitor_id": "_PENDO_T_abc"}, {}, {}, "ignored", "anonymous visitor"),
    ({"visitor_id": "v\x00"}, {}, {}, "rejected", "`visitor_id` has a NUL character"),
    ({"visitor_id": "v\ud800"}, {}, {}, "rejected", "`visitor_id` has a NUL character"),
    ({"visitor_id": "v" * 1001}, {}, {}, "rejected", "longer than 1000"),
    ({"visitor_id": {"id": 1}}, {}, {}, "rejected", "neither text nor number"),
    ({"visitor_id": float("inf")}, {}, {}, "rejected", "of usable size"),
    ({"visitor_id": 10**5000}, {}, {}, "rejected", "of usable size"),
    ({"account_id": "a\0"}, {}, {}, "rejected", "`account_id` has a NUL character"),
    ({"feature_id": None}, {}, {}, "rejected", "`feature_id` is empty"),
    ({"country": None}, {"action": "From {country}"}, {}, "rejected", "`country` is empty"),
    (
        {"hour": None, "day": "2026-03-11T00:00:00Z"},
        {"granularity": "hour"},
        {},
        "rejected",
        "whole day",
    ),
    (
        {"hour": None, "day": "2026-03-11T00:00:00Z"},
        {},
        {"timezone": "Europe/Berlin"},
        "rejected",
        "`timezone`",
    ),
]


@pytest.mark.parametrize(("change", "raw", "config", "fate", "reason"), LEFT_OUT)
def test_what_is_left_out(change: Raw, raw: Raw, config: Raw, fate: str, reason: str) -> None:
    found = activity({**ROW, **change}, raw, **config)

    assert isinstance(found, Rejection), found
    assert found.fate == fate
    assert reason in found.reason
    assert "_PENDO" not in found.reason


@pytest.mark.parametrize("raw", [{}, {"aggregate": "max"}, {"aggregate": "last"}])
def test_hours_of_an_aggregation_give_no_single_figure_of_a_day(raw: Raw) -> None:
    found = metric({**FIGURE, "window_start": "2026-03-11T07:00:00Z"}, raw)

    assert isinstance(found, Rejection)
    assert found.fate == "rejected"
    assert "`window_start` is not the start of a day" in found.reason
    assert made(metric(FIGURE, raw)).value == 12


def test_a_figure_without_its_date_is_never_of_now() -> None:
    record = {"account_id": "acme", "visitors": 1, "read_at": "2026-03-11T08:00:00Z"}

    assert metric(record) == Rejection("rejected", "no time: `window_start` is missing")


def test_since_counts_days_of_the_time_zone() -> None:
    config = {"since": "2026-03-11", "timezone": "Asia/Tokyo"}
    for raw in ({}, {"granularity": "hour"}):
        first = activity({**ROW, "hour": "2026-03-10T15:00:00Z"}, raw, **config)
        assert isinstance(first, Contribution)
        before = activity({**ROW, "hour": "2026-03-10T14:00:00Z"}, raw, **config)
        assert before == Rejection("ignored", "before `since`")


def test_where_and_only_let_through_what_they_name() -> None:
    raw = {"only": ["f1"], "where": {"app_id": [-323232], "properties.plan": ["pro"]}}

    assert isinstance(activity(ROW, raw), Contribution)


def test_many_different_times_and_names_are_told_apart_all_the_same() -> None:
    found = mapper("activities", {"stream": "guide_events", "action": "{type}"})
    for at in range(60_000):
        browser_time = iso(ms(STARTED) + at)
        one = made(mapped(found, {**EVENT, "browser_time": browser_time, "type": f"t{at}"}))
        assert one.cell.entity == f'["t{at}"]'
    assert made(mapped(found, EVENT)).cell.entity == '["guideSeen"]'
    assert times(mapped(found, EVENT))[2] == "2026-03-11T05:00"


# Days

ZONES = [
    "UTC",
    "America/New_York",
    "Europe/Berlin",
    "Asia/Kolkata",
    "Australia/Lord_Howe",
    "America/Sao_Paulo",
    "America/Havana",
    "Africa/Cairo",
    "Pacific/Apia",
    "Asia/Beirut",
]


@given(
    st.sampled_from(ZONES),
    st.datetimes(datetime(2013, 1, 1), datetime(2037, 12, 1), timezones=st.just(UTC)),  # noqa: DTZ001 - hypothesis wants them naive
)
def test_days_are_those_of_the_time_zone(name: str, moment: datetime) -> None:
    zone = ZoneInfo(name)
    day = Calendar(zone).day(ms(moment))
    local = moment.astimezone(zone).date()

    assert day.label == ms(datetime.combine(local, time(), UTC))
    assert day.start <= ms(moment) < day.end
    assert [local_date(at, zone) for at in (day.start - 1, day.start, day.end - 1)] == [
        local - timedelta(days=1),
        local,
        local,
    ]
    assert local_date(day.end, zone) == local + timedelta(days=1)


def local_date(at: int, zone: ZoneInfo) -> date:
    return datetime.fromtimestamp(at / 1000, zone).date()


@given(
    st.sampled_from(ZONES),
    st.datetimes(datetime(2013, 1, 1), datetime(2037, 12, 1), timezones=st.just(UTC)),  # noqa: DTZ001 - as above
)
def test_all_hours_of_a_day_give_one_item_that_ends_with_the_last(
    name: str, moment: datetime
) -> None:
    zone = ZoneInfo(name)
    rule = mapper("activities", {"stream": "feature_events"}, timezone=name)
    first = ms(moment.replace(minute=0, second=0, microsecond=0))
    items: dict[date, list[Contribution]] = {}
    for hour in range(first, first + 72 * HOUR, HOUR):
        found = made(mapped(rule, {**ROW, "hour": iso(hour)}))
        items.setdefault(local_date(hour, zone), []).append(found)
    for label, parts in list(items.items())[1:-1]:
        assert {part.cell.date for part in parts} == {ms(datetime.combine(label, time(), UTC))}
        assert {part.cell.ends for part in parts} == {parts[-1].cell.bucket + HOUR}
