"""What is made of figures: medians, ratios, verdicts, tables."""

from __future__ import annotations

import json
import typing as t

import pytest

from benchmarks import documents, figures, tables
from benchmarks.figures import BARE, OURS, PLAIN, Amount, Series, Suite
from benchmarks.running import Run
from benchmarks.scale import telling
from benchmarks.suites import growth, hourly, latency, many, memory, pipe, target
from benchmarks.verdicts import verdicts

if t.TYPE_CHECKING:
    from pathlib import Path


def series(case: str, contender: str = OURS, *, rows: int = 100, **took: float) -> Series:
    """Make a series of one run."""
    run = {"wall": 1.0, "cpu": 1.0, "peak": 50.0, **took}
    return Series(case, contender, rows, [Run(**run, lines=rows)])


def suite(*found: Series) -> Suite:
    """Make a suite."""
    return Suite({"date": "2026-11-24"}, list(found))


FAST = {
    "tap": suite(
        series("feature_events", cpu=1.0),
        series("feature_events", PLAIN, cpu=4.0),
        series("feature_events", BARE, cpu=0.6),
        series("visitors", cpu=1.0),
        series("visitors", PLAIN, cpu=3.0),
    ),
    "memory": suite(series(memory.SMALL, peak=85.0), series(memory.LARGE, rows=1000, peak=100.0)),
    "latency": suite(series(latency.NEAR, wall=4.0), series(latency.FAR, wall=5.0)),
    "many": suite(series(many.CASE, wall=5.15)),
    "target": suite(
        *(
            series(case + kind, contender, wall=wall)
            for kind in ("", target.SINGLE)
            for case, contender, wall in (
                (target.NEAR, OURS, 1.0),
                (target.NEAR, PLAIN, 3.0),
                (target.FAR, OURS, 1.0),
                (target.FAR, PLAIN, 5.0),
            )
        ),
    ),
    "pipe": suite(
        series(pipe.MELTANO, wall=2.0),
        series(pipe.MELTANO, PLAIN, wall=5.0),
        series(pipe.LONGER, wall=20.0),
        series(pipe.LONGER, PLAIN, wall=50.0),
    ),
    "hourly": suite(
        series(hourly.EMPTY, cpu=1.0), series(hourly.FULL, cpu=1.3), series(hourly.IDLE, rows=0)
    ),
    "growth": suite(
        *(
            series(plugin, rows=rows, cpu=round(1 + rows * each / 1e6, 4), peak=peak)
            for plugin in (growth.TAP, growth.TARGET)
            for rows, each, peak in (
                (0, 0, 50.0),
                (100, 900, 50.0),
                (1000, 100, 50.0),
                (10_000, 120, 55.0),
            )
        )
    ),
}


def slower(one: Series) -> Series:
    """Make a program a little slower and larger."""
    runs = [Run(run.wall * 1.01, run.cpu * 1.01, run.peak * 1.01, run.lines) for run in one.runs]
    return Series(one.case, one.contender, one.rows, runs)


def test_what_is_exactly_as_wanted_is_reached() -> None:
    judged = verdicts(FAST)

    assert len(judged) == 17
    assert [one.what for one in judged if not one.reached] == []


@pytest.mark.parametrize("name", ["tap", "many", "target", "pipe"])
def test_what_is_slower_than_wanted_is_not_reached(name: str) -> None:
    found = FAST[name].series
    changed = suite(*(slower(one) if one.contender == OURS else one for one in found))

    assert [one.what for one in verdicts({name: changed}) if one.reached] == []


def test_targets_are_set_against_others_by_the_clock_and_by_cpu() -> None:
    table = tables.of_suite(
        "target",
        suite(
            series(target.FAR, wall=2.0, cpu=2.0),
            series(target.FAR, PLAIN, wall=10.0, cpu=3.0),
        ),
    )

    ours = dict(zip(table.titles, table.lines[0], strict=True))
    assert ours["x SDK's defaults, by the clock"] == "5.00"
    assert ours["x SDK's defaults, by CPU"] == "1.50"


@pytest.mark.parametrize("name", ["memory", "latency", "growth"])
def test_what_grows_more_than_wanted_is_not_reached(name: str) -> None:
    *fewer, most = FAST[name].series

    assert [one.reached for one in verdicts({name: suite(*fewer, slower(most))})].count(False) > 0


def test_suites_that_were_not_measured_are_not_judged() -> None:
    assert [one.what for one in verdicts({"many": FAST["many"]})] == [
        "tap-pendo, 50 features x 100 rows, start included"
    ]


def test_programs_run_in_turn() -> None:
    order: list[str] = []

    def run(name: str) -> t.Callable[[], Run]:
        return lambda: order.append(name) or Run(1.0, float(len(order)), 1.0, 1)

    found = figures.alternating({("case", "A"): run("A"), ("case", "B"): run("B")}, 10, 3)

    assert order == list("ABABAB")
    assert [[run.cpu for run in one.runs] for one in found] == [[1, 3, 5], [2, 4, 6]]
    assert [one.cpu for one in found] == [3, 4]


def test_a_table_has_the_noise_and_how_many_times_the_peers() -> None:
    ours = Series("rows", OURS, 1200, [Run(1, cpu, 50, 1) for cpu in (1.0, 2.0, 3.0)])
    plain = Series("rows", PLAIN, 1200, [Run(1, 6.0, 90, 1)])

    table = tables.of_suite("tap", suite(ours, plain))

    assert table.titles[-1] == "x SDK's defaults, by CPU"
    assert table.lines[0] == (
        *("rows", OURS, "1,200", "600 (-33% +100%)", "1,200 (+0% +0%)", "50", "3.00"),
    )
    assert tables.text(table).splitlines()[2].split("  ")[0] == "rows"


def test_the_start_is_not_part_of_the_time_per_row() -> None:
    found = suite(series("tap", rows=0, cpu=2.0), series("tap", rows=1000, cpu=2.5))

    assert found.per_row(found.series[1]) == 500


def test_an_amount_is_the_median_with_its_noise() -> None:
    found = Suite({}, amounts=[Amount("row", "bytes", [90, 100, 120]), Amount("call", "s", [0.5])])

    assert tables.of_suite("units", found).lines == [
        ("row", "100 (-10% +20%)", "bytes"),
        ("call", "0.50", "s"),
    ]
    assert found.amount("row") == 100
    with pytest.raises(KeyError, match="column"):
        found.amount("column")


def test_what_a_suite_lacks_is_not_written(tmp_path: Path) -> None:
    file = tmp_path / "kept.json"
    amounts = [Amount("row", "bytes", [90.0])]

    figures.write(file, {"many": FAST["many"], "units": Suite({}, amounts=amounts)})

    assert [list(one) for one in json.loads(file.read_text()).values()] == [
        ["measured", "series"],
        ["measured", "amounts"],
    ]
    assert figures.read(file)["units"].amounts == amounts


def test_figures_are_the_same_after_they_were_kept(tmp_path: Path) -> None:
    figures.write(tmp_path / "kept.json", FAST)

    assert figures.read(tmp_path / "kept.json") == FAST
    assert figures.read(tmp_path / "none.json") == {}


def test_the_documents_have_a_part_for_each_suite() -> None:
    found = documents.parts(FAST)

    of_suites = {f"benchmark {name}" for name in (*FAST, "units")}
    of_scale = {f"scale: {title}" for title in telling.TITLES}
    assert set(found) == {"wanted", "machine"} | of_suites | of_scale
    assert {found[name] for name in of_scale} == {"\nNot measured yet.\n"}
    assert documents.parts({})["benchmark tap"] == "\nNot measured yet.\n"
    assert found["machine"].strip() == f"- {', '.join(FAST)}: date 2026-11-24"
    assert "| tap-pendo, 50 features x 100 rows, start included | 5.15 s |" in found["wanted"]
