"""The ledger's tables. All times are epoch milliseconds; ids are Pendo's unless said otherwise."""

from __future__ import annotations

import typing as t

import sqlalchemy as sa

VERSION = 4
"""Of these tables; a change of them is a step in `migrations.MIGRATIONS`."""

metadata = sa.MetaData()
temporary = sa.MetaData()
# SQLite numbers rows by itself only where the type is called INTEGER
Number = sa.BigInteger().with_variant(sa.Integer, "sqlite")
Amount = sa.Double


class NulSafeText(sa.TypeDecorator[str]):
    """Text column that stores NUL as U+FFFD, because PostgreSQL rejects NUL."""

    impl = sa.Text
    cache_ok = True

    def process_bind_param(self, value: str | None, dialect: sa.Dialect) -> str | None:
        """Replace NUL."""
        del dialect
        return without_nul(value)


def without_nul(value: str | None) -> str | None:
    """Replace NUL by U+FFFD."""
    return value.replace("\0", "\ufffd") if value and "\0" in value else value


# what distinguishes the items of a rule
ITEM_KEY = ("rule_id", "date", "subject", "company", "entity")


def _item_key() -> list[sa.Column[t.Any]]:
    return [
        sa.Column("rule_id", Number, nullable=False),
        sa.Column("date", sa.BigInteger, nullable=False),
        *(sa.Column(name, sa.Text, nullable=False) for name in ("subject", "company", "entity")),
    ]


# what distinguishes its staged rows; rows of a bucket may have dates of their own
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
    # a hash of the tenant token, which is a secret
    sa.Column("token_hash", sa.Text, nullable=False, unique=True),
    # random, in hex: what reports show of ids is hashed with it
    sa.Column("mask_key", sa.Text),
    # whether it is certain that no other ledger knows what was sent
    sa.Column("accepted", sa.Boolean, nullable=False, server_default=sa.false()),
    # whether a run has left items since a delivery began: see `locks`
    sa.Column("undelivered", sa.Boolean, nullable=False, server_default=sa.false()),
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
    # JSON of Rule.selection, by which a rule with a new name is found; unknown before version 3
    sa.Column("selection", sa.Text),
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
    # the sum of the totals; without `records`, 0 means that there is no figure
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
    # parts of `sent` that nobody knows to have arrived, or to have arrived once
    sa.Column("doubt", Amount, nullable=False, server_default="0"),
    sa.Column("repeated", Amount, nullable=False, server_default="0"),
    # the status and Planhat's words of the last post whose fate nobody knows
    sa.Column("doubt_words", NulSafeText),
    # whether the totals moved, and whether there is something to send
    sa.Column("changed", sa.Boolean, nullable=False, server_default=sa.true()),
    sa.Column("open", sa.Boolean, nullable=False, server_default=sa.false()),
    sa.Column("fate", sa.Text, nullable=False, server_default="waiting"),
    sa.Column("reason", NulSafeText, nullable=False, server_default=""),
    # parked, and not looked at until this changes: the key, folded, that Planhat has no object
    # with; "" is a key that no record of visitors or accounts has given yet
    sa.Column("waits_for", NulSafeText),
    # the run that decided its fate, and when its first record was read
    sa.Column("run", sa.BigInteger, nullable=False, server_default="0"),
    sa.Column("since", sa.BigInteger, nullable=False),
    sa.UniqueConstraint(*ITEM_KEY),
)
# What there is to do, and to report, is found without a look at all that is done. SQLite uses a
# partial index only where a query has its condition, written as there and without parameters.
_ZERO: sa.ColumnElement[int] = sa.literal_column("0")
_IS_OPEN = items.c.open == sa.true()
ACTIVE = sa.and_(_IS_OPEN, items.c.waits_for.is_(None))
"""Items that have something to send, without those that sleep."""
PARKED = sa.and_(_IS_OPEN, items.c.fate == sa.literal_column("'parked'"))
"""Items that wait for their end user, company or other object."""
UNEQUAL = sa.and_(
    items.c.posts > _ZERO,
    sa.or_(items.c.wanted != items.c.sent, items.c.written_off != _ZERO),
)
"""Items that were posted, of which Planhat may have more or less than Pendo says."""
INDEXES = [
    sa.Index(f"planhat_items_{name}", *columns, sqlite_where=where, postgresql_where=where)
    for name, columns, where in (
        ("open", (items.c.rule_id, items.c.id), ACTIVE),
        ("parked", (items.c.rule_id, items.c.since, items.c.waits_for), PARKED),
        ("unequal", (items.c.rule_id,), UNEQUAL),
        ("changed", (items.c.rule_id, items.c.id), items.c.changed == sa.true()),
        ("claimed", (items.c.rule_id, items.c.id), items.c.claimed.is_not(None)),
    )
]

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
    sa.Column("action", NulSafeText, nullable=False),
)

names = sa.Table(
    "planhat_names",
    metadata,
    _tenant(),
    sa.Column("stream", sa.Text, primary_key=True),
    sa.Column("id", NulSafeText, primary_key=True),
    sa.Column("name", NulSafeText, nullable=False),
)

people = sa.Table(
    "planhat_people",
    metadata,
    _tenant(),
    sa.Column("kind", sa.Text, primary_key=True),
    sa.Column("id", NulSafeText, primary_key=True),
    sa.Column("path", sa.Text, primary_key=True),
    sa.Column("value", NulSafeText, nullable=False),
    # the value as it is compared: e-mail addresses without case
    sa.Column("folded", NulSafeText, nullable=False, server_default=""),
)
PEOPLE_BY_VALUE = sa.Index(
    "planhat_people_folded", people.c.tenant_id, people.c.kind, people.c.path, people.c.folded
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
    sa.Column("id", NulSafeText, primary_key=True),
    sa.Column("external_id", NulSafeText),
    sa.Column("source_id", NulSafeText),
    sa.Column("email", NulSafeText),
    sa.Column("company_id", NulSafeText),
    # of companies
    sa.Column("name", NulSafeText),
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

# items that records of this run belong to, and how many; and items that this run decided about
touched = sa.Table(
    "touched",
    temporary,
    sa.Column("item_id", Number, primary_key=True, autoincrement=False),
    sa.Column("records", sa.BigInteger, nullable=False),
    prefixes=["TEMPORARY"],
)

decided = sa.Table(
    "decided",
    temporary,
    sa.Column("item_id", Number, primary_key=True, autoincrement=False),
    prefixes=["TEMPORARY"],
)
