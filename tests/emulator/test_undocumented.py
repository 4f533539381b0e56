"""The lists whose form nobody has described, in each form they may have."""

from typing import Any

import pytest

LISTS = [
    "guide/order",
    "blacklist",
    "servername",
    "feedback/options",
    "metadata/dependencies",
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


def test_lists_are_only_read(own: Any) -> None:
    own.session.headers["x-pendo-integration-key"] = own.emulator.write_key

    assert own.call("POST", "/api/v1/blacklist").status_code == 405
