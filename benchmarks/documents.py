"""The tables of docs/performance.md and docs/scale.md, from the figures kept beside; as JSON."""

from __future__ import annotations

import json
import typing as t

from benchmarks import figures, tables
from benchmarks.running import ROOT
from benchmarks.scale import telling
from benchmarks.scale.cases import Case
from benchmarks.scale.costs import costs
from benchmarks.verdicts import JUDGES

if t.TYPE_CHECKING:
    from benchmarks.figures import Suites

KEPT = ROOT / "docs" / "benchmarks.json"
UNITS = "units"
NOTHING = "\nNot measured yet.\n"


def parts(suites: Suites) -> dict[str, str]:
    """Give each generated part by its name: a suite's, the wanted, when and where."""
    found = {
        f"benchmark {name}": "\n" + tables.markdown(tables.of_suite(name, suites[name]))
        if name in suites
        else NOTHING
        for name in (*JUDGES, UNITS)
    }
    unit_costs = costs(suites)
    for title in telling.TITLES:
        told = tables.markdown(telling.TITLES[title](Case(), unit_costs)) if unit_costs else None
        found[f"scale: {title}"] = f"\n{told}" if told else NOTHING
    found["wanted"] = "\n" + tables.markdown(tables.of_verdicts(suites))
    found["machine"] = _machines(suites)
    return found


def _machines(suites: Suites) -> str:
    """Say when and where was measured, and with what; suites may differ in it."""
    by_machine: dict[tuple[tuple[str, str], ...], list[str]] = {}
    for name, suite in suites.items():
        by_machine.setdefault(tuple(suite.measured.items()), []).append(name)
    return (
        "\n"
        + "\n".join(
            f"- {', '.join(names)}: {', '.join(f'{what} {value}' for what, value in said)}"
            for said, names in by_machine.items()
        )
        + "\n"
    )


if __name__ == "__main__":
    print(json.dumps(parts(figures.read(KEPT))))
