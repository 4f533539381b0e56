"""Posts: the body of each item, the parts that go out together, and what the answers say of each.

Nulls are left out. Planhat's bulk endpoint has been documented with two spellings of its ids:
both are sent.
"""

from __future__ import annotations

import re
import typing as t
from collections import defaultdict, deque

import msgspec

from target_planhat import redaction
from target_planhat.errors import PlanhatError
from target_planhat.planhat.http import DoubtfulError, UnavailableError
from target_planhat.value_parsing import iso

if t.TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from target_planhat.rule_model import Model

Body = dict[str, t.Any]
_MOST_ALONE = 20
"""After so many items are refused alone, one after the other, the rest is refused too."""


def activity(  # noqa: PLR0913 - the parts of an activity
    *,
    external_id: str | None,
    email: str | None,
    company_external_id: str | None,
    action: str,
    date: int,
    count: float,
    weight: float,
    info: Mapping[str, t.Any] | None,
) -> Body:
    """Body of an activity; `date` in epoch milliseconds."""
    body: Body = {}
    if external_id is not None:
        body["externalId"] = body["euExtId"] = external_id
    if email is not None:
        body["email"] = email
    if company_external_id is not None:
        body["companyExternalId"] = body["cId"] = company_external_id
    body["action"] = action
    body["date"] = iso(date)
    body["count"] = _number(count)
    body["weight"] = _number(weight)
    if info and (known := {k: _number(value) for k, value in info.items() if value is not None}):
        body["info"] = known
    return body


def metric(*, dimension_id: str, value: float, external_id: str, model: Model, date: int) -> Body:
    """Body of one point; `date` in epoch milliseconds."""
    return {
        "dimensionId": dimension_id,
        "value": _number(value),
        "externalId": external_id,
        "model": model,
        "date": iso(date),
    }


def _number(value: t.Any) -> t.Any:
    """Write whole numbers without a fraction."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


# Posts


class Smaller(t.NamedTuple):
    """Planhat has accepted nothing of a part, which must be sent in smaller ones.

    `reason` is for an item that is refused alone. What is `too_large` is halved to the end.
    """

    reason: str
    too_large: bool = False


TOO_LARGE = Smaller("the item alone is too large for Planhat", too_large=True)


def parts(sizes: Sequence[int], most_items: int, most_bytes: int) -> Iterator[range]:
    """Cut items into parts whose JSON array is small enough, in order.

    Args:
        sizes: bytes of each item.
        most_items: of a part.
        most_bytes: of a part's array; an item that is larger alone is a part of its own.
    """
    start, size = 0, 2
    for index, own in enumerate(sizes):
        full = index - start == most_items or size + own > most_bytes
        if full and index > start:
            yield range(start, index)
            start, size = index, 2
        size += own + 1
    if start < len(sizes):
        yield range(start, len(sizes))


def array(encoded: Sequence[bytes]) -> bytes:
    """Make a JSON array of encoded items."""
    return b"[" + b",".join(encoded) + b"]"


def outcomes(
    encoded: Sequence[bytes],
    most_items: int,
    most_bytes: int,
    send: Callable[[range], list[Outcome] | Smaller],
) -> list[Outcome]:
    """Send items part by part; return the outcome of each.

    A part of which Planhat accepts nothing is halved, until the items that block the others are
    isolated. The halves take every other item, because similar items are often side by side. After
    a part that did not arrive, or whose fate is unknown, nothing more is sent.

    Args:
        encoded: the items.
        most_items: of a part.
        most_bytes: of a part's body.
        send: sends a part; returns `Smaller` if nothing of it was accepted.

    Raises:
        PlanhatError: from `send`, if no item has got an outcome before; else the rest is unsent.
    """
    settled: dict[int, Outcome] = {}
    work = deque(parts([len(one) for one in encoded], most_items, most_bytes))
    alone = 0
    while work:
        part = work.popleft()
        too_large = len(part) == 1 and len(encoded[part.start]) + 2 > most_bytes
        try:
            found = TOO_LARGE if too_large else send(part)
        except (UnavailableError, PlanhatError) as error:
            if isinstance(error, PlanhatError) and not settled:
                raise
            if isinstance(error, DoubtfulError):
                settled |= dict.fromkeys(part, Outcome("doubtful", str(error)))
            unsent = Outcome("unsent", str(error))
            return [settled.get(index, unsent) for index in range(len(encoded))]
        if isinstance(found, list):
            settled |= zip(part, found, strict=True)
            alone = 0
        elif len(part) > 1 and (found.too_large or alone < _MOST_ALONE):
            work.extendleft((part[1::2], part[::2]))
        else:
            settled |= dict.fromkeys(part, Outcome("refused", found.reason))
            alone += not found.too_large
    return [settled[index] for index in range(len(encoded))]


PostFate = t.Literal["accepted", "refused", "doubtful", "unsent"]

ACTIVITY_KEYS = ("externalId", "email", "companyExternalId", "action", "date")
METRIC_KEYS = ("dimensionId", "externalId", "model", "date")
_END_USER_KEYS = ("_id", "sourceId", "externalId", "email", "companyId")
_CONFIRMED = ("insertsKeys", "updatesKeys")
_ERRORS = ("createdErrors", "updatedErrors", "permissionErrors")
_COUNTS = ("created", "updated", "nonupdates")
_WORD = re.compile(r"[^\s\"'`,;:=()\[\]{}<>]+")


class Outcome(t.NamedTuple):
    """What became of one item.

    accepted  Planhat has it; it may not have matched it to an end user
    refused   Planhat refuses it, for `reason`; sending it again is useless
    doubtful  unknown whether Planhat has it
    unsent    Planhat certainly does not have it; it may be sent again

    `id` is the `_id` of the object that was created or updated, where the answer gives it.
    """

    fate: PostFate
    reason: str = ""
    id: str = ""


ACCEPTED = Outcome("accepted")
_SILENT = Outcome("refused", "Planhat has not stored it, and does not say why")


def of_post(
    items: Sequence[Body], body: bytes | None, keys: Sequence[str], secrets: Iterable[str] = ()
) -> list[Outcome]:
    """Read the answer 2xx to a post of activities or metrics .

    Errors echo their items, perhaps reshaped: items are found by equality, then by `keys`. If an
    error fits no item, all items without an error are doubtful.
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
        doubtful = Outcome("doubtful", _reason(rest[0], items, secrets))
        outcomes = [doubtful if one.fate == "accepted" else one for one in outcomes]
    return outcomes


def of_refused_post(
    items: Sequence[Body], body: bytes | None, keys: Sequence[str], secrets: Iterable[str] = ()
) -> list[Outcome] | None:
    """Read the answer 400 or 422 to a post; None if nothing was accepted.

    That is so unless the answer is about single items: it echoes those that failed, or counts some
    as processed. Then the others are accepted if all of them are counted, else doubtful.
    """
    content = _decoded(body)
    entries, processed = _listed(content.get("errors")), content.get("processed")
    echoes = any(isinstance(each, dict) and each.get("item") for each in entries)
    if processed == 0 or not (processed or echoes):
        return None
    outcomes = of_post(items, body, keys, secrets)
    left = sum(one.fate != "refused" for one in outcomes)
    if entries and isinstance(processed, int) and processed >= left:
        return outcomes
    reason = _reason(entries[0] if entries else content, items, secrets)
    doubtful = Outcome("doubtful", f"perhaps taken in part: {reason}")
    return [doubtful if one.fate == "accepted" else one for one in outcomes]


def _named(
    items: Sequence[Body],
    entries: Sequence[t.Any],
    outcomes: list[Outcome],
    mark: t.Callable[[Body], bytes],
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
            outcomes[index] = Outcome("refused", _reason(entry, [items[index]], secrets))
    return rest


def of_upsert(
    items: Sequence[Body], body: bytes | None, secrets: Iterable[str] = ()
) -> list[Outcome] | None:
    """Read the answer to a bulk upsert; None if it is not such an answer.

    Items that the answer confirms, by keys or by counts that cover all, are accepted. Items that
    errors name are refused; if an error names none, so are all that are not confirmed.
    """
    content = _decoded(body)
    if not any(name in content for name in (*_CONFIRMED, *_ERRORS, *_COUNTS)):
        return None
    places = _places(items)
    outcomes: dict[int, Outcome] = {}
    rest = []
    for entry in _entries(content, _ERRORS):
        index = _place(entry, places, outcomes)
        if index is None:
            rest.append(entry)
        else:
            outcomes[index] = Outcome("refused", _reason(entry, [items[index]], secrets))
    confirmed = list(_entries(content, _CONFIRMED))
    for entry in confirmed:
        index = _place(entry, places, outcomes)
        if index is not None:
            outcomes[index] = Outcome("accepted", id=str(entry["_id"]) if "_id" in entry else "")
    left = [index for index in range(len(items)) if index not in outcomes]
    fate = Outcome("refused", _reason(rest[0], items, secrets)) if rest else _SILENT
    accepted = sum(one.fate == "accepted" for one in outcomes.values())
    if not rest and _total(content) - accepted >= len(left):
        fate = ACCEPTED
    return [outcomes.get(index, fate) for index in range(len(items))]


def complaints(body: bytes | None) -> int:
    """Count the errors in an answer to a bulk upsert."""
    return sum(1 for _ in _entries(_decoded(body), _ERRORS))


def _reason(entry: t.Any, items: Sequence[Body], secrets: Iterable[str]) -> str:
    """Return the reason in an error about these items, without their ids."""
    return redaction.redacted(redaction.error_text(entry), {*secrets, *redaction.identities(items)})


def _total(content: Body) -> int:
    return sum(content[name] for name in _COUNTS if isinstance(content.get(name), int))


def _entries(content: Body, names: Iterable[str]) -> Iterator[t.Any]:
    for name in names:
        yield from _listed(content.get(name))


def _places(items: Sequence[Body]) -> dict[tuple[str, str], set[int]]:
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
    """Return the one item of an entry: all keys of the entry that were sent are the item's."""
    if isinstance(entry, str):
        words = [word.rstrip(".") for word in _WORD.findall(entry)]
        pairs = [(name, word) for word in words for name in _END_USER_KEYS[:-1]]
    else:
        pairs = list(_pairs(entry))
    found = [places[pair] for pair in pairs if pair in places]
    meant = (set.intersection(*found) if found else set()) - taken.keys()
    return meant.pop() if len(meant) == 1 else None


def _pairs(value: t.Any) -> Iterator[tuple[str, str]]:
    """Yield the keys of end users in an entry, however deep they are."""
    if isinstance(value, dict):
        for name, inner in value.items():
            if name in _END_USER_KEYS and isinstance(inner, str):
                yield name, inner
            else:
                yield from _pairs(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _pairs(inner)


def _decoded(body: bytes | None) -> Body:
    """Return a JSON object; {} for text, an empty body and anything else."""
    try:
        value = msgspec.json.decode(body or b"")
    except msgspec.DecodeError:
        return {}
    return value if isinstance(value, dict) else {}


def _listed(value: t.Any) -> list[t.Any]:
    """Return a list; Planhat may send a single entry instead."""
    if isinstance(value, list):
        return value
    return [value] if value else []


def _canonical(value: t.Any) -> bytes:
    return msgspec.json.encode(value, order="sorted")
