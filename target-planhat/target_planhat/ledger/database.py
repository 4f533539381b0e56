"""The connection to a ledger: SQLite is for one run at a time, PostgreSQL for several."""

from __future__ import annotations

import contextlib
import functools
import hashlib
import logging
import os
import threading
import time
import typing as t
from pathlib import Path

import msgspec
import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import DBAPIError, PendingRollbackError

from target_planhat.errors import NoLedgerError, TargetError
from target_planhat.ledger import dialects, schema
from target_planhat.ledger.migrations import MIGRATIONS
from target_planhat.redaction import Masks, new_key

if t.TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Mapping, Sequence

    from sqlalchemy.sql.compiler import SQLCompiler
    from sqlalchemy.sql.dml import UpdateBase

logger = logging.getLogger("target-planhat.ledger")


_BLOCK = 5000
MOST_LISTED = 2000
"""Values that one statement lists, each a parameter of its own."""
PATIENCE_SECONDS = 5.0
"""A wait for other runs that is longer is logged."""
CHECK_SECONDS = 5.0
"""How often a connection is asked whether it is still there, while posts are under way."""


class Database:
    """One connection to the ledger, for one tenant.

    The part of a tenant `is_new` until a run, or a person, accepts it; `part` names it.

    With `dry_run` it is a copy, which is gone at the end. With `to_look` it is only read.

    Raises:
        NoLedgerError: it `must_exist`, and does not, or has no accepted part of the tenant.
        TargetError: it cannot be used, or is in use.
    """

    def __init__(
        self,
        url: str,
        tenant_token: str,
        *,
        must_exist: bool = False,
        dry_run: bool = False,
        to_look: bool = False,
    ) -> None:
        self.dry_run, self._to_look = dry_run, to_look
        self._url = dialects.parsed(url)
        self.is_sqlite = self._url.get_backend_name() == "sqlite"
        if self.is_sqlite:
            dialects.check_sqlite()
        self._writes = False
        self._checked = time.monotonic()
        self._problem: str | None = None
        with self._errors_in_one_line():
            self._engine = sa.create_engine(self._place(must_exist), **self._options())
            opened = dialects.keep_alive
            if self.is_sqlite:
                opened = dialects.look if to_look else dialects.tune
            sa.event.listen(self._engine, "connect", opened)
            if self.is_sqlite:
                sa.event.listen(self._engine, "begin", self._begin)
            dialect: t.Any = type(self._engine.dialect)
            self._by_position = dialect(paramstyle="qmark" if self.is_sqlite else "format")
            self.connection = self._engine.connect()
            try:
                token_hash = hashlib.sha256(tenant_token.encode()).hexdigest()
                self._prepare(token_hash, must_exist)
                self.tenant_id, self.masks = self._tenant(token_hash, must_exist)
                self.commit()
            except BaseException:
                self.close()
                raise

    def _begin(self, connection: sa.Connection) -> None:
        """Begin a transaction of SQLite, as one that writes, or reads."""
        connection.exec_driver_sql("BEGIN" if self._to_look else "BEGIN IMMEDIATE")

    @property
    def shown(self) -> str:
        """The ledger's place, without what is secret in it."""
        if self.is_sqlite:
            return f"the ledger {self._url.database or 'in memory'}"
        return f"the ledger in PostgreSQL ({self._url.host}/{self._url.database})"

    @property
    def _file(self) -> Path | None:
        """The SQLite file, if it is there."""
        name = self._url.database
        path = Path(name) if name and name != ":memory:" else None
        return path if path and path.exists() and path.stat().st_size else None

    def _place(self, must_exist: bool) -> sa.URL:  # noqa: FBT001 - the setting
        """Make a SQLite file that only its owner can read, unless the run is dry."""
        name = self._url.database
        if not self.is_sqlite or not name or name == ":memory:" or self._file:
            return self._url
        if must_exist:
            raise NoLedgerError(self.shown)
        if self.dry_run:
            return self._url
        path = Path(name)
        path.parent.mkdir(parents=True, exist_ok=True)
        os.close(os.open(path, os.O_CREAT | os.O_WRONLY, 0o600))
        path.chmod(0o600)
        return self._url

    def _options(self) -> dict[str, t.Any]:
        if self.is_sqlite and self.dry_run:
            copy = functools.partial(dialects.of_file, self._file)
            return {"poolclass": sa.pool.StaticPool, "creator": copy}
        if self.is_sqlite:
            return {"poolclass": sa.pool.StaticPool, "connect_args": {"timeout": 0}}
        given = {name: n for name, n in dialects.NETWORK.items() if name not in self._url.query}
        # a copy of several tables must be of one moment
        level = {"isolation_level": "REPEATABLE READ"} if self.dry_run else {}
        return {"poolclass": sa.pool.NullPool, "connect_args": given, **level}

    def _prepare(self, token_hash: str, must_exist: bool) -> None:  # noqa: FBT001 - the setting
        """Make the tables, or bring them to this version."""
        found = self._version()
        if found is None and must_exist:
            raise NoLedgerError(self.shown)
        if self.dry_run and not self.is_sqlite:
            self._check(found if found is None or found > schema.VERSION else schema.VERSION)
            dialects.of_tables(self.connection, found, token_hash)
            found = schema.VERSION
        if found != schema.VERSION:
            # two runs that find none would both make them
            self._lock_until_commit("tables", "another run makes the tables")
            found = self._version()
        if found is None:
            found = self._begun()
        while found < schema.VERSION and found in MIGRATIONS:
            MIGRATIONS[found].tables(self.connection)
            MIGRATIONS[found].rows(self.connection)
            found += 1
            self.connection.execute(schema.version.update().values(version=found))
        self._check(found)
        schema.temporary.create_all(self.connection)

    def _check(self, found: int | None) -> None:
        if found not in {None, schema.VERSION}:
            raise TargetError(
                f"{self.shown} has tables of version {found}, this target-planhat works with "
                f"{schema.VERSION}: use the version of target-planhat that wrote it, or a newer one"
            )

    def _version(self) -> int | None:
        """Give the version of the tables; None: there are none."""
        if not sa.inspect(self.connection).has_table(schema.version.name):
            return None
        return int(self.connection.execute(sa.select(schema.version.c.version)).scalar() or 0)

    def _begun(self) -> int:
        """Make the tables."""
        schema.metadata.create_all(self.connection)
        self.connection.execute(schema.version.insert().values(version=schema.VERSION))
        return schema.VERSION

    def _tenant(self, token_hash: str, must_exist: bool) -> tuple[int, Masks]:  # noqa: FBT001
        """Give a tenant's number and masks; of a new one nothing is known to have been sent."""
        c = schema.tenants.c
        known = sa.select(c.id, c.mask_key, c.accepted).where(c.token_hash == token_hash)
        found = self.connection.execute(known).first()
        self.is_new = found is None or not found.accepted
        others = sa.select(c.id).where(c.token_hash != token_hash).limit(1)
        self.part = self.shown
        if self.is_new and self.connection.execute(others).first():
            self.part = f"the part for this `tenant_token` of {self.shown}"
        if self.is_new and must_exist:
            raise NoLedgerError(self.part)
        if found is None:
            new = self.into(schema.tenants).values(token_hash=token_hash, mask_key=new_key())
            self.connection.execute(new.on_conflict_do_nothing())
            found = self.connection.execute(known).one()
        return int(found.id), Masks(found.mask_key)

    def accept(self) -> None:
        """Keep the part of a tenant that is new: no other ledger knows what was sent."""
        if not self.is_new:
            return
        self.is_new = False
        mine = schema.tenants.c.id == self.tenant_id
        self.execute(schema.tenants.update().where(mine).values(accepted=True))
        if self.dry_run:
            return
        if self.part == self.shown:
            logger.warning("A new ledger is begun: %s", self.shown.removeprefix("the ledger "))
        else:
            logger.warning(
                "This `tenant_token` is new to %s, which knows others: nothing counts as sent",
                self.shown,
            )

    @contextlib.contextmanager
    def _errors_in_one_line(self) -> Iterator[None]:
        """Raise a TargetError of one line for what goes wrong; later errors repeat the first."""
        try:
            yield
        except (DBAPIError, PendingRollbackError, ModuleNotFoundError, OSError) as error:
            self._problem = self._problem or dialects.one_line(self.shown, error)
            raise TargetError(self._problem) from None

    # Other runs

    @property
    def is_shared(self) -> bool:
        """Whether other runs may work with the ledger at the same time."""
        return not (self.is_sqlite or self.dry_run)

    @property
    def is_lost(self) -> bool:
        """Whether the connection broke: another run may deliver by now."""
        return self.connection.invalidated

    def check_connection(self) -> None:
        """Ask now and then whether the connection is still there, and keep what was written.

        Raises:
            TargetError: it is not.
        """
        if self.is_shared and time.monotonic() - self._checked > CHECK_SECONDS:
            self.execute(sa.select(1))
            self.commit()
            self._checked = time.monotonic()

    def commit_if_shared(self) -> None:
        """Keep what was written so far, so that no other run waits for it."""
        if self.is_shared:
            self.commit()

    def begin_writing(self) -> None:
        """Let no other run of the tenant write until this one commits.

        Otherwise two runs could wait for each other's rows for ever, and what one of them reads
        before a change could be changed by the other.
        """
        if not self._writes:
            self._lock_until_commit(f"writing {self.tenant_id}", "another run writes")
            self._writes = True

    def _lock_until_commit(self, name: str, why: str) -> None:
        if self.is_shared:
            self.wait_for("advisory_xact_lock", name, why)

    def wait_for(self, function: str, name: str, why: str) -> None:
        """Take a lock of PostgreSQL by one of its functions; a long wait is logged."""
        key = self.lock_key(name)
        if self._asked(f"pg_try_{function}", key):
            return
        timer = threading.Timer(PATIENCE_SECONDS, _log_wait, (why,))
        timer.daemon = True
        timer.start()
        try:
            self._asked(f"pg_{function}", key)
        finally:
            timer.cancel()

    def _asked(self, function: str, key: int) -> t.Any:
        asked = sa.select(getattr(sa.func, function)(key))
        with self._errors_in_one_line():
            return self.connection.execute(asked).scalar_one()

    def lock_key(self, name: str) -> int:
        """Number a lock of this ledger, which is one of perhaps several in a database."""
        full = f"planhat {self._engine.dialect.default_schema_name} {name}"
        return int.from_bytes(hashlib.sha256(full.encode()).digest()[:7], "big")

    def _before(self, statement: sa.Executable) -> None:
        """Wait for other runs before the first row is written."""
        if statement.is_dml:
            table = t.cast("sa.Table", t.cast("UpdateBase", statement).table)
            if table.metadata is schema.metadata:
                self.begin_writing()

    # What all parts of the ledger need

    def execute(self, statement: sa.Executable, **values: t.Any) -> sa.CursorResult[t.Any]:
        """Execute one statement."""
        with self._errors_in_one_line():
            self._before(statement)
            return self.connection.execute(statement, values)

    def sql(self, text: str, **values: t.Any) -> sa.CursorResult[t.Any]:
        """Execute a statement that both databases understand; a list is for `in`."""
        lists: list[sa.BindParameter[t.Any]] = [
            sa.bindparam(name, expanding=True)
            for name, value in values.items()
            if isinstance(value, list) and f":{name}" in text
        ]
        return self.execute(sa.text(text).bindparams(*lists), **values)

    def add_rows(
        self,
        table: str,
        names: Sequence[str],
        rows: Sequence[tuple[t.Any, ...]],
        key: Sequence[str],
        merged: Mapping[str, str],
    ) -> None:
        """Insert rows into a temporary table, where one of a key may be there.

        Args:
            table: its name.
            names: of the columns, in the order of the rows' values.
            rows: the rows.
            key: names of the columns that distinguish them.
            merged: SQL of what a row comes to that is there, as `old`, by column.
        """
        mark = "?" if self.is_sqlite else "%s"
        statement = (
            f"insert into {table} as old ({', '.join(names)}) "
            f"values ({', '.join([mark] * len(names))}) on conflict ({', '.join(key)}) "
            f"do update set {', '.join(f'{name} = {sql}' for name, sql in merged.items())}"
        )
        with self._errors_in_one_line():
            for first in range(0, len(rows), _BLOCK):
                self.connection.exec_driver_sql(statement, list(rows[first : first + _BLOCK]))

    def into(self, table: sa.Table) -> sqlite.Insert | postgresql.Insert:
        """Begin an INSERT that can say ON CONFLICT."""
        return sqlite.insert(table) if self.is_sqlite else postgresql.insert(table)

    def among(
        self, column: sa.ColumnElement[int], numbers: Collection[int]
    ) -> sa.ColumnElement[bool]:
        """Whether a column has one of many numbers, which are one parameter of the statement."""
        if self.is_sqlite:
            listed = msgspec.json.encode(list(numbers)).decode()
            return column.in_(sa.select(sa.func.json_each(listed).table_valued("value").c.value))
        return column == sa.any_(sa.literal(list(numbers), postgresql.ARRAY(sa.BigInteger)))

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
        with self._errors_in_one_line():
            self._before(statement)
            compiled = statement.compile(dialect=self._by_position, column_keys=list(names))
            arranged = _arranged(compiled, names)
            for first in range(0, len(rows), _BLOCK):
                block = [arranged(row) for row in rows[first : first + _BLOCK]]
                self.connection.exec_driver_sql(compiled.string, block)

    def commit(self) -> None:
        """Commit what was written."""
        if not self._to_look:
            with self._errors_in_one_line():
                self.connection.commit()
            self._writes = False

    def rollback(self) -> None:
        """Drop what was not committed."""
        with self._errors_in_one_line():
            self.connection.rollback()
        self._writes = False

    def scrub(self) -> None:
        """Rewrite a SQLite file, in which what was removed would stay readable.

        PostgreSQL decides by itself when removed rows leave its files.
        """
        if self.is_sqlite:
            self.commit()
            with self._errors_in_one_line():
                # not in a transaction, which SQLAlchemy would begin
                raw = self.connection.connection.cursor()
                try:
                    raw.execute("VACUUM")
                    raw.execute("PRAGMA wal_checkpoint(TRUNCATE)")
                finally:
                    raw.close()

    def sort_on_disk(self) -> None:
        """Use a few megabytes from now on, however much is sorted.

        SQLite sorts in memory what its cache could hold; what was read is not needed any more.
        """
        if self.is_sqlite:
            with self._errors_in_one_line():
                self.connection.exec_driver_sql("PRAGMA cache_size = -8192")

    def survey(self, *filled: sa.Table) -> None:
        """Let PostgreSQL count the rows of temporary tables, which it never does by itself.

        Otherwise it joins each row with each row. SQLite goes by its indexes.
        """
        if not self.is_sqlite:
            with self._errors_in_one_line():
                for table in filled:
                    self.connection.exec_driver_sql(f"ANALYZE {table.name}")

    def close(self) -> None:
        """Close the connection; what was not committed is gone."""
        with contextlib.suppress(DBAPIError):
            self.connection.rollback()
        self.connection.close()
        self._engine.dispose()


def _log_wait(why: str) -> None:
    logger.warning("Waiting for the ledger: %s", why)


def _arranged(
    compiled: sa.Compiled, names: Sequence[str]
) -> Callable[[tuple[t.Any, ...]], tuple[t.Any, ...]]:
    """Return what puts a row's values into the order of a statement's parameters."""
    statement = t.cast("SQLCompiler", compiled)
    wanted, own = statement.positiontup or [], statement.params
    fixed = {name: own[name] for name in wanted if name not in names}
    kinds = [statement.binds[name].type for name in names]
    texts = [n for n, kind in enumerate(kinds) if isinstance(kind, schema.NulSafeText)]
    known = [*names, *fixed]
    order, constants = [known.index(name) for name in wanted], tuple(fixed.values())

    def arranged(row: tuple[t.Any, ...]) -> tuple[t.Any, ...]:
        values = [*row, *constants]
        for n in texts:
            values[n] = schema.without_nul(values[n])
        return tuple([values[n] for n in order])

    straight = order == list(range(len(names))) and not texts
    return tuple if straight else arranged
