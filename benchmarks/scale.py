"""Arithmetic: what so many events and tenants take, from what one of each was measured to take."""

from __future__ import annotations

import argparse
import dataclasses
import math
import typing as t

from benchmarks.tables import Table, markdown, text

if t.TYPE_CHECKING:
    from collections.abc import Callable

# What one of each takes: medians of three rounds on 2026-11-28, on a virtual machine of 2 cores, of
# Python 3.11 and meltano run into PostgreSQL (fsync off), and into a ledger in SQLite
COSTS = (
    (6.72, "CPU s", "run without rows, all processes"),
    (6.16, "s", "run without rows, by the clock"),
    (33, "CPU us", "row, tap-pendo"),
    (18.3, "CPU us", "row, Meltano"),
    (196, "CPU us", "row, target-postgres"),
    (205, "CPU us", "row read again, target-postgres"),
    (51, "CPU us", "row, PostgreSQL"),
    (50, "CPU us", "row read again, PostgreSQL"),
    (643, "bytes", "row in an answer of Pendo"),
    (1630, "bytes", "row in PostgreSQL, read again once, table"),
    (123, "bytes", "row in PostgreSQL, read again once, index of its key"),
    (95, "CPU us", "record, target-planhat"),
    (69, "CPU us", "record read again, target-planhat"),
    (27, "CPU us", "end user copied, target-planhat"),
    (228, "bytes", "item, in the ledger"),
    (102, "bytes", "total of an hour with a figure of `info`, in the ledger"),
)
_TAKEN = [value * (1e-6 if unit == "CPU us" else 1) for value, unit, _ in COSTS]
START, START_SECONDS, TAP, MELTANO, LOAD, LOAD_AGAIN, DATABASE, DATABASE_AGAIN = _TAKEN[:8]
ANSWER, TABLE, INDEX, RECORD, RECORD_AGAIN, END_USER, ITEM, TOTAL = _TAKEN[8:]
DAY, SECONDS, GB = 24, 86_400, 1e9
SIZES = (1e6, 1e7, 1e8, 1e9, 1e10)
_MANY = 1e12
PENDO, PIPE, TARGET = "Pendo", "target-postgres", "target-planhat"
"""Each tenant has its own of these; the others are shared."""
CORES = "workers' cores"
KEYS = "PostgreSQL's memory, by the index of keys (slower beyond)"


def _of(default: float, about: str) -> t.Any:
    return dataclasses.field(default=default, metadata={"about": about})


@dataclasses.dataclass(frozen=True)
class Case:
    """One case. `events` are those that Pendo counts, of all event streams of one tenant."""

    events: float = _of(1e8, "events a year of each tenant, of all event streams")
    tenants: float = _of(1, "Pendo subscriptions, each with a Planhat tenant")
    years: float = _of(1, "years of history")
    streams: float = _of(4, "event streams with equally many events; one goes to Planhat, too")
    events_per_row: float = _of(2, "events that one row of an hour counts")
    rows_per_item: float = _of(1.5, "rows of one visitor, feature and day")
    hours_per_day: float = _of(12, "hours of a day in which there are events")
    end_users: float = _of(10_000, "end users in each tenant of Planhat")
    runs_per_day: float = _of(24, "runs a day, evenly spread")
    lookback_hours: float = _of(12, "`lookback_hours`")
    lookback_days: float = _of(3, "`lookback_days`")
    page_size: float = _of(50_000, "`page_size`")
    concurrency: float = _of(4, "`concurrency`")
    calls_per_second: float = _of(25, "`max_calls_per_second`")
    seconds_per_call: float = _of(0.15, "until an answer begins, assumed")
    megabytes_per_second: float = _of(10, "of one answer or post, assumed")
    partitions: float = _of(1, "parts of a history that are read side by side")
    cores: float = _of(2, "cores of all machines that run plugins")
    database_memory: float = _of(16, "GB of memory of the warehouse's PostgreSQL")

    @property
    def day_rows(self) -> float:
        """Rows that a day of one stream of one tenant has."""
        return self.events / 365 / self.streams / self.events_per_row

    def window_rows(self, hours: float) -> float:
        """Rows of a window of so many hours, at noon."""
        return self.day_rows * max(min(hours / self.hours_per_day, 1), hours / DAY)


def calls(case: Case, hours: float) -> float:
    """Calls for a history of one stream: about as the tap cuts it, once it has learnt how.

    Windows begin as days. They become shorter while they fill a page, and longer while they hold
    less than an eighth of one. One that fills a page is also counted.
    """
    length, learning = DAY, 0.0
    for shorter in (12, 6, 3, 1):
        length = shorter if case.window_rows(length) >= case.page_size else length
    for longer in (2, 4, 8, 16, 30):
        if case.window_rows(length) < case.page_size / 8:
            # so many windows are under way before one of them shows that they may be longer
            length, learning = longer * DAY, learning + case.concurrency
    used = hours * case.hours_per_day / DAY if length < DAY else hours
    windows = used / length + 1 + min(learning, hours / DAY / 2)
    return windows * _pages(case, case.window_rows(length))


def _pages(case: Case, rows: float) -> float:
    return 1 if rows < case.page_size else rows / case.page_size + 2


def reading(case: Case, rows: float, asked: float, windows: float) -> float:
    """Seconds that Pendo takes; `concurrency` windows are read at once, pages one by one."""
    each = asked * case.seconds_per_call + rows * ANSWER / (case.megabytes_per_second * 1e6)
    return max(each / min(case.concurrency, windows), asked / case.calls_per_second)


class History(t.NamedTuple):
    """A back-fill of one tenant; `seconds` by what takes them."""

    rows: float
    calls: float
    seconds: dict[str, float]
    items: float


def history(case: Case) -> History:
    """Calculate a history that is read in `partitions` side by side; one stream goes to Planhat."""
    each = case.day_rows * 365 * case.years
    rows, parts = each * case.streams, case.partitions
    asked = case.streams * parts * calls(case, case.years * 365 * DAY / parts)
    pendo = case.streams * reading(case, each / parts, asked / case.streams / parts, math.inf)
    seconds = {
        PENDO: max(pendo, asked / case.calls_per_second),
        # one pipe is as fast as its slowest process; it waits while PostgreSQL works
        PIPE: rows / parts * (LOAD + DATABASE),
        CORES: rows * (TAP + MELTANO + LOAD) / case.cores,
    }
    return History(rows, asked, seconds, each / case.rows_per_item)


class Upkeep(t.NamedTuple):
    """A day of scheduled runs of one tenant, into the warehouse and into Planhat.

    `again` is the share of the rows that were read before; `longest` the seconds of the longest
    run; `shares` how much each resource is used, of all tenants where they share it: 1 is all.
    """

    rows: float
    again: float
    calls: float
    longest: float
    cpu: float
    shares: dict[str, float]


def upkeep(case: Case) -> Upkeep:
    """Calculate a day: its first run goes back `lookback_days`, the others `lookback_hours`."""
    between = DAY / case.runs_per_day
    spans = [case.lookback_days * DAY + between]
    spans += [case.lookback_hours + between] * (round(case.runs_per_day) - 1)
    fresh, streams, starts = case.day_rows, case.streams, 2 * case.runs_per_day
    rows = fresh * sum(spans) / DAY
    again = rows - fresh
    # too short for windows to become other than days; Planhat's own run reads for itself
    cut = [(fresh * span / DAY, 1 + span / DAY) for span in spans]
    asked = [windows * _pages(case, each / windows) for each, windows in cut]
    seconds = [
        reading(case, each, number, windows)
        for (each, windows), number in zip(cut, asked, strict=True)
    ]
    pendo = sum(seconds) * (streams + 1)
    load = streams * (fresh * LOAD + again * LOAD_AGAIN)
    database = streams * (fresh * DATABASE + again * DATABASE_AGAIN)
    target = fresh * RECORD + again * RECORD_AGAIN + case.runs_per_day * case.end_users * END_USER
    cpu = starts * START + rows * (streams + 1) * (TAP + MELTANO) + load + target
    longest = max(seconds[0], cut[0][0] * (LOAD_AGAIN + DATABASE_AGAIN))
    index = fresh * streams * 365 * case.years * INDEX
    return Upkeep(
        rows * streams,
        again / rows,
        sum(asked) * (streams + 1),
        START_SECONDS + streams * longest,
        cpu,
        {
            PENDO: pendo / SECONDS,
            PIPE: (load + database) / SECONDS,
            TARGET: target / SECONDS,
            CORES: case.tenants * cpu / (case.cores * SECONDS),
            KEYS: case.tenants * index / (case.database_memory * GB),
        },
    )


def stands_at(name: str, case: Case, number: str) -> float:
    """Find the number of events or tenants at which a resource is used up: shares grow evenly."""
    few, many = (
        upkeep(dataclasses.replace(case, **{number: each})).shares[name] for each in (1, _MANY)
    )
    return 1 + (1 - few) / (many - few) * _MANY


def histories(case: Case) -> Table:
    """A back-fill of one tenant, of each size, as one read and in 12 parts on six machines."""
    lines = []
    for events in sorted({*SIZES, case.events}):
        one = dataclasses.replace(case, events=events)
        for each in (one, dataclasses.replace(one, partitions=12, cores=6 * case.cores)):
            found = history(each)
            slowest = max(found.seconds, key=lambda name: found.seconds[name])
            records = found.rows / case.streams
            ledger = records * TOTAL + found.items * ITEM
            lines.append(
                {
                    "events a year": f"{events:,.0f}",
                    "parts": f"{each.partitions:.0f}",
                    "rows": f"{found.rows:,.0f}",
                    "calls": _near(found.calls),
                    "GB read": _near(found.rows * ANSWER / GB),
                    "Pendo alone": _time(found.seconds[PENDO]),
                    "whole run": _time(START_SECONDS + found.seconds[slowest]),
                    "slowest part": slowest,
                    "GB in PostgreSQL": _near(found.rows * (TABLE + INDEX) / GB),
                    "target-planhat alone": _time(records * RECORD),
                    "ledger GB": _near(ledger / GB),
                }
            )
    return _table(lines)


def days(case: Case) -> Table:
    """A day of runs, of so many events a year of each of so many tenants."""
    lines = []
    pairs = {*((size, 1.0) for size in SIZES), *((1e7, many) for many in (10.0, 100.0, 1000.0))}
    for events, tenants in sorted(pairs | {(case.events, case.tenants)}, key=lambda one: one[::-1]):
        found = upkeep(dataclasses.replace(case, events=events, tenants=tenants))
        runs = {name: share for name, share in found.shares.items() if name != KEYS}
        most = max(runs, key=lambda name: runs[name])
        lines.append(
            {
                "events a year of each": f"{events:,.0f}",
                "tenants": f"{tenants:,.0f}",
                "rows a day": _near(found.rows * tenants),
                "read again": f"{found.again:.0%}",
                "calls a day": _near(found.calls * tenants),
                "longest run": _time(found.longest),
                "cores busy": _near(found.cpu * tenants / SECONDS),
                "used most": most,
                "share": f"{runs[most]:.0%}",
            }
        )
    return _table(lines)


def limits(case: Case) -> Table:
    """Where each resource is used up: by one tenant, and by many; and after some changes."""
    changes: dict[str, dict[str, float]] = {
        "as above": {},
        "4 runs a day": {"runs_per_day": 4},
        "one run a day": {"runs_per_day": 1},
        "look-backs of 3 h and 1 d": {"lookback_hours": 3, "lookback_days": 1},
        "4 x the machines": {"cores": 4 * case.cores},
    }
    small = dataclasses.replace(case, events=1e7)
    lines = []
    for name in upkeep(case).shares:
        line = {"events a year of one tenant": name}
        for what, change in changes.items():
            one = dataclasses.replace(case, tenants=1, **change)
            line[what] = _near(stands_at(name, one, "events"), 2)
        shared = name not in (PENDO, PIPE, TARGET)
        many = _near(stands_at(name, small, "tenants"), 2) if shared else "each has its own"
        lines.append({**line, "tenants of 10,000,000 events": many})
    return _table(lines)


def costs(_: Case) -> Table:
    """What one of each takes."""
    return _table([{"one": what, "takes": _near(n), "unit": unit} for n, unit, what in COSTS])


def _table(lines: list[dict[str, str]]) -> Table:
    return Table(tuple(lines[0]), [tuple(line.values()) for line in lines])


def _near(number: float, digits: int = 3) -> str:
    """Give the digits that such a number is worth."""
    small = number < 10  # noqa: PLR2004 - digits
    return f"{number:.2g}" if small else f"{float(f'{number:.{digits}g}'):,.0f}"


def _time(seconds: float) -> str:
    for unit, length in (("d", 86_400), ("h", 3600), ("min", 60)):
        if seconds >= 2 * length:
            return f"{seconds / length:,.1f} {unit}"
    return f"{seconds:.1f} s"


TITLES: dict[str, Callable[[Case], Table]] = {
    "a history of one tenant": histories,
    "a day of runs": days,
    "where the limits are": limits,
    "what one of each takes": costs,
}


def parts() -> dict[str, str]:
    """Give each generated part of docs/scale.md by its name."""
    return {f"scale: {title}": "\n" + markdown(of(Case())) for title, of in TITLES.items()}


def main() -> None:
    """Print what docs/scale.md quotes, or a case of one's own."""
    parser = argparse.ArgumentParser(prog="./do dev scale", description=__doc__)
    for field in dataclasses.fields(Case):
        name, about = f"--{field.name.replace('_', '-')}", field.metadata["about"]
        help_ = f"{about} ({field.default:g})"
        parser.add_argument(name, type=_positive, default=field.default, metavar="N", help=help_)
    case = Case(**vars(parser.parse_args()))
    print("\n\n".join(f"{title}\n\n{text(of(case))}" for title, of in TITLES.items()))


def _positive(said: str) -> float:
    try:
        number = float(said)
    except ValueError:
        number = math.nan
    if not 0 < number < 1e15:  # noqa: PLR2004 - whatever there may be
        raise argparse.ArgumentTypeError("it must be a number above 0")
    return number


if __name__ == "__main__":
    main()
