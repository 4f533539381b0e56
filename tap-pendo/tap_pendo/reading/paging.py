"""Reads sorted rows page by page, and counts them.

Rows sort by a place: a time and an id, or an id alone, then whatever else distinguishes rows. A
page resumes from an id by a filter, so it relies on Pendo comparing as it sorts. Whether it does is
not known. So Pendo counts the rows before the first page, and at least as many must come. Rows that
arrive while pages are read only add to them.
"""

from __future__ import annotations

import dataclasses
import logging
import threading
import typing as t

import requests

from tap_pendo.api.queries import Cursor
from tap_pendo.calendar import HOUR, Window, from_ms, to_ms
from tap_pendo.errors import (
    RefusedError,
    ShortError,
    StreamError,
    ThrottledError,
    UnavailableError,
    UnsortedError,
)
from tap_pendo.records.identity import adjacent, before, plain

if t.TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from datetime import timedelta

    from tap_pendo.calendar import Grid
    from tap_pendo.records.identity import Group, Key


class PagingFacts:
    """What the reads of one stream have shown of Pendo; its threads share it.

    paged    whether Pendo sorts the stream's rows as asked, so that they can be read in pages
    escapes  whether Pendo takes filters that name ids with quotes or backslashes
    filled   length of the window that ended last, if it filled a page
    """

    def __init__(self, stream: str) -> None:
        self.stream = stream
        self.paged = self.escapes = True
        self.filled: timedelta | None = None
        self._said: set[str] = set()
        self._lock = threading.Lock()

    def warn_once(self, about: str, message: str, *args: object) -> None:
        """Log a warning, the first time that the stream has one of this kind."""
        with self._lock:
            if about in self._said:
                return
            self._said.add(about)
        logger.warning("%s: %s", self.stream, message % args)


PATIENCE = 3
"""Tries after which a part is asked for in smaller ones, if it can be."""
# Pages do not get smaller than this when Pendo cannot answer
_FEWEST = 1000
T = t.TypeVar("T")
logger = logging.getLogger("tap-pendo.reading")


class Tally:
    """Rows that came for a request, against the number that Pendo counted before, if it was asked.

    The rows of a request that is split are those that came before and those of its parts.
    """

    def __init__(self, whole: Tally | None = None) -> None:
        self._whole = whole
        self._open = 1
        self.seen = 0
        self.expected: int | None = None
        self.by_app = False

    @property
    def counted(self) -> bool:
        """Whether Pendo was asked how many rows there are."""
        return self.expected is not None or (self._whole is not None and self._whole.counted)

    def count_first(self, pager: Pager, count: Callable[[], int]) -> None:
        """Ask how many rows there are, before they all come again, from the start."""
        self.expected, self.seen = count(), 0
        pager.restart()

    def split(self, parts: int) -> list[Tally]:
        """Count so many parts apart; they are added up when the last one is closed."""
        self._open = parts
        return [Tally(self) for _ in range(parts)]

    def close(self) -> None:
        """Compare, once the last part has been read.

        Raises:
            ShortError: fewer rows came than were counted.
        """
        self._open -= 1
        if self._open:
            return
        if self.expected is not None and self.seen < self.expected:
            raise ShortError(self.seen, self.expected, by_app=self.by_app)
        if self._whole:
            self._whole.seen += self.seen
            self._whole.close()


@dataclasses.dataclass
class Page:
    """What one answer is asked for, and what it held.

    cursor  where it begins; None is the start
    limit   most rows; None for all
    end     the time, in epoch ms, from which on rows are of no interest, if there is one
    rows    how many there were; `first` and `last` are the places of the first and last one
    """

    cursor: Cursor | None
    limit: int | None
    end: int | None
    rows: int = 0
    first: Key = ()
    last: Key = ()

    @property
    def full(self) -> bool:
        """Whether there may be more rows behind it; its last group may then be cut."""
        if self.limit is None or self.rows < self.limit:
            return False
        moment = self.last[0]
        return not (self.end is not None and isinstance(moment, int) and moment >= self.end)

    def noted(
        self, blocks: Iterable[list[t.Any]], place: Callable[[t.Any], Key]
    ) -> Iterator[list[t.Any]]:
        """Pass the blocks of an answer on, and take note of them."""
        for block in blocks:
            self.first = self.first or plain(place(block[0]))
            self.rows += len(block)
            self.last = plain(place(block[-1]))
            yield block


class Pager:
    """How far a read is: the last groups given out and passed, and what to ask for next.

    Rows are asked for again from the last id on (with its time, if places have one), since its
    rows may have been cut; groups that were given out already are known by their place in the
    order. An id that fills a page by itself is asked for alone, without limit.

    `done` is the place of the last group that was given out. `passed` is that of the last one that
    was counted. It is behind `done` while the first page is read for a second time.
    """

    def __init__(self, page_size: int, *, timed: bool, end: int | None = None) -> None:
        self.page_size = page_size
        self._timed, self._end = timed, end
        self._previous: Page | None = None
        self.cursor: Cursor | None = None
        self.done: Key = ()
        self.passed: Key = ()
        self.complete = False

    @property
    def alone(self) -> bool:
        """Whether one id is asked for."""
        return self.cursor is not None and self.cursor.reach == "alone"

    def page(self, *, escapes: bool = True) -> Page:
        """Begin the next page.

        Without `escapes`, ids that need some in a filter cannot be named: the page begins at a
        place before such an id that needs none. If that is where the page before it began, it
        holds twice as many rows.
        """
        cursor, limit = self.cursor, self.page_size
        if cursor and not escapes:
            cursor = cursor.unescaped()
            if self._previous and self._previous.cursor == cursor:
                limit = 2 * (self._previous.limit or limit)
        alone = cursor is not None and cursor.reach == "alone"
        return Page(cursor, None if alone else limit, self._end)

    def copy(self, end: int) -> Pager:
        """Return another that resumes here, up to another end."""
        other = Pager(self.page_size, timed=self._timed, end=end)
        other.cursor, other.done, other.passed = self.cursor, self.done, self.passed
        return other

    def beyond(self, end: int) -> Pager:
        """Give another for later rows, of which some may have been given out."""
        other = Pager(self.page_size, timed=self._timed, end=end)
        other.done = self.done
        return other

    def shrink(self) -> bool:
        """Ask for half as many rows in a page; False if that would be too few, or cannot be."""
        if self.alone or self.page_size // 2 < _FEWEST:
            return False
        self.page_size //= 2
        return True

    def restart(self) -> None:
        """Pass all rows again, from the start; those given out are not given out again."""
        self.cursor, self.passed, self._previous = None, (), None

    def resume(self, place: Key) -> None:
        """Resume behind a place."""
        self.done = self.passed = place
        self.resume_after_break()

    def groups(
        self,
        page: Page,
        answer: Iterable[list[t.Any]],
        place: Callable[[t.Any], Key],
        tally: Tally,
    ) -> Iterator[list[Group]]:
        """Yield the whole groups of a page's answer that were not given out, and count them.

        Raises:
            UnsortedError: rows do not follow each other in the order.
        """
        for found, is_last in adjacent(answer, place):
            if is_last and page.full:
                return
            passing = _behind(self.passed, found, place)
            fresh = _behind(self.done, passing, place) if self.done != self.passed else passing
            if fresh:
                yield fresh
                self.done = plain(place(fresh[-1][0]))
            if passing:
                self.passed = plain(place(passing[-1][0]))
                tally.seen += sum(map(len, passing))

    def resume_after_break(self) -> None:
        """Resume from the last group that was counted."""
        if self.passed and not self.alone:
            self.cursor = self._at(self.passed, "from")

    def finish_page(self, page: Page) -> None:
        """Decide what follows a page that arrived whole.

        Raises:
            StreamError: the pages do not advance.
        """
        ahead = self.cursor
        if page.full:
            if self._timed and not isinstance(page.last[0], int):
                raise StreamError("Pendo fills a page with rows that have no time")
            named = 2 if self._timed else 1
            ahead = self._at(
                page.last, "alone" if page.first[:named] == page.last[:named] else "from"
            )
            if ahead == page.cursor:
                raise StreamError("Pendo's pages do not advance")
        elif page.cursor and page.cursor.reach == "alone":
            ahead = dataclasses.replace(page.cursor, reach="behind")
        else:
            self.complete = True
        self.cursor, self._previous = ahead, page

    def _at(self, place: Key, reach: t.Literal["alone", "from"]) -> Cursor:
        if self._timed:
            return Cursor(place[0], str(place[1]), reach)
        return Cursor(None, str(place[0]), reach)


def _behind(mark: Key, groups: list[Group], place: Callable[[t.Any], Key]) -> list[Group]:
    """Give the groups behind a mark; they are in order."""
    if not mark or not groups or before(mark, place(groups[0][0])):
        return groups
    return [group for group in groups if before(mark, place(group[0]))]


def next_page(  # noqa: PLR0913 - what is read, and by which means
    pager: Pager,
    tally: Tally,
    facts: PagingFacts,
    *,
    ask: Callable[[Page], Iterable[list[t.Any]]],
    count: Callable[[], int],
    place: Callable[[t.Any], Key],
) -> Iterator[list[Group]]:
    """Yield the groups of the next page that were not given out before, and move on.

    Before an id is named in a filter for the first time, the rows are counted, and the first page
    is asked for again: a row that arrives between the page and the count would else seem missing.

    Raises:
        UnsortedError: rows do not follow each other in the order.
    """
    if pager.cursor and not tally.counted:  # the first page broke off
        tally.count_first(pager, count)
    page = pager.page(escapes=facts.escapes)
    try:
        yield from pager.groups(page, ask(page), place, tally)
    except RefusedError as error:
        named = page.cursor is not None and page.cursor.awkward
        if not named or error.status != requests.codes.bad_request:
            raise
        facts.escapes = False
        facts.warn_once(
            "escapes",
            "Pendo refuses a filter with an escaped quote or backslash; pages resume from a place "
            "before such an id, and some rows are read again",
        )
        return
    if page.full and not tally.counted:
        tally.count_first(pager, count)
    else:
        pager.finish_page(page)


def whole_read(
    attempt: Callable[[bool, bool], Iterator[T]],
    restart: Callable[[], Iterable[T]],
    facts: PagingFacts,
    name: Callable[[], str],
) -> Iterator[T]:
    """Read all rows: in pages; once more if some are missing; in one answer if that is no help.

    Args:
        attempt: yields what it reads; gets whether to read in pages, and whether to count before.
        restart: called before another attempt, whose rows replace those of the one before.
        facts: says whether the stream is read in pages.
        name: what is read, for messages.

    Raises:
        StreamError: the apps do not have all rows, also when they are read once more.
    """
    counted = False
    while True:
        try:
            yield from attempt(facts.paged, counted)
        except ShortError as error:
            if counted and error.by_app:
                raise StreamError(f"{name()}: {error}") from error
            if counted:
                facts.paged = False
            how = "in pages" if facts.paged else "in one answer"
            logger.warning("%s: %s; it is read again, %s", name(), error, how)
            counted = True
        except UnsortedError:
            facts.paged = False
            logger.warning(
                "%s: Pendo's pages are not in the order asked for; it is read again in one answer",
                name(),
            )
        else:
            return
        yield from restart()


def in_halves(
    grid: Grid,
    window: Window,
    ask: Callable[[Window, int | None], T],
    *,
    tries: int,
    shortest: timedelta = HOUR,
) -> Iterator[tuple[Window, T]]:
    """Ask about a window; what Pendo does not answer for, in halves.

    Args:
        grid: the buckets, at whose bounds halves end.
        window: what is asked about.
        ask: asks about a window so many times; None is as often as usual.
        tries: how often to ask about what can be halved.
        shortest: what is not halved.

    Yields:
        Windows that follow each other, and what was answered about each.

    Raises:
        UnavailableError: Pendo does not answer for a part that cannot be halved.
    """
    middle = grid.middle(window) if window.end - window.start > shortest else None
    try:
        answer = ask(window, tries if middle else None)
    except UnavailableError as error:
        if middle is None or isinstance(error, ThrottledError):
            raise
    else:
        yield window, answer
        return
    for half in (Window(window.start, middle), Window(middle, window.end)):
        yield from in_halves(grid, half, ask, tries=tries, shortest=shortest)


Apps = tuple[int, ...]


class Part:
    """Whole buckets of some apps, and how far they have been read; no apps are all apps.

    `left_out` are the counts of rows that were passed over before the part.
    """

    def __init__(self, window: Window, apps: Apps, pager: Pager, tally: Tally) -> None:
        self.window, self.apps, self.pager, self.tally = window, apps, pager, tally
        self.failures = 0
        self.left_out: tuple[int, int] | None = None

    @classmethod
    def whole(cls, window: Window, page_size: int) -> Part:
        """All of a window."""
        return cls(window, (), Pager(page_size, timed=True, end=to_ms(window.end)), Tally())

    def left(self, grid: Grid) -> Window:
        """What is not read yet: from the cursor's bucket on."""
        return self._from(self.pager.cursor, grid)

    def asked(self, cursor: Cursor | None, grid: Grid) -> Window:
        """The buckets that an answer from a cursor is about: less work for Pendo."""
        left = self._from(cursor, grid)
        alone = cursor is not None and cursor.reach == "alone"
        return Window(left.start, grid.after(left.start)) if alone else left

    def _from(self, cursor: Cursor | None, grid: Grid) -> Window:
        if cursor is None or cursor.time is None:
            return self.window
        return Window(max(self.window.start, grid.floor(from_ms(cursor.time))), self.window.end)

    def size(self, grid: Grid) -> tuple[timedelta, float]:
        """How much is asked for: time, then apps."""
        left = self.left(grid)
        return left.end - left.start, len(self.apps) or float("inf")

    def halves(self, grid: Grid) -> list[Part]:
        """Split in time; the first half resumes at the cursor. Empty if only one bucket is left."""
        middle = grid.middle(self.left(grid))
        if middle is None:
            return []
        pager, (earlier, later) = self.pager, self.tally.split(2)
        first, second = Window(self.window.start, middle), Window(middle, self.window.end)
        return [
            Part(first, self.apps, pager.copy(to_ms(middle)), earlier),
            Part(second, self.apps, pager.beyond(to_ms(second.end)), later),
        ]

    def by_apps(self, apps: Apps) -> list[Part]:
        """Split by apps, half of them in each; both resume at the cursor.

        Their rows are counted with this part's: it must be `counted`.
        """
        cut = len(apps) // 2
        self.tally.by_app = True
        end = to_ms(self.window.end)
        return [
            Part(self.window, some, self.pager.copy(end), tally)
            for some, tally in zip((apps[:cut], apps[cut:]), self.tally.split(2), strict=True)
        ]
