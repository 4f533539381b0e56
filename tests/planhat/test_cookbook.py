"""docs/planhat-cookbook.md: each of its recipes does what it says, against the emulated Planhat."""

from __future__ import annotations

import re
import typing as t
from pathlib import Path

import pytest
import yaml

from tests.planhat.running import EVENTS, FEATURES, WINDOWS, day, event, iso, record, schema, window

if t.TYPE_CHECKING:
    from tests.planhat.running import Message, Record, TargetRunner

PAGE = Path(__file__).parents[2] / "docs" / "planhat-cookbook.md"
RECIPES: list[Record] = [
    yaml.safe_load(block)
    for block in re.findall(r"```yaml\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
]
SOME_FEATURES, COMPANIES, ASSETS, SINCE, BY_EMAIL, BY_CRM, SEVERAL_COMPANIES = RECIPES[:7]
CREATED, APPS_BY_NAME, APPS_BY_RULE, APPS_AS_ASSETS, BOTH, PRESENCE, GUIDES = RECIPES[7:]
DAY = "2026-03-09"
VISITORS = schema("visitors", "visitor_id", "metadata")
ACCOUNTS = schema("accounts", "account_id", "metadata")


def uses(*rows: Message) -> list[Message]:
    """Input with these rows of feature_events, all of March 8th and 9th read whole."""
    return [WINDOWS, *FEATURES, EVENTS, *rows, window(day(8), day(10))]


def figure(stream: str, **fields: t.Any) -> list[Message]:
    """Input with one row of an aggregation by the day."""
    at = f"{DAY}T00:00:00Z"
    return [schema(stream, *fields, "window_start"), record(stream, window_start=at, **fields)]


def test_each_recipe_has_its_rules_and_its_test() -> None:
    headings = re.findall(r"^## (\d+)\. ", PAGE.read_text(encoding="utf-8"), re.MULTILINE)
    tested = {name.split("_")[1] for name in globals() if re.match(r"test_\d", name)}

    assert headings == [str(number) for number in range(1, 13)]
    assert tested == set(headings)


@pytest.fixture
def run(target: TargetRunner) -> t.Callable[..., TargetRunner]:
    def run(recipe: Record, *messages: Message) -> TargetRunner:
        settings = {key: str(v) if key == "since" else v for key, v in recipe.items()}
        target.run(*messages, **settings)
        assert target.error is None
        return target

    return run


Run = t.Callable[..., "TargetRunner"]


def test_1_uses_of_some_features(run: Run) -> None:
    rows = (event(day(9, 8), count=2), event(day(9, 9)), event(day(9, 9), feature="f2"))
    target = run(SOME_FEATURES, *uses(*rows))

    assert target.sums == {("u2", "Used Export", DAY): 3}


def test_2_an_aggregation_as_a_metric_of_companies(run: Run) -> None:
    target = run(COMPANIES, *figure("active_visitors", account_id="acme", active_visitors=7))

    assert target.planhat.world.point_sums() == {("active_visitors", "Company", "acme", DAY): 7}


def test_3_metrics_of_assets_and_projects(run: Run) -> None:
    given = (
        *figure("usage_by_workspace", workspace_id="a1", uses=4),
        *figure("usage_by_rollout", rollout_id="p1", uses=5),
    )

    assert run(ASSETS, *given).planhat.world.point_sums() == {
        ("uses", "Asset", "a1", DAY): 4,
        ("uses", "Project", "p1", DAY): 5,
    }


def test_4_nothing_older_is_sent(run: Run) -> None:
    target = run(SINCE, *uses(event(day(8, 8)), event(day(9, 8))))

    assert target.sums == {("u2", "Export", DAY): 1}


def test_5_end_users_by_their_address(run: Run) -> None:
    told = record("visitors", visitor_id="v9", metadata={"agent": {"email": "U2@acme.example"}})
    target = run(BY_EMAIL, VISITORS, told, *uses(event(day(9, 8), "v9")))

    assert target.sums == {("u2", "Export", DAY): 1}


def test_6_companies_by_an_id_of_the_crm(run: Run) -> None:
    told = record("accounts", account_id="17", metadata={"custom": {"crm_id": "s-acme"}})
    target = run(BY_CRM, ACCOUNTS, told, *uses(event(day(9, 8), count=3, account="17")))

    assert target.planhat.world.point_sums() == {("feature_uses", "Company", "acme", DAY): 3}


def test_7_the_account_chooses_among_companies(run: Run) -> None:
    target = run(SEVERAL_COMPANIES, *uses(event(day(9, 8), "u1", account="beta")))

    [activity] = target.planhat.world.activities()
    assert activity.end_user["email"] == "u1@beta.example"


def test_8_end_users_are_created(run: Run) -> None:
    told = record("visitors", visitor_id="new", metadata={"agent": {"email": "new@acme.example"}})
    target = run(CREATED, VISITORS, told, *uses(event(day(9, 8), "new")))

    assert target.sums == {("new", "Export", DAY): 1}


def test_9_several_apps_by_name_or_by_rule(run: Run, target: TargetRunner) -> None:
    given = uses(event(day(9, 8), app=1), event(day(9, 8), count=2, app=2))
    run(APPS_BY_NAME, *given)
    by_name = {("u2", "Export (app 1)", DAY): 1, ("u2", "Export (app 2)", DAY): 2}
    assert target.sums == by_name

    run(APPS_BY_RULE, *given)
    by_rule = {("u2", "Web: Export", DAY): 1, ("u2", "Mobile: Export", DAY): 2}
    assert target.sums == by_name | by_rule
    assert target.planhat.world.point_sums() == {
        ("web_uses", "Company", "acme", DAY): 1,
        ("mobile_uses", "Company", "acme", DAY): 2,
    }


def test_9_an_app_that_is_an_asset(run: Run, target: TargetRunner) -> None:
    asset = {"externalId": "2", "name": "Mobile", "companyId": "extid-acme"}
    target.planhat.world.seed(assets=[asset])
    run(APPS_AS_ASSETS, *uses(event(day(9, 8), app=2), event(day(9, 9), count=2, app=2)))

    assert target.planhat.world.point_sums() == {("feature_uses", "Asset", "2", DAY): 3}


def test_10_activity_or_metric(run: Run) -> None:
    target = run(BOTH, *uses(event(day(9, 8)), event(day(9, 8), count=4, feature="f2")))

    assert target.sums == {("u2", "Export", DAY): 1}
    assert target.planhat.world.point_sums() == {
        ("searches", "EndUser", "u2", DAY): 4,
        ("searches", "Company", "acme", DAY): 4,
    }


def test_11_presence(run: Run) -> None:
    rows = (event(day(9, 8), num_minutes=2), event(day(9, 9), feature="f2", num_minutes=3))
    target = run(PRESENCE, *uses(*rows))

    assert target.sums == {("u2", "Was active", DAY): 2}
    [activity] = target.planhat.world.activities()
    assert activity.weight == 0.1
    assert target.planhat.world.point_sums() == {("minutes", "Company", "acme", DAY): 5}


def test_12_guides_and_track_events(run: Run) -> None:
    common = {"visitor_id": "u2", "account_id": "acme", "app_id": 1, "read_at": iso(day(10))}
    at, hour = {"browser_time": iso(day(9, 8))}, {"hour": iso(day(9, 8)), "num_events": 2}
    given = [
        WINDOWS,
        schema("guides", "id", "name"),
        record("guides", id="g1", name="Tour"),
        schema("track_types", "id", "name"),
        record("track_types", id="t1", name="Invoice sent"),
        schema("guide_events", *common, *at, "guide_id", "type", "row_id", key=("row_id",)),
        record("guide_events", guide_id="g1", type="guideDismissed", row_id="1", **at, **common),
        record("guide_events", guide_id="g1", type="guideSeen", row_id="2", **at, **common),
        schema("track_events", *common, *hour, "track_type_id", "day", "row_id"),
        record("track_events", track_type_id="t1", row_id="3", **hour, **common),
        *(
            window(day(8), day(10), day(10), stream=name)
            for name in ("guide_events", "track_events")
        ),
    ]

    assert run(GUIDES, *given).sums == {
        ("u2", "Dismissed Tour", DAY): 1,
        ("u2", "Invoice sent", DAY): 2,
    }
