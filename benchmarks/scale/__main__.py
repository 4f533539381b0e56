"""The command line: `./do dev scale` prints what docs/scale.md quotes, or a case of one's own."""

from __future__ import annotations

import argparse
import math
import sys
import typing as t

from benchmarks import figures, tables
from benchmarks.running import ROOT
from benchmarks.scale import telling
from benchmarks.scale.cases import Case, Rule, rules
from benchmarks.scale.costs import costs

if t.TYPE_CHECKING:
    from collections.abc import Callable

KEPT = ROOT / "docs" / "benchmarks.json"


def main() -> None:
    """Print tables."""
    asked = vars(_parser().parse_args())
    given = {name: value for name, value in asked.items() if value is not None}
    case = Case(**given)
    found = costs(figures.read(KEPT))
    if found is None:
        sys.exit(f"no unit costs: ./do dev bench --only units --json {KEPT.relative_to(ROOT)}")
    if {"events", "tenants"} & given.keys():
        parts = {
            "a history of one tenant": telling.histories(case, found, [case.events]),
            "a day of runs": telling.upkeeps(case, found, [(case.events, case.tenants)]),
            "what is used of each resource": telling.shares(case, found),
        }
    else:
        parts = {title: of(case, found) for title, of in telling.TITLES.items()}
    print("\n\n".join(f"{title}\n\n{tables.text(table)}" for title, table in parts.items()))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="./do dev scale",
        description="Calculate what a number of events and tenants takes. Unit costs are measured "
        "and kept in docs/benchmarks.json; all else is arithmetic, see docs/scale.md.",
    )
    defaults = Case()
    for name, rule in rules().items():
        parser.add_argument(
            f"--{name.replace('_', '-')}",
            type=_reader(rule),
            metavar="N",
            help=f"{rule.about} ({getattr(defaults, name):g})",
        )
    parser.add_argument("--period", choices=("hour", "day"), help="`period` (hour)")
    return parser


def _reader(rule: Rule) -> Callable[[str], float]:
    what = "a whole number" if rule.whole else "a number"

    def number(text: str) -> float:
        try:
            found = float(text.replace(",", ""))
        except ValueError:
            found = math.nan
        if not rule.least <= found <= rule.most or (rule.whole and found % 1):
            raise argparse.ArgumentTypeError(
                f"it must be {what} from {rule.least:g} to {rule.most:g}"
            )
        return int(found) if rule.whole else found

    return number


if __name__ == "__main__":
    main()
