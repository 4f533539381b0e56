"""How many items go out in a few posts, each small enough, and what becomes of each item."""

from __future__ import annotations

import typing as t
from collections import deque

from target_planhat.answers import Outcome
from target_planhat.errors import PlanhatError
from target_planhat.transport import DoubtfulError, UnavailableError

if t.TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence


def parts(sizes: Sequence[int], most_items: int, most_bytes: int) -> Iterator[range]:
    """Cut items into parts whose JSON array is small enough, in order.

    Args:
        sizes: bytes of each item.
        most_items: of a part.
        most_bytes: of a part's array; an item that is larger alone is a part of its own.
    """
    start, size = 0, 2
    for index, own in enumerate(sizes):
        full = index - start == most_items or size + own > most_bytes
        if full and index > start:
            yield range(start, index)
            start, size = index, 2
        size += own + 1
    if start < len(sizes):
        yield range(start, len(sizes))


def array(encoded: Sequence[bytes]) -> bytes:
    """Make a JSON array of encoded items."""
    return b"[" + b",".join(encoded) + b"]"


def outcomes(
    encoded: Sequence[bytes],
    most_items: int,
    most_bytes: int,
    send: Callable[[range], list[Outcome] | None],
) -> list[Outcome]:
    """Send items part by part; give the outcome of each.

    After a part that did not arrive, or whose fate nobody knows, nothing more is sent.

    Args:
        encoded: the items.
        most_items: of a part.
        most_bytes: of a part's body.
        send: sends a part; None means that it is too large.

    Raises:
        PlanhatError: from `send`, if no item has got an outcome before; else the rest is unsent.
    """
    settled: list[Outcome] = []
    work = deque(parts([len(one) for one in encoded], most_items, most_bytes))
    while work:
        part = work.popleft()
        too_large = len(part) == 1 and len(encoded[part.start]) + 2 > most_bytes
        try:
            found = None if too_large else send(part)
        except (UnavailableError, PlanhatError) as error:
            if isinstance(error, PlanhatError) and not settled:
                raise
            if isinstance(error, DoubtfulError):
                settled += [Outcome("doubtful", str(error))] * len(part)
            return settled + [Outcome("unsent", str(error))] * (len(encoded) - len(settled))
        if found is not None:
            settled += found
        elif len(part) == 1:
            settled.append(Outcome("refused", "the item alone is too large for Planhat"))
        else:
            middle = part.start + len(part) // 2
            work.extendleft((range(middle, part.stop), range(part.start, middle)))
    return settled
