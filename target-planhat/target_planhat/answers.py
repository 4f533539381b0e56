"""What an answer of Planhat says of each item that was sent: 200 is not success (P11)."""

from __future__ import annotations

import re
import typing as t
from collections import defaultdict

import msgspec

from target_planhat import wording

if t.TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

Fate = t.Literal["accepted", "refused", "doubtful", "unsent"]
Item = dict[str, t.Any]

ACTIVITY_KEYS = ("externalId", "email", "companyExternalId", "action", "date")
METRIC_KEYS = ("dimensionId", "externalId", "model", "date")
_END_USER_KEYS = ("_id", "sourceId", "externalId", "email", "companyId")
_CONFIRMED = ("insertsKeys", "updatesKeys")
_ERRORS = ("createdErrors", "updatedErrors", "permissionErrors")
_COUNTS = ("created", "updated", "nonupdates")
_WORD = re.compile(r"[^\s\"'`,;:=()\[\]{}<>]+")


class Outcome(t.NamedTuple):
    """What became of one item.

    accepted  Planhat has taken it; that says nothing about whether it could match it
    refused   Planhat will not take it, for `reason`; sending the same again is useless
    doubtful  nobody knows whether Planhat has it
    unsent    Planhat certainly does not have it; it may be sent again

    `id` is the `_id` of the object that was created or updated, where the answer gives it.
    """

    fate: Fate
    reason: str = ""
    id: str = ""


ACCEPTED = Outcome("accepted")
_SILENT = Outcome("refused", "Planhat has not stored it, and does not say why")


def of_post(
    items: Sequence[Item], body: bytes | None, keys: Sequence[str], secrets: Iterable[str] = ()
) -> list[Outcome]:
    """Read the answer 2xx to a post of activities or metrics (planhat-api §2.5, §3.2).

    Errors echo their items, perhaps reshaped: they are looked for by equality, then by `keys`.
    Where an error belongs to nobody, all items that are not named are doubtful.
    """
    entries = _listed(_decoded(body).get("errors"))
    outcomes = [ACCEPTED] * len(items)
    if not entries:
        return outcomes
    rest = _named(items, entries, outcomes, _canonical, secrets)
    rest = _named(
        items, rest, outcomes, lambda item: _canonical([item.get(k) for k in keys]), secrets
    )
    if rest:
        doubtful = Outcome("doubtful", _told(rest[0], items, secrets))
        outcomes = [doubtful if one.fate == "accepted" else one for one in outcomes]
    return outcomes


def _named(
    items: Sequence[Item],
    entries: Sequence[t.Any],
    outcomes: list[Outcome],
    mark: t.Callable[[Item], bytes],
    secrets: Iterable[str],
) -> list[t.Any]:
    """Refuse the items that errors name by a mark; return the errors that name none.

    Of several items with one mark all are refused, or as many as there are errors if they are
    equal; where fewer errors than different items have it, nobody knows which are meant.
    """
    found: dict[bytes, list[int]] = defaultdict(list)
    for index, item in enumerate(items):
        if outcomes[index].fate == "accepted":
            found[mark(item)].append(index)
    texts: dict[bytes, list[t.Any]] = defaultdict(list)
    rest: list[t.Any] = []
    for entry in entries:
        echoed = entry.get("item") if isinstance(entry, dict) else None
        place = mark(echoed) if isinstance(echoed, dict) else b""
        (texts[place] if place in found else rest).append(entry)
    for place, named in texts.items():
        indices = found[place]
        equal = len({_canonical(items[index]) for index in indices}) == 1
        if len(named) < len(indices) and not equal:
            rest += named
            continue
        for index, entry in zip(indices, named, strict=False):
            outcomes[index] = Outcome("refused", _told(entry, [items[index]], secrets))
    return rest


def of_upsert(
    items: Sequence[Item], body: bytes | None, secrets: Iterable[str] = ()
) -> list[Outcome] | None:
    """Read the answer to a bulk upsert; None where it is no such answer (planhat-api §4.3).

    Accepted is what the answer confirms: by its keys, or by counts that leave nobody out. What
    errors name is refused; if an error names nobody, so is whatever is not confirmed.
    """
    said = _decoded(body)
    if not any(name in said for name in (*_CONFIRMED, *_ERRORS, *_COUNTS)):
        return None
    places = _places(items)
    outcomes: dict[int, Outcome] = {}
    rest = []
    for entry in _entries(said, _ERRORS):
        index = _place(entry, places, outcomes)
        if index is None:
            rest.append(entry)
        else:
            outcomes[index] = Outcome("refused", _told(entry, [items[index]], secrets))
    confirmed = list(_entries(said, _CONFIRMED))
    for entry in confirmed:
        index = _place(entry, places, outcomes)
        if index is not None:
            outcomes[index] = Outcome("accepted", id=str(entry["_id"]) if "_id" in entry else "")
    left = [index for index in range(len(items)) if index not in outcomes]
    fate = Outcome("refused", _told(rest[0], items, secrets)) if rest else _SILENT
    accepted = sum(one.fate == "accepted" for one in outcomes.values())
    if not rest and _total(said) - accepted >= len(left):
        fate = ACCEPTED
    return [outcomes.get(index, fate) for index in range(len(items))]


def _told(entry: t.Any, items: Sequence[Item], secrets: Iterable[str]) -> str:
    """Give the reason in an error about these items, without their ids."""
    return wording.shown(wording.reason(entry), {*secrets, *wording.identities(items)})


def _total(said: Item) -> int:
    return sum(said[name] for name in _COUNTS if isinstance(said.get(name), int))


def _entries(said: Item, names: Iterable[str]) -> Iterator[t.Any]:
    for name in names:
        yield from _listed(said.get(name))


def _places(items: Sequence[Item]) -> dict[tuple[str, str], set[int]]:
    """Map each key with its value to the items that have it."""
    places: dict[tuple[str, str], set[int]] = defaultdict(set)
    for index, item in enumerate(items):
        for name in _END_USER_KEYS:
            if item.get(name):
                places[name, str(item[name])].add(index)
    return places


def _place(
    entry: t.Any, places: dict[tuple[str, str], set[int]], taken: dict[int, Outcome]
) -> int | None:
    """Find the one item that an entry means: all its keys that were sent are the item's."""
    if isinstance(entry, str):
        words = [word.rstrip(".") for word in _WORD.findall(entry)]
        pairs = [(name, word) for word in words for name in _END_USER_KEYS[:-1]]
    else:
        pairs = list(_pairs(entry))
    found = [places[pair] for pair in pairs if pair in places]
    meant = (set.intersection(*found) if found else set()) - taken.keys()
    return meant.pop() if len(meant) == 1 else None


def _pairs(value: t.Any) -> Iterator[tuple[str, str]]:
    """Give the keys of end users in an entry, however deep they lie."""
    if isinstance(value, dict):
        for name, inner in value.items():
            if name in _END_USER_KEYS and isinstance(inner, str):
                yield name, inner
            else:
                yield from _pairs(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _pairs(inner)


def _decoded(body: bytes | None) -> Item:
    """Read a JSON object; text, an empty body and whatever else say nothing."""
    try:
        value = msgspec.json.decode(body or b"")
    except msgspec.DecodeError:
        return {}
    return value if isinstance(value, dict) else {}


def _listed(value: t.Any) -> list[t.Any]:
    """Take what should be a list, and may be a single entry."""
    if isinstance(value, list):
        return value
    return [value] if value else []


def _canonical(value: t.Any) -> bytes:
    return msgspec.json.encode(value, order="sorted")
