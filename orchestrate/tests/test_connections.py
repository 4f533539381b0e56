"""The file of connections: read whole, or refused in one line that shows no value."""

from __future__ import annotations

import json
import typing as t
from datetime import date

import pytest

from orchestrate.commands import of_increments, of_piece, of_plan, settings
from orchestrate.connections import FILE, tenants
from orchestrate.errors import ConnectionsError
from orchestrate.pieces import piece
from tests.documents import blocks

if t.TYPE_CHECKING:
    from pathlib import Path

ACME: dict[str, t.Any] = {
    "name": "acme",
    "schema": "pendo_acme",
    "pendo": {
        "settings": {"region": "eu", "timezone": "Europe/Berlin", "page_size": 100},
        "secrets": {"integration_key": "ACME_KEY"},
    },
}
FULL: dict[str, t.Any] = {
    **ACME,
    "planhat": {"settings": {"region": "eu3"}, "secrets": {"tenant_token": "ACME_TENANT"}},
    "streams": ["page_events", "guide_events"],
    "apps": [-323232],
    "history": {"from": "2024-01-01", "to": "2025-01-01", "cut": "day"},
    "increments": {"schedule": "15 * * * *", "into": ["target-postgres", "target-planhat"]},
    "workers": 2,
    "max_calls_per_second": 10,
}
WRONG: list[tuple[t.Any, str]] = [
    ([], " must be a mapping of tenants"),
    ({"tenant": []}, "tenant is not known; it must be one of tenants"),
    ({"tenants": []}, "tenants must be a list of 1 to 1000"),
    ({"tenants": [{"name": "acme"}]}, "tenant acme: pendo is missing"),
    (
        {"tenants": [{**ACME, "scheme": 1}]},
        "tenant acme: scheme is not known; it must be one of name, ",
    ),
    ({"tenants": [{**ACME, "name": "A b"}]}, "tenant A b: name must be a name of small letters"),
    ({"tenants": [{**ACME, "pendo": {}}]}, "tenant acme: pendo.secrets.integration_key is missing"),
    (
        {"tenants": [{**ACME, "pendo": {"settings": {"integration_key": "xyzzy"}}}]},
        "tenant acme: pendo.settings.integration_key is not known; it must be one of region, ",
    ),
    (
        {"tenants": [{**ACME, "pendo": {"settings": {"start_date": "xyzzy"}}}]},
        "tenant acme: pendo.settings.start_date is not known",
    ),
    (
        {"tenants": [{**ACME, "pendo": {"secrets": {"integration_key": "xyzzy-1"}}}]},
        "pendo.secrets.integration_key must be the name of an environment variable",
    ),
    (
        {"tenants": [{**ACME, "pendo": {**ACME["pendo"], "settings": {"timezone": "xyzzy"}}}]},
        "pendo.settings.timezone must be the IANA name of a time zone",
    ),
    ({"tenants": [{**ACME, "streams": ["xyzzy"]}]}, "streams must be a list of some of events, "),
    ({"tenants": [{**ACME, "apps": ["xyzzy"]}]}, "apps must be a list of whole numbers"),
    ({"tenants": [{**ACME, "history": {"from": "xyzzy"}}]}, "history.from must be a day"),
    ({"tenants": [{**ACME, "history": {"cut": "xyzzy"}}]}, "history.cut must be month or day"),
    (
        {"tenants": [{**ACME, "history": {"from": "2025-01-01", "to": "2025-01-01"}}]},
        "history.to must be after history.from",
    ),
    ({"tenants": [{**ACME, "increments": {}}]}, "increments.schedule is missing"),
    (
        {"tenants": [{**FULL, "increments": {"schedule": "@daily", "into": ["xyzzy"]}}]},
        "increments.into must be a list of some of target-postgres, target-planhat",
    ),
    (
        {"tenants": [{**ACME, "increments": {"schedule": "@daily", "into": ["target-planhat"]}}]},
        "planhat must be given",
    ),
    ({"tenants": [{**ACME, "workers": 0}]}, "workers must be a whole number from 1 to 64"),
    ({"tenants": [{**ACME, "max_calls_per_second": 0}]}, "must be a number above 0, at most 100"),
    ({"tenants": [{**ACME, "workers": 30}]}, "workers must be at most max_calls_per_second"),
    ({"tenants": [ACME, ACME]}, "two tenants have the name acme"),
    ({"tenants": [ACME, {**ACME, "name": "b"}]}, "two tenants have the schema pendo_acme"),
]


def environment(folder: Path, content: t.Any) -> dict[str, str]:
    file = folder / "connections.yml"
    file.write_text(content if isinstance(content, str) else json.dumps(content))
    return {FILE: str(file)}


@pytest.mark.parametrize(("content", "told"), WRONG)
def test_a_mistake_is_one_line_that_names_the_key_and_shows_no_value(
    content: t.Any, told: str, tmp_path: Path
) -> None:
    variables = environment(tmp_path, content)
    with pytest.raises(ConnectionsError) as raised:
        tenants(variables)
    said = str(raised.value)
    assert said.startswith(f"{variables[FILE]}: ")
    assert told in said
    assert "\n" not in said
    assert "xyzzy" not in said


def test_the_file_that_the_page_shows_is_read(tmp_path: Path) -> None:
    [shown] = blocks("docs/orchestrate.md", "Connections", "yaml")
    [tenant] = tenants(environment(tmp_path, shown))
    assert (tenant.name, tenant.workers, tenant.pool) == ("acme", 4, "pendo_acme")


def test_what_is_no_file_and_no_yaml_is_said(tmp_path: Path) -> None:
    with pytest.raises(ConnectionsError, match=r"cannot read .*: No such file"):
        tenants({FILE: str(tmp_path / "none.yml")})
    with pytest.raises(ConnectionsError, match="no YAML at line 3"):
        tenants(environment(tmp_path, "tenants:\n- [\n"))


def test_a_thousand_tenants_are_read(tmp_path: Path) -> None:
    many = [{**ACME, "name": f"t{n}", "schema": f"s{n}"} for n in range(1000)]
    assert len(tenants(environment(tmp_path, {"tenants": many}))) == 1000
    with pytest.raises(ConnectionsError, match="1 to 1000"):
        tenants(environment(tmp_path, {"tenants": [*many, ACME]}))


def test_a_tenant_of_the_file_gets_its_own_settings_and_no_other(tmp_path: Path) -> None:
    [tenant] = tenants(environment(tmp_path, {"tenants": [FULL]}))
    around = {
        "ACME_KEY": "k",
        "ACME_TENANT": "t",
        "TAP_PENDO_REPORT_IDS": "[1]",
        "TARGET_PLANHAT_API_TOKEN": "of another",
        "TARGET_POSTGRES_HOST": "db",
        "PATH": "/bin",
    }
    made = settings(tenant, around)
    ours = {k: v for k, v in made.items() if k.startswith(("TAP_", "TARGET_"))}
    assert ours == {
        "TAP_PENDO_INTEGRATION_KEY": "k",
        "TAP_PENDO_REGION": "eu",
        "TAP_PENDO_TIMEZONE": "Europe/Berlin",
        "TAP_PENDO_PAGE_SIZE": "100",
        "TAP_PENDO_MAX_CALLS_PER_SECOND": "4",  # 10 calls of 2 workers, see rates.py
        "TARGET_PLANHAT_REGION": "eu3",
        "TARGET_PLANHAT_TENANT_TOKEN": "t",
        "TARGET_POSTGRES_HOST": "db",
        "TARGET_POSTGRES_DEFAULT_TARGET_SCHEMA": "pendo_acme",
    }
    assert of_piece(tenant, piece("-323232", "2024-03-31", "day", tenant.zone)) == {
        "TAP_PENDO_START_DATE": "2024-03-30T23:00:00+00:00",
        "TAP_PENDO_END_DATE": "2024-03-31T22:00:00+00:00",
        "TAP_PENDO_APP_IDS": "[-323232]",
        "TAP_PENDO__SELECT": '["sync_windows.*", "page_events.*", "guide_events.*"]',
    }
    assert of_plan(tenant)["TAP_PENDO_END_DATE"] == "2025-01-01"
    start = tenant.zone and piece("1", "2024-03-31", "day", tenant.zone).start
    assert of_increments(tenant, start)["TAP_PENDO_APP_IDS"] == "[-323232]"

    with pytest.raises(ConnectionsError, match="tenant acme: the environment variable ACME_TENANT"):
        settings(tenant, {"ACME_KEY": "k"})


def test_without_a_file_the_environment_is_the_one_tenant() -> None:
    around = {
        "TAP_PENDO_INTEGRATION_KEY": "k",
        "TAP_PENDO_START_DATE": "2025-01-01T00:00:00Z",
        "TAP_PENDO_TIMEZONE": "America/New_York",
        "TAP_PENDO_APP_IDS": "[1, 2]",
        "TAP_PENDO_MAX_CALLS_PER_SECOND": "12.5",
    }
    [tenant] = tenants(around)
    assert (tenant.name, tenant.schema, tenant.apps) == ("pendo", "tap_pendo", (1, 2))
    assert (tenant.history.start, tenant.max_calls_per_second) == (date(2025, 1, 1), 12.5)
    assert settings(tenant, around)["TAP_PENDO_INTEGRATION_KEY"] == "k"
    assert settings(tenant, around)["TAP_PENDO_MAX_CALLS_PER_SECOND"] == "2.125"
    with pytest.raises(ConnectionsError, match="TAP_PENDO_TIMEZONE must be the IANA name"):
        tenants({"TAP_PENDO_TIMEZONE": "xyzzy"})
    with pytest.raises(ConnectionsError, match="TAP_PENDO_MAX_CALLS_PER_SECOND must be a number"):
        tenants({"TAP_PENDO_MAX_CALLS_PER_SECOND": "xyzzy"})
