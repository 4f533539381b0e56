"""Measures both plugins, beside others that do the same work on the same rows."""

from __future__ import annotations

import argparse
import sys
import typing as t
from pathlib import Path

import msgspec

from benchmarks import figures, growth, pipe, start, tables, taps, targets
from benchmarks.running import ROOT, FailedError

if t.TYPE_CHECKING:
    from collections.abc import Callable, Iterator

SUITES: dict[str, Callable[[figures.Options], Iterator[list[figures.Series]]]] = {
    "tap": taps.tap,
    "memory": taps.memory,
    "latency": taps.latency,
    "many": taps.many,
    "target": targets.target,
    "pipe": pipe.pipe,
    "growth": growth.growth,
    "hourly": targets.hourly,
    "start": start.start,
}


def main() -> None:
    """Measure, print tables, and write the figures where asked."""
    asked = _arguments()
    found = figures.read(asked.json) if asked.json else {}
    for name in asked.only:
        full = asked.full or asked.only == ["growth"]
        options = figures.Options(asked.size, asked.rounds, full)
        series = []
        try:
            for more in SUITES[name](options):
                series += more
                # progress, since it takes minutes
                print(f"{name}: {more[0].case}, {more[0].rows:,} rows", file=sys.stderr)
        except FailedError as error:
            sys.exit(f"{name}: {error}")
        found[name] = figures.Suite(figures.machine(), series)
        print(f"\n{name}\n\n{tables.text(tables.of_suite(name, found[name]))}", flush=True)
        if asked.json:
            figures.write(asked.json, found)
    print(f"\n{tables.text(tables.of_verdicts(found))}")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="./do dev bench", description=__doc__)
    known, kept = ", ".join(SUITES), tables.KEPT.relative_to(ROOT)
    help_ = f"of {known}; default: all"
    parser.add_argument("--only", type=_names, default=list(SUITES), metavar="SUITE,…", help=help_)
    parser.add_argument("--size", type=_positive, default=1_000_000, help="rows (%(default)s)")
    parser.add_argument("--rounds", type=_positive, default=3, help="runs of each (%(default)s)")
    help_ = "let growth go on to ten times the size, as --only growth does"
    parser.add_argument("--full", action="store_true", help=help_)
    help_ = f"keep the figures, beside those of other suites; {kept} is what the documents quote"
    parser.add_argument("--json", type=_file, metavar="FILE", help=help_)
    return parser.parse_args()


def _positive(text: str) -> int:
    if not text.isdecimal() or not int(text):
        raise argparse.ArgumentTypeError("it must be a whole number above 0")
    return int(text)


def _file(text: str) -> Path:
    """Check the file before anything is measured."""
    file = Path(text)
    if not file.parent.is_dir():
        raise argparse.ArgumentTypeError(f"there is no folder {file.parent}")
    try:
        figures.read(file)
    except (OSError, msgspec.MsgspecError):
        raise argparse.ArgumentTypeError(f"{file} holds something else than figures") from None
    return file


def _names(text: str) -> list[str]:
    names = text.split(",")
    if unknown := [name for name in names if name not in SUITES]:
        raise argparse.ArgumentTypeError(
            f"not a suite: {', '.join(unknown)}; it must be one of {', '.join(SUITES)}"
        )
    return names


if __name__ == "__main__":
    main()
