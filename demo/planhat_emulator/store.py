"""Planhat's models, and the objects of each, found by their keys."""

import secrets
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from operator import itemgetter
from typing import Any

from emulation.clock import Clock, format_moment

from planhat_emulator.knobs import Knobs


@dataclass(frozen=True, kw_only=True)
class Model:
    """One model: the name in metrics, what a new one needs, and its keys by priority.

    `scoped`: it belongs to a company, and its externalId is unique within that company only.
    """

    path: str
    name: str
    required: tuple[str, ...]
    keys: tuple[str, ...]
    scoped: bool = True


_KEYS = ("_id", "sourceId", "externalId")
MODELS = {
    model.path: model
    for model in (
        Model(path="companies", name="Company", required=("name",), keys=_KEYS, scoped=False),
        Model(path="endusers", name="EndUser", required=(), keys=(*_KEYS, "email")),
        Model(path="assets", name="Asset", required=("name",), keys=_KEYS),
        Model(path="projects", name="Project", required=("name",), keys=_KEYS),
        Model(
            path="users",
            name="User",
            required=("email", "nickName", "firstName", "lastName"),
            keys=("_id", "externalId", "email"),
            scoped=False,
        ),
    )
}
MEASURED = {model.name: model.path for model in MODELS.values() if model.path != "users"}


Thing = dict[str, Any]
_INDEXED = ("sourceId", "externalId", "email")
_PLACING = {*_INDEXED, "companyId", "domains"}


def _key(field: str, value: Any) -> Any:
    return value.lower() if field == "email" and isinstance(value, str) else value


class Table:
    """The objects of a model, by _id, in the order in which they came."""

    def __init__(self, model: Model) -> None:
        self.model = model
        self.things: dict[str, Thing] = {}
        self._indexes: dict[str, dict[Any, tuple[Thing, ...]]] = {name: {} for name in _INDEXED}
        self._domains: dict[str, tuple[Thing, ...]] = {}
        self._companies: dict[str, dict[str, Thing]] = {}
        self._sorted: tuple[str, list[Thing]] | None = None

    def find(self, field: str, value: Any) -> tuple[Thing, ...]:
        """Return the objects with a key: _id, sourceId, externalId or email (without case)."""
        if field == "_id":
            found = self.things.get(value)
            return (found,) if found else ()
        return self._indexes[field].get(_key(field, value), ())

    def of_domain(self, domain: str) -> tuple[Thing, ...]:
        """Return the companies with a domain."""
        return self._domains.get(domain.lower(), ())

    def of_companies(self, ids: Iterable[str]) -> list[Thing]:
        """Return the objects that belong to companies."""
        return [thing for one in ids for thing in self._companies.get(one, {}).values()]

    def sorted(self, by: str) -> list[Thing]:
        """Return all by a field, "-field" for descending; those without it come first."""
        if self._sorted is None or self._sorted[0] != by:
            name = by.removeprefix("-")
            have = [thing for thing in self.things.values() if thing.get(name) is not None]
            without = [thing for thing in self.things.values() if thing.get(name) is None]
            try:
                have.sort(key=itemgetter(name), reverse=by.startswith("-"))
            except TypeError:
                have.sort(key=lambda one: str(one[name]), reverse=by.startswith("-"))
            self._sorted = by, have + without if by.startswith("-") else without + have
        return self._sorted[1]

    def insert(self, thing: Thing) -> None:
        """Add an object, which has an _id."""
        self.things[thing["_id"]] = thing
        self._index(thing)

    def change(self, thing: Thing, changes: Thing) -> None:
        """Set fields of an object."""
        self._sorted = None
        if changes.keys().isdisjoint(_PLACING):
            thing.update(changes)
            return
        self._unindex(thing)
        thing.update(changes)
        self._index(thing)

    def remove(self, thing: Thing) -> None:
        """Remove an object."""
        del self.things[thing["_id"]]
        self._unindex(thing)

    def _places(self, thing: Thing) -> Iterator[tuple[dict[Any, tuple[Thing, ...]], Any]]:
        for field, index in self._indexes.items():
            value = thing.get(field)
            if value is not None:
                yield index, _key(field, value)
        for domain in thing.get("domains") or ():
            yield self._domains, str(domain).lower()

    def _index(self, thing: Thing) -> None:
        self._sorted = None
        for index, value in self._places(thing):
            known = index.get(value)
            index[value] = (thing,) if known is None else (*known, thing)
        company = thing.get("companyId")
        if company:
            self._companies.setdefault(company, {})[thing["_id"]] = thing

    def _unindex(self, thing: Thing) -> None:
        self._sorted = None
        for index, value in self._places(thing):
            left = tuple(one for one in index.get(value, ()) if one is not thing)
            if left:
                index[value] = left
            else:
                index.pop(value, None)
        company = thing.get("companyId")
        if company:
            self._companies.get(company, {}).pop(thing["_id"], None)


_PREFIXES = {"extid-": "externalId", "srcid-": "sourceId"}


class Store:
    """The objects of one tenant, and the knobs and the clock by which it goes."""

    def __init__(self, clock: Clock, nonce: str | None = None) -> None:
        self.clock = clock
        self.knobs = Knobs()
        self.tables = {path: Table(model) for path, model in MODELS.items()}
        self.custom_fields: dict[str, set[str]] = {path: set() for path in MODELS}
        # as an ObjectId begins with its time; one for all, so that a replay makes the same ids
        self.nonce = nonce or f"{clock.now() // 1000:08x}{secrets.token_hex(5)}"
        self._made = 0

    def new_id(self) -> str:
        """Return an _id that nobody has: 24 hexadecimal digits."""
        self._made += 1
        return f"{self.nonce}{self._made & 0xFFFFFF:06x}"

    def add(self, path: str, fields: Thing) -> Thing:
        """Add an object as it is, with an _id and its times."""
        now = format_moment(self.clock.now())
        thing = {"_id": self.new_id(), **fields, "createDate": now, "updatedAt": now}
        self.tables[path].insert(thing)
        return thing

    def named(self, path: str, reference: Any) -> Thing | None:
        """Return the object that `_id`, `extid-…` or `srcid-…` names; the first of several."""
        if not isinstance(reference, str) or not reference:
            return None
        field = _PREFIXES.get(reference[:6])
        table = self.tables[path]
        found = table.find(field, reference[6:]) if field else table.find("_id", reference)
        return found[0] if found else None

    def company(self, external_id: Any) -> Thing | None:
        """Return the company with an externalId."""
        if not isinstance(external_id, str):
            return None
        found = self.tables["companies"].find("externalId", external_id)
        return found[0] if found else None

    def company_of_email(self, email: Any) -> Thing | None:
        """Return the one company that has the domain of an address; None if several have it."""
        if not isinstance(email, str) or "@" not in email:
            return None
        found = self.tables["companies"].of_domain(email.rpartition("@")[2])
        return found[0] if len(found) == 1 else None

    def shown(self, thing: Thing) -> Thing:
        """Return an object as the API shows it, with its company's name."""
        company = self.tables["companies"].find("_id", thing.get("companyId", ""))
        return {**thing, "companyName": company[0].get("name")} if company else thing
