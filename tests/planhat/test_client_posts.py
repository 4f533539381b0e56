"""Posts of activities and metrics: what becomes of each item, whatever Planhat does."""

from __future__ import annotations

import socket
import threading
import typing as t

import pytest
from target_planhat.errors import PlanhatError
from target_planhat.planhat import endpoints as client_module

from tests.planhat.posting import BOTH, KINDS, PATHS, Kind, fates, items, post

if t.TYPE_CHECKING:
    from collections.abc import Callable

    from planhat_emulator.server import Emulator
    from target_planhat.planhat.endpoints import PlanhatClient

    from tests.planhat.conftest import Time


@pytest.mark.parametrize("form", ["json", "text", "empty"])
@pytest.mark.parametrize("processed", ["total", "stored"])
@BOTH
def test_items_are_accepted_whatever_the_form_of_the_answer(
    client: PlanhatClient, planhat: Emulator, kind: Kind, form: t.Any, processed: t.Any
) -> None:
    planhat.knobs.activity_answer, planhat.knobs.processed = form, processed

    assert fates(post(client, kind, items(kind))) == ["accepted"] * 3
    assert planhat.world.count(kind) == 3
    assert planhat.world.count("failed") == 0


@BOTH
def test_nothing_is_sent_for_no_items(client: PlanhatClient, planhat: Emulator, kind: Kind) -> None:
    assert post(client, kind, []) == []
    assert (client.calls, len(planhat.calls.log)) == (0, 0)


@pytest.mark.parametrize(
    ("fault", "fate", "stored", "tries"),
    [
        ({"kind": "status", "status": 500}, "doubtful", 0, 1),
        ({"kind": "status", "status": 500, "commit": True}, "doubtful", 3, 1),
        ({"kind": "status", "status": 502, "form": "html", "text": "bad"}, "doubtful", 0, 1),
        ({"kind": "status", "status": 503, "retry_after": 9}, "accepted", 3, 2),
        ({"kind": "status", "status": 503, "times": None}, "unsent", 0, 8),
        ({"kind": "status", "status": 504, "commit": True}, "doubtful", 3, 1),
        ({"kind": "reset"}, "doubtful", 0, 1),
        ({"kind": "reset", "commit": True}, "doubtful", 3, 1),
        ({"kind": "time_out"}, "doubtful", 0, 1),
        ({"kind": "time_out", "commit": True}, "doubtful", 3, 1),
        ({"kind": "malformed"}, "accepted", 3, 1),
        ({"kind": "malformed", "text": "<html>"}, "accepted", 3, 1),
        # nothing was taken, perhaps for one item: smaller posts say for which
        ({"kind": "status", "status": 400, "text": "no"}, "accepted", 3, 3),
        ({"kind": "status", "status": 400, "text": "no", "times": None}, "refused", 0, 5),
        ({"kind": "status", "status": 422, "form": "json", "times": None}, "refused", 0, 5),
        ({"kind": "status", "status": 405, "text": "no"}, "refused", 0, 1),
        ({"kind": "status", "status": 429, "times": 3}, "accepted", 3, 4),
        ({"kind": "status", "status": 429, "times": None}, "unsent", 0, 8),
    ],
)
@BOTH
def test_a_fault_decides_the_fate_and_only_what_certainly_failed_is_sent_again(
    client: PlanhatClient,
    planhat: Emulator,
    kind: Kind,
    fault: dict[str, t.Any],
    fate: str,
    stored: int,
    tries: int,
) -> None:
    planhat.faults.add({"path": PATHS[kind], **fault})

    assert fates(post(client, kind, items(kind))) == [fate] * 3
    assert planhat.world.count(kind) == stored
    assert planhat.calls.counts[PATHS[kind], "POST"] == client.calls == tries


@pytest.mark.parametrize("fault", ["time_out", "delay"])
def test_an_answer_that_does_not_come_in_time_leaves_doubt(
    connect: Callable[..., PlanhatClient], planhat: Emulator, fault: str
) -> None:
    planhat.faults.add({"kind": fault, "seconds": 20})
    outcomes = connect(timeout=0.3).post_activities(items("activities"))

    assert fates(outcomes) == ["doubtful"] * 3
    assert "ReadTimeout" in outcomes[0].reason


@pytest.mark.parametrize("kind", KINDS)
def test_a_post_that_planhat_says_it_has_taken_is_accepted_though_the_answer_breaks_off(
    connect: Callable[..., PlanhatClient], kind: Kind, caplog: pytest.LogCaptureFixture
) -> None:
    begun = b'HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{"processed":'
    with socket.create_server(("127.0.0.1", 0)) as server:
        threading.Thread(target=_answer_once, args=(server, begun), daemon=True).start()
        client = connect(analytics_url=f"http://127.0.0.1:{server.getsockname()[1]}")

        assert fates(post(client, kind, items(kind))) == ["accepted"] * 3
    assert "the answer 200 broke off" in caplog.text


def _answer_once(server: socket.socket, answer: bytes) -> None:
    connection, _ = server.accept()
    with connection:
        while not connection.recv(65_536).endswith(b"]"):
            continue
        connection.sendall(answer)


def test_a_reset_on_a_connection_that_is_used_again_leaves_doubt(
    client: PlanhatClient, planhat: Emulator
) -> None:
    planhat.faults.add({"kind": "reset", "commit": True, "after": 1})

    assert fates(client.post_activities(items("activities"))) == ["accepted"] * 3
    assert fates(client.post_activities(items("activities"))) == ["doubtful"] * 3
    assert planhat.world.count("activities") == 6


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1:1",  # nobody listens
        "http://planhat.invalid",  # no such name
    ],
)
def test_what_does_not_get_through_is_tried_again_and_then_unsent(
    connect: Callable[..., PlanhatClient], time: Time, url: str
) -> None:
    client = connect(analytics_url=url)
    outcomes = client.post_activities(items("activities"))

    assert fates(outcomes) == ["unsent"] * 3
    assert client.calls == 8
    assert 123 <= time.slept <= 154  # 1, 2, 4 … 60 seconds, and some jitter


def test_a_connection_that_ends_before_the_items_are_sent_leaves_no_doubt(
    connect: Callable[..., PlanhatClient], planhat: Emulator
) -> None:
    # TLS is answered by a server that has none
    client = connect(analytics_url=planhat.analytics_url.replace("http:", "https:"))

    assert fates(client.post_activities(items("activities"))) == ["unsent"] * 3
    assert planhat.world.count("activities") == 0


def test_a_proxy_that_refuses_leaves_no_doubt(
    connect: Callable[..., PlanhatClient], planhat: Emulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTPS_PROXY", planhat.url)  # answers CONNECT with 404
    monkeypatch.delenv("NO_PROXY", raising=False)
    monkeypatch.delenv("no_proxy", raising=False)
    client = connect(analytics_url="https://analytics.planhat.invalid")

    assert fates(client.post_activities(items("activities"))) == ["unsent"] * 3


@pytest.mark.parametrize(
    ("fault", "least", "most"),
    [
        ({"retry_after": 40}, 40, 42),
        ({"retry_after": 40, "headers": "both"}, 40, 42),
        ({"headers": "new"}, 60, 62),  # the knob rate_window
        ({"headers": "both"}, 60, 62),
        ({"headers": "old"}, 1, 2),  # does not say when the quota begins anew
        ({}, 1, 2),
        ({"retry_after": 86_400}, 900, 902),
    ],
)
def test_after_429_the_next_try_waits_as_long_as_planhat_asks(
    client: PlanhatClient,
    planhat: Emulator,
    time: Time,
    fault: dict[str, t.Any],
    least: float,
    most: float,
) -> None:
    planhat.faults.add({"kind": "status", "status": 429, **fault})

    assert fates(client.post_activities(items("activities"))) == ["accepted"] * 3
    assert least <= time.slept <= most


def test_retry_after_may_be_a_date(client: PlanhatClient, planhat: Emulator, time: Time) -> None:
    planhat.knobs.retry_after = "http-date"
    planhat.clock.set("2100-01-01T00:00:00Z")
    planhat.faults.add({"kind": "status", "status": 429, "retry_after": 5})

    assert fates(client.post_activities(items("activities"))) == ["accepted"] * 3
    assert 900 <= time.slept <= 902


@pytest.mark.parametrize("status", [401, 403, 404])
@BOTH
def test_a_refused_tenant_ends_the_run(
    client: PlanhatClient, planhat: Emulator, kind: Kind, status: int
) -> None:
    planhat.faults.add({"kind": "status", "status": status})

    with pytest.raises(PlanhatError, match="`tenant_token`"):
        post(client, kind, items(kind))


def test_a_redirect_ends_the_run(client: PlanhatClient, planhat: Emulator) -> None:
    planhat.faults.add({"kind": "status", "status": 301})

    with pytest.raises(PlanhatError, match="`analytics_url`"):
        client.post_activities(items("activities"))
    assert client.calls == 1


# Size


def test_more_items_than_a_post_may_have_go_out_in_several(
    client: PlanhatClient, planhat: Emulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client_module, "MOST_ITEMS", 4)

    assert fates(client.post_activities(items("activities", 10))) == ["accepted"] * 10
    assert [one.items for one in planhat.calls.log] == [4, 4, 2]
    assert [one.count for one in planhat.world.activities()] == list(range(10))


def test_posts_are_cut_by_their_bytes_in_utf_8(
    client: PlanhatClient, planhat: Emulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client_module, "MOST_BYTES", 1000)
    planhat.knobs.max_body = 1000
    sent = [{"externalId": "u2", "action": "ü" * 20 * (n % 5)} for n in range(50)]

    assert fates(client.post_activities(sent)) == ["accepted"] * 50
    assert planhat.world.count("activities") == 50
    assert 900 < max(one.size for one in planhat.calls.log) <= 1000


def test_an_item_that_is_too_large_alone_is_refused_unsent(
    client: PlanhatClient, planhat: Emulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client_module, "MOST_BYTES", 1000)
    sent = items("activities")
    sent[1]["info"] = {"text": "x" * 1000}

    assert fates(client.post_activities(sent)) == ["accepted", "refused", "accepted"]
    assert planhat.world.count("activities") == 2
    assert planhat.world.count("failed") == 0


@BOTH
def test_a_post_that_planhat_finds_too_large_is_halved(
    client: PlanhatClient, planhat: Emulator, kind: Kind
) -> None:
    planhat.knobs.max_body = 500
    sent = items(kind, 20)
    sent[7]["info"] = {"text": "x" * 500}
    outcomes = post(client, kind, sent)

    assert fates(outcomes) == ["accepted"] * 7 + ["refused"] + ["accepted"] * 12
    assert "too large" in outcomes[7].reason
    assert planhat.world.count(kind) == 19
    assert planhat.calls.items(PATHS[kind]) == 19


@pytest.mark.parametrize(("knob", "fate"), [(400, "refused"), ("sink", "accepted")])
def test_other_answers_to_a_post_that_is_too_large_are_believed(
    client: PlanhatClient, planhat: Emulator, knob: t.Any, fate: str
) -> None:
    planhat.knobs.max_body, planhat.knobs.too_large = 10, knob

    assert fates(client.post_activities(items("activities"))) == [fate] * 3


# Several posts


@pytest.mark.parametrize(
    ("fault", "expected"),
    [
        ({"kind": "reset"}, ["accepted", "doubtful", "unsent", "unsent"]),
        ({"kind": "status"}, ["accepted", "doubtful", "unsent", "unsent"]),
        ({"kind": "status", "status": 404}, ["accepted", "unsent", "unsent", "unsent"]),
        (
            {"kind": "status", "status": 429, "times": 8},
            ["accepted", "unsent", "unsent", "unsent"],
        ),
        ({"kind": "status", "status": 400}, ["accepted", "refused", "accepted", "accepted"]),
    ],
)
def test_nothing_is_sent_after_a_post_that_was_not_answered_and_outcomes_are_never_lost(
    client: PlanhatClient,
    planhat: Emulator,
    monkeypatch: pytest.MonkeyPatch,
    fault: dict[str, t.Any],
    expected: list[str],
) -> None:
    monkeypatch.setattr(client_module, "MOST_ITEMS", 1)
    planhat.faults.add({"after": 1, **fault})

    assert fates(client.post_activities(items("activities", 4))) == expected
    assert planhat.world.count("activities") == expected.count("accepted")


def test_once_stopped_nothing_is_sent_or_waited_for(
    connect: Callable[..., PlanhatClient],
    planhat: Emulator,
    time: Time,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    planhat.faults.add({"kind": "status", "status": 429, "retry_after": 600})
    monkeypatch.setattr(time, "sleep", lambda _seconds: client.stop())
    client = connect()

    assert fates(client.post_activities(items("activities"))) == ["unsent"] * 3
    assert client.calls == 1
    assert fates(client.post_metrics(items("points"))) == ["unsent"] * 3
    assert client.calls == 1


def test_threads_may_post_at_once(client: PlanhatClient, planhat: Emulator) -> None:
    fates_of: list[list[str]] = []
    planhat.faults.add({"kind": "status", "status": 429, "times": 5})

    def run() -> None:
        fates_of.extend(fates(post(client, kind, items(kind, 50))) for kind in KINDS)

    threads = [threading.Thread(target=run) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert fates_of == [["accepted"] * 50] * 8
    assert (planhat.world.count("activities"), planhat.world.count("points")) == (200, 200)
    assert client.calls == 13
