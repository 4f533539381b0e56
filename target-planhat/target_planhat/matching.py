"""Finds the object of Planhat that an item is about, by ids that the customer chose."""

from __future__ import annotations

import logging
import typing as t

if t.TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence

    from target_planhat.client import PlanhatClient
    from target_planhat.ledger.directory import Column, Directory, Object, Path
    from target_planhat.ledger.items import Item
    from target_planhat.ledger.known import Known
    from target_planhat.rules import Key, Model, Rule

logger = logging.getLogger("target-planhat.matching")

PATHS: dict[Model, Path] = {
    "EndUser": "endusers",
    "Company": "companies",
    "Asset": "assets",
    "Project": "projects",
}
_COLUMNS: dict[Key, Column] = {
    "externalId": "external_id",
    "email": "email",
    "sourceId": "source_id",
}
_NOUNS: dict[Model, str] = {
    "EndUser": "end user",
    "Company": "company",
    "Asset": "asset",
    "Project": "project",
}
# A copy that is older is read anew, though all that is looked for is in it
_FRESH_MS = 30 * 60_000


class Target(t.NamedTuple):
    """How an item names its object in a post, and where it is found for reading back.

    `external_id` or `email` is given; the others are None where they are not known.
    """

    external_id: str | None
    email: str | None = None
    company_external_id: str | None = None
    object_id: str | None = None
    company_id: str | None = None


class Unmatched(t.NamedTuple):
    """Why there is no object; `absent`: nothing in Planhat has this key, so it may be created."""

    reason: str
    value: str = ""
    absent: bool = False


class Matcher:
    """Matches against the ledger's copy of Planhat; without a client, ids are taken as they are.

    The copy is read anew if it is old, or if something is missing in one that an earlier run read.
    """

    def __init__(
        self,
        directory: Directory,
        known: Known,
        client: PlanhatClient | None,
        now: Callable[[], int],
    ) -> None:
        self._directory, self._known = directory, known
        self._client, self._now = client, now
        self._read_now: set[Path] = set()
        self._read_beside: set[Path] = set()

    def match(self, rule: Rule, items: Sequence[Item]) -> dict[int, Target | Unmatched]:
        """Find the object of each item."""
        values = self._values(rule, items)
        if self._client is None:
            return {item.id: _as_said(rule, values[item.id]) for item in items}
        self.refresh("companies", _FRESH_MS)
        self.refresh(PATHS[rule.model], _FRESH_MS)
        found = self._found(rule, items, values)
        missing = [i for i in items if isinstance(found[i.id], Unmatched) and values[i.id]]
        if missing and self.refresh(PATHS[rule.model], 0):
            self.refresh("companies", 0)
            found |= self._found(rule, missing, values)
        return found

    def refresh(self, path: Path, oldest: int, *, here: bool = False) -> bool:
        """Read a copy anew that is older (in ms) and not of this run; say whether it is another.

        One that another run has read while this one waited for it will do, unless it must be read
        `here`.
        """
        if self._client is None or path in self._read_now:
            return False
        if path in self._read_beside and not here:
            return False
        known, now = self._directory.read_at(path), self._now()
        if known is not None and oldest and now - known < oldest:
            return False
        with self._directory.alone(path):
            if not here and self._directory.read_at(path) != known:
                self._read_beside.add(path)
                return True
            self._directory.replace(path, self._client.objects(path), self._now())
            self._read_now.add(path)
        logger.info("Planhat's %s are read", path)
        return True

    def _values(self, rule: Rule, items: Sequence[Item]) -> dict[int, str]:
        """Give the value to match by, "" where it is not known."""
        if rule.match.of == "row":
            return {item.id: item.subject for item in items}
        path = ".".join(rule.match.path)
        said = self._known.described(rule.match.of, path, {item.subject for item in items})
        return {item.id: said.get(item.subject, "") for item in items}

    def _found(
        self, rule: Rule, items: Sequence[Item], values: dict[int, str]
    ) -> dict[int, Target | Unmatched]:
        path, column = PATHS[rule.model], _COLUMNS[rule.match.by]
        wanted = {values[item.id] for item in items} - {""}
        by_key = self._directory.find(path, column, wanted)
        places = self._companies(by_key.values(), rule)
        chosen: dict[int, Target | Unmatched] = {}
        for item in items:
            value = values[item.id]
            if not value:
                chosen[item.id] = Unmatched(_unknown(rule))
                continue
            objects = by_key.get(value.lower() if column == "email" else value, [])
            chosen[item.id] = _chosen(rule, item, value, objects, places)
        return chosen | self._mistakable(rule, chosen)

    def _mistakable(
        self, rule: Rule, chosen: dict[int, Target | Unmatched]
    ) -> dict[int, Unmatched]:
        """Give those whose externalId, which the post names, is that of others too."""
        if rule.model == "Company" or rule.match.by == "externalId":
            return {}
        ids = {
            id_: target.external_id
            for id_, target in chosen.items()
            if isinstance(target, Target)
            and target.external_id
            and (rule.kind == "metric" or not target.company_external_id)
        }
        known = self._directory.find(PATHS[rule.model], "external_id", set(ids.values()))
        reason = f"Planhat has several of {_NOUNS[rule.model]} with the externalId of this one"
        return {id_: Unmatched(reason) for id_, key in ids.items() if len(known[key]) > 1}

    def _companies(
        self, found: Collection[list[Object]], rule: Rule
    ) -> dict[str | None, str | None]:
        """Give the externalIds of the companies of objects, by their _id."""
        if rule.model == "Company":
            return {}
        ids = {each.company_id for objects in found for each in objects if each.company_id}
        companies = self._directory.find("companies", "id", ids)
        return {id_: objects[0].external_id for id_, objects in companies.items()}


def _as_said(rule: Rule, value: str) -> Target | Unmatched:
    if not value:
        return Unmatched(_unknown(rule))
    if rule.match.by == "email":
        return Target(None, value)
    return Target(value)


def _chosen(
    rule: Rule,
    item: Item,
    value: str,
    objects: Sequence[Object],
    places: dict[str | None, str | None],
) -> Target | Unmatched:
    """Choose one object: the only one, or the one of the row's company."""
    noun, key = _NOUNS[rule.model], rule.match.by
    if not objects:
        return Unmatched(f"Planhat has no {noun} with this {key}", value, absent=True)
    if len(objects) > 1:
        objects = [o for o in objects if item.company and places.get(o.company_id) == item.company]
        if len(objects) != 1:
            return Unmatched(f"Planhat has several of {noun} with this {key}", value)
    return _target(rule, objects[0], places)


def _target(rule: Rule, found: Object, places: dict[str | None, str | None]) -> Target | Unmatched:
    noun = _NOUNS[rule.model]
    if rule.kind == "metric" and not found.external_id:
        return Unmatched(f"the {noun} has no externalId in Planhat")
    if not (found.external_id or found.email):
        return Unmatched(f"the {noun} has neither externalId nor e-mail address in Planhat")
    return Target(
        found.external_id,
        None if found.external_id else found.email,
        places.get(found.company_id),
        found.id,
        found.id if rule.model == "Company" else found.company_id,
    )


def _unknown(rule: Rule) -> str:
    path = ".".join(rule.match.path)
    return f"no {rule.match.of} record with `{path}` has come yet"
