"""Knows all objects of a tenant, the companies that they belong to, and how ids are written."""

import secrets
from typing import Any

from emulation.clock import Clock, format_moment

from planhat_emulator.knobs import Knobs
from planhat_emulator.models import MODELS
from planhat_emulator.tables import Table, Thing

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
