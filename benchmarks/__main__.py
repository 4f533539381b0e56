"""The command line: what to measure, and where the figures go."""

from __future__ import annotations

import argparse
import subprocess
import sys
import typing as t
from pathlib import Path

import msgspec

from benchmarks import figures, tables
from benchmarks.documents import KEPT
from benchmarks.running import ROOT, FailedError
from benchmarks.suites import (
    Options,
    growth,
    hourly,
    latency,
    many,
    memory,
    pipe,
    tap,
    target,
    units,
)

if t.TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    Found = Sequence[figures.Series] | Sequence[figures.Amount]

SUITES: dict[str, Callable[[Options], Iterator[Found]]] = {
    "tap": tap.measure,
    "memory": memory.measure,
    "latency": latency.measure,
    "many": many.measure,
    "target": target.measure,
    "pipe": pipe.measure,
    "growth": growth.measure,
    "hourly": hourly.measure,
    "units": units.measure,
}
# where `./do dev bench` installs what draws
_DRAWING = ROOT / ".venv" / "bench" / "bin" / "python"


def main() -> None:
    """Measure, print tables, and write the figures where asked."""
    asked = _arguments()
    file = asked.json
    found = figures.read(file) if file else {}
    for name in asked.only:
        found[name] = _measured(name, asked)
        print(f"\n{name}\n\n{tables.text(tables.of_suite(name, found[name]))}", flush=True)
        if file:
            figures.write(file, found)
    print(f"\n{tables.text(tables.of_verdicts(found))}")
    if file:
        _draw(file)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="./do dev bench", description=__doc__)
    parser.add_argument(
        "--only",
        type=_names,
        default=tuple(SUITES),
        metavar="SUITE,…",
        help=f"of {', '.join(SUITES)}; default: all",
    )
    parser.add_argument(
        "--size", type=_positive, default=1_000_000, help="rows of feature events (%(default)s)"
    )
    parser.add_argument(
        "--rounds", type=_positive, default=3, help="runs of each program, in turn (%(default)s)"
    )
    parser.add_argument(
        "--full",
        action="store_true",
        help="let growth go on to ten times the size, as --only growth does",
    )
    parser.add_argument(
        "--json",
        type=_file,
        metavar="FILE",
        help="write the figures into it, beside those of other suites that it holds, and a picture "
        f"of all into the .svg beside it; {KEPT.relative_to(ROOT)} is what the documents quote",
    )
    return parser.parse_args()


def _draw(file: Path) -> None:
    if _DRAWING.exists():
        subprocess.run([_DRAWING, "-m", "benchmarks.picture", file], cwd=ROOT, check=True)
    else:
        print("no picture is drawn: `./do dev bench` installs what draws it", file=sys.stderr)


def _positive(text: str) -> int:
    number = int(text) if text.isdecimal() else 0
    if not number:
        raise argparse.ArgumentTypeError("it must be a whole number above 0")
    return number


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


def _names(text: str) -> tuple[str, ...]:
    names = tuple(text.split(","))
    if unknown := [name for name in names if name not in SUITES]:
        allowed = ", ".join(SUITES)
        raise argparse.ArgumentTypeError(
            f"not a suite: {', '.join(unknown)}; it must be one of {allowed}"
        )
    return names


def _measured(name: str, asked: argparse.Namespace) -> figures.Suite:
    """Measure a suite; its progress goes to stderr, since it takes minutes."""
    full = asked.full or asked.only == ("growth",)
    options = Options(size=asked.size, rounds=asked.rounds, full=full)
    series: list[figures.Series] = []
    amounts: list[figures.Amount] = []
    try:
        for more in SUITES[name](options):
            series += [one for one in more if isinstance(one, figures.Series)]
            amounts += [one for one in more if isinstance(one, figures.Amount)]
            print(f"{name}: {more[0]}", file=sys.stderr)
    except FailedError as error:
        sys.exit(f"{name}: {error}")
    return figures.Suite(figures.machine(), series, amounts)


if __name__ == "__main__":
    main()
