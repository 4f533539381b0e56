"""Reads tasks ahead in threads, a few at a time, and hands their results out in order."""

from __future__ import annotations

import queue
import threading
import typing as t
from collections import deque
from itertools import islice

if t.TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

T = t.TypeVar("T")
R = t.TypeVar("R")

# Batches that a task may be ahead of the consumer; beyond, its connection waits.
_AHEAD = 4
_POLL_SECONDS = 0.2


class _Done:
    """The end of a task: the error that ended it, if any."""

    def __init__(self, error: BaseException | None = None) -> None:
        self.error = error


class _Lane(t.Generic[R]):
    """One task in its own thread, with a bounded queue."""

    def __init__(
        self,
        results: Callable[[], Iterator[R]],
        stop: threading.Event,
        idle: Callable[[], None],
    ) -> None:
        self._queue: queue.Queue[R | _Done] = queue.Queue(_AHEAD)
        self._results = results
        self._abandoned = threading.Event()
        self._stop, self._idle = stop, idle
        # a daemon: a thread that waits for Pendo must not hold up the end of the process
        threading.Thread(target=self._run, daemon=True).start()

    def _run(self) -> None:
        done = _Done()
        try:
            for result in self._results():
                if not self._put(result):
                    return
        except BaseException as error:  # noqa: BLE001 - raised again in the consumer
            done = _Done(error)
        self._put(done)

    def _put(self, item: R | _Done) -> bool:
        while not (self._abandoned.is_set() or self._stop.is_set()):
            try:
                self._queue.put(item, timeout=_POLL_SECONDS)
            except queue.Full:
                continue
            return True
        return False

    def __iter__(self) -> Iterator[R]:
        while not self._stop.is_set():
            try:
                item = self._queue.get(timeout=_POLL_SECONDS)
            except queue.Empty:
                self._idle()
                continue
            if not isinstance(item, _Done):
                yield item
            elif item.error:
                raise item.error
            else:
                return

    def abandon(self) -> None:
        """Let the thread end; what it has read is dropped."""
        self._abandoned.set()


def in_order(
    tasks: Iterable[T],
    read: Callable[[T], Iterator[R]],
    *,
    width: int,
    stop: threading.Event,
    idle: Callable[[], None] = lambda: None,
) -> Iterator[tuple[T, Iterator[R]]]:
    """Run `read` on each task in threads, at most `width` at once.

    A task is taken from `tasks` once there is a thread for it, so that it can depend on the
    results of those before it. While there is nothing to hand out, `idle` is called now and then.

    Yields:
        Each task, in order, with its results as they come. Iterate the results to their end before
        the next task is asked for; an error of the task is raised there. They end early when
        `stop` is set: the consumer has to look.
    """
    waiting = iter(tasks)
    lanes: deque[tuple[T, _Lane[R]]] = deque()

    def fill() -> None:
        for task in islice(waiting, width - len(lanes)):
            lanes.append((task, _Lane(lambda task=task: read(task), stop, idle)))  # type: ignore[misc]

    try:
        fill()
        while lanes and not stop.is_set():
            task, lane = lanes[0]
            yield task, iter(lane)
            lanes.popleft()
            fill()
    finally:
        for _, lane in lanes:
            lane.abandon()
