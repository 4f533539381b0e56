"""Lists whose answers are odd: null, without keys, or with keys that no column can hold."""

from __future__ import annotations

import typing as t

import pytest
from tap_pendo.api.client import PendoClient

if t.TYPE_CHECKING:
    from tests.conftest import Message, TapRunner, Warehouse

Answers = t.Callable[[str, t.Any], None]


@pytest.fixture
def answers(monkeypatch: pytest.MonkeyPatch) -> Answers:
    """Give a function that says what a path answers from now on."""
    known: dict[str, t.Any] = {}
    get = PendoClient.get

    def answered(self: PendoClient, path: str, *more: t.Any, **named: t.Any) -> t.Any:
        return known[path] if path in known else get(self, path, *more, **named)

    monkeypatch.setattr(PendoClient, "get", answered)
    return known.__setitem__


@pytest.mark.parametrize(
    ("path", "streams"),
    [
        ("/api/v1/segment", ("segments", "segment_members")),
        ("/api/v1/metadata/schema/parentAccount", ("metadata_parent_accounts",)),
    ],
)
def test_null_is_an_empty_list_and_marks_nothing(
    path: str, streams: tuple[str, ...], tap: TapRunner, answers: Answers
) -> None:
    answers(path, None)
    output = tap.run(select=streams)
    assert tap.exit_code == 0
    kinds = {m["type"] for m in output if m.get("stream") in streams}
    assert kinds == {"SCHEMA"}


def test_a_parent_that_is_no_list_fails_what_is_asked_for_each_item(
    tap: TapRunner, answers: Answers
) -> None:
    answers("/api/v1/segment", {"error": "none"})
    output = tap.run(select=("segment_members",))
    assert tap.exit_code == 1
    assert not output.records("segment_members")


@pytest.mark.parametrize("odd", [{"a": 1}, ["a"]])
def test_users_whose_id_is_no_text_are_left_out_with_a_warning(
    odd: t.Any, tap: TapRunner, answers: Answers, caplog: pytest.LogCaptureFixture
) -> None:
    users: list[Message] = [{"id": odd, "username": "x"}, {"id": 7}, {"id": "u1"}]
    answers("/api/v1/page", [{"id": str(n), "createdByUser": u} for n, u in enumerate(users)])
    for name in ("feature", "tracktype", "guide", "report", "segment"):
        answers(f"/api/v1/{name}", [])
    output = tap.run(select=("users",))
    assert [r["id"] for r in output.records("users")] == ["7", "u1"]
    assert "users: 1 of 3 rows have no `id` and are left out" in caplog.text


@pytest.mark.parametrize("parent", ["visitors", "accounts"])
def test_an_app_id_that_no_column_holds_is_left_out_with_a_warning(
    parent: str, tap: TapRunner, warehouse: Warehouse, caplog: pytest.LogCaptureFixture
) -> None:
    groups = {"auto": {"lastupdated": 1}, "auto_5": {}, f"auto_{10**20}": {}}
    fields = {"metadata": groups}
    fault = {"kind": "extra_fields", "fields": fields, "times": None, "source": parent}
    tap.pendo.faults.add(fault)
    stream = f"{parent[:-1]}_applications"
    output = tap.run(select=(stream,))
    warehouse.load(output)
    ((least, greatest),) = warehouse.rows(f"select min(app_id), max(app_id) from {stream}")
    assert (least, greatest) == (5, 5)
    assert "rows have no `app_id` and are left out" in caplog.text


@pytest.mark.parametrize(("times", "exit_code"), [(2, 0), (None, 1)])
def test_an_item_that_is_gone_meanwhile_has_no_rows(
    times: int | None, exit_code: int, tap: TapRunner
) -> None:
    fault = {"kind": "status", "status": 404, "path": "/api/v1/guide/{id}/history"}
    tap.pendo.faults.add({**fault, "times": times})
    output = tap.run(select=("guide_history",))
    # if all are, it is the path that Pendo does not know
    assert tap.exit_code == exit_code
    assert bool(output.records("guide_history")) == (not exit_code)
