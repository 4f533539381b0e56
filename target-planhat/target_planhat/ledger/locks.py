"""Knows which runs live, and what only one of them does at a time; SQLite has one run anyway.

PostgreSQL keeps these locks for a session, and frees them when it ends, however that happens.
"""

from __future__ import annotations

import contextlib
import typing as t

import sqlalchemy as sa

from target_planhat.ledger.tables import items

if t.TYPE_CHECKING:
    from collections.abc import Iterator

    from target_planhat.ledger.database import Database

# A number of 64 bits is shown in two halves
_HELD = sa.text(
    "SELECT (classid::bigint << 32) | objid::bigint FROM pg_locks "
    "WHERE locktype = 'advisory' AND objsubid = 1 AND granted AND database = "
    "(SELECT oid FROM pg_database WHERE datname = current_database())"
)


class Locks:
    """The locks of a tenant's runs.

    None of them is waited for within a transaction that others wait for.
    """

    def __init__(self, database: Database) -> None:
        self._db = database
        # version 1 of the ledger had it for a run that delivers
        self._tenant = f"delivery {database.tenant_id}"

    def live(self, run: int) -> None:
        """Show, from now on, that a run lives."""
        if self._db.is_shared:
            self._db.wait_for("advisory_lock", _of(run), "")

    def attend(self) -> None:
        """Be one of the tenant's runs; none can be while `is_deserted` is heeded."""
        if self._db.is_shared:
            why = "it is changed by hand, or by a target-planhat of an earlier version"
            self._db.wait_for("advisory_lock_shared", self._tenant, why)
            self._db.commit()

    def is_deserted(self) -> bool:
        """Whether the tenant has no run now; until this session ends none can begin."""
        if not self._db.is_shared:
            return True
        taken = sa.func.pg_try_advisory_lock(self._db.key(self._tenant))
        return bool(self._db.execute(sa.select(taken)).scalar_one())

    def claimants(self) -> set[int]:
        """Give the runs that live and have claimed items; in SQLite others than this one do not."""
        if not self._db.is_shared:
            return set()
        claimed = sa.select(items.c.claimed_by).where(items.c.claimed.is_not(None)).distinct()
        runs = set(self._db.execute(claimed).scalars()) - {None}
        held = set(self._db.execute(_HELD).scalars()) if runs else set()
        return {run for run in runs if self._db.key(_of(run)) in held}

    @contextlib.contextmanager
    def alone(self, what: str) -> Iterator[None]:
        """Be the only run of the tenant that does something, which may take minutes.

        A dry run does not wait: nobody sees what it does, and all who write wait for its end.
        """
        if not self._db.is_shared or self._db.dry_run:
            yield
            return
        name = f"{what} {self._db.tenant_id}"
        self._db.commit()
        self._db.wait_for("advisory_lock", name, f"another run is at {what}")
        self._db.commit()
        try:
            yield
        finally:
            self._db.commit()
            given = sa.func.pg_advisory_unlock(self._db.key(name))
            self._db.execute(sa.select(given))
            self._db.commit()


def _of(run: int) -> str:
    return f"run {run}"
