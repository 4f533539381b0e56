"""Knows which faults someone has ordered, and which of them is next: how often, from when on."""

import threading
from collections.abc import Callable
from typing import Any, Generic, Protocol, TypeVar

import msgspec


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
