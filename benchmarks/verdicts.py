"""What the project wants to reach, against what was measured."""

from __future__ import annotations

import typing as t

from benchmarks.figures import BARE, OURS, PLAIN, Suite
from benchmarks.suites import growth, hourly, latency, many, memory, pipe, target

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
    digits = 0 if unit == "MB" else 2
    text = f"{found:.{digits}f} {unit}"
    return Verdict(what, text, f"at most {wanted:g} {unit}", found <= wanted)


def _tap(suite: Suite) -> Iterator[Verdict]:
    for case, contender, wanted in (
        ("feature_events", PLAIN, 4),
        ("feature_events", BARE, 0.6),
        ("visitors", PLAIN, 3),
    ):
        ours, other = suite.of(case), suite.of(case, contender)
        what = f"tap-pendo, {case}, rows per CPU second, against {contender}"
        yield _at_least(what, other.cpu / ours.cpu, wanted)


def _memory(suite: Suite) -> Iterator[Verdict]:
    small, large = suite.of(memory.SMALL), suite.of(memory.LARGE)
    what = f"tap-pendo, {large.rows:,} rows in one answer, peak memory"
    yield _at_most(what, large.peak, 100, "MB")
    yield _at_most(f"the same, more than of {small.rows:,} rows", large.peak - small.peak, 15, "MB")


def _latency(suite: Suite) -> Iterator[Verdict]:
    what = "tap-pendo, 30 windows at 150 ms, seconds, against 0 ms"
    yield _at_most(what, suite.of(latency.FAR).wall / suite.of(latency.NEAR).wall, 1.25, "x")


def _many(suite: Suite) -> Iterator[Verdict]:
    what = f"tap-pendo, {many.CASE}, start included"
    yield _at_most(what, suite.of(many.CASE).wall, many.QUOTED / 20, "s")


def _target(suite: Suite) -> Iterator[Verdict]:
    for case, (waits, _) in target.CASES.items():
        ours, other = suite.find(case, OURS), suite.find(case, PLAIN)
        if ours is None or other is None:
            # not among figures that are kept from before the case was added
            continue
        what = f"target-planhat with ledger, {case}, rows per second, against {PLAIN}"
        yield _at_least(what, other.wall / ours.wall, 5 if waits else 3)


def _pipe(suite: Suite) -> Iterator[Verdict]:
    for case in (pipe.MELTANO, pipe.LONGER):
        ours, other = suite.of(case), suite.of(case, PLAIN)
        what = f"meltano run, {ours.rows:,} rows into PostgreSQL, rows per second, against {PLAIN}"
        yield _at_least(what, other.wall / ours.wall, 2.5)


def _growth(suite: Suite) -> Iterator[Verdict]:
    sizes = sorted({one.rows for one in suite.series})
    largest, before = sizes[-1], sizes[-2]
    found = {(one.case, one.rows): one for one in suite.series}
    peaks = [found[growth.TARGET, rows].peak for rows in (largest, before)]
    what = f"target-planhat, {largest:,} records, peak memory, against {before:,}"
    yield _at_most(what, peaks[0] / peaks[1], 1.1, "x")
    judged = sizes[2:]  # of fewer rows the start's own wavering hides the time
    for plugin in (growth.TAP, growth.TARGET):
        each = [suite.per_row(found[plugin, rows]) for rows in judged]
        what = f"{plugin}, CPU per row from {judged[0]:,} to {judged[-1]:,} rows"
        off = (max(each) - min(each)) / (max(each) + min(each))
        yield Verdict(what, f"± {off:.0%}", "± 10%", off <= _LINEAR)


def _hourly(suite: Suite) -> Iterator[Verdict]:
    empty, full = suite.of(hourly.EMPTY), suite.of(hourly.FULL)
    what = f"target-planhat, {full.rows:,} new records, CPU with a full ledger, against empty"
    yield _at_most(what, full.cpu / empty.cpu, 1.3, "x")


JUDGES: dict[str, Callable[[Suite], Iterator[Verdict]]] = {
    "tap": _tap,
    "memory": _memory,
    "latency": _latency,
    "many": _many,
    "target": _target,
    "pipe": _pipe,
    "growth": _growth,
    "hourly": _hourly,
}
