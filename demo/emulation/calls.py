"""The calls that an emulator has had, and the faults that are ordered for the next ones."""

import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Generic, Protocol, TypeVar

import msgspec

_SECOND_NS = 1_000_000_000


class Calls:
    """Counts calls by path and source; `most_at_once` and `most_per_second` are maxima."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._running = 0
        self.clear()

    def clear(self) -> None:
        """Begin to count again."""
        with self._lock:
            self.counts: Counter[tuple[str, str]] = Counter()
            self.statuses: Counter[int] = Counter()
            self.most_at_once = 0
            self.most_per_second: dict[str, int] = {}
            self._recent: dict[str, deque[int]] = {}

    @contextmanager
    def running(self, path: str, source: str) -> Iterator[None]:
        """Count one call, which lasts as long as the context."""
        with self._lock:
            self.counts[path, source] += 1
            self._running += 1
            self.most_at_once = max(self.most_at_once, self._running)
            self._count_second(path)
        try:
            yield
        finally:
            with self._lock:
                self._running -= 1

    def answered(self, status: int) -> None:
        """Count an answer's status."""
        with self._lock:
            self.statuses[status] += 1

    def _count_second(self, path: str) -> None:
        now = time.monotonic_ns()
        recent = self._recent.setdefault(path, deque())
        recent.append(now)
        while recent[0] <= now - _SECOND_NS:
            recent.popleft()
        self.most_per_second[path] = max(self.most_per_second.get(path, 0), len(recent))

    def report(self) -> dict[str, Any]:
        """Return everything as JSON values."""
        with self._lock:
            return {
                "calls": [
                    {"path": path, "source": source, "count": count}
                    for (path, source), count in sorted(self.counts.items())
                ],
                "statuses": {str(status): count for status, count in self.statuses.items()},
                "most_at_once": self.most_at_once,
                "most_per_second": dict(self.most_per_second),
            }


class Ordered(Protocol):
    """A fault as it is ordered: `times` counts down (None: for ever), `after` lets calls pass."""

    times: int | None
    after: int


FaultT = TypeVar("FaultT", bound=Ordered)


class Orders(Generic[FaultT]):
    """The faults in force, of one msgspec type, in the order in which they came."""

    def __init__(self, kind: type[FaultT]) -> None:
        self._kind = kind
        self._lock = threading.RLock()
        self._faults: list[FaultT] = []

    def add(self, *faults: dict[str, Any]) -> None:
        """Order faults.

        Raises:
            ValueError: for an unknown field or kind.
        """
        known = [msgspec.convert(fault, self._kind) for fault in faults]
        with self._lock:
            self._faults += known

    def clear(self) -> None:
        """Forget every fault."""
        with self._lock:
            self._faults.clear()

    def first(self, befalls: Callable[[FaultT], bool]) -> FaultT | None:
        """Return the first fault that befalls a call, and count it; one that waits counts too."""
        with self._lock:
            for fault in self._faults:
                if fault.times == 0 or not befalls(fault):
                    continue
                if fault.after:
                    fault.after -= 1
                    continue
                if fault.times is not None:
                    fault.times -= 1
                return fault
        return None
