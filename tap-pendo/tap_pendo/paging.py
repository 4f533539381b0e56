"""How a sorted read of any length goes on from page to page, and after a break."""

from __future__ import annotations

import dataclasses
import typing as t

from tap_pendo.aggregation import Cursor
from tap_pendo.errors import StreamError
from tap_pendo.grouping import before

if t.TYPE_CHECKING:
    from collections.abc import Callable

    from tap_pendo.grouping import Group, Key

# Pages do not get smaller than this when Pendo cannot answer
_FEWEST = 1000


@dataclasses.dataclass
class Page:
    """What one answer held: how many rows, and the places of its first and last one.

    `end` is the time, in epoch ms, from which on rows are of no interest.
    """

    limit: int | None
    end: int
    rows: int = 0
    first: Key = ()
    last: Key = ()

    @property
    def full(self) -> bool:
        """Whether there may be more rows behind it; its last group may then be cut."""
        if self.limit is None or self.rows < self.limit:
            return False
        moment = self.last[0]
        return not (isinstance(moment, int) and moment >= self.end)


class Pager:
    """Where a read stands: the last group given out, and what to ask for next.

    Rows are asked for again from the last (time, visitor) pair on, since that pair may have been
    cut; groups of it that were given out already are told by their place in the order. A pair
    that fills a page by itself is asked for alone, without limit.

    Pages hold at most `most` rows; fewer while Pendo cannot answer for so many.
    """

    def __init__(self, most: int, end: int) -> None:
        self.most, self._end = most, end
        self._limit = most
        self._grown = False
        self.cursor: Cursor | None = None
        self.done: Key = ()
        self.complete = False

    @property
    def _alone(self) -> bool:
        return self.cursor is not None and self.cursor.reach == "alone"

    def page(self) -> Page:
        """Begin the next page."""
        return Page(None if self._alone else self._limit, self._end)

    def copy(self, end: int) -> Pager:
        """Give another that goes on from here, up to another end."""
        other = Pager(self.most, end)
        other._limit = self._limit
        other.cursor, other.done = self.cursor, self.done
        return other

    def shrink(self) -> bool:
        """Ask for half as many rows; False if that would be too few, or cannot be."""
        if self._alone or self._limit // 2 < min(_FEWEST, self.most):
            return False
        self._limit //= 2
        if self._grown:
            self.most = self._limit  # it was tried again: it is the size
        return True

    def _grow(self) -> None:
        """Try larger pages again: what failed may have been an outage."""
        if self._limit < self.most:
            self._limit = min(2 * self._limit, self.most)
            self._grown = True

    def fresh(self, groups: list[Group], key: Callable[[t.Any], Key]) -> list[Group]:
        """Give the groups that have not been given out; they are in order."""
        done = self.done
        if not done or before(done, key(groups[0][0])):
            return groups
        return [group for group in groups if before(done, key(group[0]))]

    def broke(self) -> None:
        """Go on from the last group given out."""
        if self.done and not self._alone:
            self.cursor = Cursor(self.done[0], str(self.done[1]), "from")

    def ended(self, page: Page) -> None:
        """Decide what follows a page that arrived whole.

        Raises:
            StreamError: the pages do not advance.
        """
        ahead = self.cursor
        self._grow()
        if page.full:
            if not isinstance(page.last[0], int):
                raise StreamError("Pendo fills a page with rows that have no time")
            reach: t.Literal["alone", "from"]
            reach = "alone" if page.first[:2] == page.last[:2] else "from"
            ahead = Cursor(page.last[0], str(page.last[1]), reach)
            if ahead == self.cursor:
                raise StreamError("Pendo's pages do not advance")
        elif self.cursor and self._alone:
            ahead = Cursor(self.cursor.time, self.cursor.visitor, "behind")
        else:
            self.complete = True
        self.cursor = ahead
