"""The command line: what to measure, and where the figures go."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from benchmarks import figures, tables
from benchmarks.running import FailedError
from benchmarks.suites import Options, growth, latency, many, memory, tap, target

SUITES = {
    "tap": tap,
    "memory": memory,
    "latency": latency,
    "many": many,
    "target": target,
    "growth": growth,
}


def main() -> None:
    """Measure and print; write the figures where asked."""
    parser = argparse.ArgumentParser(prog="./do bench", description=__doc__)
    parser.add_argument("--only", default=",".join(SUITES), help="suites, with commas between")
    parser.add_argument("--size", type=int, default=1_000_000, help="rows of feature events")
    parser.add_argument("--rounds", type=int, default=3, help="runs of each contender, in turn")
    parser.add_argument("--json", type=Path, help="file that the figures are written to")
    asked = parser.parse_args()
    options = Options(size=asked.size, rounds=asked.rounds)
    found = figures.read(asked.json) if asked.json else {}
    for name in asked.only.split(","):
        if name not in SUITES:
            sys.exit(f"--only: {name} is no suite; allowed are {', '.join(SUITES)}")
        series: list[figures.Series] = []
        try:
            for more in SUITES[name].measure(options):
                series += more
                part = figures.Suite({}, more)
                print(f"\n{tables.text(tables.TITLES, tables.lines_of(part))}", flush=True)
        except FailedError as error:
            sys.exit(f"{name}: {error}")
        found[name] = figures.Suite(figures.machine(), series)
        if asked.json:
            figures.write(asked.json, found)


if __name__ == "__main__":
    main()
