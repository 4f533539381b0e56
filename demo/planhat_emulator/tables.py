"""Knows the objects of one model, and finds them by their keys."""

from collections.abc import Iterable, Iterator
from operator import itemgetter
from typing import Any

from planhat_emulator.models import Model

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
