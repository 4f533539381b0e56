"""Both tokens and both hosts are asked for before anything is sent, and no secret is told."""

from __future__ import annotations

import logging
import typing as t

import pytest
from planhat_emulator.tokens import Token
from target_planhat.errors import PlanhatError

if t.TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from planhat_emulator.server import Emulator
    from target_planhat.planhat.endpoints import PlanhatClient

    from tests.planhat.conftest import Time

    Connect = Callable[..., PlanhatClient]

UNKNOWN = "00000000-0000-4000-8000-000000000000"


def test_right_tokens_pass_and_nothing_is_changed(client: PlanhatClient, planhat: Emulator) -> None:
    client.check()

    assert [(one.verb, one.path) for one in planhat.calls.log] == [
        ("GET", "/users"),
        ("POST", "/dimensiondata"),
    ]
    assert (planhat.world.count("points"), planhat.world.count("failed")) == (0, 0)


def test_without_an_api_token_only_the_tenant_token_is_asked_for(
    connect: Connect, planhat: Emulator
) -> None:
    connect(api_token=None).check()

    assert [(one.path, one.authorization) for one in planhat.calls.log] == [("/dimensiondata", "")]


def test_spaces_and_line_breaks_around_and_in_an_api_token_do_not_matter(
    connect: Connect, planhat: Emulator
) -> None:
    token = planhat.api_token
    connect(api_token=f" {token[:76]}\n{token[76:]}\r\n").check()

    assert planhat.calls.statuses == {200: 2}


def test_the_api_token_may_lack_permission_for_users(
    client: PlanhatClient, planhat: Emulator
) -> None:
    planhat.tokens.add(Token(planhat.api_token, denied={"users"}))

    client.check()


@pytest.mark.parametrize("bodies", ["json", "text", "html"])
@pytest.mark.parametrize("knob", [404, 401])
def test_a_wrong_tenant_token_is_told(
    connect: Connect, planhat: Emulator, knob: t.Any, bodies: t.Any
) -> None:
    planhat.knobs.unknown_tenant, planhat.knobs.error_bodies = knob, bodies

    with pytest.raises(PlanhatError, match="refuses the `tenant_token`") as error:
        connect(tenant_token=UNKNOWN).check()
    assert UNKNOWN not in error.value.message
    assert "\n" not in error.value.message


def test_a_wrong_tenant_token_that_planhat_swallows_cannot_be_told(
    connect: Connect, planhat: Emulator
) -> None:
    planhat.knobs.unknown_tenant = "sink"

    connect(tenant_token=UNKNOWN).check()


def test_a_tenant_token_is_one_part_of_the_path(connect: Connect, planhat: Emulator) -> None:
    with pytest.raises(PlanhatError, match="refuses the `tenant_token`"):
        connect(tenant_token=f"x/../{planhat.tenant_token}").check()


@pytest.mark.parametrize(("given", "named"), [({}, "`api_url`"), ({"api_url": None}, "`region`")])
def test_a_wrong_api_token_is_told_with_a_hint_at_the_region(
    connect: Connect,
    planhat: Emulator,
    given: dict[str, t.Any],
    named: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("target_planhat.planhat.endpoints.API_URL", planhat.url)

    with pytest.raises(PlanhatError, match="refuses the `api_token`") as error:
        connect(api_token="wrong-token", **given).check()
    assert named in error.value.message
    assert "wrong-token" not in error.value.message


def test_metrics_that_need_the_api_token_are_told(connect: Connect, planhat: Emulator) -> None:
    planhat.knobs.metrics_need_token = True
    connect().check()

    with pytest.raises(PlanhatError, match="metrics may need a valid `api_token`"):
        connect(api_token=None).check()


@pytest.mark.parametrize(
    ("setting", "named"), [("analytics_url", "`analytics_url`"), ("api_url", "`api_url`")]
)
@pytest.mark.parametrize("url", ["http://127.0.0.1:1", "http://planhat.invalid"])
def test_a_host_that_does_not_answer_is_told(
    connect: Connect, time: Time, setting: str, named: str, url: str
) -> None:
    with pytest.raises(PlanhatError, match="does not answer") as error:
        connect(**{setting: url}).check()
    assert named in error.value.message
    assert "127.0.0.1" not in error.value.message
    assert "invalid" not in error.value.message
    assert time.slept < 10


@pytest.mark.parametrize("status", [301, 400, 404, 500])
def test_a_host_that_is_another_is_told(
    client: PlanhatClient, planhat: Emulator, status: int
) -> None:
    planhat.faults.add({"kind": "status", "path": "/users", "status": status, "times": None})

    with pytest.raises(PlanhatError, match="`api_url`"):
        client.check()


@pytest.mark.parametrize("status", [301, 400])
def test_an_analytics_host_that_is_another_is_told(
    client: PlanhatClient, planhat: Emulator, status: int
) -> None:
    planhat.faults.add({"kind": "status", "path": "/dimensiondata", "status": status})

    with pytest.raises(PlanhatError, match="`analytics_url`"):
        client.check()


@pytest.mark.parametrize(
    ("region", "host"), [(None, "api.planhat.com"), ("eu3", "api-eu3.planhat.com")]
)
def test_the_region_picks_the_host_of_rest(
    connect: Connect, monkeypatch: pytest.MonkeyPatch, region: str | None, host: str
) -> None:
    hosts = []

    def refuse(address: tuple[str, int], *_: t.Any, **__: t.Any) -> t.NoReturn:
        hosts.append(address[0])
        raise OSError("no network here")

    monkeypatch.setattr("urllib3.util.connection.create_connection", refuse)
    for name in ("HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(PlanhatError, match="`region`"):
        connect(region=region, api_url=None).check()

    assert set(hosts) == {host}


# Is it well again?


@pytest.mark.parametrize(
    ("fault", "well", "calls", "waited"),
    [
        ({}, True, 1, 0),
        ({"kind": "status"}, True, 2, 1),
        ({"kind": "reset", "times": 3}, True, 4, 7),
        ({"kind": "status", "status": 503, "times": None}, False, 5, 15),
        ({"kind": "time_out", "times": None}, False, 5, 15),
        ({"kind": "status", "status": 404}, False, 1, 0),
        ({"kind": "malformed"}, True, 1, 0),
    ],
)
def test_whether_the_analytics_host_is_well_again_is_asked_with_pauses(
    client: PlanhatClient,
    planhat: Emulator,
    time: Time,
    fault: dict[str, t.Any],
    well: bool,
    calls: int,
    waited: float,
) -> None:
    if fault:
        planhat.faults.add(fault)

    assert client.recovers() is well
    assert client.calls == calls
    assert waited <= time.slept <= 1.25 * waited


# Secrets


def test_no_log_line_holds_a_token_even_at_debug_level(
    connect: Connect, planhat: Emulator, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    client = connect()
    planhat.faults.add({"kind": "status", "status": 429, "text": planhat.tenant_token})
    client.check()
    client.post_activities([{"externalId": "u2", "action": "x"}])
    connect(analytics_url="http://127.0.0.1:1").post_activities([{"externalId": "u2"}])

    said = caplog.text
    assert "urllib3.connectionpool" in said
    assert "try 2 in" in said
    assert planhat.tenant_token not in said
    assert planhat.api_token not in said


def test_no_error_holds_a_token_in_what_caused_it(connect: Connect, planhat: Emulator) -> None:
    with pytest.raises(PlanhatError) as error:
        connect(analytics_url="http://127.0.0.1:1").check()

    shown = error.getrepr(style="native", chain=True)
    assert planhat.tenant_token not in str(shown)


def test_passwords_of_netrc_are_not_sent(
    client: PlanhatClient,
    connect: Connect,
    planhat: Emulator,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    (tmp_path / "netrc").write_text("machine 127.0.0.1 login somebody password secret\n")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    client.check()
    connect(api_token=None).check()

    assert [one.authorization for one in planhat.calls.log] == ["Bearer", "Bearer", ""]


def test_activities_go_without_the_api_token_and_metrics_with_it(
    client: PlanhatClient, planhat: Emulator
) -> None:
    client.post_activities([{"externalId": "u2"}])
    client.post_metrics([{"externalId": "acme"}])

    assert [one.authorization for one in planhat.calls.log] == ["", "Bearer"]
    assert {one.content_type for one in planhat.calls.log} == {"application/json"}
