"""The main exchanges from recorded answers, with the network blocked.

The cassettes in this folder are recorded against the emulated Planhat, not a live tenant:

    RECORD=emulator ./do test tests/planhat/test_cassettes.py --record-mode=rewrite

Against a live tenant (they then hold customers' data, so they go to a folder that git ignores);
what is posted is about objects that do not exist there, so Planhat should keep none of it:

    RECORD=live TARGET_PLANHAT_TENANT_TOKEN=… TARGET_PLANHAT_API_TOKEN=… TARGET_PLANHAT_REGION=… \
        ./do test tests/planhat/test_cassettes.py --record-mode=rewrite --allowed-hosts='.*'
"""

from __future__ import annotations

import json
import os
import re
import typing as t
from pathlib import Path

import pytest
from emulation.clock import Clock
from planhat_emulator.server import serve
from planhat_emulator.world import World
from target_planhat.config.settings import ANALYTICS_URL
from target_planhat.planhat.endpoints import API_URL, PlanhatClient
from vcr.request import Request

if t.TYPE_CHECKING:
    from collections.abc import Callable, Iterator

RECORD = os.environ.get("RECORD", "")
FOLDER = Path(__file__).parent / ("cassettes-live" if RECORD == "live" else "cassettes")
TENANT = "00000000-0000-0000-0000-000000000000"
UNTOLD = {"date", "server", "set-cookie", "content-length", "transfer-encoding"}
KNOWN, NOBODY = "target-planhat-known", "target-planhat-nobody"
DATE = "2026-03-10T00:00:00.000Z"


def _check(client: PlanhatClient) -> t.Any:
    client.check()
    return client.recovers()


def _activities(client: PlanhatClient) -> t.Any:
    item = {"action": "Used Export", "date": DATE, "count": 7, "weight": 1, "info": {"app": "1"}}
    return client.post_activities([{"externalId": who, **item} for who in (KNOWN, NOBODY)])


def _metrics(client: PlanhatClient) -> t.Any:
    item = {"dimensionId": "active_visitors", "value": 12.5, "model": "Company", "date": DATE}
    nameless = {**item, "externalId": KNOWN}
    del nameless["dimensionId"]
    return client.post_metrics(
        [*({"externalId": who, **item} for who in (KNOWN, NOBODY)), nameless]
    )


def _end_users_created(client: PlanhatClient) -> t.Any:
    return client.upsert_end_users(
        [
            {
                "externalId": f"{who}-user",
                "email": f"{who}@planhat.example",
                "companyId": f"extid-{who}",
            }
            for who in (KNOWN, NOBODY)
        ]
    )


def _objects(client: PlanhatClient) -> t.Any:
    paths: tuple[t.Any, ...] = ("companies", "endusers", "assets", "projects")
    return {path: [len(page) for page in client.objects(path)] for path in paths}


def _points(client: PlanhatClient) -> t.Any:
    company = next(iter(client.objects("companies")))[0]["_id"]
    return [one["value"] for one in client.points(company, "logins", 20_500, 20_530)]


EXCHANGES: list[Callable[[PlanhatClient], t.Any]] = [
    *(_check, _activities, _metrics, _end_users_created, _objects, _points),
]


class Place(t.NamedTuple):
    """Where Planhat is: the settings of the client."""

    tenant_token: str
    api_token: str
    region: str | None = None
    api_url: str | None = None
    analytics_url: str = ANALYTICS_URL


@pytest.fixture(scope="module")
def place() -> Iterator[Place]:
    """Serve a small Planhat to record from, or name the live one; when replaying there is none."""
    if RECORD == "emulator":
        world = World(clock=Clock("2026-03-11T10:30:00Z"))
        world.seed(companies=[{"externalId": KNOWN, "name": "Known"}], endusers=3, assets=2)
        company = world.objects("companies")[0]
        world.add("endusers", {"externalId": KNOWN, "companyId": company["_id"]})
        point = {"dimensionId": "logins", "externalId": KNOWN, "date": DATE}
        world.take_metrics([{**point, "value": value} for value in (3, 5)])
        with serve(world) as planhat:
            yield Place(
                planhat.tenant_token,
                planhat.api_token,
                api_url=planhat.url,
                analytics_url=planhat.analytics_url,
            )
    else:
        given = os.environ if RECORD == "live" else {}
        names = ("TENANT_TOKEN", "API_TOKEN", "REGION")
        tenant, token, region = (given.get(f"TARGET_PLANHAT_{name}") for name in names)
        yield Place(tenant or TENANT, token or "replayed", region)


@pytest.fixture(scope="module")
def vcr_cassette_dir() -> str:
    """Say where the cassettes lie."""
    return str(FOLDER)


@pytest.fixture(scope="module")
def vcr_config(place: Place) -> dict[str, t.Any]:
    """Keep tokens, hosts and the time of recording out of the cassettes; tell bodies apart."""
    hidden = {
        place.tenant_token: TENANT,
        place.api_url or API_URL.format(f"-{place.region}"): API_URL.format(""),
        place.analytics_url: ANALYTICS_URL,
    }

    def request(one: Request) -> Request:
        for secret, shown in hidden.items():
            one.uri = one.uri.replace(secret, shown)
        # sent in pieces
        body = b"".join(one.body) if hasattr(one.body, "__next__") else one.body
        return Request(one.method, one.uri, body, one.headers)

    def response(one: t.Any) -> t.Any:
        for name in [n for n in one["headers"] if n.lower() in UNTOLD]:
            del one["headers"][name]
        return one

    return {
        "filter_headers": [("Authorization", "REDACTED"), "User-Agent"],
        "before_record_request": request,
        "before_record_response": response,
        "decode_compressed_response": True,
        "match_on": ["method", "scheme", "host", "path", "query", "body"],
    }


@pytest.mark.vcr
@pytest.mark.block_network(allowed_hosts=["127.0.0.1"] if RECORD else [])
@pytest.mark.parametrize("exchange", EXCHANGES, ids=lambda one: one.__name__.strip("_"))
def test_a_recorded_exchange(
    exchange: Callable[[PlanhatClient], t.Any], place: Place, request: pytest.FixtureRequest
) -> None:
    client = PlanhatClient(**place._asdict())
    found = exchange(client)
    client.close()

    if RECORD != "live":
        told = json.dumps(found, indent=1, sort_keys=True) + "\n"
        file = FOLDER / f"{request.node.callspec.id}.json"
        if RECORD:
            file.write_text(told)
        assert told == file.read_text()


def test_the_cassettes_hold_no_token_and_no_address_of_the_recording() -> None:
    files = sorted(FOLDER.glob("*.yaml"))
    assert len(files) == len(EXCHANGES)
    for file in files:
        text = file.read_text()
        assert set(re.findall(r"Authorization:\s*- (.+)", text)) <= {"REDACTED"}
        assert set(re.findall(r"(?:bulk|dimensiondata)/([^\s?]+)", text)) <= {TENANT}
        assert "127.0.0.1" not in text
        assert set(re.findall(r"uri: https?://([^/]+)/", text)) <= {
            "api.planhat.com",
            "analytics.planhat.com",
        }
