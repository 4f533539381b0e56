"""The tables that docs/performance.md quotes, from the figures kept beside it; written as JSON."""

from __future__ import annotations

import json
import typing as t

from benchmarks import figures, tables
from benchmarks.running import ROOT
from benchmarks.verdicts import JUDGES

if t.TYPE_CHECKING:
    from benchmarks.figures import Suites

KEPT = ROOT / "docs" / "benchmarks.json"


def parts(suites: Suites) -> dict[str, str]:
    """Give each generated part by its name: a suite's, the wanted, when and where."""
    found = {
        f"benchmark {name}": "\n" + tables.markdown(tables.of_suite(name, suites[name]))
        if name in suites
        else "\nNot measured yet.\n"
        for name in JUDGES
    }
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
