"""Knows the made-up product's segments: rules over visitors, some of them shared."""

from collections.abc import Sequence
from typing import Any

from pendo_emulator.draws import identifier
from pendo_emulator.periods import DAY

Definition = dict[str, Any]

_BEGINNING = 1_672_531_200_000  # 2023-01-01
_VISITORS = ({"source": {"visitors": None}}, {"identified": "visitorId"})
_ACCOUNTS = (
    {"eval": {"accountId": "metadata.auto.accountids"}},
    {"unwind": {"field": "accountId"}},
    {"bulkExpand": {"account": {"account": "accountId"}}},
)
_VISITOR = {"select": {"visitorId": "visitorId"}}
_PAIR = {"select": {"visitorId": "visitorId", "accountId": "accountId"}}
_SEGMENTS: tuple[tuple[str, tuple[Any, ...], str, bool, bool], ...] = (
    # name, the steps that choose, the metadata that they need, shared, created by API
    (
        "Admins",
        ({"filter": 'metadata.agent.role == "admin"'}, _VISITOR),
        "visitor.agent.role",
        True,
        False,
    ),
    (
        'Strategic "key" accounts',
        (*_ACCOUNTS, {"filter": "account.custom.strategic"}, _PAIR),
        "account.custom.strategic",
        True,
        False,
    ),
    (
        "Beta users of an upload",
        ({"filter": "metadata.custom.beta"}, _VISITOR),
        "visitor.custom.beta",
        True,
        True,
    ),
    (
        "My own Firefox users",
        ({"filter": 'metadata.auto.lastbrowsername == "Firefox"'}, _VISITOR),
        "visitor.auto.lastbrowsername",
        False,
        False,
    ),
)


def make_segments(seed: int, users: Sequence[Definition]) -> list[Definition]:
    """Return four segments, by visitor or account metadata; the last one is private.

    `pipeline` gives the members: visitorId, and accountId where the account decides.
    """
    segments = []
    for number, (name, chosen, needed, shared, by_api) in enumerate(_SEGMENTS):
        key = identifier(seed, "segment", number)
        updated = _BEGINNING + (number + 1) * 30 * DAY
        segments.append(
            {
                "id": key,
                "name": name,
                "kind": "Segment",
                "description": "",
                "createdAt": _BEGINNING + number * DAY,
                "lastUpdatedAt": updated,
                "createdByUser": users[number % len(users)],
                "lastUpdatedByUser": users[0],
                "definition": {"kind": "and", "filters": [{"field": needed}]},
                "pipeline": [*_VISITORS, *chosen],
                "shared": shared,
                "createdByApi": by_api,
                "isFocusGroup": False,
                "dependentMetadata": [needed],
                "rootVersionId": key,
                "stableVersionId": f"{key}-{updated:020d}",
            }
        )
    return segments
