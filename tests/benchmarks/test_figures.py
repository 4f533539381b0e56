"""What is made of figures: medians, ratios, verdicts, tables."""

from __future__ import annotations

import typing as t

import pytest

from benchmarks import figures, growth, start, tables, targets
from benchmarks.figures import OURS, PLAIN, Series, Suite
from benchmarks.running import Run
from benchmarks.wanted import JUDGES, verdicts

if t.TYPE_CHECKING:
    from pathlib import Path

KEPT = figures.read(tables.KEPT)


def series(case: str, contender: str = OURS, *, rows: int = 100, **took: float) -> Series:
    """Make a series of one run."""
    return Series(case, contender, rows, [Run(**{"wall": 1.0, "cpu": 1.0, "peak": 50.0, **took})])


def suite(*found: Series) -> Suite:
    """Make a suite."""
    return Suite({"date": "2026-11-24"}, list(found))


STARTS = suite(
    series(start.IMPORT, start.SDK, cpu=0.5),
    *(series("--help", plugin, cpu=0.5 * most) for plugin, most in start.WANTED.items()),
)
GROWTH = suite(
    *(
        series(plugin, rows=rows, cpu=round(1 + rows * each / 1e6, 4), peak=peak)
        for plugin in (growth.TAP, growth.TARGET)
        for rows, each, peak in ((0, 0, 50), (100, 900, 50), (1000, 100, 50), (10_000, 120, 55))
    )
)


def changed(one: Series, factor: float) -> Series:
    """Make a program slower and larger."""
    runs = [Run(run.wall * factor, run.cpu * factor, run.peak * factor) for run in one.runs]
    return Series(one.case, one.contender, one.rows, runs)


@pytest.mark.parametrize("name", [*KEPT, "start"])
def test_what_is_much_slower_and_larger_than_wanted_is_not_reached(name: str) -> None:
    found = {**KEPT, "start": STARTS}[name].series
    judged = verdicts({name: suite(*found)})

    worse = [
        verdicts({name: suite(*found[:at], changed(one, 20), *found[at + 1 :])})
        for at, one in enumerate(found)
    ]

    for number, _ in enumerate(judged):
        assert not all(each[number].reached for each in worse)


@pytest.mark.parametrize("found", [{"start": STARTS}, {"growth": GROWTH}])
def test_what_is_exactly_as_wanted_is_reached(found: figures.Suites) -> None:
    assert [one.what for one in verdicts(found) if not one.reached] == []


def test_programs_run_in_turn() -> None:
    order: list[str] = []

    def run(name: str) -> t.Callable[[], Run]:
        return lambda: order.append(name) or Run(1.0, float(len(order)), 1.0)

    found = figures.alternating({("case", "A"): run("A"), ("case", "B"): run("B")}, 10, 3)

    assert order == list("ABABAB")
    assert [[run.cpu for run in one.runs] for one in found] == [[1, 3, 5], [2, 4, 6]]
    assert [one.cpu for one in found] == [3, 4]


def test_a_table_has_the_noise_and_how_many_times_the_peers() -> None:
    ours = Series("rows", OURS, 1200, [Run(1, cpu, 50) for cpu in (1.0, 2.0, 3.0)])
    plain = Series("rows", PLAIN, 1200, [Run(1, 6.0, 90)])

    table = tables.of_suite("tap", suite(ours, plain))

    assert table.titles[-1] == "x SDK's defaults, by CPU"
    assert table.lines[0] == (
        *("rows", OURS, "1,200", "600 (-33% +100%)", "1,200 (+0% +0%)", "50", "3.00"),
    )


def test_targets_are_set_against_others_by_the_clock_and_by_cpu() -> None:
    ours = series(targets.FAR, wall=2.0, cpu=2.0)
    table = tables.of_suite("target", suite(ours, series(targets.FAR, PLAIN, wall=10.0, cpu=3.0)))

    assert table.lines[0][-2:] == ("5.00", "1.50")


def test_the_start_is_not_part_of_the_time_per_row() -> None:
    found = suite(series("tap", rows=0, cpu=2.0), series("tap", rows=1000, cpu=2.5))

    assert found.per_row(found.series[1]) == 500


def test_figures_are_the_same_after_they_were_kept(tmp_path: Path) -> None:
    figures.write(tmp_path / "kept.json", KEPT)

    assert (tmp_path / "kept.json").read_bytes() == tables.KEPT.read_bytes()
    assert figures.read(tmp_path / "none.json") == {}


def test_the_documents_have_a_part_for_each_suite() -> None:
    found = tables.parts({"start": STARTS})

    assert set(found) == {"wanted", "machine", *(f"benchmark {name}" for name in JUDGES)}
    assert found["benchmark tap"] == "\nNot measured yet.\n"
    assert found["machine"].strip() == "- start: date 2026-11-24"
    assert "| tap-pendo, --help, CPU, against import singer_sdk | 1.40 x |" in found["wanted"]
