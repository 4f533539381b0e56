"""What the project wants to reach, against what was measured."""

from __future__ import annotations

import typing as t

from benchmarks import growth, pipe, start, taps, targets
from benchmarks.figures import BARE, PLAIN, Suite

if t.TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from benchmarks.figures import Suites

_LINEAR = 0.1


class Verdict(t.NamedTuple):
    """What is wanted, what was measured, and whether that is enough."""

    what: str
    measured: str
    wanted: str
    reached: bool


def verdicts(suites: Suites) -> list[Verdict]:
    """Judge what was measured; what was not is left out."""
    return [one for name, judge in JUDGES.items() if name in suites for one in judge(suites[name])]


def _at_least(what: str, ratio: float, wanted: float) -> Verdict:
    return Verdict(what, f"{ratio:.2f} x", f"at least {wanted:g} x", ratio >= wanted)


def _at_most(what: str, found: float, wanted: float, unit: str) -> Verdict:
    text = f"{found:.{0 if unit == 'MB' else 2}f} {unit}"
    return Verdict(what, text, f"at most {wanted:g} {unit}", found <= wanted)


def _tap(suite: Suite) -> Iterator[Verdict]:
    for case, other, wanted in (
        (taps.EVENTS, PLAIN, 4),
        (taps.EVENTS, BARE, 0.6),
        ("visitors", PLAIN, 3),
    ):
        what = f"tap-pendo, {case}, rows per CPU second, against {other}"
        yield _at_least(what, suite.of(case, other).cpu / suite.of(case).cpu, wanted)


def _memory(suite: Suite) -> Iterator[Verdict]:
    small, large = suite.of(taps.SMALL), suite.of(taps.LARGE)
    what = f"tap-pendo, {large.rows:,} rows in one answer, peak memory"
    yield _at_most(what, large.peak, 100, "MB")
    yield _at_most(f"the same, more than of {small.rows:,} rows", large.peak - small.peak, 15, "MB")


def _latency(suite: Suite) -> Iterator[Verdict]:
    what = "tap-pendo, 30 windows at 150 ms, seconds, against 0 ms"
    yield _at_most(what, suite.of(taps.FAR).wall / suite.of(taps.NEAR).wall, 1.25, "x")


def _many(suite: Suite) -> Iterator[Verdict]:
    # a twentieth of what singer-io/tap-pendo 1.3.1 took, once, on another machine: 103 s
    what = f"tap-pendo, {taps.MANY}, start included"
    yield _at_most(what, suite.of(taps.MANY).wall, 5.15, "s")


def _target(suite: Suite) -> Iterator[Verdict]:
    for case, (waits, _) in targets.CASES.items():
        what = f"target-planhat with ledger, {case}, rows per second, against {PLAIN}"
        ratio = suite.of(case, PLAIN).wall / suite.of(case).wall
        yield _at_least(what, ratio, 5 if waits else 3)


def _pipe(suite: Suite) -> Iterator[Verdict]:
    for case in (pipe.MELTANO, pipe.LONGER):
        ours, other = suite.of(case), suite.of(case, PLAIN)
        what = f"meltano run, {ours.rows:,} rows into PostgreSQL, rows per second, against {PLAIN}"
        yield _at_least(what, other.wall / ours.wall, 2.5)


def _growth(suite: Suite) -> Iterator[Verdict]:
    sizes = sorted({one.rows for one in suite.series})
    found = {(one.case, one.rows): one for one in suite.series}
    before, largest = (found[growth.TARGET, rows] for rows in sizes[-2:])
    what = f"target-planhat, {largest.rows:,} records, peak memory, against {before.rows:,}"
    yield _at_most(what, largest.peak / before.peak, 1.1, "x")
    judged = sizes[2:]  # of fewer rows the start's own wavering hides the time
    for plugin in (growth.TAP, growth.TARGET):
        each = [suite.per_row(found[plugin, rows]) for rows in judged]
        what = f"{plugin}, CPU per row from {judged[0]:,} to {judged[-1]:,} rows"
        off = abs((max(each) - min(each)) / (max(each) + min(each)))
        yield Verdict(what, f"± {off:.0%}", "± 10%", off <= _LINEAR)


def _hourly(suite: Suite) -> Iterator[Verdict]:
    empty, full = suite.of(targets.EMPTY), suite.of(targets.FULL)
    what = f"target-planhat, {full.rows:,} new records, CPU with a full ledger, against empty"
    yield _at_most(what, full.cpu / empty.cpu, 1.3, "x")


def _start(suite: Suite) -> Iterator[Verdict]:
    least = suite.of(start.IMPORT, start.SDK).cpu
    for one in suite.series:
        if one.contender != start.SDK:
            what = f"{one.contender}, {one.case}, CPU, against import singer_sdk"
            yield _at_most(what, one.cpu / least, start.WANTED[one.contender], "x")


JUDGES: dict[str, Callable[[Suite], Iterator[Verdict]]] = {
    "tap": _tap,
    "memory": _memory,
    "latency": _latency,
    "many": _many,
    "target": _target,
    "pipe": _pipe,
    "growth": _growth,
    "hourly": _hourly,
    "start": _start,
}
