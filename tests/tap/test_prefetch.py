"""Prefetch: in order, bounded, and nothing is left behind."""

from __future__ import annotations

import threading
import typing as t

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tap_pendo.api.concurrency import in_order

never = threading.Event()


@settings(deadline=None)
@given(st.lists(st.lists(st.integers(), max_size=12), max_size=8), st.integers(1, 5))
def test_results_come_in_the_order_of_the_tasks(tasks: list[list[int]], width: int) -> None:
    with in_order(tasks, iter, width=width, stop=never) as ahead:
        assert [(task, list(results)) for task, results in ahead] == [(t, t) for t in tasks]


def test_at_most_width_tasks_are_begun_and_each_is_bounded() -> None:
    begun: list[int] = []
    produced: list[int] = []
    full = threading.Semaphore(0)

    def read(task: int) -> t.Iterator[int]:
        begun.append(task)
        for number in range(100):
            produced.append(task)
            if number == 4:
                full.release()
            yield number

    with in_order(range(10), read, width=3, stop=never) as ahead:
        next(ahead)
        for _ in range(3):
            assert full.acquire(timeout=5)
        assert sorted(begun) == [0, 1, 2]
        # four in the queue, one in the hand
        assert max(produced.count(task) for task in begun) == 5


def test_an_error_comes_behind_the_results_before_it() -> None:
    def read(task: int) -> t.Iterator[int]:
        yield task
        if task == 1:
            raise ValueError("one")

    with in_order(range(4), read, width=4, stop=never) as ahead:
        assert list(next(ahead)[1]) == [0]
        results = next(ahead)[1]
        assert next(results) == 1
        with pytest.raises(ValueError, match="one"):
            next(results)


def test_a_stop_ends_a_read_that_hangs() -> None:
    stop, hanging = threading.Event(), threading.Event()

    def read(_: int) -> t.Iterator[int]:
        yield 1
        stop.set()
        hanging.wait(30)

    with in_order([0, 1], read, width=1, stop=stop) as ahead:
        seen = [list(results) for _, results in ahead]
    hanging.set()
    assert seen in ([], [[]], [[1]])
