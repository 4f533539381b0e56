"""Finds the object of Planhat that an item is about, by ids that the customer chose."""

from __future__ import annotations

import logging
import typing as t

from target_planhat.redaction import MOST_COMPARED, folded

if t.TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence

    from target_planhat.ledger.outbox import Item
    from target_planhat.ledger.planhat_objects import Column, Directory, Object, Path
    from target_planhat.ledger.reference_data import Known
    from target_planhat.planhat.endpoints import PlanhatClient
    from target_planhat.rule_model import Key, Model, Rule

logger = logging.getLogger("target-planhat.matching")

PATHS: dict[Model, Path] = {
    "EndUser": "endusers",
    "Company": "companies",
    "Asset": "assets",
    "Project": "projects",
}
COLUMNS: dict[Key, Column] = {
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
# A copy that is older is read again, though all that is looked for is in it
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
    """Why there is no object; `absent`: nothing in Planhat has this key, so it may be created.

    `waits_for` is the key as the copy of Planhat would have it, or "" if no record has given one
    yet; None: nobody knows what would have to come.
    """

    reason: str
    value: str = ""
    absent: bool = False
    waits_for: str | None = None


class Matcher:
    """Matches against the ledger's copy of Planhat; without a client, ids are taken as they are.

    The copy is read again if it is old, or if something is missing in one that an earlier run read.
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

    def refresh_all(self, rule: Rule) -> None:
        """Read what a rule's ids are matched against, unless this run has."""
        for path in ("companies", PATHS[rule.model]):
            self.refresh(path, 0)

    def refresh(self, path: Path, max_age_ms: int) -> bool:
        """Read a copy again if it is older, unless this run has; say whether it was read."""
        if self._client is None or path in self._read_now:
            return False
        read_at, now = self._directory.read_at(path), self._now()
        if read_at is not None and max_age_ms and now - read_at < max_age_ms:
            return False
        self._directory.replace(path, self._client.objects(path), now)
        self._read_now.add(path)
        logger.info("Planhat's %s are read", path)
        return True

    def _values(self, rule: Rule, items: Sequence[Item]) -> dict[int, str]:
        """Return the values to match by, "" for those that are not known."""
        if rule.match.of == "row":
            return {item.id: item.subject for item in items}
        path = ".".join(rule.match.path)
        said = self._known.described(rule.match.of, path, {item.subject for item in items})
        return {item.id: said.get(item.subject, "") for item in items}

    def _found(
        self, rule: Rule, items: Sequence[Item], values: dict[int, str]
    ) -> dict[int, Target | Unmatched]:
        path, column = PATHS[rule.model], COLUMNS[rule.match.by]
        wanted = {values[item.id] for item in items} - {""}
        by_key = self._directory.find(path, column, wanted)
        places = self._companies(by_key.values(), rule)
        chosen: dict[int, Target | Unmatched] = {}
        for item in items:
            value = values[item.id]
            if not value:
                chosen[item.id] = Unmatched(_unknown(rule), waits_for="")
                continue
            objects = by_key.get(value.casefold() if column == "email" else value, [])
            chosen[item.id] = _chosen(rule, item, value, objects, places)
        return chosen | self._mistakable(rule, chosen)

    def _mistakable(
        self, rule: Rule, chosen: dict[int, Target | Unmatched]
    ) -> dict[int, Unmatched]:
        """Find items whose externalId, which the post names, is that of other objects too."""
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
        """Return the externalIds of the companies of objects, by their _id."""
        if rule.model == "Company":
            return {}
        ids = {each.company_id for objects in found for each in objects if each.company_id}
        companies = self._directory.find("companies", "id", ids)
        return {id_: objects[0].external_id for id_, objects in companies.items()}


def _as_said(rule: Rule, value: str) -> Target | Unmatched:
    if not value:
        return Unmatched(_unknown(rule))
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
        reason = f"Planhat has no {noun} with this {key}"
        return Unmatched(reason, value, absent=True, waits_for=_awaited(key, value))
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


def _awaited(key: Key, value: str) -> str | None:
    """Return the key for which an item waits, if the ledger can find it by that."""
    wanted = value.casefold() if key == "email" else value
    # if it was cut off, or is not an address, the ledger has it in another form
    same = folded(value) if key == "email" else value
    return wanted if wanted == same and len(wanted) <= MOST_COMPARED else None


def _unknown(rule: Rule) -> str:
    path = ".".join(rule.match.path)
    return f"no {rule.match.of} record with `{path}` has come yet"
