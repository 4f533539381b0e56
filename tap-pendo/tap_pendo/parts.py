"""What is asked of a window at a time: parts, which are split when Pendo cannot answer for them.

A part that fails is halved in time down to one bucket, then by apps; then its pages get smaller.
"""

from __future__ import annotations

import typing as t

from tap_pendo.errors import StreamError, UnsortedError
from tap_pendo.paging import Pager
from tap_pendo.windows import Window, from_ms, to_ms

if t.TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import timedelta

    from tap_pendo.windows import Grid

Apps = tuple[int, ...]


class Tally:
    """Rows given of a part, against the number that Pendo counts, if it was asked.

    A split part's tally goes on in those of its parts, and is closed with the last of them.
    """

    def __init__(self, whole: Tally | None = None, given: int = 0) -> None:
        self._whole = whole
        self._open = 1
        self.given = given
        self.expected: int | None = None
        self.by_app = False

    @property
    def counted(self) -> bool:
        """Whether Pendo was asked how many rows there are."""
        return self.expected is not None or (self._whole is not None and self._whole.counted)

    def add(self, rows: int) -> None:
        """Note rows that were given out."""
        self.given += rows
        if self._whole:
            self._whole.add(rows)

    def parted(self, given: Sequence[int]) -> list[Tally]:
        """Go on in parts, of which so many rows each were given out already."""
        self._open = len(given)
        return [Tally(self, rows) for rows in given]

    def close(self) -> None:
        """Compare, once the last part has been read.

        Raises:
            UnsortedError: pages left rows out.
            StreamError: the apps do not have all rows.
        """
        self._open -= 1
        if self._open:
            return
        if self.expected is not None and self.given < self.expected:
            if self.by_app:
                raise StreamError(
                    f"read app by app, {self.given} rows were found of the {self.expected} that "
                    "Pendo counts: it does not list all apps"
                )
            raise UnsortedError
        if self._whole:
            self._whole.close()


class Part:
    """Whole buckets of some apps, and how far they have been read; no apps are all apps."""

    def __init__(self, window: Window, apps: Apps, pager: Pager, tally: Tally) -> None:
        self.window, self.apps, self.pager, self.tally = window, apps, pager, tally
        self.failures = 0

    @classmethod
    def whole(cls, window: Window, page_size: int) -> Part:
        """All of a window."""
        return cls(window, (), Pager(page_size, to_ms(window.end)), Tally())

    def left(self, grid: Grid) -> Window:
        """What is not read yet: from the cursor's bucket on."""
        cursor = self.pager.cursor
        if cursor is None:
            return self.window
        return Window(max(self.window.start, grid.floor(from_ms(cursor.time))), self.window.end)

    def asked(self, grid: Grid) -> Window:
        """The buckets that the next answer is about: less work for Pendo."""
        left, cursor = self.left(grid), self.pager.cursor
        alone = cursor is not None and cursor.reach == "alone"
        return Window(left.start, grid.after(left.start)) if alone else left

    def size(self, grid: Grid) -> tuple[timedelta, float]:
        """How much is asked for: time, then apps."""
        left = self.left(grid)
        return left.end - left.start, len(self.apps) or float("inf")

    def halves(self, grid: Grid) -> list[Part]:
        """Two parts in time, the first of which goes on where this one stands; none of a bucket."""
        middle = grid.middle(self.left(grid))
        if middle is None:
            return []
        earlier, later = self.tally.parted([self.tally.given, 0])
        end = to_ms(self.window.end)
        return [
            Part(
                Window(self.window.start, middle),
                self.apps,
                self.pager.copy(to_ms(middle)),
                earlier,
            ),
            Part(Window(middle, self.window.end), self.apps, Pager(self.pager.most, end), later),
        ]

    def by_apps(self, apps: Apps) -> list[Part]:
        """Two parts of half the apps each, both from where this one stands; none of one app.

        The rows given so far are counted with this part's: it must be `counted`.
        """
        cut = len(apps) // 2
        if not cut:
            return []
        self.tally.by_app = True
        end = to_ms(self.window.end)
        return [
            Part(self.window, some, self.pager.copy(end), tally)
            for some, tally in zip((apps[:cut], apps[cut:]), self.tally.parted([0, 0]), strict=True)
        ]
