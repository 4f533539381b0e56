"""The lists whose form nobody has described, in each form they may have."""

from typing import Any

import pytest

LISTS = [
    "guide/order",
    "blacklist",
    "blacklist/type/visitor",
    "servername",
    "servername/flag/production",
    "feedback/options",
    "metadata/dependencies",
    "metadata/dependencies/visitor/agent/role",
    "bulkdelete",
    "guide/{guide}/history",
]


@pytest.fixture
def lists(own: Any) -> Any:
    """Get a list in a form; the knobs are as they were afterwards."""
    guide = own.get("/api/v1/guide").json()[0]["id"]

    def get(path: str, shape: str = "objects") -> Any:
        own.emulator.knobs.unknown_shapes = shape
        answer = own.get("/api/v1/" + path.replace("{guide}", guide))
        assert answer.status_code == 200, answer.text
        return answer.json()

    yield get
    own.emulator.knobs.unknown_shapes = "objects"


@pytest.mark.parametrize("path", LISTS)
def test_a_list_comes_in_three_forms(lists: Any, path: str) -> None:
    objects, strings, one = (lists(path, shape) for shape in ("objects", "strings", "object"))

    assert objects
    assert all(isinstance(row, dict) for row in objects)
    assert all(isinstance(row, str) for row in strings)
    assert len(objects) == len(strings) == len(set(strings)) == len(one)
    assert list(one) == strings
    assert all(set(strings) & set(map(str, row.values())) for row in objects)


def test_the_order_of_guides_is_of_those_that_show_themselves(lists: Any, own: Any) -> None:
    guides = {guide["id"]: guide for guide in own.get("/api/v1/guide?expand=*").json()}
    order = [guides[row["guideId"]] for row in lists("guide/order")]

    assert {(guide["state"], guide["launchMethod"]) for guide in order} == {("public", "auto")}
    assert [guide["attributes"]["priority"] for guide in order] == sorted(
        guide["attributes"]["priority"] for guide in order
    )


def test_the_history_of_a_guide_begins_where_asked(lists: Any, own: Any) -> None:
    every = lists("guide/{guide}/history")
    moments = [row["modifiedAt"] for row in every]
    later = lists(f"guide/{{guide}}/history?starttime={moments[1]}")

    assert moments == sorted(moments)
    assert later == every[1:]
    assert {"modifiedByUser" in row for row in every} == {True, False}
    assert own.get("/api/v1/guide/unknown/history").status_code == 404
    assert own.get(f"/api/v1/guide/{every[0]['guideId']}/history?starttime=x").status_code == 400


def test_the_exclude_list_names_whose_events_are_left_out(lists: Any, own: Any) -> None:
    rows = lists("blacklist")
    kinds = {row["type"] for row in rows}

    assert kinds == {"visitor", "server", "ip"}
    for kind in kinds:
        assert lists(f"blacklist/type/{kind}") == [row for row in rows if row["type"] == kind]
    assert {row["value"] for row in rows if row["type"] == "visitor"} == set(
        own.emulator.world.people.excluded
    )
    assert lists("blacklist/type/account") == []
    assert own.get("/api/v1/blacklist/type/nope").status_code == 400


def test_a_server_is_found_by_its_name(lists: Any, own: Any) -> None:
    rows = lists("servername")

    assert lists("servername/odd%20%22name%22%2Fpath") == rows[3]
    assert "flag" not in rows[3]
    assert own.get("/api/v1/servername/unknown").status_code == 404


def test_feedback_may_not_be_in_the_plan(own: Any) -> None:
    own.emulator.knobs.feedback = "not_included"
    answer = own.get("/api/v1/feedback/options")
    own.emulator.knobs.feedback = "included"

    assert (answer.status_code, answer.content) == (403, b"")


def test_parent_accounts_may_exist(own: Any) -> None:
    path = "/api/v1/metadata/schema/parentAccount"
    absent = own.get(path).status_code
    own.emulator.knobs.parent_accounts = "present"
    schema = own.get(path).json()
    own.emulator.knobs.parent_accounts = "absent"

    assert absent == 404
    assert schema["custom"]["headcount"]["Type"] == "integer"


def test_dependencies_name_guides_that_there_are(lists: Any, own: Any) -> None:
    guides = {guide["id"] for guide in own.get("/api/v1/guide?expand=*").json()}
    used = lists("metadata/dependencies/visitor/agent/role")

    assert {one["id"] for one in used} <= guides
    assert lists("metadata/dependencies/visitor/agent/nobody") == []


def test_deletion_jobs_are_in_three_states(lists: Any) -> None:
    assert {job["status"] for job in lists("bulkdelete")} == {"complete", "failed", "queued"}


def test_lists_are_only_read(own: Any) -> None:
    own.session.headers["x-pendo-integration-key"] = own.emulator.write_key

    assert own.call("POST", "/api/v1/blacklist").status_code == 405
