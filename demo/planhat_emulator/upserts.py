"""Knows how objects are created and changed, one by one and in bulk."""

from collections import Counter
from collections.abc import Collection, Sequence
from typing import Any

from emulation.clock import format_moment

from planhat_emulator.refusals import Unusable
from planhat_emulator.store import Model, Store, Table, Thing

_LISTS = (
    "createdErrors",
    "insertsKeys",
    "updatedErrors",
    "updatesKeys",
    "modified",
    "upsertedIds",
    "permissionErrors",
)
_COUNTS = ("created", "updated", "nonupdates")
_UNIQUE = ("sourceId", "externalId")
_TYPES: dict[str, tuple[type, str]] = {
    "sourceId": (str, "a string"),
    "externalId": (str, "a string"),
    "email": (str, "a string"),
    "domains": (list, "an array"),
    "custom": (dict, "an object"),
}
_SERVER = ("_id", "companyName", "createDate", "updatedAt", "__v")


class Ignored(Exception):  # noqa: N818 -- not an error for Planhat either
    """The item is silently not stored."""


class Upserts:
    """Writes the objects of a tenant."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def bulk(
        self, path: str, items: Sequence[Any], spoilt: Collection[int] = (), text: str = ""
    ) -> tuple[int, dict[str, Any]]:
        """Create and change objects; return the status and the answer's body.

        Items at the indices `spoilt` are not stored and are errors with `text`.
        """
        table = self._store.tables[path]
        result: dict[str, Any] = {**dict.fromkeys(_COUNTS, 0), **{name: [] for name in _LISTS}}
        doubles = _doubles(items, table.model, self._store.knobs.duplicated_items)
        for index, item in enumerate(items):
            found = None
            try:
                if not isinstance(item, dict):
                    raise Unusable("item must be an object")  # noqa: TRY301 -- collected below
                reason = text if index in spoilt else doubles.get(index)
                found = self._match(table, item)
                if reason:
                    raise Unusable(reason)  # noqa: TRY301 -- as above
                self._write(table, found, item, result)
            except Unusable as refused:
                kind = "createdErrors" if found is None else "updatedErrors"
                result[kind].append(self._entry(item, str(refused)))
            except Ignored:
                continue
        return self._status(result, len(items)), result

    def forbidden(self, items: Sequence[Any]) -> dict[str, Any]:
        """Return the body of a bulk upsert by a token that may not write the model."""
        result: dict[str, Any] = {**dict.fromkeys(_COUNTS, 0), **{name: [] for name in _LISTS}}
        result["permissionErrors"] = [self._entry(item, "permission denied") for item in items]
        return result

    def create(self, path: str, item: Thing) -> Thing:
        """Create one object.

        Raises:
            Unusable: where it lacks something, or another has its key.
        """
        try:
            return self._create(self._store.tables[path], item)
        except Ignored:
            raise Unusable("companyId must be specified") from None

    def update(self, path: str, thing: Thing, item: Thing) -> Thing:
        """Change the fields that are given; updatedAt moves always.

        Raises:
            Unusable: where another object has the key, or the company does not exist.
        """
        self._change(self._store.tables[path], thing, item)
        return thing

    def _status(self, result: dict[str, Any], items: int) -> int:
        failed = len(result["createdErrors"]) + len(result["updatedErrors"])
        if not failed:
            return 200
        return 400 if failed == items else self._store.knobs.partial_status

    def _entry(self, item: Any, text: str) -> Any:
        if self._store.knobs.error_entries == "string":
            return text
        return {"item": item, "message": text}

    def _write(
        self, table: Table, found: Thing | None, item: Thing, result: dict[str, Any]
    ) -> None:
        if found is None:
            made = self._create(table, item)
            result["created"] += 1
            result["insertsKeys"].append(_keys(made, item))
            result["upsertedIds"].append(made["_id"])
        elif self._change(table, found, item):
            result["updated"] += 1
            result["updatesKeys"].append(_keys(found, item))
            result["modified"].append(found["_id"])
        else:
            result["nonupdates"] += 1

    def _match(self, table: Table, item: Thing) -> Thing | None:
        """Return the object that an item means, by the first of its keys that is known."""
        for key in table.model.keys:
            value = item.get(key)
            if not isinstance(value, str) or not value:
                continue
            found = table.find(key, value)
            if key == "externalId" and table.model.scoped and found:
                found = self._in_company(found, item)
            if key == "email" and self._store.knobs.match_by_email == "uncontradicted":
                found = tuple(one for one in found if not _contradicts(one, item))
            if len(found) == 1 or (found and key != "email"):
                return found[0]
        return None

    def _in_company(self, found: tuple[Thing, ...], item: Thing) -> tuple[Thing, ...]:
        """Return those of the item's company; without a company several are one too many."""
        company = self._store.named("companies", item.get("companyId"))
        if company and self._store.knobs.external_id_scope == "company":
            return tuple(one for one in found if one.get("companyId") == company["_id"])
        if len(found) > 1:
            raise Unusable("externalId is ambiguous without companyId")
        return found

    def _create(self, table: Table, item: Thing) -> Thing:
        model = table.model
        missing = [name for name in model.required if item.get(name) in (None, "")]
        if missing:
            raise Unusable(f"{','.join(missing)} must be specified")
        if model.path == "endusers":
            keys = ("email",) if self._store.knobs.end_user_needs == "email" else model.keys[1:]
            if not any(item.get(key) for key in keys):
                raise Unusable(f"{' or '.join(keys)} must be specified")
        fields = self._fields(model, item, None)
        if model.scoped and "companyId" not in fields:
            self._without_company(model, item, fields)
        self._check_unique(table, fields, None)
        if model.path == "users":
            fields.setdefault("inactive", True)
        return self._store.add(model.path, fields)

    def _without_company(self, model: Model, item: Thing, fields: Thing) -> None:
        """Put an end user into the company that has the domain of its address."""
        if model.path == "endusers":
            company = self._store.company_of_email(item.get("email"))
            if company:
                fields["companyId"] = company["_id"]
                return
            if self._store.knobs.end_user_without_company == "ignored":
                raise Ignored
        raise Unusable("companyId must be specified")

    def _change(self, table: Table, thing: Thing, item: Thing) -> bool:
        """Change an object, and say whether anything but updatedAt is new."""
        fields = self._fields(table.model, item, thing)
        changes = {name: value for name, value in fields.items() if thing.get(name) != value}
        self._check_unique(table, changes, thing)
        moved = {"updatedAt": format_moment(self._store.clock.now())}
        table.change(thing, {**changes, **moved})
        return bool(changes)

    def _fields(self, model: Model, item: Thing, thing: Thing | None) -> Thing:
        """Return an item's fields as they are stored."""
        knobs = self._store.knobs
        fields = {name: value for name, value in item.items() if name not in _SERVER}
        _check_types(fields)
        nulls = _nulls(fields)
        if nulls and knobs.nulls == "refuse":
            raise Unusable(f"{','.join(nulls)} must not be null")
        if knobs.nulls == "ignore" or thing is None:
            fields = {name: value for name, value in fields.items() if value is not None}
        if model.scoped and fields.get("companyId"):
            company = self._store.named("companies", fields["companyId"])
            if company is None:
                raise Unusable("companyId not found")
            fields["companyId"] = company["_id"]
        if isinstance(fields.get("custom"), dict):
            before = (thing or {}).get("custom") or {}
            fields["custom"] = self._custom(model, fields["custom"], before)
        return fields

    def _custom(self, model: Model, given: Thing, before: Thing) -> Thing:
        knobs, known = self._store.knobs, self._store.custom_fields[model.path]
        unknown = sorted(set(given) - known)
        if unknown and knobs.unknown_custom == "refuse":
            raise Unusable(f"unknown custom fields: {', '.join(unknown)}")
        if knobs.unknown_custom == "drop":
            given = {name: value for name, value in given.items() if name in known}
        merged = {**before, **given}
        if knobs.nulls == "ignore":
            kept = {name: value for name, value in given.items() if value is not None}
            return {**before, **kept}
        return {name: value for name, value in merged.items() if value is not None}

    def _check_unique(self, table: Table, fields: Thing, thing: Thing | None) -> None:
        """Refuse a key that another object has: externalIds in scoped models by company."""
        company = fields.get("companyId") or (thing or {}).get("companyId")
        candidate = {**(thing or {}), **fields}
        taken = []
        for name in _UNIQUE:
            others = [one for one in table.find(name, candidate.get(name)) if one is not thing]
            if name == "externalId" and table.model.scoped:
                others = [one for one in others if one.get("companyId") == company]
            if others and candidate.get(name):
                taken.append(name)
        if taken:
            raise Unusable(f"{','.join(taken)} duplicated")


def _check_types(fields: Thing) -> None:
    for name, (kind, text) in _TYPES.items():
        value = fields.get(name)
        if value is not None and not isinstance(value, kind):
            raise Unusable(f"{name} must be {text}")


def _nulls(fields: Thing) -> list[str]:
    custom = fields.get("custom")
    within = custom.items() if isinstance(custom, dict) else ()
    return [name for name, value in (*fields.items(), *within) if value is None]


def _contradicts(thing: Thing, item: Thing) -> bool:
    """Return whether both have a sourceId or an externalId; equal ones would have matched."""
    return any(thing.get(name) and item.get(name) for name in _UNIQUE)


def _keys(thing: Thing, item: Thing) -> Thing:
    sent = {name: item[name] for name in _UNIQUE if item.get(name)}
    return {"_id": thing["_id"], **sent}


def _marks(item: Any, model: Model) -> list[tuple[str, Any]]:
    """Return what must not come twice in a payload: its keys, an e-mail only if there is no other.

    externalIds of scoped models count with the company as it is written.
    """
    if not isinstance(item, dict):
        return []
    marks: list[tuple[str, Any]] = []
    for key in model.keys:
        value = item.get(key)
        if not isinstance(value, str) or not value or (key == "email" and marks):
            continue
        company = item.get("companyId") if key == "externalId" and model.scoped else None
        marks.append((key, (value, company if isinstance(company, str) else None)))
    return marks


def _doubles(items: Sequence[Any], model: Model, which: str) -> dict[int, str]:
    """Return the error of each item whose key another item of the payload has."""
    total = Counter(mark for item in items for mark in _marks(item, model))
    if len(total) == total.total():
        return {}
    seen: set[tuple[str, Any]] = set()
    found = {}
    for index, item in enumerate(items):
        marks = _marks(item, model)
        bad = [mark[0] for mark in marks if mark in seen or (which == "all" and total[mark] > 1)]
        seen.update(marks)
        if bad:
            found[index] = f"{','.join(bad)} duplicated"
    return found
