"""Knows how a ledger is opened: SQLite by one run, PostgreSQL by several, of known versions."""

from __future__ import annotations

import contextlib
import hashlib
import logging
import os
import threading
import time
import typing as t
from pathlib import Path

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import DBAPIError, PendingRollbackError

from target_planhat.errors import NoLedgerError, TargetError
from target_planhat.ledger import dialects, tables

if t.TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from sqlalchemy.sql.compiler import SQLCompiler
    from sqlalchemy.sql.dml import UpdateBase

logger = logging.getLogger("target-planhat.ledger")


def _whose_claim(connection: sa.Connection) -> None:
    """Let claims say whose they are: those that are there belong to runs that are over."""
    connection.execute(sa.text("ALTER TABLE planhat_items ADD COLUMN claimed_by BIGINT"))


MIGRATIONS: Mapping[int, Callable[[sa.Connection], None]] = {1: _whose_claim}
"""From a version of the tables to the next one."""

_BLOCK = 5000
PATIENCE_SECONDS = 5.0
"""A wait for others that is longer is told of."""
BEAT_SECONDS = 5.0
"""How often a connection is asked whether it is still there, while posts are under way."""


class Database:
    """One connection to the ledger, for one tenant.

    With `dry_run` nothing that is written stays: it is one transaction that is taken back, and in
    PostgreSQL other runs of the tenant wait for its end.

    Raises:
        NoLedgerError: it `must_exist`, and does not, or has nothing of the tenant.
        TargetError: it cannot be used, or is in use.
    """

    def __init__(
        self, url: str, tenant_token: str, *, must_exist: bool = False, dry_run: bool = False
    ) -> None:
        self.dry_run = dry_run
        self._url = dialects.parsed(url)
        self._is_sqlite = self._url.get_backend_name() == "sqlite"
        self._writes = False
        self._beaten = time.monotonic()
        self._problem: str | None = None
        with self._told():
            self._engine = sa.create_engine(self._place(must_exist), **self._options())
            if self._is_sqlite:
                sa.event.listen(self._engine, "connect", dialects.tune)
                sa.event.listen(self._engine, "begin", dialects.begin)
            dialect: t.Any = type(self._engine.dialect)
            self._by_position = dialect(paramstyle="qmark" if self._is_sqlite else "format")
            self.connection = self._engine.connect()
            try:
                self._prepare(must_exist)
                self.tenant_id = self._tenant(tenant_token, must_exist)
                self.commit()
            except BaseException:
                self.close()
                raise

    @property
    def shown(self) -> str:
        """The ledger's place, without what is secret in it."""
        if self._is_sqlite:
            return f"the ledger {self._url.database or 'in memory'}"
        return f"the ledger in PostgreSQL ({self._url.host}/{self._url.database})"

    def _place(self, must_exist: bool) -> sa.URL:  # noqa: FBT001 - the setting
        """Make a SQLite file that only its owner can read; a dry run does without."""
        name = self._url.database
        if not self._is_sqlite or not name or name == ":memory:":
            return self._url
        path = Path(name)
        if path.exists() and path.stat().st_size:
            return self._url
        if must_exist:
            raise NoLedgerError(self.shown)
        if self.dry_run:
            return sa.URL.create("sqlite")
        path.parent.mkdir(parents=True, exist_ok=True)
        os.close(os.open(path, os.O_CREAT | os.O_WRONLY, 0o600))
        path.chmod(0o600)
        return self._url

    def _options(self) -> dict[str, t.Any]:
        if self._is_sqlite:
            return {"poolclass": sa.pool.StaticPool, "connect_args": {"timeout": 0}}
        given = {name: n for name, n in dialects.NETWORK.items() if name not in self._url.query}
        return {"poolclass": sa.pool.NullPool, "connect_args": given}

    def _prepare(self, must_exist: bool) -> None:  # noqa: FBT001 - the setting
        """Make the tables, or bring them to this version."""
        found = self._version()
        if found is None and must_exist:
            raise NoLedgerError(self.shown)
        if found != tables.VERSION:
            # two runs that find none would both make them
            self._take("tables", "another run makes the tables")
            found = self._version()
        if found is None:
            found = self._begun()
        while found < tables.VERSION and found in MIGRATIONS:
            MIGRATIONS[found](self.connection)
            found += 1
            self.connection.execute(tables.version.update().values(version=found))
        if found != tables.VERSION:
            raise TargetError(
                f"{self.shown} has tables of version {found}, this target-planhat works with "
                f"{tables.VERSION}: use the version of target-planhat that wrote it, or a newer one"
            )
        tables.temporary.create_all(self.connection)

    def _version(self) -> int | None:
        """Give the version of the tables; None: there are none."""
        if not sa.inspect(self.connection).has_table(tables.version.name):
            return None
        return int(self.connection.execute(sa.select(tables.version.c.version)).scalar() or 0)

    def _begun(self) -> int:
        """Make the tables."""
        tables.metadata.create_all(self.connection)
        self.connection.execute(tables.version.insert().values(version=tables.VERSION))
        if not self.dry_run:
            logger.warning("A new ledger is begun: %s", self.shown.removeprefix("the ledger "))
        return tables.VERSION

    def _tenant(self, token: str, must_exist: bool) -> int:  # noqa: FBT001 - the setting
        """Give the number of a tenant; of one that is new nothing is known to have been sent."""
        digest = hashlib.sha256(token.encode()).hexdigest()
        known = sa.select(tables.tenants.c.id).where(tables.tenants.c.token_hash == digest)
        found = self.connection.execute(known).scalar()
        if found is None and must_exist:
            raise NoLedgerError(f"the part for this `tenant_token` of {self.shown}")
        if found is None:
            if self.connection.execute(sa.select(tables.tenants.c.id).limit(1)).first():
                logger.warning(
                    "This `tenant_token` is new to %s, which knows others: nothing counts as sent",
                    self.shown,
                )
            new = self.into(tables.tenants).values(token_hash=digest).on_conflict_do_nothing()
            self.connection.execute(new)
            found = self.connection.execute(known).scalar_one()
        return int(found)

    @contextlib.contextmanager
    def _told(self) -> Iterator[None]:
        """Turn what goes wrong into one line; what fails after it says the same."""
        try:
            yield
        except (DBAPIError, PendingRollbackError, ModuleNotFoundError, OSError) as error:
            self._problem = self._problem or dialects.said(self.shown, error)
            raise TargetError(self._problem) from None

    # Other runs

    @property
    def is_shared(self) -> bool:
        """Whether other runs may work with the ledger at the same time."""
        return not self._is_sqlite

    @property
    def is_lost(self) -> bool:
        """Whether the connection broke: other runs take this one for dead."""
        return self.connection.invalidated

    def beat(self) -> None:
        """Ask now and then whether the connection is still there.

        Raises:
            TargetError: it is not.
        """
        if self.is_shared and time.monotonic() - self._beaten > BEAT_SECONDS:
            self.execute(sa.select(1))
            self.give_way()
            self._beaten = time.monotonic()

    def give_way(self) -> None:
        """Keep what was written so far, so that no other run waits; SQLite has no others."""
        if self.is_shared:
            self.commit()

    def turn(self) -> None:
        """Let no other run of the tenant write until this one commits.

        Without, two would wait for each other's rows for ever; and what is read before a change
        must not be changed meanwhile.
        """
        if not self._writes:
            why = "another run writes, or is a dry run, which keeps others from it to its end"
            self._take(f"writing {self.tenant_id}", why)
            self._writes = True

    def _take(self, what: str, why: str) -> None:
        """Wait until no other transaction does the same; SQLite has one at a time anyway."""
        if self.is_shared:
            self.wait_for("advisory_xact_lock", what, why)

    def wait_for(self, function: str, what: str, why: str) -> None:
        """Take a lock of PostgreSQL by one of its functions; a long wait is told of."""
        key = self.key(what)
        if self._asked(f"pg_try_{function}", key):
            return
        timer = threading.Timer(PATIENCE_SECONDS, _tell, (why,))
        timer.daemon = True
        timer.start()
        try:
            self._asked(f"pg_{function}", key)
        finally:
            timer.cancel()

    def _asked(self, function: str, key: int) -> t.Any:
        asked = sa.select(getattr(sa.func, function)(key))
        with self._told():
            return self.connection.execute(asked).scalar_one()

    def key(self, what: str) -> int:
        """Number a lock of this ledger, which is one of perhaps several in a database."""
        said = f"planhat {self._engine.dialect.default_schema_name} {what}"
        return int.from_bytes(hashlib.sha256(said.encode()).digest()[:7], "big")

    def _before(self, statement: sa.Executable) -> None:
        """Take turns before the first row is written."""
        if statement.is_dml:
            table = t.cast("sa.Table", t.cast("UpdateBase", statement).table)
            if table.metadata is tables.metadata:
                self.turn()

    # What all parts of the ledger need

    def execute(self, statement: sa.Executable, **values: t.Any) -> sa.CursorResult[t.Any]:
        """Execute one statement."""
        with self._told():
            self._before(statement)
            return self.connection.execute(statement, values)

    def into(self, table: sa.Table) -> sqlite.Insert | postgresql.Insert:
        """Begin an INSERT that can say ON CONFLICT."""
        return sqlite.insert(table) if self._is_sqlite else postgresql.insert(table)

    def insert(
        self, table: sa.Table, rows: Sequence[Mapping[str, t.Any]], *, keep: bool = False
    ) -> None:
        """Insert rows; those that are there already are kept, or else replaced."""
        statement = self.into(table)
        others = {c.name: statement.excluded[c.name] for c in table.c if not c.primary_key}
        names = [column.name for column in table.c]
        given = [tuple([row[name] for name in names]) for row in rows]
        if keep or not others:
            self.many(statement.on_conflict_do_nothing(), names, given)
        else:
            key = [column.name for column in table.primary_key]
            update = statement.on_conflict_do_update(index_elements=key, set_=others)
            self.many(update, names, given)

    def many(
        self, statement: UpdateBase, names: Sequence[str], rows: Sequence[tuple[t.Any, ...]]
    ) -> None:
        """Execute a statement for each row, which has the values of these names in their order.

        SQLAlchemy would spend more time on each row's parameters than the database on the row.
        """
        if not rows:
            return
        with self._told():
            self._before(statement)
            compiled = statement.compile(dialect=self._by_position, column_keys=list(names))
            arranged = _arranged(compiled, names)
            for first in range(0, len(rows), _BLOCK):
                block = [arranged(row) for row in rows[first : first + _BLOCK]]
                self.connection.exec_driver_sql(compiled.string, block)

    def commit(self) -> None:
        """Make what was written stay; in a dry run it does not."""
        if not self.dry_run:
            with self._told():
                self.connection.commit()
            self._writes = False

    def scrub(self) -> None:
        """Write a SQLite file anew: what was removed stays readable in it else.

        PostgreSQL has a say of its own about when removed rows leave its files.
        """
        if self._is_sqlite:
            self.commit()
            with self._told():
                # not in a transaction, which SQLAlchemy would begin
                raw = self.connection.connection.cursor()
                try:
                    raw.execute("VACUUM")
                    raw.execute("PRAGMA wal_checkpoint(TRUNCATE)")
                finally:
                    raw.close()

    def sort_on_disk(self) -> None:
        """Take a few megabytes from now on, however much is sorted.

        SQLite sorts in memory what its cache could hold; what was read is not needed any more.
        """
        if self._is_sqlite:
            with self._told():
                self.connection.exec_driver_sql("PRAGMA cache_size = -8192")

    def survey(self, *filled: sa.Table) -> None:
        """Let PostgreSQL see how many rows temporary tables have: it never looks at them by itself.

        It joins row with row else, which takes ever longer; SQLite goes by its indexes.
        """
        if not self._is_sqlite:
            with self._told():
                for table in filled:
                    self.connection.exec_driver_sql(f"ANALYZE {table.name}")

    def close(self) -> None:
        """Give the ledger back; what was not committed is gone."""
        with contextlib.suppress(DBAPIError):
            self.connection.rollback()
        self.connection.close()
        self._engine.dispose()


def _tell(why: str) -> None:
    logger.warning("Waiting for the ledger: %s", why)


def _arranged(
    compiled: sa.Compiled, names: Sequence[str]
) -> Callable[[tuple[t.Any, ...]], tuple[t.Any, ...]]:
    """Bring a row's values into the order of a statement's parameters, its own ones among them."""
    statement = t.cast("SQLCompiler", compiled)
    wanted, own = statement.positiontup or [], statement.params
    fixed = {name: own[name] for name in wanted if name not in names}
    kinds = [statement.binds[name].type for name in names]
    said = [n for n, kind in enumerate(kinds) if isinstance(kind, tables.Said)]
    known = [*names, *fixed]
    order, constants = [known.index(name) for name in wanted], tuple(fixed.values())

    def arranged(row: tuple[t.Any, ...]) -> tuple[t.Any, ...]:
        values = [*row, *constants]
        for n in said:
            values[n] = tables.said(values[n])
        return tuple([values[n] for n in order])

    straight = order == list(range(len(names))) and not said
    return tuple if straight else arranged
