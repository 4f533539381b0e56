"""Who may call, which path answers what, and the lists."""

import gzip
from typing import Any

import pytest
import requests
from pendo_emulator.access import Keys
from pendo_emulator.product.definitions import DEFAULT_APP, SECOND_APP
from pendo_emulator.server import serve
from pendo_emulator.world import World

KEY = "x-pendo-integration-key"


@pytest.mark.parametrize("path", ["/api/v1/page", "/api/v1/token/verify", "/no/such/path"])
@pytest.mark.parametrize("key", [None, "", "unknown"])
def test_without_a_key_every_path_is_a_403_without_a_body(
    pendo: Any, path: str, key: str | None
) -> None:
    answer = pendo.get(path, headers={KEY: key})

    assert (answer.status_code, answer.content) == (403, b"")
    assert answer.headers["Content-Length"] == "0"


def test_a_key_of_another_region_is_a_400_with_a_text(pendo: Any) -> None:
    answer = pendo.get("/no/such/path", headers={KEY: pendo.emulator.other_region_key})

    assert answer.status_code == 400
    assert "region" in answer.text


def test_a_key_may_lose_its_validity(world: World) -> None:
    with serve(world) as emulator:
        emulator.keys[emulator.key].valid = False
        answer = requests.get(
            emulator.url + "/api/v1/page", headers={KEY: emulator.key}, timeout=10
        )

    assert answer.status_code == 403


def test_two_regions_share_one_table_of_keys(world: World) -> None:
    keys = Keys()
    with serve(world, keys=keys) as us, serve(world, region="eu", keys=keys) as eu:
        answers = [
            requests.get(url + "/api/v1/token/verify", headers={KEY: key}, timeout=10).status_code
            for url in (us.url, eu.url)
            for key in (us.key, eu.key)
        ]

    assert answers == [200, 400, 400, 200]


def test_verify_tells_about_write_access(pendo: Any) -> None:
    path = "/api/v1/token/verify"

    assert pendo.get(path).json() == {"valid": True, "writeAccess": False}
    assert pendo.get(path, headers={KEY: pendo.emulator.write_key}).json() == {
        "valid": True,
        "writeAccess": True,
    }


@pytest.mark.parametrize(
    ("verb", "path", "writes", "status"),
    [
        ("GET", "/api/v1/nothing", False, 404),
        ("GET", "/", False, 404),
        ("GET", "/api/v1/visitor", False, 404),
        ("GET", "/api/v1/metadata/schema/parentAccount", False, 404),
        ("GET", "/api/v1/aggregation", False, 405),
        ("PUT", "/api/v1/page", False, 403),
        ("PUT", "/api/v1/page", True, 405),
        ("DELETE", "/api/v1/nothing", True, 404),
        ("PUT", "/api/v1/metadata/visitor/custom/value/1/beta", False, 403),
    ],
)
def test_paths_and_verbs(pendo: Any, verb: str, path: str, writes: bool, status: int) -> None:
    key = pendo.emulator.write_key if writes else pendo.emulator.key
    answer = pendo.call(verb, path, headers={KEY: key})

    assert (answer.status_code, answer.content) == (status, b"")


@pytest.mark.parametrize("kind", ["page", "feature", "tracktype", "guide"])
def test_one_definition_is_not_to_be_had_by_its_path(pendo: Any, kind: str) -> None:
    one = pendo.get(f"/api/v1/{kind}?expand=*").json()[-1]["id"]

    assert pendo.get(f"/api/v1/{kind}/{one}").status_code == 404
    assert [each["id"] for each in pendo.get(f"/api/v1/{kind}?expand=*&id={one}").json()] == [one]


def test_header_name_is_not_case_sensitive(pendo: Any) -> None:
    headers = {KEY: None, "X-PENDO-Integration-Key": pendo.emulator.key}

    assert pendo.get("/api/v1/page", headers=headers).status_code == 200


@pytest.mark.parametrize("kind", ["page", "feature", "tracktype", "guide"])
def test_lists_hold_the_default_app_unless_told_otherwise(pendo: Any, kind: str) -> None:
    def apps(query: str) -> set[int]:
        return {one["appId"] for one in pendo.get(f"/api/v1/{kind}{query}").json()}

    assert apps("") == {DEFAULT_APP}
    assert apps("?limit=1") == {DEFAULT_APP}
    assert apps(f"?appId={SECOND_APP}") == {SECOND_APP}
    assert apps("?expand=*") > {DEFAULT_APP, SECOND_APP}
    assert apps("?appId=5") == set()


def test_a_list_is_a_bare_array_and_may_be_asked_for_ids(pendo: Any) -> None:
    known = [one["id"] for one in pendo.get("/api/v1/feature?expand=*").json()]
    found = pendo.get(f"/api/v1/feature?expand=*&id={known[0]},{known[7]},unknown").json()

    assert [one["id"] for one in found] == [known[0], known[7]]


def test_guides_may_be_asked_for_a_state(pendo: Any) -> None:
    found = pendo.get("/api/v1/guide?expand=*&state=draft").json()

    assert [(one["state"], one["publishedAt"]) for one in found] == [("draft", 0)]


@pytest.mark.parametrize("kind", ["account", "AccountMetadata", "visitor", "VisitorMetadata"])
def test_metadata_schema_has_every_type_and_group(pendo: Any, kind: str) -> None:
    schema = pendo.get(f"/api/v1/metadata/schema/{kind}").json()
    types = {field["Type"] for field in schema["custom"].values()}

    assert types == {"string", "time", "boolean", "integer", "float", "list", ""}
    assert {"auto", "agent", "pendo", "salesforce", "auto__323232"} < schema.keys()


def test_answers_are_json_and_compressed_only_when_asked(pendo: Any) -> None:
    plain = pendo.get("/api/v1/page", headers={"Accept-Encoding": "identity"})
    small = pendo.get("/api/v1/page", headers={"Accept-Encoding": "gzip"}, stream=True)

    assert plain.headers["Content-Type"] == "application/json"
    assert "Content-Encoding" not in plain.headers
    assert small.headers["Content-Encoding"] == "gzip"
    assert gzip.decompress(small.raw.read()) == plain.content


def test_an_aggregation_is_answered_in_chunks(pendo: Any) -> None:
    answer = pendo.aggregate("visitors")

    assert answer.headers["Transfer-Encoding"] == "chunked"
    assert list(answer.json()) == ["results"]


def test_start_time_comes_first_for_event_sources(pendo: Any) -> None:
    series = {"period": "dayRange", "first": "now()", "count": 1}
    answer = pendo.aggregate("pageEvents", None, series)

    assert list(answer.json()) == ["startTime", "results"]
    assert answer.text.startswith('{"startTime":1773187200000,"results":[')
