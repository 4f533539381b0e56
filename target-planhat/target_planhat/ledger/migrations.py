"""Brings the tables of a ledger that an earlier version wrote to those of this one."""

from __future__ import annotations

import typing as t

import sqlalchemy as sa

from target_planhat.ledger import schema as tables
from target_planhat.ledger.schema import forgotten, people, tenants
from target_planhat.redaction import Masks, compared, new_key

if t.TYPE_CHECKING:
    from collections.abc import Callable, Mapping

_BLOCK = 5000


def _whose_claim(connection: sa.Connection) -> None:
    """Let claims say whose they are: those that are there belong to runs that are over."""
    connection.execute(sa.text("ALTER TABLE planhat_items ADD COLUMN claimed_by BIGINT"))


def _what_is_new(connection: sa.Connection) -> None:
    """Let each run find what there is to do and to report without a look at all items."""
    for change in (
        "ALTER TABLE planhat_tenants ADD COLUMN mask_key TEXT",
        "ALTER TABLE planhat_tenants ADD COLUMN accepted BOOLEAN NOT NULL DEFAULT FALSE",
        # by which a rule is found that gets another name
        "ALTER TABLE planhat_rules ADD COLUMN selection TEXT",
        "ALTER TABLE planhat_items ADD COLUMN waits_for TEXT",
        # what Planhat answered to earlier posts of unknown fate is not known
        "ALTER TABLE planhat_items ADD COLUMN doubt_words TEXT",
        "ALTER TABLE planhat_objects ADD COLUMN name TEXT",
        "ALTER TABLE planhat_people ADD COLUMN folded TEXT NOT NULL DEFAULT ''",
        "DROP INDEX planhat_items_open",
        "DROP INDEX planhat_items_changed",
        "DROP INDEX planhat_items_claimed",
    ):
        connection.execute(sa.text(change))
    for index in (*tables.INDEXES, tables.PEOPLE_BY_VALUE):
        index.create(connection)


def _keys(connection: sa.Connection) -> None:
    """Give each tenant a key for masks, and compare addresses by Python's rules about case."""
    # they were made by runs that knew of no other ledger
    connection.execute(tenants.update().values(accepted=True))
    for (tenant_id,) in connection.execute(sa.select(tenants.c.id)).all():
        key = new_key()
        masks, mine = Masks(key), forgotten.c.tenant_id == tenant_id
        connection.execute(tenants.update().where(tenants.c.id == tenant_id).values(mask_key=key))
        hashes = connection.execute(sa.select(forgotten.c.id_hash).where(mine)).scalars().all()
        for plain in hashes:
            of_id = sa.and_(mine, forgotten.c.id_hash == plain)
            connection.execute(
                forgotten.update().where(of_id).values(id_hash=masks.rehashed(plain))
            )
    _fold_people(connection)
    # the copies lack names of companies, and have addresses in another form: they are read again
    connection.execute(tables.copies.delete())
    connection.execute(tables.objects.delete())


def _one_deliverer(connection: sa.Connection) -> None:
    """Let one run of a tenant deliver: claims need not say any more which run made them."""
    for change in (
        "ALTER TABLE planhat_items DROP COLUMN claimed_by",
        "ALTER TABLE planhat_tenants ADD COLUMN undelivered BOOLEAN NOT NULL DEFAULT FALSE",
    ):
        connection.execute(sa.text(change))


def _fold_people(connection: sa.Connection) -> None:
    key = [c for c in people.c if c.primary_key]
    these = [c == sa.bindparam(f"key_{c.name}") for c in key]
    change = people.update().where(*these).values(folded=sa.bindparam("new_folded"))
    found = connection.execute(sa.select(*key, people.c.value)).all()
    rows = [
        {
            **{f"key_{c.name}": value for c, value in zip(key, row, strict=False)},
            "new_folded": compared(row.value),
        }
        for row in found
    ]
    for first in range(0, len(rows), _BLOCK):
        connection.execute(change, rows[first : first + _BLOCK])


class Step(t.NamedTuple):
    """From one version to the next: tables that change, then rows that do."""

    tables: Callable[[sa.Connection], None]
    rows: Callable[[sa.Connection], None]


def _nothing(_: sa.Connection) -> None:
    """Leave rows as they are."""


MIGRATIONS: Mapping[int, Step] = {
    1: Step(_whose_claim, _nothing),
    2: Step(_what_is_new, _keys),
    3: Step(_one_deliverer, _nothing),
}
"""From a version of the tables to the next one."""
