"""The copy of Planhat's companies, end users, assets and projects that ids are matched against."""

from __future__ import annotations

import contextlib
import typing as t
from operator import itemgetter

import sqlalchemy as sa

from target_planhat.ledger.locks import Locks
from target_planhat.ledger.tables import copies, objects
from target_planhat.masking import digest

if t.TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Sequence

    from target_planhat.ledger.database import Database

_MANY = 2000
# Keys whose objects are remembered: the same people come day after day
_REMEMBERED = 20_000
Path = t.Literal["companies", "endusers", "assets", "projects"]
Column = t.Literal["id", "external_id", "source_id", "email"]
_FIELDS = {
    "external_id": "externalId",
    "source_id": "sourceId",
    "email": "email",
    "company_id": "companyId",
}


class Object(t.NamedTuple):
    """One of Planhat's objects: its _id and keys; `company_id` is its company's _id."""

    id: str
    external_id: str | None
    source_id: str | None
    email: str | None
    company_id: str | None


class Directory:
    """Planhat's objects as last read; e-mail addresses are compared without case.

    End users with an id or address whose hash is in `gone` are left out.
    """

    def __init__(self, database: Database, gone: frozenset[str] = frozenset()) -> None:
        self._db, self._tenant = database, database.tenant_id
        self._gone = gone
        self._latest: dict[tuple[Path, Column], dict[str, list[Object]]] = {}
        self._locks = Locks(database)

    @contextlib.contextmanager
    def alone(self, path: Path) -> Iterator[None]:
        """Be the only run that reads a copy anew or adds to it, and know what others added."""
        with self._locks.alone(f"the copy of Planhat's {path}"):
            self._latest.clear()
            yield

    def read_at(self, path: Path) -> int | None:
        """When a copy was made, in epoch ms; None if there is none."""
        mine = [copies.c.tenant_id == self._tenant, copies.c.path == path]
        return self._db.execute(sa.select(copies.c.read_at).where(*mine)).scalar_one_or_none()

    def replace(self, path: Path, pages: Iterable[Sequence[t.Any]], now: int) -> None:
        """Make a copy anew; the old one holds until all pages have come."""
        for page in pages:
            self.add(path, page, now)
            # before Planhat is asked for the next one
            self._db.give_way()
        gone = [
            objects.c.tenant_id == self._tenant,
            objects.c.path == path,
            objects.c.read_at != now,
        ]
        self._latest.clear()
        self._db.execute(objects.delete().where(*gone))
        self._db.insert(copies, [{"tenant_id": self._tenant, "path": path, "read_at": now}])

    def add(self, path: Path, found: Iterable[dict[str, t.Any]], now: int) -> None:
        """Add objects as Planhat gives them."""
        self._latest.clear()
        rows = {}
        for each in found:
            row = {name: _key(each.get(field)) for name, field in _FIELDS.items()}
            if row["email"]:
                row["email"] = row["email"].lower()
            if self._gone and path == "endusers" and self._is_gone(row):
                continue
            key = {"tenant_id": self._tenant, "path": path, "id": str(each["_id"])}
            rows[key["id"]] = {**key, **row, "read_at": now}
        self._db.insert(objects, list(rows.values()))

    def _is_gone(self, row: dict[str, str | None]) -> bool:
        keys = (row[name] for name in ("external_id", "source_id", "email"))
        return any(digest(key) in self._gone for key in keys if key)

    def find(self, path: Path, column: Column, values: Collection[str]) -> dict[str, list[Object]]:
        """Find objects by one of their keys: {key: objects}."""
        asked = {value.lower() for value in values} if column == "email" else set(values)
        latest = self._latest.setdefault((path, column), {})
        if len(latest) > _REMEMBERED:
            latest.clear()
        latest.update(self._looked_up(path, column, sorted(asked - latest.keys())))
        return {key: latest[key] for key in asked if latest[key]}

    def _looked_up(
        self, path: Path, column: Column, asked: Sequence[str]
    ) -> dict[str, list[Object]]:
        """Read objects by their keys; there may be none of a key."""
        key = objects.c[column]
        columns = [objects.c[name] for name in Object._fields]
        found: dict[str, list[Object]] = {key: [] for key in asked}
        for first in range(0, len(asked), _MANY):
            chosen = sa.select(*columns).where(
                objects.c.tenant_id == self._tenant,
                objects.c.path == path,
                key.in_(asked[first : first + _MANY]),
            )
            # in order, SQLite would read all objects by their _id
            for row in sorted(map(Object._make, self._db.execute(chosen).all()), key=_by_id):
                found[getattr(row, column)].append(row)
        return found


_by_id = itemgetter(0)


def _key(value: t.Any) -> str | None:
    """Read a key as text; what is empty is none."""
    if isinstance(value, dict):
        value = value.get("_id")
    return str(value) if value not in (None, "") else None
