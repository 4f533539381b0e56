"""Settings: their defaults, and one clear line without a value for what is not allowed."""

from __future__ import annotations

import json
import typing as t
from zoneinfo import ZoneInfo

import pytest
from target_planhat.config import settings
from target_planhat.errors import TargetError
from target_planhat.target import TargetPlanhat
from target_planhat.value_parsing import iso

if t.TYPE_CHECKING:
    from pathlib import Path

TENANT = "5f1d1c5e-7f0c-4a53-9d5b-3c1f6f0c8a27"
API = {"api_token": "xyzzy-api-token"}
USERS_BY_EMAIL = [{"stream": "feature_events", "match": {"by": "email"}}]
USERS_BY_SOURCE = [{"stream": "feature_events", "match": {"by": "sourceId"}}]
ASSETS_BY_SOURCE = [
    {
        "stream": "uses",
        "dimension_id": "uses",
        "model": "Asset",
        "match": {"field": "asset", "by": "sourceId"},
        "value": "uses",
    }
]


def made(**config: t.Any) -> settings.Settings:
    """Read a configuration by the way that a run takes."""
    return settings.parsed(TargetPlanhat(config={"tenant_token": TENANT, **config}).config)


def refused(**config: t.Any) -> str:
    with pytest.raises(TargetError) as raised:
        made(**config)
    return raised.value.message


def test_defaults(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MELTANO_PROJECT_ROOT", "/somewhere")
    found = made()

    assert found.tenant_token == TENANT
    assert found.api_token is None
    assert found.api_url is None
    assert found.analytics_url == "https://analytics.planhat.com"
    assert (found.settle_hours, found.since, found.zone) == (8, None, ZoneInfo("UTC"))
    assert (found.unmatched, found.in_doubt) == ("send", "assume_sent")
    assert found.ledger_url == "sqlite:////somewhere/target-planhat.db"
    assert (found.create_end_users, found.dry_run, found.require_ledger) == (False, False, False)
    assert found.report_path is found.rejects_path is None
    assert [rule.name for rule in found.rules] == ["feature_events"]


def test_the_ledger_lies_in_the_current_folder_without_meltano(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.delenv("MELTANO_PROJECT_ROOT", raising=False)
    monkeypatch.chdir(tmp_path)

    assert made().ledger_url == f"sqlite:///{tmp_path}/target-planhat.db"


def test_with_an_api_token_the_unmatched_are_parked() -> None:
    assert made(**API).unmatched == "park"
    assert made(**API, unmatched="skip").unmatched == "skip"


@pytest.mark.parametrize(
    ("config", "url"),
    [
        # the client makes the host of the region, and names that setting where a token is refused
        ({"region": "eu3"}, None),
        ({"api_url": "http://127.0.0.1:8080/"}, "http://127.0.0.1:8080"),
        (
            {"region": "us4", "api_url": "https://api.planhatdemo.com"},
            "https://api.planhatdemo.com",
        ),
    ],
)
def test_host(config: dict[str, t.Any], url: str) -> None:
    assert made(**config).api_url == url


def test_white_space_is_taken_out_of_the_api_token() -> None:
    assert made(api_token=" abc\ndef\t\n").api_token == "abcdef"


@pytest.mark.parametrize(
    ("text", "day"),
    [
        ("2026-01-31", "2026-01-31"),
        ("2026-01-31T00:00:00+02:00", "2026-01-31"),
        ("2026-01-31T23:30:00Z", "2026-01-31"),
    ],
)
def test_since_is_the_day_as_it_is_written(text: str, day: str) -> None:
    since = made(since=text, timezone="America/New_York").since

    assert since is not None
    assert iso(since) == f"{day}T00:00:00.000Z"


@pytest.mark.parametrize(
    "text", ["20260131", "2026-W05-6", "2026-031", "2026-01-31T10", "1999-12-31"]
)
def test_since_is_no_text_that_only_some_versions_of_python_read(text: str) -> None:
    with pytest.raises(TargetError, match=r"setting `since`.*such as 2026-01-31"):
        made(since=text)


def test_no_secret_is_shown_with_the_settings() -> None:
    shown = repr(made(**API, ledger_url="postgresql://me:xyzzy-word@db/ledger"))

    assert TENANT not in shown
    assert "xyzzy" not in shown


def test_settings_come_from_the_environment_as_text(monkeypatch: pytest.MonkeyPatch) -> None:
    values = {
        "TENANT_TOKEN": TENANT,
        "SETTLE_HOURS": "0.5",
        "DRY_RUN": "True",
        "SINCE": "",
        "METRICS": json.dumps([{"stream": "uses", "dimension_id": "uses", "value": "n"}]),
    }
    for name, value in values.items():
        monkeypatch.setenv(f"TARGET_PLANHAT_{name}", value)
    found = settings.parsed(TargetPlanhat(parse_env_config=True).config)

    assert found.settle_hours == 0.5
    assert found.dry_run
    assert found.since is None
    assert [rule.stream for rule in found.rules] == ["uses"]


@pytest.mark.parametrize(
    ("text", "dry_run"),
    [("1", True), ("yes", True), ("ON", True), ("true", True), ("0", False), ("no", False)],
)
def test_truth_values_in_the_environment_are_those_of_the_sdk(
    text: str, dry_run: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TARGET_PLANHAT_TENANT_TOKEN", TENANT)
    monkeypatch.setenv("TARGET_PLANHAT_DRY_RUN", text)

    assert settings.parsed(TargetPlanhat(parse_env_config=True).config).dry_run is dry_run


# settings, what the line must name, what it must say is allowed
CASES: list[tuple[dict[str, t.Any], str, str]] = [
    ({"tenant_token": None}, "tenant_token", "required"),
    ({"tenant_token": ""}, "tenant_token", "UUID"),
    ({"tenant_token": "xyzzy two"}, "tenant_token", "without spaces"),
    ({"tenant_token": "xyzzy/two"}, "tenant_token", "/ ? # %"),
    ({"tenant_token": "xy\nzzy"}, "tenant_token", "printable"),
    ({"tenant_token": "\n "}, "tenant_token", "printable"),
    ({"api_token": "xyzzy\x00"}, "api_token", "printable"),
    ({"api_token": " \n"}, "api_token", "at least one"),
    ({"region": "xyzzy.eu/"}, "region", "eu3"),
    ({"api_url": "ftp://xyzzy"}, "api_url", "https://"),
    ({"analytics_url": "xyzzy"}, "analytics_url", "https://"),
    ({"settle_hours": -7531}, "settle_hours", "at least 0"),
    ({"settle_hours": "xyzzy"}, "settle_hours", "number"),
    ({"since": "xyzzy"}, "since", "2026-01-31"),
    ({"since": "31.12.2025"}, "since", "2026-01-31"),
    ({"since": "0001-01-01"}, "since", "2000 to 2099"),
    ({"timezone": "Mars/xyzzy"}, "timezone", "Europe/Berlin"),
    ({"timezone": "../xyzzy"}, "timezone", "Europe/Berlin"),
    ({"unmatched": "xyzzy"}, "unmatched", "park, send, skip, fail"),
    ({"unmatched": "park"}, "unmatched", "api_token"),
    ({"unmatched": "fail"}, "unmatched", "api_token"),
    ({"create_end_users": True}, "create_end_users", "api_token"),
    ({"create_end_users": "xyzzy"}, "create_end_users", "boolean"),
    ({"dry_run": "xyzzy"}, "dry_run", "boolean"),
    ({"in_doubt": "xyzzy"}, "in_doubt", "assume_sent, resend"),
    ({"ledger_url": "mysql://me:xyzzy@db/x"}, "ledger_url", "sqlite"),
    ({"ledger_url": "postgres://me:xyzzy@db/x"}, "ledger_url", "postgresql://"),
    ({"ledger_url": "sqlite:///:memory:"}, "ledger_url", "sqlite:///FILE"),
    ({"ledger_url": "postgresql://me:xy zzy@db/x"}, "ledger_url", "postgresql://"),
    ({"tenant_tokn": "xyzzy"}, "tenant_tokn", "tenant_token"),
    ({"activities": USERS_BY_SOURCE}, "feature_events", "api_token"),
    ({"activities": USERS_BY_EMAIL}, "feature_events", "api_token"),
    ({"metrics": ASSETS_BY_SOURCE}, "uses", "api_token"),
    ({"activities": "xyzzy"}, "activities", "array"),
]


@pytest.mark.parametrize(("config", "named", "allowed"), CASES, ids=[str(c[0]) for c in CASES])
def test_bad_settings(config: dict[str, t.Any], named: str, allowed: str) -> None:
    line = refused(**config)

    assert named in line
    assert allowed in line
    assert "\n" not in line
    assert "xyzzy" not in line
    assert "7531" not in line


def test_every_problem_gets_its_line() -> None:
    line = refused(settle_hours=-1, dry_run="xyzzy", region="-")

    assert [part.split("`")[1] for part in line.split("; ")] == [
        "region",
        "settle_hours",
        "dry_run",
    ]


def test_what_reads_planhat_is_allowed_with_an_api_token() -> None:
    found = made(
        **API,
        unmatched="fail",
        create_end_users=True,
        activities=USERS_BY_SOURCE,
        metrics=ASSETS_BY_SOURCE,
    )

    assert [rule.match.by for rule in found.rules] == ["sourceId", "sourceId"]


def test_secrets_are_marked() -> None:
    secret = {name for name, rule in settings.SCHEMA["properties"].items() if rule.get("secret")}

    assert secret == {"tenant_token", "api_token", "ledger_url"}
