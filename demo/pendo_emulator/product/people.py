"""Knows the made-up product's accounts and visitors, and their metadata at any moment."""

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from random import Random
from typing import Any

from pendo_emulator.product.calendar import DAY
from pendo_emulator.product.random_values import ACCOUNT_IDS, TEXTS, VISITOR_IDS, chances

Row = dict[str, Any]

BULK_LOADED = 1_719_792_000_000  # 2024-07-01: one moment that many visitors share
_BEGINNING = 1_640_995_200_000  # 2022-01-01
_NAMES = ("mia", "noah", "emma", "liam", "ava", "omar", "yuki", "ines", "lars", "nia", "raj", "eve")
_FAMILIES = ("stone", "river", "field", "wood", "lake", "hill", "moor", "bay", "cliff", "dale")
_WORDS = ("acorn", "birch", "cedar", "delta", "ember", "fjord", "grove", "haven", "iris", "juniper")
_BROWSERS = ("Chrome", "Firefox", "Safari", "Edge")
_SYSTEMS = ("Windows 11", "Mac OS X", "Linux", "iOS")
_PERIODS_OF_RETURN = (1, 2, 3, 5, 7, 14, 30, 60, 0)  # days between visits; 0: never again


@dataclass(frozen=True, slots=True)
class Person:
    """A visitor or an account: what never changes, and how often it comes back."""

    id: str
    accounts: tuple[str, ...]
    static: Row
    auto: Row | None
    apps: tuple[int, ...]
    every: int
    phase: int
    last_known: int
    updated: str  # moves | bulk | null | missing

    def last_visit(self, now: int) -> int:
        """Return the moment of the last visit that Pendo had processed at `now`."""
        if not self.every:
            return self.last_known
        period = self.every * DAY
        return now - (now - self.phase) % period

    def silent(self) -> bool:
        """Return whether the person must not be processed."""
        return bool(self.static.get("pendo", {}).get("donotprocess"))

    def row(self, id_field: str, now: int) -> Row:
        """Return the aggregation row as it was at `now`."""
        if self.auto is None:
            return {id_field: self.id, "metadata": self.static}
        visit = self.last_visit(now)
        # not among the fields of the metadata schema
        sent = {"lastmetadataupdate_agent": visit} if "agent" in self.static else {}
        auto = {**self.auto, "lastvisit": visit, **self._updated(visit), **sent}
        metadata = {"auto": auto, **self.static}
        for app in self.apps:
            name = f"auto_{app}".replace("-", "_")
            metadata[name] = {
                "id": self.id,
                "idhash": auto["idhash"],
                "firstvisit": auto["firstvisit"],
                "lastvisit": visit,
                "lastupdated": visit,
                **sent,
            }
        return {id_field: self.id, "metadata": metadata}

    def _updated(self, visit: int) -> Row:
        if self.updated == "missing":
            return {}
        moments = {"moves": visit, "bulk": BULK_LOADED, "null": None}
        return {"lastupdated": moments[self.updated]}


@dataclass(frozen=True)
class People:
    """All accounts and visitors, each sorted by id, code point by code point."""

    accounts: tuple[Person, ...]
    visitors: tuple[Person, ...]
    excluded: frozenset[str]

    def visitor(self, visitor_id: str) -> int | None:
        """Return the place of a visitor in the order of ids; None for an unknown one."""
        return _place(self.visitors, visitor_id)

    def account(self, account_id: str) -> int | None:
        """Return the place of an account in the order of ids; None for an unknown one."""
        return _place(self.accounts, account_id)


def _place(persons: Sequence[Person], key: str) -> int | None:
    place = bisect_left(persons, key, key=lambda person: person.id)
    return place if place < len(persons) and persons[place].id == key else None


@lru_cache(maxsize=4)
def make_people(seed: int, visitors: int, accounts: int, apps: tuple[int, ...]) -> People:
    """Return the people of a world; `visitors` counts the identified ones.

    Worlds of one size share them: nothing about them ever changes.
    """
    account_ids = _account_ids(accounts)
    owners = [_account(seed, number, key, apps) for number, key in enumerate(account_ids)]
    ids = _visitor_ids(seed, visitors)
    persons = [_visitor(seed, number, key, account_ids, apps) for number, key in enumerate(ids)]
    persons += [_anonymous(seed, number, apps) for number in range(visitors * 3 // 64)]
    excluded = frozenset(ids[-12:]) | {persons[-1].id}
    return People(_by_id(owners), _by_id(persons), excluded)


def _by_id(persons: list[Person]) -> tuple[Person, ...]:
    return tuple(sorted(persons, key=lambda person: person.id))


def _account_ids(count: int) -> list[str]:
    plain = [f"acc-{number:04d}-{_WORDS[number % 10]}" for number in range(count)]
    return (list(ACCOUNT_IDS) + plain)[:count]


def _visitor_ids(seed: int, count: int) -> list[str]:
    chance = chances(seed, "visitor ids")
    plain = [
        f"{chance.choice(_NAMES)}.{chance.choice(_FAMILIES)}{number}@{_WORDS[number % 7]}.example"
        for number in range(count)
    ]
    return (list(VISITOR_IDS) + plain)[:count]


def _account(seed: int, number: int, key: str, apps: tuple[int, ...]) -> Person:
    chance = chances(seed, "account", number)
    agent = {"name": f"{_WORDS[number % 10].title()} {number} Ltd", "is_paying": number % 3 > 0}
    custom: Row = {
        "plan": chance.choice(("free", "team", "enterprise", TEXTS[number % len(TEXTS)])),
        "seats": chance.randrange(1, 500),
        "arr": round(chance.random() * 100_000, 2),
        "renewal": _BEGINNING + chance.randrange(1000) * DAY,
        "strategic": chance.randrange(10) == 0,
        "tags": chance.sample(_WORDS, 2),
        "score": _mixed(number),
    }
    if number % 4 == 0:
        custom["legacy"] = {"crm": number, "path": "a/b"}
    silent = (number - 17) % 60 == 0
    static = {"agent": agent, "custom": custom, "pendo": {"donotprocess": silent}}
    if number % 2:
        static["salesforce"] = {
            "id": f"001{number:012d}AAA",
            "ownername": "Kim O'Hara",
            "opportunityamount": chance.randrange(90_000),
        }
    return _person(chance, key, (), static, apps[: 1 + number % 3], number)


def _mixed(number: int) -> Any:
    """Return a value of the field whose rows differ from its schema."""
    return (number, str(number), "n/a", [number], number / 4, None)[number % 6]


def _visitor(
    seed: int, number: int, key: str, accounts: list[str], apps: tuple[int, ...]
) -> Person:
    chance = chances(seed, "visitor", number)
    own: tuple[str, ...] = (accounts[int(chance.random() ** 2 * len(accounts))],)
    if (number - 5) % 33 == 0:  # some belong to nobody
        own = ()
    elif (number - 3) % 20 == 0:  # some belong to two
        own += (accounts[(number * 7) % len(accounts)],)
        own = tuple(dict.fromkeys(own))
    if (number - 77) % 160 == 0:  # some must not be processed: they have no `auto`
        static: Row = {"pendo": {"donotprocess": True}}
        return Person(key, (), static, None, (), 0, 0, 0, "missing")
    agent: Row = {
        "email": f"person{number}@mail.example",
        "full_name": f"{chance.choice(_NAMES).title()} {chance.choice(_FAMILIES).title()}",
        "role": chance.choice(("admin", "member", "viewer", "")),
        "language": chance.choice(("en_US", "de_DE", "ja_JP")),
    }
    custom: Row = {
        "beta": chance.randrange(5) == 0,
        "logins": chance.randrange(900),
        "satisfaction": round(chance.random() * 5, 1),
        "trained": _BEGINNING + chance.randrange(1000) * DAY,
        "teams": chance.sample(_WORDS, number % 3),
        "nickname": TEXTS[number % len(TEXTS)],
        "level": _mixed(number),
    }
    if number % 5 == 0:
        custom["unclear"] = None if number % 2 else "x"
    static = {"agent": agent, "custom": custom, "pendo": {"donotprocess": False}}
    if number % 3 == 0:
        static["salesforce"] = {"contactid": f"003{number:012d}AAA"}
    mine = tuple(app for place, app in enumerate(apps) if place == 0 or chance.randrange(3) == 0)
    return _person(chance, key, own, static, mine, number)


def _anonymous(seed: int, number: int, apps: tuple[int, ...]) -> Person:
    chance = chances(seed, "anonymous", number)
    name = "".join(chance.choice("abcdefghijkmnpqrstuvwxyzABCDEFG0123456789") for _ in range(11))
    return _person(chance, f"_PENDO_T_{name}", (), {}, apps[:1], number)


def _person(  # noqa: PLR0913, PLR0917 -- they are what persons differ in
    chance: Random,
    key: str,
    accounts: tuple[str, ...],
    static: Row,
    apps: tuple[int, ...],
    number: int,
) -> Person:
    """Return a person; the chance goes on where the caller left it."""
    created = _BEGINNING + chance.randrange(700 * DAY)
    auto: Row = {
        "id": key,
        "idhash": chance.randrange(1 << 32),
        "createdat": created,
        "firstvisit": created,
        "lastbrowsername": chance.choice(_BROWSERS),
        "lastbrowserversion": f"{chance.randrange(80, 140)}.0.0",
        "lastoperatingsystem": chance.choice(_SYSTEMS),
        "lastservername": "app.atlas.example",
    }
    if accounts:
        auto["accountid"] = accounts[0]
        auto["accountids"] = list(accounts)
    every, phase = chance.choice(_PERIODS_OF_RETURN), chance.randrange(60 * DAY)
    last_known = created + chance.randrange(90 * DAY)
    updated = _updates(number)
    if updated == "bulk":
        # a later visit would have moved lastupdated
        every, last_known = 0, min(last_known, BULK_LOADED)
    return Person(key, accounts, static, auto, apps, every, phase, last_known, updated)


def _updates(number: int) -> str:
    """Return how lastupdated behaves; a twenty-fifth share was loaded in one moment."""
    if (number - 7) % 25 == 0:
        return "bulk"
    return {11: "null", 12: "missing"}.get(number % 160, "moves")


def is_anonymous(visitor_id: Any) -> bool:
    """Return whether a visitor id is one that Pendo made up itself."""
    return isinstance(visitor_id, str) and visitor_id.startswith("_PENDO_T_")
