"""What an hourly run of target-planhat takes with an empty ledger, and with one that is full.

The same records each time, none of which the ledger knows; the report is written each time.
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import json
import shutil
import sys
import typing as t
import urllib.request
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks import messages
from benchmarks.figures import OURS, Series, alternating
from benchmarks.running import FailedError, Run, measured, program, serving

if t.TYPE_CHECKING:
    from collections.abc import Iterator

    from benchmarks.suites import Options

EMPTY = "an empty ledger"
FULL = "a full ledger"
IDLE = "no records, a full ledger"
RECORDS = 1000
"""What a run reads."""
# so many of the visitors are in Planhat; the items of the others are parked
_KNOWN = 0.9
_ITEMS_OF_A_VISITOR = 3
_COMPANIES = 100


@dataclasses.dataclass(frozen=True)
class Place:
    """A Planhat, the settings for it, and a folder with the full ledger."""

    url: str
    settings: dict[str, t.Any]
    folder: Path

    @property
    def full(self) -> Path:
        """The full ledger."""
        return self.folder / "full.db"


def measure(options: Options) -> Iterator[list[Series]]:
    """Fill a ledger with an item for each row of `--size`, then run on copies of it."""
    rows = min(options.size, messages.ROWS_A_DAY)
    known = max(RECORDS, round(rows * _KNOWN)) // _ITEMS_OF_A_VISITOR + 1
    with _place(known) as place:
        print(f"hourly: {_filled(place, options.size)}", file=sys.stderr)
        runs = {
            (EMPTY, OURS): functools.partial(_run, place, RECORDS, None),
            (FULL, OURS): functools.partial(_run, place, RECORDS, place.full),
        }
        yield alternating(runs, RECORDS, options.rounds)
        idle = {(IDLE, OURS): functools.partial(_run, place, 0, place.full)}
        yield alternating(idle, 0, options.rounds)


@contextlib.contextmanager
def _place(end_users: int) -> Iterator[Place]:
    seeds = ["--companies", _COMPANIES, "--endusers", end_users, "--knob", "rate_limit=null"]
    with (
        serving("benchmarks.receiving") as receiving,
        serving("planhat_emulator", "--port", 0, *seeds) as planhat,
        TemporaryDirectory() as folder,
    ):
        settings = {
            "tenant_token": receiving["tenant_token"],
            "analytics_url": receiving["url"],
            "api_token": planhat["key"],
            "api_url": planhat["url"],
        }
        yield Place(receiving["url"], settings, Path(folder))


def _filled(place: Place, rows: int) -> str:
    """Fill the ledger through a run; say what it holds."""
    _target(place, place.full, rows, together=1)
    with urllib.request.urlopen(f"{place.url}/counts", timeout=60) as answer:  # noqa: S310 - ours
        sent = json.load(answer)["activities"]
    return f"the full ledger has {rows:,} items, of which {rows - sent:,} are parked"


def _run(place: Place, rows: int, ledger: Path | None) -> Run:
    """Run on a copy of a ledger.

    Raises:
        FailedError: what was sent is not what is new.
    """
    with TemporaryDirectory(dir=place.folder) as folder:
        mine = Path(folder) / "ledger.db"
        if ledger:
            shutil.copyfile(ledger, mine)
        took = _target(place, mine, rows, together=1, later=1)
    with urllib.request.urlopen(f"{place.url}/counts", timeout=60) as answer:  # noqa: S310 - ours
        found = json.load(answer)["activities"]
    if found != rows:
        raise FailedError(f"{found} activities arrived instead of {rows}")
    return took


def _target(place: Place, ledger: Path, rows: int, *, together: int, later: int = 0) -> Run:
    config = ledger.with_suffix(".json")
    settings = {
        **place.settings,
        "ledger_url": f"sqlite:///{ledger}",
        "report_path": str(ledger.parent / "reports"),
    }
    config.write_text(json.dumps(settings), encoding="utf-8")
    given = ("--rows", rows, "--together", together, "--later", later)
    feeder = program("benchmarks.messages", *given)
    return measured(program("target_planhat", "--config", config), given=feeder)
