"""What one of each takes, out of the figures that were measured."""

from __future__ import annotations

import dataclasses
import typing as t

if t.TYPE_CHECKING:
    from benchmarks.figures import Suites

_MICRO = 1e-6
# of the code: end users on a page of Planhat's list, items of a post, posts at once
USERS_ON_A_PAGE, ITEMS_IN_A_POST, POSTS_AT_ONCE = 5000, 2500, 4
# Planhat's, of REST
CALLS_A_MINUTE = 200


@dataclasses.dataclass(frozen=True)
class Costs:
    """Seconds of CPU, bytes and MB of one row, item, run; `again` is of what was there already.

    The connection of target-postgres waits while PostgreSQL works, so that both seconds add up.
    """

    start: float
    start_seconds: float
    run_memory: float
    answer_bytes: float
    tap: float
    meltano: float
    load: float
    load_again: float
    database: float
    database_again: float
    table_bytes: float
    index_bytes: float
    state_bytes: float
    record: float
    record_again: float
    post_bytes: float
    item_bytes: float
    total_bytes: float
    info_bytes: float
    end_user: float


def costs(suites: Suites) -> Costs | None:
    """Read the costs; None as long as they were not measured."""
    if "units" not in suites:
        return None
    of = suites["units"].amount

    def micro(what: str) -> float:
        return of(what) * _MICRO

    return Costs(
        start=of("run without rows"),
        start_seconds=of("run without rows, by the clock"),
        run_memory=of("run into PostgreSQL, all processes at once"),
        answer_bytes=of("row in an answer of Pendo"),
        tap=micro("row, tap-pendo"),
        meltano=micro("row, Meltano"),
        load=micro("row, target-postgres"),
        load_again=micro("row read again, target-postgres"),
        database=micro("row, PostgreSQL"),
        database_again=micro("row read again, PostgreSQL"),
        table_bytes=of("row in PostgreSQL, read again once, table"),
        index_bytes=of("row in PostgreSQL, read again once, index of its key"),
        state_bytes=of("state of one stream"),
        record=micro("record, target-planhat, SQLite"),
        record_again=micro("record read again, target-planhat, SQLite"),
        post_bytes=of("item, in its post"),
        item_bytes=of("item, ledger in SQLite"),
        total_bytes=of("total of an hour, ledger in SQLite"),
        info_bytes=of("figure of `info`, ledger in SQLite"),
        end_user=micro("end user copied, target-planhat"),
    )
