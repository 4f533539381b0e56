"""Pure arithmetic: what a history, and keeping up with it, takes of each resource."""

from __future__ import annotations

import dataclasses
import itertools
import math
import typing as t

from benchmarks.scale import cutting
from benchmarks.scale.costs import CALLS_A_MINUTE, ITEMS_IN_A_POST, POSTS_AT_ONCE, USERS_ON_A_PAGE

if t.TYPE_CHECKING:
    from collections.abc import Iterable

    from benchmarks.scale.cases import Case
    from benchmarks.scale.costs import Costs

DAY = 86_400
_MB, GB = 1e6, 1e9
_UP_TO_A_DAY_OF_HOURS = 24


@dataclasses.dataclass(frozen=True)
class Read:
    """What reading some time of one stream takes of Pendo: rows, calls, bytes, seconds."""

    rows: int
    calls: int
    size: float
    seconds: float


def read(case: Case, costs: Costs, windows: Iterable[cutting.Window]) -> Read:
    """Sum windows up; pages of one are read one after the other."""
    found = list(windows)
    rows = sum(window.rows for window in found)
    calls = cutting.calls(found, case.page_size)
    size = rows * costs.answer_bytes
    each = calls * case.seconds_per_call + size / (case.megabytes_per_second * _MB)
    at_once = max(1, min(case.concurrency, len(found)))
    return Read(rows, calls, size, max(each / at_once, calls / case.calls_per_second))


@dataclasses.dataclass(frozen=True)
class History:
    """A back-fill of one tenant; `planhat_seconds` without the time that Pendo takes."""

    rows: float
    calls: float
    size: float
    pendo_seconds: float
    load_seconds: float
    seconds: float
    table_size: float
    index_size: float
    items: float
    posts: int
    planhat_seconds: float
    ledger_size: float
    slowest: str


def history(case: Case, costs: Costs) -> History:
    """Reckon a history that is read in `partitions` side by side, and sent to Planhat."""
    hours = round(case.years * 365) * _UP_TO_A_DAY_OF_HOURS
    bounds = [hours * part // case.partitions for part in range(case.partitions + 1)]
    parts = [
        read(case, costs, _cut(case, start, end, newest_first=True))
        for start, end in itertools.pairwise(bounds)
    ]
    rows, calls, size = (
        case.streams * sum(each)
        for each in zip(*((one.rows, one.calls, one.size) for one in parts), strict=True)
    )
    slowest = max(one.seconds for one in parts) * case.streams
    pendo = max(slowest, calls / case.calls_per_second)
    # one pipe is as fast as its slowest process; PostgreSQL works while target-postgres waits
    row = max(costs.load + costs.database, costs.tap, costs.meltano)
    busy = rows * (costs.tap + costs.meltano + costs.load)
    took = {
        "Pendo": pendo,
        "target-postgres": rows / case.partitions * row,
        "workers' cores": busy / (case.workers * case.cores),
        "PostgreSQL's cores": rows * costs.database / case.database_cores,
    }
    records = rows / case.streams
    items = records / _rows_of_an_item(case)
    load = max(seconds for name, seconds in took.items() if name != "Pendo")
    return History(
        rows=rows,
        calls=calls,
        size=size,
        pendo_seconds=pendo,
        load_seconds=load,
        seconds=costs.start_seconds + max(took.values()),
        table_size=rows * costs.table_bytes,
        index_size=rows * costs.index_bytes,
        items=items,
        posts=math.ceil(items / ITEMS_IN_A_POST),
        planhat_seconds=max(records * costs.record, _posting(case, costs, items)),
        ledger_size=ledger(costs, records, items),
        slowest=max(took, key=lambda name: took[name]),
    )


def ledger(costs: Costs, records: float, items: float) -> float:
    """Bytes of a SQLite ledger; a record has a total of its own, and a figure of `info`."""
    return records * (costs.total_bytes + costs.info_bytes) + items * costs.item_bytes


def _rows_of_an_item(case: Case) -> float:
    return 1 if case.period == "day" else case.rows_per_item


def _posting(case: Case, costs: Costs, items: float) -> float:
    """Seconds until all posts are answered."""
    posts = math.ceil(items / ITEMS_IN_A_POST)
    size = items * costs.post_bytes / (case.megabytes_per_second * _MB)
    return (posts * case.seconds_per_call + size) / POSTS_AT_ONCE


def _cut(
    case: Case, start: int, end: int, *, newest_first: bool = False
) -> Iterable[cutting.Window]:
    return cutting.windows(
        start,
        end,
        case.up_to,
        page_size=case.page_size,
        width=case.concurrency,
        by_day=case.period == "day",
        newest_first=newest_first,
    )


# Keeping up


@dataclasses.dataclass(frozen=True)
class Upkeep:
    """A day of scheduled runs of one tenant, into the warehouse and into Planhat.

    `again` are the rows among those of the warehouse that are read for another time; `longest` are
    the seconds of the longest run; `shares` say how much each resource is used, of all tenants
    where they share it: 1 is all that there is. `index` is the share of PostgreSQL's memory that
    the index of all keys would take after all years: no wall, but what is slow beyond.
    """

    rows: float
    again: float
    calls: int
    size: float
    cpu: float
    longest: float
    index: float
    shares: dict[str, float]

    @property
    def wall(self) -> str:
        """The resource that is used most."""
        return max(self.shares, key=lambda name: self.shares[name])


PENDO, LOAD, TARGET = "Pendo", "target-postgres", "target-planhat"
POSTS, REST = "Planhat's posts", "Planhat's REST quota"
CORES, MEMORY = "workers' cores", "workers' memory"
DATABASE = "PostgreSQL's cores"
OF_ONE = (PENDO, LOAD, TARGET, POSTS, REST)
"""Each tenant has its own of these; the others are shared."""


def upkeep(case: Case, costs: Costs) -> Upkeep:
    """Reckon a day: its first run goes back `lookback_days`, the others `lookback_hours`."""
    streams = case.streams
    reads = [read(case, costs, _cut(case, *bounds)) for bounds in _runs(case)]
    rows = sum(one.rows for one in reads)
    fresh = min(case.day_rows, rows)
    again = rows - fresh
    # Planhat's own run reads its stream for itself
    calls = sum(one.calls for one in reads) * (streams + 1)
    pendo = sum(one.seconds for one in reads) * (streams + 1)
    load = streams * (
        fresh * (costs.load + costs.database) + again * (costs.load_again + costs.database_again)
    )
    target = fresh * costs.record + again * costs.record_again
    target += case.runs_per_day * case.end_users * costs.end_user
    posts = _posting(case, costs, fresh / _rows_of_an_item(case))
    rest = case.runs_per_day * rest_calls(case.end_users)
    starts = 2 * case.runs_per_day
    cpu = starts * costs.start + rows * (streams + 1) * (costs.tap + costs.meltano) + target
    cpu += streams * (fresh * costs.load + again * costs.load_again)
    database = streams * (fresh * costs.database + again * costs.database_again)
    listing = rest / CALLS_A_MINUTE * 60
    alive = starts * costs.start_seconds + max(pendo, load + target + posts) + listing
    keys = case.day_rows * streams * 365 * case.years
    longest = max(reads, key=lambda one: one.rows)
    row = max(costs.load + costs.database, costs.load_again + costs.database_again)
    return Upkeep(
        rows=rows * streams,
        again=again * streams,
        calls=calls,
        size=sum(one.size for one in reads) * (streams + 1),
        cpu=cpu,
        longest=costs.start_seconds + streams * max(longest.seconds, longest.rows * row),
        index=case.tenants * keys * costs.index_bytes / (case.database_memory * GB),
        shares={
            PENDO: pendo / DAY,
            LOAD: load / DAY,
            TARGET: target / DAY,
            POSTS: posts / DAY,
            REST: listing / DAY,
            CORES: case.tenants * cpu / (case.workers * case.cores * DAY),
            MEMORY: case.tenants
            * alive
            / DAY
            * costs.run_memory
            / (case.workers * case.memory * 1000),
            DATABASE: case.tenants * database / (case.database_cores * DAY),
        },
    )


def rest_calls(end_users: int) -> int:
    """Calls of one run: pages of end users and an empty one; companies; a look at the token."""
    return math.ceil(end_users / USERS_ON_A_PAGE) + 3


def _runs(case: Case) -> Iterable[tuple[int, int]]:
    """Give the hours that each run of a day reads, from a midnight long after the first event."""
    today = 400 * _UP_TO_A_DAY_OF_HOURS
    for number in range(1, case.runs_per_day + 1):
        before, now = (
            today + _UP_TO_A_DAY_OF_HOURS * one // case.runs_per_day for one in (number - 1, number)
        )
        lookback = case.lookback_days * 24 if number == 1 else case.lookback_hours
        if case.period == "day":
            # a day is closed one hour after its end
            before, now = (_closed(one) for one in (before, now))
            lookback = -(-lookback // 24) * 24
        yield before - lookback, now


def _closed(hour: int) -> int:
    return (hour - 1) // 24 * 24


def stands_at(reckon: t.Callable[[float], float], most: float) -> float | None:
    """Find the number at which a growing share reaches 1; None: at none up to `most`."""
    low, high = 1.0, most
    if reckon(high) < 1:
        return None
    while high / low > 1.01:  # noqa: PLR2004 - a hundredth is near enough
        middle = math.sqrt(low * high)
        low, high = (low, middle) if reckon(middle) >= 1 else (middle, high)
    return high
