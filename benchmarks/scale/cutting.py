"""How tap-pendo cuts time into windows, and how many calls their rows take.

It repeats in a few lines what the tap does; tests compare the two.
"""

from __future__ import annotations

import typing as t
from collections import deque
from itertools import islice

if t.TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

DAY = 24
# hours; as the tap has them
LENGTHS = (1, 3, 6, 12, DAY, *(days * DAY for days in (2, 4, 8, 16, 30)))
_FEW = 1 / 8


class Window(t.NamedTuple):
    """Hours from a midnight, and the rows between them."""

    start: int
    end: int
    rows: int


def calls(found: Iterable[Window], page_size: int) -> int:
    """Requests for windows, in the order of reading.

    A window that fills a page has a count and its pages; also its first page once more, unless the
    window before filled one too, and was no longer: then all is counted before.
    """
    total, filled = 0, 0
    for one in found:
        span = one.end - one.start
        foreseen = 0 < filled <= span
        is_full = one.rows >= page_size
        pages = (one.rows - page_size) // max(page_size - 1, 1) + 3 if is_full else 1
        total += pages + (foreseen != is_full)
        filled = span if is_full else 0
    return total


def windows(  # noqa: PLR0913 - what decides how time is cut
    start: int,
    end: int,
    up_to: Callable[[float], float],
    *,
    page_size: int,
    width: int,
    by_day: bool = False,
    newest_first: bool = False,
) -> Iterator[Window]:
    """Cut [start, end), at first into days, then into what the rows of windows suggest.

    Args:
        start: in hours, from a midnight.
        end: likewise.
        up_to: rows before an hour.
        page_size: most rows of an answer; one that is full makes windows shorter.
        width: windows that are read at once, so that what one shows is learnt late.
        by_day: none is shorter than a day.
        newest_first: from the end on.
    """
    lengths = [one for one in LENGTHS if not by_day or one >= DAY]
    at = lengths.index(DAY)

    def cut() -> Iterator[tuple[int, int, int]]:
        low, high = start, end
        while low < high:
            length = lengths[at]
            if newest_first:
                bound = max(low, _below(high, length))
                yield bound, high, length
                high = bound
            else:
                bound = min(high, _above(low, length))
                yield low, bound, length
                low = bound

    ahead, more = deque(islice(pieces := cut(), width)), True
    while ahead:
        first, last, asked = ahead.popleft()
        rows = round(up_to(last) - up_to(first))
        yield Window(first, last, rows)
        if asked == lengths[at]:
            small = rows < page_size * _FEW * (last - first) / asked
            step = -1 if rows >= page_size else 1 if small else 0
            at = min(max(at + step, 0), len(lengths) - 1)
        if more:
            following = next(pieces, None)
            more = following is not None
            ahead.extend([following] if following else [])


def _above(start: int, length: int) -> int:
    day = start - start % DAY
    return day + length if length >= DAY else start - start % length + length


def _below(end: int, length: int) -> int:
    if length >= DAY:
        return -(-end // DAY) * DAY - length
    return end - (end % length or length)
