"""The copy of Planhat's companies, end users, assets and projects, to match ids against."""

from __future__ import annotations

import typing as t
from collections import Counter, defaultdict
from operator import itemgetter

import sqlalchemy as sa

from target_planhat.ledger.database import MOST_LISTED
from target_planhat.ledger.schema import copies, items, objects, people
from target_planhat.redaction import compared, folded

if t.TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Sequence

    from target_planhat.ledger.database import Database
    from target_planhat.ledger.outbox import Item
    from target_planhat.ledger.reference_data import Known
    from target_planhat.redaction import ForgottenIds
    from target_planhat.rule_model import Rule

# Keys whose objects are remembered: the same people come day after day
_REMEMBERED = 20_000
Path = t.Literal["companies", "endusers", "assets", "projects"]
Column = t.Literal["id", "external_id", "source_id", "email"]
_FIELDS = {
    "external_id": "externalId",
    "source_id": "sourceId",
    "email": "email",
    "company_id": "companyId",
    "name": "name",
}


class Object(t.NamedTuple):
    """One of Planhat's objects: its _id and keys; `company_id` is its company's _id.

    Only companies have a `name` here.
    """

    id: str
    external_id: str | None
    source_id: str | None
    email: str | None
    company_id: str | None
    name: str | None


class Directory:
    """Planhat's objects as last read; e-mail addresses are compared without case.

    End users with an id or address that is `gone` are left out.
    """

    def __init__(self, database: Database, gone: ForgottenIds) -> None:
        self._db, self._tenant = database, database.tenant_id
        self._gone, self._any_gone = gone, bool(gone)
        self._latest: dict[tuple[Path, Column], dict[str, list[Object]]] = {}

    def read_at(self, path: Path) -> int | None:
        """When a copy was read, in epoch ms; None: there is none."""
        mine = [copies.c.tenant_id == self._tenant, copies.c.path == path]
        return self._db.execute(sa.select(copies.c.read_at).where(*mine)).scalar_one_or_none()

    def replace(self, path: Path, pages: Iterable[Sequence[t.Any]], now: int) -> None:
        """Replace a copy; the old one holds until all pages have come."""
        for page in pages:
            self.add(path, page, now)
            # before Planhat is asked for the next one
            self._db.commit_if_shared()
        gone = [
            objects.c.tenant_id == self._tenant,
            objects.c.path == path,
            objects.c.read_at != now,
        ]
        self._latest.clear()
        self._db.execute(objects.delete().where(*gone))
        self._db.insert(copies, [{"tenant_id": self._tenant, "path": path, "read_at": now}])
        self._db.commit_if_shared()

    def add(self, path: Path, found: Iterable[dict[str, t.Any]], now: int) -> None:
        """Add objects as Planhat gives them."""
        self._latest.clear()
        rows = {}
        for each in found:
            row = {name: _key(each.get(field)) for name, field in _FIELDS.items()}
            if path != "companies":
                row["name"] = None
            if row["email"]:
                row["email"] = row["email"].casefold()
            if self._any_gone and path == "endusers" and self._is_gone(row):
                continue
            key = {"tenant_id": self._tenant, "path": path, "id": str(each["_id"])}
            rows[key["id"]] = {**key, **row, "read_at": now}
        self._db.insert(objects, list(rows.values()))

    def _is_gone(self, row: dict[str, str | None]) -> bool:
        keys = (row[name] for name in ("external_id", "source_id", "email"))
        return any(key in self._gone for key in keys if key)

    def find(self, path: Path, column: Column, values: Collection[str]) -> dict[str, list[Object]]:
        """Find objects by one of their keys: {key: objects}."""
        asked = {value.casefold() for value in values} if column == "email" else set(values)
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
        for first in range(0, len(asked), MOST_LISTED):
            chosen = sa.select(*columns).where(
                objects.c.tenant_id == self._tenant,
                objects.c.path == path,
                key.in_(asked[first : first + MOST_LISTED]),
            )
            # in order, SQLite would read all objects by their _id
            for row in sorted(map(Object._make, self._db.execute(chosen).all()), key=_by_id):
                found[getattr(row, column)].append(row)
        return found


_by_id = itemgetter(0)


def _key(value: t.Any) -> str | None:
    """Return a key as text; an empty one is None."""
    if isinstance(value, dict):
        value = value.get("_id")
    return str(value) if value not in (None, "") else None


class Namesakes:
    """Visitors, or accounts, that have the same e-mail address, id in a CRM, or the like."""

    def __init__(self, database: Database, known: Known) -> None:
        self._db, self._tenant, self._known = database, database.tenant_id, known

    def among(self, rule: Rule, ids: Collection[str]) -> dict[str, str]:
        """Find ids with the same value of what the rule matches by: {id: that value}.

        They are those of `ids`, and others; an id whose value no other id has is left out.
        """
        match = rule.match
        if match.of == "row":
            return {}
        path = ".".join(match.path)
        said = self._known.described(match.of, path, ids)
        wanted = {_match_key(rule, value) for value in said.values()} - {""}
        together: defaultdict[str, list[str]] = defaultdict(list)
        mine = [
            people.c.tenant_id == self._tenant,
            people.c.kind == match.of,
            people.c.path == path,
        ]
        asked = sorted({compared(value) for value in wanted})
        for first in range(0, len(asked), MOST_LISTED):
            some = people.c.folded.in_(asked[first : first + MOST_LISTED])
            for id_, value in self._db.execute(
                sa.select(people.c.id, people.c.value).where(*mine, some)
            ):
                together[_match_key(rule, value)].append(id_)
        return {
            one: key
            for key, several in together.items()
            if key in wanted and len(several) > 1
            for one in several
        }

    def rivals(self, rule_id: int, rule: Rule, due: Sequence[Item]) -> set[int]:
        """Find the items whose object has a figure of the same day from another id."""
        keys = self.among(rule, {item.subject for item in due})
        mine = [item for item in due if item.subject in keys]
        found = self._with_figures(rule_id, {item.date for item in mine}, sorted(keys))
        figures = Counter((date, keys[subject]) for date, subject in found)
        return {
            item.id
            for item in mine
            if figures[item.date, keys[item.subject]] > ((item.date, item.subject) in found)
        }

    def _with_figures(
        self, rule_id: int, dates: Collection[int], subjects: Sequence[str]
    ) -> set[tuple[int, str]]:
        found: set[tuple[int, str]] = set()
        c = items.c
        for first in range(0, len(subjects), MOST_LISTED):
            chosen = sa.select(c.date, c.subject).where(
                c.rule_id == rule_id,
                c.date.in_(dates),
                c.subject.in_(subjects[first : first + MOST_LISTED]),
                sa.or_(c.records > 0, c.posts > 0),
            )
            found.update((int(date), subject) for date, subject in self._db.execute(chosen))
        return found


def _match_key(rule: Rule, value: str) -> str:
    return folded(value) if rule.match.by == "email" else value
