"""What one row, item, call and start takes: the unit costs on which docs/scale.md is based.

Rows of the warehouse are those of pendo-emulator, which are larger than those that serving.py
replays; what fills a ledger comes from messages.py.
"""

from __future__ import annotations

import contextlib
import typing as t
from pathlib import Path
from tempfile import TemporaryDirectory

from with_demo.postgres import embedded_postgres

from benchmarks.figures import Amount
from benchmarks.suites import copies, ledgers, warehouse

if t.TYPE_CHECKING:
    from collections.abc import Iterator

    from benchmarks.suites import Options

    Found = dict[str, tuple[str, float]]
    """Unit and value by what it is of."""

# for a row of `--size`: raw events that pendo-emulator makes a day, records that fill a ledger
_EVENTS_A_DAY, _RECORDS = 0.02, 0.1
# end users of which a copy is made, for a row of `--size`
_END_USERS = 0.012
_FEW, _LEAST = 50, 2000


def measure(options: Options) -> Iterator[list[Amount]]:
    """Measure each of them; rounds differ in seconds, and hardly in bytes."""
    events, records, end_users = (
        max(least, round(options.size * share))
        for least, share in ((_FEW, _EVENTS_A_DAY), (_LEAST, _RECORDS), (_LEAST, _END_USERS))
    )
    with TemporaryDirectory() as name, contextlib.ExitStack() as servers:
        database = servers.enter_context(embedded_postgres(Path(name) / "postgres"))
        loading = servers.enter_context(warehouse.loading(database, Path(name), events))
        parts: tuple[t.Callable[[], Found], ...] = (
            loading.run,
            lambda: ledgers.run(database, records),
            lambda: copies.run(end_users),
        )
        for part in parts:
            yield _amounts([part() for _ in range(options.rounds)])


def _amounts(rounds: list[Found]) -> list[Amount]:
    """Gather the rounds; where a start wavers by more than all rows take, they take nothing."""
    return [
        Amount(what, unit, [max(0.0, found[what][1]) for found in rounds])
        for what, (unit, _) in rounds[0].items()
    ]
