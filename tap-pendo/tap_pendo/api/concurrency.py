"""How calls run side by side: read ahead in threads, cancelled together, and under a rate."""

from __future__ import annotations

import contextlib
import queue
import threading
import time
import typing as t
from collections import deque
from itertools import islice

if t.TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator


class CancelledError(Exception):
    """Nobody wants the result of this thread any more."""


class _Thread(threading.local):
    """The cancel of the running thread; one that nobody sets, unless it works for somebody."""

    cancelled = threading.Event()


_thread = _Thread()


def obey(cancelled: threading.Event) -> None:
    """Let this thread, from now on, give up once that is set."""
    _thread.cancelled = cancelled


def check() -> None:
    """Give up if the thread's work is cancelled.

    Raises:
        CancelledError: it is.
    """
    if _thread.cancelled.is_set():
        raise CancelledError


def sleep(seconds: float) -> None:
    """Wait, in seconds; give up as soon as the thread's work is cancelled.

    Raises:
        CancelledError: it is.
    """
    if _thread.cancelled.wait(seconds):
        raise CancelledError


T = t.TypeVar("T")
R = t.TypeVar("R")

# Batches that a task may be ahead of the consumer; beyond, its connection waits.
_AHEAD = 4
_POLL_SECONDS = 0.2
THREADS = "tap-pendo reads ahead"


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
        self._cancelled = threading.Event()
        self._stop, self._idle = stop, idle
        # a daemon: a thread that waits for Pendo must not hold up the end of the process
        self._thread = threading.Thread(target=self._run, name=THREADS, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        obey(self._cancelled)
        done = _Done()
        try:
            for result in self._results():
                if not self._put(result):
                    return
        except BaseException as error:  # noqa: BLE001 - raised again in the consumer
            done = _Done(error)
        self._put(done)

    def _put(self, item: R | _Done) -> bool:
        while not (self._cancelled.is_set() or self._stop.is_set()):
            try:
                self._queue.put(item, timeout=_POLL_SECONDS)
            except queue.Full:
                continue
            return True
        return False

    def __iter__(self) -> Iterator[R]:
        while not self._stop.is_set():
            check()  # the consumer may be a lane itself
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

    def cancel(self) -> None:
        """Let the thread end; what it has read is dropped."""
        self._cancelled.set()

    def join(self) -> None:
        """Wait for the end of the thread; not if the process is to stop."""
        while self._thread.is_alive() and not self._stop.is_set():
            self._thread.join(_POLL_SECONDS)
            self._idle()


@contextlib.contextmanager
def in_order(
    tasks: Iterable[T],
    read: Callable[[T], Iterator[R]],
    *,
    width: int,
    stop: threading.Event,
    idle: Callable[[], None] = lambda: None,
) -> Iterator[Iterator[tuple[T, Iterator[R]]]]:
    """Run `read` on each task in threads, at most `width` at once.

    A task is taken from `tasks` once there is a thread for it, so that it can depend on the
    results of those before it. While there is nothing to hand out, `idle` is called now and then.

    At the end of the context, also after an error, the threads are cancelled (see `check`), and
    waited for: the next reader does not begin while requests of this one are in flight.

    Yields:
        Pairs: each task, in order, with its results as they come. Iterate the results to their end
        before the next task is asked for; an error of the task is raised there. They end early when
        `stop` is set: the consumer has to look.
    """
    lanes: deque[tuple[T, _Lane[R]]] = deque()

    def start(task: T) -> None:
        lanes.append((task, _Lane(lambda: read(task), stop, idle)))

    def pairs() -> Iterator[tuple[T, Iterator[R]]]:
        waiting = iter(tasks)
        for task in islice(waiting, width):
            start(task)
        while lanes and not stop.is_set():
            task, lane = lanes[0]
            yield task, iter(lane)
            lanes.popleft()
            for task in islice(waiting, width - len(lanes)):
                start(task)

    try:
        yield pairs()
    finally:
        for _, lane in lanes:
            lane.cancel()
        for _, lane in lanes:
            lane.join()


class Limiter:
    """At most so many calls a second to each endpoint, over all threads."""

    def __init__(
        self,
        per_second: float,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = sleep,
    ) -> None:
        self._gap = 1 / per_second
        self._clock, self._sleep = clock, sleep
        self._next: dict[str, float] = {}
        self._lock = threading.Lock()

    def wait(self, endpoint: str) -> None:
        """Take the endpoint's next free moment and sleep until it comes.

        Raises:
            CancelledError: the thread's work is cancelled.
        """
        with self._lock:
            now = self._clock()
            turn = max(self._next.get(endpoint, now), now)
            self._next[endpoint] = turn + self._gap
        if turn > now:
            self._sleep(turn - now)

    def pause(self, endpoint: str, seconds: float) -> None:
        """Let nobody call the endpoint for a while."""
        with self._lock:
            until = self._clock() + seconds
            self._next[endpoint] = max(self._next.get(endpoint, until), until)
