"""The ledger's tables. All times are epoch milliseconds; ids are Pendo's unless said otherwise."""

from __future__ import annotations

import typing as t

import sqlalchemy as sa

VERSION = 2
"""Of these tables; a change of them is a step in `database.MIGRATIONS`."""

metadata = sa.MetaData()
temporary = sa.MetaData()
# SQLite numbers rows by itself only where the type is called INTEGER
Number = sa.BigInteger().with_variant(sa.Integer, "sqlite")
Amount = sa.Double


class Said(sa.TypeDecorator[str]):
    """Text that others wrote: without NUL, which PostgreSQL does not take."""

    impl = sa.Text
    cache_ok = True

    def process_bind_param(self, value: str | None, dialect: sa.Dialect) -> str | None:
        """Put a sign in its place."""
        del dialect
        return said(value)


def said(value: str | None) -> str | None:
    """Put a sign in place of NUL."""
    return value.replace("\0", "\ufffd") if value and "\0" in value else value


# what tells one item of a rule from another
ITEM_KEY = ("rule_id", "date", "subject", "company", "entity")


def _item_key() -> list[sa.Column[t.Any]]:
    return [
        sa.Column("rule_id", Number, nullable=False),
        sa.Column("date", sa.BigInteger, nullable=False),
        *(sa.Column(name, sa.Text, nullable=False) for name in ("subject", "company", "entity")),
    ]


# and rows of one read of it from one another; rows of a bucket may have dates of their own
STAGED_KEY = ("rule_id", "read_at", "bucket", "date", "subject", "company", "entity", "app")


def _staged_key() -> list[sa.Column[t.Any]]:
    numbers, texts = STAGED_KEY[1:4], STAGED_KEY[4:]
    return [
        sa.Column("rule_id", Number, primary_key=True, autoincrement=False),
        *(sa.Column(n, sa.BigInteger, primary_key=True, autoincrement=False) for n in numbers),
        *(sa.Column(name, sa.Text, primary_key=True) for name in texts),
    ]


def _tenant() -> sa.Column[int]:
    return sa.Column("tenant_id", sa.Integer, primary_key=True, autoincrement=False)


version = sa.Table("planhat_ledger", metadata, sa.Column("version", sa.Integer, nullable=False))

tenants = sa.Table(
    "planhat_tenants",
    metadata,
    sa.Column("id", Number, primary_key=True),
    # a hash of the tenant token: the token itself is a secret
    sa.Column("token_hash", sa.Text, nullable=False, unique=True),
)

runs = sa.Table(
    "planhat_runs",
    metadata,
    sa.Column("id", Number, primary_key=True),
    sa.Column("tenant_id", sa.Integer, nullable=False),
    sa.Column("started", sa.BigInteger, nullable=False),
)

rules = sa.Table(
    "planhat_rules",
    metadata,
    sa.Column("id", Number, primary_key=True),
    sa.Column("tenant_id", sa.Integer, nullable=False),
    sa.Column("name", sa.Text, nullable=False),
    sa.Column("fingerprint", sa.Text, nullable=False),
    # hour or day, once its first bucket is known: figures of both would count twice
    sa.Column("period", sa.Text),
    sa.Column("on_change", sa.Text, nullable=False),
    sa.UniqueConstraint("tenant_id", "name"),
)

items = sa.Table(
    "planhat_items",
    metadata,
    sa.Column("id", Number, primary_key=True),
    *_item_key(),
    sa.Column("ends", sa.BigInteger, nullable=False),
    # by the totals; `records` tells a figure of nothing from none
    sa.Column("wanted", Amount, nullable=False, server_default="0"),
    sa.Column("records", sa.BigInteger, nullable=False, server_default="0"),
    # what Planhat has as far as is known: the sum of what was posted, or the last of it
    sa.Column("sent", Amount, nullable=False, server_default="0"),
    sa.Column("posts", sa.Integer, nullable=False, server_default="0"),
    sa.Column("sent_info", sa.Text),
    # what will not be sent any more, though Planhat does not have it
    sa.Column("written_off", Amount, nullable=False, server_default="0"),
    # being posted: set before the post, cleared by its answer
    sa.Column("claimed", Amount),
    sa.Column("claimed_info", sa.Text),
    sa.Column("claimed_at", sa.BigInteger),
    # the run that posts it, or has taken on to find out what became of the post
    sa.Column("claimed_by", sa.BigInteger),
    # parts of `sent` that nobody knows to have arrived, or to have arrived once
    sa.Column("doubt", Amount, nullable=False, server_default="0"),
    sa.Column("repeated", Amount, nullable=False, server_default="0"),
    # whether the totals moved, and whether there is something to send
    sa.Column("changed", sa.Boolean, nullable=False, server_default=sa.true()),
    sa.Column("open", sa.Boolean, nullable=False, server_default=sa.false()),
    sa.Column("fate", sa.Text, nullable=False, server_default="waiting"),
    sa.Column("reason", Said, nullable=False, server_default=""),
    # the run that decided its fate, and when its first record was read
    sa.Column("run", sa.BigInteger, nullable=False, server_default="0"),
    sa.Column("since", sa.BigInteger, nullable=False),
    sa.UniqueConstraint(*ITEM_KEY),
)
# What there is to do is found without a look at all that is done. SQLite takes a partial index only
# for a condition that is written as there.
for _name, _sqlite, _postgresql in (
    ("open", items.c.open == sa.true(), items.c.open),
    ("changed", items.c.changed == sa.true(), items.c.changed),
    ("claimed", items.c.claimed.is_not(None), items.c.claimed.is_not(None)),
):
    sa.Index(
        f"planhat_items_{_name}",
        items.c.rule_id,
        items.c.id,
        sqlite_where=_sqlite,
        postgresql_where=_postgresql,
    )

totals = sa.Table(
    "planhat_totals",
    metadata,
    sa.Column("item_id", Number, primary_key=True, autoincrement=False),
    sa.Column("bucket", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("app", sa.Text, primary_key=True),
    sa.Column("rule_id", Number, nullable=False),
    sa.Column("value", Amount, nullable=False),
    sa.Column("records", sa.BigInteger, nullable=False),
    sa.Column("read_at", sa.BigInteger, nullable=False),
    # the run that wrote it: in one run, rows of one read add up
    sa.Column("run", sa.BigInteger, nullable=False),
    sqlite_with_rowid=False,
)
sa.Index("planhat_totals_bucket", totals.c.rule_id, totals.c.bucket)

facts = sa.Table(
    "planhat_facts",
    metadata,
    sa.Column("item_id", Number, primary_key=True, autoincrement=False),
    sa.Column("bucket", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("app", sa.Text, primary_key=True),
    sa.Column("name", sa.Text, primary_key=True),
    # a number, which is summed, or JSON, which is kept where it is the same everywhere
    sa.Column("number", Amount),
    sa.Column("text", sa.Text),
    sqlite_with_rowid=False,
)

reads = sa.Table(
    "planhat_reads",
    metadata,
    sa.Column("rule_id", Number, primary_key=True, autoincrement=False),
    sa.Column("window_start", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("window_end", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("app_ids", sa.Text, primary_key=True),
    sa.Column("read_at", sa.BigInteger, nullable=False),
)

actions = sa.Table(
    "planhat_actions",
    metadata,
    sa.Column("rule_id", Number, primary_key=True, autoincrement=False),
    sa.Column("entity", sa.Text, primary_key=True),
    sa.Column("action", Said, nullable=False),
)

names = sa.Table(
    "planhat_names",
    metadata,
    _tenant(),
    sa.Column("stream", sa.Text, primary_key=True),
    sa.Column("id", Said, primary_key=True),
    sa.Column("name", Said, nullable=False),
)

people = sa.Table(
    "planhat_people",
    metadata,
    _tenant(),
    sa.Column("kind", sa.Text, primary_key=True),
    sa.Column("id", Said, primary_key=True),
    sa.Column("path", sa.Text, primary_key=True),
    sa.Column("value", Said, nullable=False),
)

copies = sa.Table(
    "planhat_copies",
    metadata,
    _tenant(),
    sa.Column("path", sa.Text, primary_key=True),
    sa.Column("read_at", sa.BigInteger, nullable=False),
)

objects = sa.Table(
    "planhat_objects",
    metadata,
    _tenant(),
    sa.Column("path", sa.Text, primary_key=True),
    sa.Column("id", Said, primary_key=True),
    sa.Column("external_id", Said),
    sa.Column("source_id", Said),
    sa.Column("email", Said),
    sa.Column("company_id", Said),
    sa.Column("read_at", sa.BigInteger, nullable=False),
)
for _name in ("external_id", "source_id", "email"):
    sa.Index(f"planhat_objects_{_name}", objects.c.tenant_id, objects.c.path, objects.c[_name])

forgotten = sa.Table(
    "planhat_forgotten",
    metadata,
    _tenant(),
    sa.Column("id_hash", sa.Text, primary_key=True),
)

# Of one run: gone with its connection

staged = sa.Table(
    "staged",
    temporary,
    *_staged_key(),
    sa.Column("ends", sa.BigInteger, nullable=False),
    sa.Column("value", Amount, nullable=False),
    sa.Column("records", sa.BigInteger, nullable=False),
    sa.Column("clash", sa.Boolean, nullable=False),
    prefixes=["TEMPORARY"],
    sqlite_with_rowid=False,
)

staged_facts = sa.Table(
    "staged_facts",
    temporary,
    *_staged_key(),
    sa.Column("name", sa.Text, primary_key=True),
    sa.Column("number", Amount),
    sa.Column("text", sa.Text),
    prefixes=["TEMPORARY"],
    sqlite_with_rowid=False,
)

# staged rows of a window that is whole, with the items that they belong to
arriving = sa.Table(
    "arriving",
    temporary,
    sa.Column("item_id", Number, primary_key=True, autoincrement=False),
    sa.Column("bucket", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("app", sa.Text, primary_key=True),
    sa.Column("read_at", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("value", Amount, nullable=False),
    sa.Column("records", sa.BigInteger, nullable=False),
    prefixes=["TEMPORARY"],
    sqlite_with_rowid=False,
)

# items that records of this run belong to, and how many
touched = sa.Table(
    "touched",
    temporary,
    sa.Column("item_id", Number, primary_key=True, autoincrement=False),
    sa.Column("records", sa.BigInteger, nullable=False),
    prefixes=["TEMPORARY"],
)
