"""The figures as a picture: a program of its own, since nothing else needs matplotlib."""

from __future__ import annotations

import sys
import typing as t
from pathlib import Path

from matplotlib import pyplot as plt

from benchmarks.figures import BARE, OURS, PLAIN, read

if t.TYPE_CHECKING:
    from collections.abc import Callable

    from matplotlib.axes import Axes

    from benchmarks.figures import Series, Suite, Suites

    Value = Callable[[Series], float]

_COLOURS = {OURS: "#c2185b", PLAIN: "#90a4ae", BARE: "#cfd8dc"}
_WHOLE = 10
# no date and no random ids: the same figures give the same file
_STABLE = {"svg.hashsalt": "benchmarks", "svg.fonttype": "none", "font.family": "sans-serif"}


def draw(suites: Suites, file: Path) -> None:
    """Draw what was measured into an SVG file, if there is something to be seen."""
    panels = [(name, panel) for name, panel in _PANELS.items() if name in suites]
    if not panels:
        return
    with plt.rc_context(_STABLE):
        figure, places = plt.subplots(
            len(panels), 1, figsize=(8, 2.6 * len(panels)), squeeze=False, layout="constrained"
        )
        for (name, panel), axes in zip(panels, places.flat, strict=True):
            panel(suites[name], axes)
            axes.spines[["top", "right"]].set_visible(False)
        figure.savefig(file, format="svg", metadata={"Date": None})
        plt.close(figure)


def _bars(suite: Suite, axes: Axes, title: str, value: Value) -> None:
    """Draw a group of bars for each case, the first on top."""
    cases = list(dict.fromkeys(one.case for one in suite.series))
    contenders = [name for name in _COLOURS if any(one.contender == name for one in suite.series)]
    height = 0.8 / len(contenders)
    for number, contender in enumerate(contenders):
        found = [(at, suite.find(case, contender)) for at, case in enumerate(cases)]
        known = [(at + number * height, value(one)) for at, one in found if one]
        places, values = zip(*known, strict=True)
        bars = axes.barh(places, values, height, color=_COLOURS[contender], label=contender)
        axes.bar_label(bars, [_figure(each) for each in values], padding=3, fontsize=8)
    axes.set_yticks([at + height * (len(contenders) - 1) / 2 for at in range(len(cases))], cases)
    axes.invert_yaxis()
    axes.margins(x=0.12)
    axes.set_title(title, loc="left", fontsize=10)
    axes.legend(frameon=False, fontsize=8)


def _figure(value: float) -> str:
    return f"{value:,.0f}" if value >= _WHOLE else f"{value:.2g}"


def _taps(suite: Suite, axes: Axes) -> None:
    def times(one: Series) -> float:
        return suite.of(one.case, PLAIN).cpu / one.cpu

    _bars(suite, axes, "Taps: rows per CPU second, as a multiple of the SDK's defaults", times)


def _memory(suite: Suite, axes: Axes) -> None:
    _bars(suite, axes, "Taps: peak memory in MB", lambda one: one.peak)


def _targets(suite: Suite, axes: Axes) -> None:
    _bars(suite, axes, "Targets: rows per second", lambda one: one.rows / one.wall)


def _pipes(suite: Suite, axes: Axes) -> None:
    _bars(suite, axes, "Pipes: rows per second", lambda one: one.rows / one.wall)


def _growth(suite: Suite, axes: Axes) -> None:
    # without the smallest: there the start's own wavering is larger than what rows take
    for case, colour in zip(("tap-pendo", "target-planhat"), ("#c2185b", "#6a1b9a"), strict=True):
        found = sorted((s for s in suite.series if s.case == case and s.rows), key=_rows)[1:]
        axes.plot(
            [one.rows for one in found],
            [suite.per_row(one) for one in found],
            marker="o",
            color=colour,
            label=case,
        )
    axes.set_xscale("log")
    axes.set_ylim(0, 1.2 * axes.get_ylim()[1])
    axes.set_xlabel("rows")
    axes.set_title("Microseconds of CPU per row, start subtracted", loc="left", fontsize=10)
    axes.legend(frameon=False, fontsize=8)


def _rows(one: Series) -> int:
    return one.rows


_PANELS: dict[str, Callable[[Suite, Axes], None]] = {
    "tap": _taps,
    "memory": _memory,
    "target": _targets,
    "pipe": _pipes,
    "growth": _growth,
}


if __name__ == "__main__":
    figures = Path(sys.argv[1])
    draw(read(figures), figures.with_suffix(".svg"))
