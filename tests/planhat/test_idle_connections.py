"""Connections that a server closes while they idle: no post is lost on one, and none is doubled."""

from __future__ import annotations

import random
import threading
import typing as t

import pytest
from target_planhat import pipeline
from target_planhat.delivery import sender
from target_planhat.planhat.endpoints import PlanhatClient

from tests.planhat.idling import idling_proxy
from tests.planhat.posting import BOTH, Kind, fates, items, post
from tests.planhat.usage import ACTIVITIES, Usage, held, ledger, settle_in

if t.TYPE_CHECKING:
    from collections.abc import Callable

    from planhat_emulator.server import Emulator

    from tests.planhat.conftest import Time
    from tests.planhat.running import TargetRunner

GAPS = (0.0, 0.3, 0.7, 0.85, 0.88, 0.95, 0.97, 1.02, 1.5, 4.0, 90.0)


@pytest.mark.parametrize("most_idle", [1.0, 5.0])
@BOTH
def test_no_post_goes_over_a_connection_that_the_server_has_closed(
    connect: Callable[..., PlanhatClient],
    planhat: Emulator,
    time: Time,
    kind: Kind,
    most_idle: float,
) -> None:
    gaps = [*GAPS, *random.Random(1).choices(GAPS, k=37 - len(GAPS))]
    with idling_proxy(planhat.analytics_url, time, most_idle=most_idle) as proxy:
        client = connect(analytics_url=proxy.url)
        found = []
        for gap in gaps:
            time.sleep(gap)
            found += fates(post(client, kind, items(kind, 1)))
        client.close()

    assert found == ["accepted"] * 37
    assert (proxy.lost, planhat.world.count(kind)) == (0, 37)
    # those that follow at once share a connection
    assert 1 < proxy.connections < 37


class Ticking:
    """A clock that moves whenever somebody looks at it; threads may."""

    def __init__(self) -> None:
        self._now, self._lock = 0.0, threading.Lock()

    def clock(self) -> float:
        """Give the time, a third of a second later than the last time."""
        self.sleep(0.3)
        return self._now

    def sleep(self, seconds: float) -> None:
        """Let time pass."""
        with self._lock:
            self._now += seconds


def test_a_run_through_a_proxy_that_closes_idle_connections_leaves_nothing_in_doubt(
    target: TargetRunner, monkeypatch: pytest.MonkeyPatch
) -> None:
    settle_in(target.planhat.world)
    monkeypatch.setattr(sender, "BATCH", 1)
    clock = Ticking()

    def client(**settings: t.Any) -> PlanhatClient:
        return PlanhatClient(**settings, clock=clock.clock, sleep=clock.sleep)

    monkeypatch.setattr(pipeline, "PlanhatClient", client)
    # other threads look at the clock while a request is under way
    with idling_proxy(target.planhat.analytics_url, clock, most_idle=4.0) as proxy:
        report = target.run(*Usage().messages(), **ACTIVITIES, analytics_url=proxy.url)

    assert (target.error, proxy.lost) == (None, 0)
    assert (report["sent"], report["in_doubt"]) == (len(Usage().rows), 0)
    assert held(target.planhat.world) == Usage().activities
    assert not any(item.doubt for item in ledger(target.folder / "ledger.db").values())


def test_threads_that_post_at_once_have_connections_of_their_own(
    connect: Callable[..., PlanhatClient], planhat: Emulator, time: Time
) -> None:
    together = threading.Barrier(4)
    with idling_proxy(planhat.analytics_url, time, most_idle=1e9) as proxy:
        client = connect(analytics_url=proxy.url)

        def run_one() -> None:
            for _ in range(5):
                together.wait()
                client.post_activities(items("activities"))

        threads = [threading.Thread(target=run_one) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        client.close()
    assert planhat.world.count("activities") == 60
    assert 4 <= proxy.connections <= 20
