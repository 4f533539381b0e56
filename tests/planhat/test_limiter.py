"""The quota: so many calls in any minute, with pauses that all keep, and waits as asked."""

from __future__ import annotations

import email.utils
import threading
import time as real_time
import typing as t
from datetime import datetime, timedelta, timezone

import pytest
from requests.structures import CaseInsensitiveDict
from target_planhat.planhat.http import Limiter, asked_wait

if t.TYPE_CHECKING:
    from tests.planhat.conftest import Time


def test_no_minute_has_more_calls_than_allowed(time: Time) -> None:
    limiter = Limiter(3, time.clock, time.sleep)
    moments = []
    for pause in (0, 20, 0, 0, 0, 0, 45, 0, 0):
        time.sleep(pause)
        limiter.wait()
        moments.append(time.now - time.begun)

    assert moments == [0, 20, 20, 60, 80, 80, 125, 140, 140]
    assert all(later - now >= 60 for now, later in zip(moments, moments[3:], strict=False))


def test_threads_share_the_quota() -> None:
    turns: list[float] = []
    limiter = Limiter(5, lambda: 0.0, turns.append)
    threads = [threading.Thread(target=limiter.wait) for _ in range(17)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert sorted(turns) == [60] * 5 + [120] * 5 + [180] * 2


@pytest.mark.parametrize("most", [None, 3])
def test_a_pause_holds_for_every_call_until_it_is_over(time: Time, most: int | None) -> None:
    limiter = Limiter(most, time.clock, time.sleep)
    limiter.wait()
    assert limiter.pause(30) == 30
    assert limiter.pause(10) == 30
    limiter.wait()
    assert time.slept == 30
    limiter.wait()
    assert time.slept == 30


def test_without_a_quota_nothing_waits(time: Time) -> None:
    limiter = Limiter(None, time.clock, time.sleep)
    for _ in range(1000):
        limiter.wait()

    assert time.slept == 0


@pytest.mark.parametrize(
    ("headers", "status", "seconds"),
    [
        ({}, 200, 0),
        ({}, 429, 0),
        ({"Retry-After": "7"}, 429, 7),
        ({"retry-after": "7.5"}, 503, 7.5),
        ({"Retry-After": "-7"}, 429, 0),
        ({"Retry-After": "nan"}, 429, 0),
        ({"Retry-After": "soon"}, 429, 0),
        ({"Retry-After": "100000"}, 429, 900),
        ({"Retry-After": "7", "x-ratelimit-reset": "50"}, 429, 7),
        ({"Retry-After": "soon", "x-ratelimit-reset": "50"}, 429, 50),
        ({"x-ratelimit-remaining": "0", "x-ratelimit-reset": "50"}, 200, 50),
        ({"x-ratelimit-remaining": "1", "x-ratelimit-reset": "50"}, 200, 0),
        ({"x-ratelimit-remaining": "1", "x-ratelimit-reset": "50"}, 503, 0),
        ({"X-Rate-Limit-Remaining": "0"}, 200, 0),
        ({"X-Rate-Limit-Remaining": "0", "X-Rate-Limit-Reset": "50"}, 200, 50),
        ({"X-Rate-Limit-Reset": "50"}, 429, 50),
    ],
)
def test_headers_say_how_long_to_wait(headers: dict[str, str], status: int, seconds: float) -> None:
    assert asked_wait(CaseInsensitiveDict(headers), status) == seconds


@pytest.mark.parametrize("zone", ["GMT", "-0000"])
def test_retry_after_may_be_a_date(zone: str) -> None:
    moment = datetime.now(timezone.utc) + timedelta(seconds=50)
    text = email.utils.format_datetime(moment, usegmt=True).replace("GMT", zone)

    assert 45 < asked_wait({"Retry-After": text}, 429) <= 50


def test_a_reset_may_be_a_moment() -> None:
    reset = str(int(real_time.time()) + 50)

    assert 45 < asked_wait(CaseInsensitiveDict({"x-ratelimit-reset": reset}), 429) <= 50
