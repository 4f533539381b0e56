"""Cases as tables: histories, keeping up, where walls stand and what moves them."""

from __future__ import annotations

import dataclasses
import functools
import math
import typing as t

from benchmarks.scale.cases import Case
from benchmarks.scale.reckoning import (
    CORES,
    DATABASE,
    GB,
    MEMORY,
    OF_ONE,
    History,
    Upkeep,
    history,
    stands_at,
    upkeep,
)
from benchmarks.tables import Table

if t.TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from benchmarks.scale.costs import Costs

    Line = tuple[str, ...]

SIZES = tuple(10.0**power for power in range(6, 11))
# of each tenant, where there are many
_SHARED = 1e7
_DAYS: Sequence[tuple[float, int]] = [
    *((size, 1) for size in SIZES),
    *((_SHARED, tenants) for tenants in (10, 100, 1000)),
]
_MOST = 1e15
_HISTORY = (
    *("events a year", "parts", "rows", "calls", "GB read", "Pendo alone", "loading alone"),
    *("whole run", "slowest part", "GB in PostgreSQL", "of it index"),
    *("activities", "posts", "target-planhat alone", "ledger GB"),
)
_UPKEEP = (
    *("events a year of each", "tenants", "rows a day", "read again", "calls a day", "GB a day"),
    *("longest run", "cores busy", "used most", "share"),
)
_WALLS = ("resource", "of one tenant, events a year", "tenants of 10,000,000 events a year")
_MOVES = ("change", "limit, events a year", "resource", "cores busy at 10^9")
_SMALL_MOVES = ("change", "limit, tenants", "resource", "cores busy of 1,000 tenants")

_BEYOND = "memory for the index of keys (slower beyond, not measured)"

Change = t.Callable[[Case], Case]


def _with(**numbers: t.Any) -> Change:
    return lambda case: dataclasses.replace(case, **numbers)


def _times_four(*names: str) -> Change:
    return lambda case: dataclasses.replace(case, **{n: getattr(case, n) * 4 for n in names})


def _one_stream(case: Case) -> Case:
    return dataclasses.replace(case, streams=1, events=case.events / case.streams)


def _all(*changes: Change) -> Change:
    return lambda case: functools.reduce(lambda so_far, change: change(so_far), changes, case)


_SHORT = _with(lookback_hours=3, lookback_days=1)
_MACHINES = _times_four("workers")
_DATABASE = _times_four("database_cores", "database_memory")
CHANGES: dict[str, Change] = {
    "as above": _with(),
    "4 runs a day, as `meltano.yml` has it": _with(runs_per_day=4),
    "one run a day": _with(runs_per_day=1),
    "`lookback_hours: 3`": _with(lookback_hours=3),
    "`lookback_hours: 3`, `lookback_days: 1`": _SHORT,
    "`period: day`, one run a day": _with(period="day", runs_per_day=1),
    "one of the event streams only": _one_stream,
    "Pendo allows one call a second": _with(calls_per_second=1),
    "Pendo's answers begin after 10 s": _with(seconds_per_call=10),
    "four machines that run plugins": _MACHINES,
    "four times the cores and memory for PostgreSQL": _DATABASE,
    "4 runs a day, shorter look-backs, one stream, four times the machines": _all(
        _with(runs_per_day=4), _SHORT, _one_stream, _MACHINES, _DATABASE
    ),
}


def histories(case: Case, costs: Costs, sizes: Sequence[float] = SIZES) -> Table:
    """A back-fill of one tenant, of each size, as one read and in twelve parts on six machines."""
    parts = [case] if case.partitions > 1 else [case, _with(partitions=12, workers=6)(case)]
    lines = [
        _of_history(dataclasses.replace(each, events=events), costs)
        for events in sizes
        for each in parts
    ]
    return Table(_HISTORY, lines)


def _of_history(case: Case, costs: Costs) -> tuple[str, ...]:
    found: History = history(case, costs)
    return (
        _count(case.events),
        str(case.partitions),
        _count(found.rows),
        _count(found.calls),
        _amount(found.size / GB),
        _time(found.pendo_seconds),
        _time(found.load_seconds),
        _time(found.seconds),
        found.slowest,
        _amount((found.table_size + found.index_size) / GB),
        _amount(found.index_size / GB),
        _count(found.items),
        _count(found.posts),
        _time(found.planhat_seconds),
        _amount(found.ledger_size / GB),
    )


def upkeeps(case: Case, costs: Costs, pairs: Sequence[tuple[float, int]] = _DAYS) -> Table:
    """A day of runs, of so many events a year of each of so many tenants."""
    lines = [
        _of_upkeep(dataclasses.replace(case, events=events, tenants=tenants), costs)
        for events, tenants in pairs
    ]
    return Table(_UPKEEP, lines)


def _of_upkeep(case: Case, costs: Costs) -> tuple[str, ...]:
    found: Upkeep = upkeep(case, costs)
    return (
        _count(case.events),
        _count(case.tenants),
        _count(found.rows * case.tenants),
        f"{found.again / found.rows:.0%}",
        _count(found.calls * case.tenants),
        _amount(found.size * case.tenants / GB),
        _time(found.longest),
        _amount(found.cpu * case.tenants / 86_400),
        found.wall,
        f"{found.shares[found.wall]:.0%}",
    )


def walls(case: Case, costs: Costs) -> Table:
    """Where each resource is used up: by one tenant, and by many."""

    def line(name: str, share: Callable[[Upkeep], float], *, shared: bool) -> tuple[float, Line]:
        def of(**numbers: t.Any) -> float:
            return share(upkeep(dataclasses.replace(case, **numbers), costs))

        one = stands_at(lambda events: of(events=events, tenants=1), _MOST)
        many = shared and stands_at(lambda n: of(events=_SHARED, tenants=round(n)), 1e9)
        others = _near(many or None) if shared else "each has its own"
        return one or math.inf, (name, _near(one), others)

    lines = [line(_BEYOND, lambda found: found.index, shared=True)]
    for name in upkeep(case, costs).shares:
        share = functools.partial(_share, name)
        lines.append(line(name, share, shared=name not in OF_ONE))
    return Table(_WALLS, [line for _, line in sorted(lines)])


def _share(name: str, found: Upkeep) -> float:
    return found.shares[name]


def moves(case: Case, costs: Costs) -> Table:
    """Where the first wall of one tenant stands after a change."""

    def of(change: Change) -> Callable[[float], Case]:
        return lambda events: change(dataclasses.replace(case, events=events, tenants=1))

    return Table(_MOVES, [(what, *_first(costs, of(one), 1e9)) for what, one in CHANGES.items()])


def small_moves(case: Case, costs: Costs) -> Table:
    """Where the first wall of many tenants stands after a change."""

    def of(change: Change) -> Callable[[float], Case]:
        return lambda n: change(dataclasses.replace(case, events=_SHARED, tenants=round(n)))

    return Table(
        _SMALL_MOVES,
        [(what, *_first(costs, of(change), 1000)) for what, change in CHANGES.items()],
    )


def _first(costs: Costs, of: Callable[[float], Case], shown: float) -> tuple[str, str, str]:
    """Say where the first wall stands, which it is, and how many cores are busy at some number."""
    at = stands_at(lambda n: max(upkeep(of(n), costs).shares.values()), _MOST) or _MOST
    case = of(shown)
    busy = upkeep(case, costs).cpu * case.tenants / 86_400
    return _near(at), upkeep(of(at), costs).wall, _amount(busy)


def shares(case: Case, costs: Costs) -> Table:
    """How much of each resource one case uses."""
    found = upkeep(case, costs).shares
    per = {
        **dict.fromkeys(OF_ONE, "of a day, of one tenant"),
        CORES: f"of {case.workers * case.cores} cores",
        MEMORY: f"of {case.workers * case.memory:g} GB",
        DATABASE: f"of {case.database_cores} cores",
    }
    lines = sorted(found.items(), key=lambda pair: -pair[1])
    return Table(("resource", "used", "of what"), [(n, f"{s:.2%}", per[n]) for n, s in lines])


def _count(number: float) -> str:
    return f"{number:,.0f}"


def _near(number: float | None, none: str = "nowhere near") -> str:
    """Two digits are all that such a number is worth."""
    if number is None:
        return none
    digits = float(f"{number:.2g}")
    return f"{digits:,.0f}"


def _amount(number: float) -> str:
    return f"{number:,.0f}" if number >= 10 else f"{number:.2g}"  # noqa: PLR2004 - digits


def _time(seconds: float) -> str:
    for unit, length in (("d", 86_400), ("h", 3600), ("min", 60)):
        if seconds >= 2 * length:
            return f"{seconds / length:,.1f} {unit}"
    return f"{seconds:.1f} s"


TITLES: dict[str, Callable[[Case, Costs], Table]] = {
    "a history of one tenant": histories,
    "a day of runs": upkeeps,
    "where the walls stand": walls,
    "what moves the first wall of one tenant": moves,
    "what moves the first wall of many tenants": small_moves,
}
"""What docs/scale.md quotes."""
