"""Which run of a tenant delivers, and whether any is under way.

Several runs may work on one ledger in PostgreSQL. All of them take in; one delivers: it holds the
tenant's delivery lock. This is an advisory lock of its session, which PostgreSQL frees when the
session ends, however that happens. Nothing that was brought is left without a deliverer:

1. A run commits its items, and a note in the tenant's row that some are undelivered. Then it tries
   the lock. If another run holds it, the run ends: the holder will find the note.
2. The holder removes the note before it looks at items, and delivers all that are due, whoever
   brought them.
3. It lets go of the lock, then looks for a note. If there is one, it tries the lock again. In this
   order, as a run that was turned away left its note before the lock was free.

A holder that fails, is stopped or is killed does not look again: the next run delivers. Only the
holder claims items, reads Planhat's objects and creates end users. So a claim that it finds was
made by a run that has ended: nobody knows whether that post arrived.

A ledger in SQLite belongs to one process at a time and needs none of this, nor does a dry run,
which works on a copy.
"""

from __future__ import annotations

import typing as t

import sqlalchemy as sa

from target_planhat.ledger.schema import tenants

if t.TYPE_CHECKING:
    from target_planhat.ledger.database import Database

# PostgreSQL shows a key of 64 bits as two halves
_IS_HELD = sa.text(
    "SELECT EXISTS (SELECT FROM pg_locks WHERE locktype = 'advisory' AND objsubid = 1 AND granted "
    "AND database = (SELECT oid FROM pg_database WHERE datname = current_database()) "
    "AND (classid::bigint << 32) | objid::bigint = :key)"
)


class Locks:
    """The locks of a tenant's runs."""

    def __init__(self, database: Database) -> None:
        self._db = database
        self._presence = f"presence {database.tenant_id}"
        # runs of earlier versions hold it, too
        self._delivery = f"delivery {database.tenant_id}"

    def attend(self) -> None:
        """Show, until the session ends, that a run is under way."""
        if self._db.is_shared:
            self._db.wait_for("advisory_lock_shared", self._presence, "it is changed by hand")
            self._db.commit()

    def is_deserted(self) -> bool:
        """Whether no run of the tenant is under way; none can begin until this session ends."""
        return not self._db.is_shared or self._try(self._presence)

    def take_delivery(self) -> bool:
        """Become the run that delivers, unless another one is; commits what was written."""
        if not self._db.is_shared:
            return True
        self._note(undelivered=True)
        taken = self._try(self._delivery)
        if taken:
            self._note(undelivered=False)
        self._db.commit()
        return taken

    def end_delivery(self) -> bool:
        """Let another run deliver; say whether one has left items meanwhile.

        What is not committed by now belongs to a delivery that failed, and is dropped.
        """
        if not self._db.is_shared or self._db.is_lost:
            return False
        self._db.rollback()
        key = self._db.lock_key(self._delivery)
        self._db.execute(sa.select(sa.func.pg_advisory_unlock(key)))
        self._db.commit()
        mine = sa.select(tenants.c.undelivered).where(tenants.c.id == self._db.tenant_id)
        left = bool(self._db.execute(mine).scalar_one())
        self._db.commit()
        return left

    def is_delivering(self) -> bool:
        """Whether another run delivers now."""
        if self._db.is_sqlite:
            return False
        key = self._db.lock_key(self._delivery)
        return bool(self._db.execute(_IS_HELD, key=key).scalar_one())

    def _note(self, *, undelivered: bool) -> None:
        mine = tenants.update().where(tenants.c.id == self._db.tenant_id)
        self._db.execute(mine.values(undelivered=undelivered))
        self._db.commit()

    def _try(self, name: str) -> bool:
        taken = sa.func.pg_try_advisory_lock(self._db.lock_key(name))
        return bool(self._db.execute(sa.select(taken)).scalar_one())
