"""How a sorted read of any length goes on from page to page, and after a break."""

from __future__ import annotations

import dataclasses
import typing as t

from tap_pendo.aggregation import Cursor
from tap_pendo.errors import StreamError
from tap_pendo.grouping import before

if t.TYPE_CHECKING:
    from tap_pendo.grouping import Key


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
    """

    def __init__(self, page_size: int, end: int) -> None:
        self._page_size, self._end = page_size, end
        self.cursor: Cursor | None = None
        self.done: Key = ()
        self.complete = False

    @property
    def _alone(self) -> bool:
        return self.cursor is not None and self.cursor.reach == "alone"

    def page(self) -> Page:
        """Begin the next page."""
        return Page(None if self._alone else self._page_size, self._end)

    def fresh(self, key: Key) -> bool:
        """Whether the group at this place has not been given out."""
        return not self.done or before(self.done, key)

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
