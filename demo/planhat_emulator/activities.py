"""Activities: which end user each one belongs to, and what is dropped."""

from collections.abc import Collection, Sequence
from typing import Any

import msgspec

from planhat_emulator.dates import Moments
from planhat_emulator.refusals import Failure, Unusable
from planhat_emulator.store import Store, Thing

NO_KEY = "neither externalId nor email"
NO_END_USER = "no such end user"
NO_COMPANY = "no such end user, and no company to create one in"
AMBIGUOUS = "several end users"
BAD_DATE = "date is not valid"
BAD_COUNT = "count must be a number"
BAD_ACTION = "action must be a string"
BAD_WEIGHT = "weight must be a number"
NO_OBJECT = "item must be an object"


class Activity(msgspec.Struct, frozen=True, gc=False):
    """One stored activity; `date`, `received` are epoch ms, `count` is 1 from the single path."""

    end_user: Thing
    action: str | None
    date: int
    count: float
    weight: float
    info: Any
    received: int


class Activities:
    """The activities of a tenant: append only, never deduplicated."""

    def __init__(self, store: Store, failed: list[Failure]) -> None:
        self._store = store
        self._failed = failed
        self._moments = Moments()
        self.stored: list[Activity] = []
        self.created: list[Thing] = []

    def take(
        self, items: Sequence[Any], *, bulk: bool, spoilt: Collection[int] = (), text: str = ""
    ) -> list[tuple[int, str]]:
        """Store what can be stored; return index and reason of each item that was dropped.

        Items at the indices `spoilt` are dropped with `text` as their reason.
        """
        now, dropped = self._store.clock.now(), []
        append, read = self.stored.append, self._read
        for index, item in enumerate(items):
            try:
                if spoilt and index in spoilt:
                    raise Unusable(text)  # noqa: TRY301 -- one way to be dropped
                append(read(item, now, bulk=bulk))
            except Unusable as reason:
                dropped.append((index, str(reason)))
                self._failed.append(Failure("activity", item, str(reason), now))
        return dropped

    def _read(self, item: Any, now: int, *, bulk: bool) -> Activity:
        if not isinstance(item, dict):
            raise Unusable(NO_OBJECT)
        get = item.get
        external_id, company, count = get("externalId"), get("companyExternalId"), 1
        if bulk:  # the names have changed over time
            external_id = external_id or get("euExtId") or get("id")
            company = company or get("cId")
            count = get("count", 1)
        action, weight = get("action"), get("weight", 1)
        if action is not None and action.__class__ is not str:
            raise Unusable(BAD_ACTION)
        for value, reason in ((count, BAD_COUNT), (weight, BAD_WEIGHT)):
            if value.__class__ is not int and value.__class__ is not float:
                raise Unusable(reason)
        date = self._date(get("date"), now)
        end_user = self._end_user(_text(external_id), _text(get("email")), company, item)
        return Activity(end_user, action, date, count, weight, get("info"), now)

    def _date(self, value: Any, now: int) -> int:
        if value is None:
            return now
        try:
            return self._moments.read(value)
        except ValueError:
            if self._store.knobs.bad_date == "now":
                return now
            raise Unusable(BAD_DATE) from None

    def _end_user(self, external_id: str, email: str, company: Any, item: Thing) -> Thing:
        """Return the end user that an item is about, perhaps a new one."""
        if not external_id and not email:
            raise Unusable(NO_KEY)
        find = self._store.tables["endusers"].find
        knobs = self._store.knobs
        found = find("externalId", external_id) if external_id else ()
        if email and (not found or knobs.precedence == "email"):
            found = find("email", email) or found
        if len(found) == 1 and knobs.company_mismatch == "existing":
            return found[0]
        place = self._store.company(company)
        here = [one for one in found if place and one.get("companyId") == place["_id"]]
        if not found or (place and not here and knobs.company_mismatch == "create"):
            return self._create(external_id, email, place, item)
        return self._chosen(here or found)

    def _chosen(self, found: Sequence[Thing]) -> Thing:
        ambiguous = self._store.knobs.ambiguous
        if len(found) > 1 and ambiguous == "drop":
            raise Unusable(AMBIGUOUS)
        return found[-1 if ambiguous == "last" else 0]

    def _create(self, external_id: str, email: str, place: Thing | None, item: Thing) -> Thing:
        knob = self._store.knobs.create_end_users
        if knob == "never":
            raise Unusable(NO_END_USER)
        place = place or self._store.company_of_email(email)
        if not place and knob != "always":
            raise Unusable(NO_COMPANY)
        given = {"externalId": external_id, "email": email, "name": item.get("name")}
        fields = {name: value for name, value in given.items() if value}
        if place:
            fields["companyId"] = place["_id"]
        made = self._store.add("endusers", fields)
        self.created.append(made)
        return made


def _text(value: Any) -> str:
    """Return a key: a string, else None."""
    return value if isinstance(value, str) else ""
